"""Who may do what: reviews, tokens, roles, impersonation, and what one may give away."""

from datetime import timedelta

import pytest

from kcm.sandbox.access.users import User
from kcm.sandbox.api.gate import AccessSettings
from kcm.serving.http import ClientCertificate, Request

RBAC = "/apis/rbac.authorization.k8s.io/v1"
PODS = "/api/v1/namespaces/default/pods"
REVIEWS = "/apis/authorization.k8s.io/v1"
TOKEN = "/api/v1/namespaces/default/serviceaccounts/default/token"


class Secured:
    """The server as somebody from outside finds it."""

    def __init__(self, api, user="", groups=(), token=""):
        self._api = api
        self._certificate = ClientCertificate(user, tuple(groups), "aa") if user else None
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    async def __call__(self, method, path, body=None, headers=None, **query):
        inside = self._api.server.handle
        certificate, own = self._certificate, {**self._headers, **(headers or {})}

        async def handle(request):
            request = Request(
                request.method,
                request.path,
                request.query,
                {**own, **request.headers},
                request.body,
                certificate=certificate,
            )
            return await self._api.server.handle_secured(request)

        self._api.server.handle = handle
        try:
            return await self._api(method, path, body, **query)
        finally:
            self._api.server.handle = inside

    async def get(self, path, **query):
        return await self("GET", path, **query)


def rule(verbs, resources, groups="", **more):
    return {
        "verbs": verbs.split(),
        "apiGroups": [groups],
        "resources": resources.split(),
        **more,
    }


async def grant(api, user, *rules, namespace="default", kind="User"):
    where = f"{RBAC}/namespaces/{namespace}/" if namespace else f"{RBAC}/cluster"
    role = "Role" if namespace else "ClusterRole"
    name = user.replace(":", "-")
    made = await api.post(f"{where}roles", {"metadata": {"name": name}, "rules": list(rules)})
    assert made.status == 201, made.body
    binding = {
        "metadata": {"name": name},
        "roleRef": {"kind": role, "name": name},
        "subjects": [{"kind": kind, "name": user}],
    }
    assert (await api.post(f"{where}rolebindings", binding)).status == 201


async def token_of(api, **spec):
    answer = await api.post(TOKEN, {"spec": spec})
    assert answer.status == 201, answer.body
    return answer.body["status"]["token"]


def refusal(answer):
    return answer.status, answer.body["reason"], answer.body["message"]


# Who is there.


def test_nobody_may_see_what_the_public_may_not(play):
    async def scenario(api):
        nobody = Secured(api)
        assert (await nobody.get("/version")).status == 200
        answer = await nobody.get(PODS)
        assert refusal(answer) == (
            403,
            "Forbidden",
            'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the '
            'namespace "default"',
        )
        assert answer.body["details"] == {"kind": "pods"}
        assert (await nobody.get("/nowhere")).body["message"] == (
            'forbidden: User "system:anonymous" cannot get path "/nowhere"'
        )
        scale = "/apis/apps/v1/namespaces/default/deployments/web/scale"
        answer = await nobody.get(scale)
        assert answer.body["message"].startswith(
            'deployments.apps "web" is forbidden: User "system:anonymous" cannot get resource '
            '"deployments/scale" in API group "apps" in'
        )
        assert answer.body["details"] == {"name": "web", "group": "apps", "kind": "deployments"}

    play(scenario)


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "é", "x" * 100_000])
def test_a_token_that_proves_nothing_is_no_credential(play, token):
    async def scenario(api):
        for path in (PODS, "/version", "/nowhere"):
            answer = await Secured(api, token=token).get(path)
            assert refusal(answer) == (401, "Unauthorized", "Unauthorized")

    play(scenario)


def test_a_certificate_names_user_and_groups_and_comes_before_a_token(play):
    async def scenario(api):
        admin = Secured(api, "boss", ("system:masters",), token="nonsense")
        assert (await admin.get(PODS)).status == 200
        answer = await admin("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        assert answer.status == 201
        assert answer.body["status"]["userInfo"] == {
            "username": "boss",
            "groups": ["system:masters", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["X509SHA256=aa"]},
        }
        assert (await Secured(api, "bob").get(PODS)).status == 403

    play(scenario)


def test_everybody_is_the_administrator_where_nobody_is_asked(play):
    async def scenario(api):
        answer = await api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        assert answer.body["status"]["userInfo"]["username"] == "system:admin"
        question = {"spec": {"resourceAttributes": {"verb": "*", "resource": "*", "group": "*"}}}
        answer = await api.post(f"{REVIEWS}/selfsubjectaccessreviews", question)
        assert (answer.status, answer.body["status"]) == (201, {"allowed": True})

    play(scenario)


def test_the_administrators_token_is_one(play):
    async def scenario(api):
        assert (await Secured(api, token="secret").get(PODS)).status == 200

    play(scenario, access=AccessSettings(admin_token="secret"))


# Tokens of service accounts.


def test_a_token_proves_a_service_account_until_it_expires(play):
    async def scenario(api):
        token = await token_of(api, expirationSeconds=600)
        account = Secured(api, token=token)
        answer = await account("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        assert answer.body["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"
        assert answer.body["status"]["userInfo"]["groups"] == [
            "system:serviceaccounts",
            "system:serviceaccounts:default",
            "system:authenticated",
        ]
        await api.clock.sleep(700)
        assert (await account.get("/version")).status == 401

    play(scenario)


def test_a_token_dies_with_its_service_account_and_another_of_the_name_does_not_help(play):
    async def scenario(api):
        token = await token_of(api)
        assert (await Secured(api, token=token).get("/version")).status == 200
        accounts = "/api/v1/namespaces/default/serviceaccounts"
        await api.delete(f"{accounts}/default")
        assert (await Secured(api, token=token).get("/version")).status == 401
        await api.post(accounts, {"metadata": {"name": "default"}})
        assert (await Secured(api, token=token).get("/version")).status == 401
        review = {"spec": {"token": token}}
        answer = await api.post("/apis/authentication.k8s.io/v1/tokenreviews", review)
        assert "authenticated" not in answer.body["status"]
        assert "UID" in answer.body["status"]["error"]

    play(scenario)


def test_a_token_that_is_bound_to_a_pod_dies_with_it(play):
    async def scenario(api):
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        await api.post(PODS, pod)
        token = await token_of(api, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
        answer = await Secured(api, token=token)(
            "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}
        )
        extra = answer.body["status"]["userInfo"]["extra"]
        assert extra["authentication.kubernetes.io/pod-name"] == ["p"]
        await api.delete(f"{PODS}/p", gracePeriodSeconds=0)
        assert (await Secured(api, token=token).get("/version")).status == 401
        absent = {"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}}}
        assert refusal(await api.post(TOKEN, absent)) == (404, "NotFound", 'pods "p" not found')

    play(scenario)


def test_a_token_is_for_its_audience_only(play):
    async def scenario(api):
        token = await token_of(api, audiences=["vault"])
        assert (await Secured(api, token=token).get("/version")).status == 401
        reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
        answer = await api.post(reviews, {"spec": {"token": token, "audiences": ["vault", "other"]}})
        assert answer.body["status"]["authenticated"] is True
        assert answer.body["status"]["audiences"] == ["vault"]
        answer = await api.post(reviews, {"spec": {"token": "x"}})
        assert answer.body["status"] == {"user": {}, "error": "invalid bearer token"}
        assert (await api.post(reviews, {"spec": {}})).status == 400

    play(scenario)


def test_a_token_says_when_it_ends_and_is_bounded(play):
    async def scenario(api):
        now = api.clock.wall()
        answer = await api.post(TOKEN, {"spec": {"expirationSeconds": 1200}})
        ends = (now + timedelta(seconds=1200)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert answer.body["status"]["expirationTimestamp"] == ends
        assert answer.body["spec"]["audiences"] == ["https://kubernetes.default.svc"]
        answer = await api.post(TOKEN, {"spec": {"expirationSeconds": 5}})
        assert (answer.status, answer.body["message"]) == (
            422,
            'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 5: '
            "may not specify a duration less than 10 minutes",
        )

    play(scenario)


# What roles allow.


def test_a_role_counts_from_the_request_after_it_was_written(play):
    async def scenario(api):
        bob = Secured(api, "bob")
        assert (await bob.get(PODS)).status == 403
        await grant(api, "bob", rule("list watch", "pods"))
        assert (await bob.get(PODS)).status == 200
        assert (await bob.get("/api/v1/pods")).status == 403
        assert (await bob.get(f"{PODS}/x")).status == 403
        await api.delete(f"{RBAC}/namespaces/default/rolebindings/bob")
        assert (await bob.get(PODS)).status == 403

    play(scenario)


def test_a_resource_name_opens_that_object_and_a_watch_of_it(play):
    async def scenario(api):
        bob = Secured(api, "bob")
        await grant(api, "bob", rule("get list watch", "configmaps", resourceNames=["kube-root-ca.crt"]))
        maps = "/api/v1/namespaces/default/configmaps"
        assert (await bob.get(f"{maps}/kube-root-ca.crt")).status == 200
        assert (await bob.get(f"{maps}/other")).status == 403
        assert (await bob.get(maps)).status == 403
        assert (await bob.get(maps, fieldSelector="metadata.name=kube-root-ca.crt")).status == 200

    play(scenario)


def test_a_subresource_is_a_right_of_its_own(play):
    async def scenario(api):
        bob = Secured(api, "bob")
        await grant(api, "bob", rule("get", "*/status"))
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        await api.post(PODS, pod)
        assert (await bob.get(f"{PODS}/p/status")).status == 200
        assert (await bob.get(f"{PODS}/p")).status == 403

    play(scenario)


def test_a_put_that_creates_takes_the_right_to_create(play):
    async def scenario(api):
        lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l"
        body = {"metadata": {"name": "l"}, "spec": {}}
        bob = Secured(api, "bob")
        await grant(api, "bob", rule("update", "leases", "coordination.k8s.io"))
        answer = await bob("PUT", lease, body)
        assert refusal(answer) == (
            403,
            "Forbidden",
            'leases.coordination.k8s.io "l" is forbidden: User "bob" cannot create resource "leases" in API '
            'group "coordination.k8s.io" in the namespace "default"',
        )
        await grant(api, "eve", rule("update create", "leases", "coordination.k8s.io"))
        assert (await Secured(api, "eve")("PUT", lease, body)).status == 201

    play(scenario)


def test_gathering_roles_follow_the_labels(play):
    async def scenario(api):
        label = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
        more = {"metadata": {"name": "more", "labels": label}, "rules": [rule("get", "widgets", "x.io")]}
        await api.post(f"{RBAC}/clusterroles", more)
        await api.settle()
        for name in ("view", "edit", "admin"):
            assert more["rules"][0] in (await api.get(f"{RBAC}/clusterroles/{name}")).body["rules"]
        await api.delete(f"{RBAC}/clusterroles/more")
        await api.settle()
        for name in ("view", "edit", "admin"):
            assert more["rules"][0] not in (await api.get(f"{RBAC}/clusterroles/{name}")).body["rules"]

    play(scenario)


# One as another.


def test_the_administrator_may_be_anybody_and_is_held_to_what_they_may(play):
    async def scenario(api):
        as_bob = {"impersonate-user": "bob"}
        answer = await api("GET", PODS, headers=as_bob)
        assert answer.body["message"].startswith('pods is forbidden: User "bob" cannot list')
        await grant(api, "devs", rule("list", "pods"), kind="Group")
        assert (await api("GET", PODS, headers={**as_bob, "impersonate-group": "ops, devs"})).status == 200
        account = {"impersonate-user": "system:serviceaccount:default:sa"}
        answer = await api("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, headers=account)
        assert answer.status == 201
        assert "system:serviceaccounts:default" in answer.body["status"]["userInfo"]["groups"]
        assert (await api("GET", PODS, headers={"impersonate-group": "devs"})).status == 400

    play(scenario)


def test_only_who_may_impersonate_does(play):
    async def scenario(api):
        bob = Secured(api, "bob")
        await grant(api, "bob", rule("list", "pods"), namespace="")
        answer = await bob("GET", PODS, headers={"impersonate-user": "eve"})
        assert answer.body["message"] == (
            'pods is forbidden: User "bob" cannot impersonate-on:user-info:list resource "pods" in API group '
            '"" in the namespace "default"'
        )
        await grant(api, "eve", rule("list", "pods"))
        await grant(api, "carl", rule("impersonate", "users", resourceNames=["eve"]), namespace="")
        carl = Secured(api, "carl")
        assert (await carl("GET", PODS, headers={"impersonate-user": "eve"})).status == 200
        assert (await carl("GET", PODS, headers={"impersonate-user": "bob"})).status == 403
        both = {"impersonate-user": "eve", "impersonate-group": "system:masters"}
        assert (await carl("GET", PODS, headers=both)).status == 403

    play(scenario)


# What one may give away.


WRITER = rule("create update patch get", "roles rolebindings clusterroles", "rbac.authorization.k8s.io")


def test_nobody_grants_what_they_do_not_hold(play):
    async def scenario(api):
        await grant(api, "bob", WRITER, rule("get", "pods"))
        bob = Secured(api, "bob")
        roles = f"{RBAC}/namespaces/default/roles"
        role = {"metadata": {"name": "r"}, "rules": [rule("get list", "pods secrets")]}
        assert refusal(await bob("POST", roles, role)) == (
            403,
            "Forbidden",
            'roles.rbac.authorization.k8s.io "r" is forbidden: user "bob" (groups=["system:authenticated"]) '
            "is attempting to grant RBAC permissions not currently held:\n"
            '{APIGroups:[""], Resources:["pods"], Verbs:["list"]}\n'
            '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}',
        )
        held = {"metadata": {"name": "r"}, "rules": [rule("get", "pods")]}
        assert (await bob("POST", roles, held)).status == 201
        assert (await bob("PUT", f"{roles}/r", role)).status == 403
        labelled = {"metadata": {"name": "r", "labels": {"a": "b"}}, "rules": held["rules"]}
        assert (await bob("PUT", f"{roles}/r", labelled)).status == 200

    play(scenario)


def test_nobody_binds_a_role_that_gives_more_unless_they_may_bind_it(play):
    async def scenario(api):
        await grant(api, "bob", WRITER)
        bob = Secured(api, "bob")
        bindings = f"{RBAC}/namespaces/default/rolebindings"

        async def bind(name, kind="ClusterRole"):
            body = {"metadata": {"name": f"b-{name}"}, "roleRef": {"kind": kind, "name": name}}
            return await bob("POST", bindings, body)

        answer = await bind("cluster-admin")
        assert answer.status == 403
        assert answer.body["message"].endswith(
            'held:\n{APIGroups:["*"], Resources:["*"], Verbs:["*"]}\n{NonResourceURLs:["*"], Verbs:["*"]}'
        )
        answer = await bind("absent")
        assert refusal(answer)[::2] == (404, 'rolebindings.rbac.authorization.k8s.io "absent" not found')
        assert (await bind("bob", "Role")).status == 201
        right = rule("bind", "clusterroles", "rbac.authorization.k8s.io", resourceNames=["view"])
        await grant(api, "carl", right, WRITER)
        carl = Secured(api, "carl")
        body = {"metadata": {"name": "v"}, "roleRef": {"kind": "ClusterRole", "name": "view"}}
        assert (await carl("POST", bindings, body)).status == 201

    play(scenario)


def test_who_may_escalate_may_write_any_rules_but_gathering_takes_everything(play):
    async def scenario(api):
        await grant(api, "bob", WRITER, namespace="")
        gathering = {
            "metadata": {"name": "g"},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
        }
        answer = await Secured(api, "bob")("POST", f"{RBAC}/clusterroles", gathering)
        assert answer.body["message"] == (
            'clusterroles.rbac.authorization.k8s.io "g" is forbidden: must have cluster-admin privileges to '
            "use the aggregationRule"
        )
        escalate = rule("create escalate", "clusterroles", "rbac.authorization.k8s.io")
        await grant(api, "eve", escalate, namespace="")
        assert (await Secured(api, "eve")("POST", f"{RBAC}/clusterroles", gathering)).status == 201

    play(scenario)


# Roles and bindings as objects.


@pytest.mark.parametrize(
    ("rules", "problems"),
    [
        ([{}], ["verbs must contain", "at least one api group", "at least one resource"]),
        ([{"verbs": ["get"], "nonResourceURLs": ["/x"]}], ["namespaced rules cannot apply"]),
    ],
)
def test_a_role_is_checked(play, rules, problems):
    async def scenario(api):
        body = {"metadata": {"name": "x"}, "rules": rules}
        answer = await api.post(f"{RBAC}/namespaces/default/roles", body)
        assert answer.status == 422
        for problem, cause in zip(problems, answer.body["details"]["causes"], strict=True):
            assert problem in cause["message"]

    play(scenario)


def test_a_binding_is_checked_filled_in_and_keeps_its_role(play):
    async def scenario(api):
        bindings = f"{RBAC}/namespaces/default/rolebindings"
        wrong = {
            "metadata": {"name": "x"},
            "roleRef": {"apiGroup": "x", "kind": "Foo"},
            "subjects": [{"kind": "Zed"}, {"kind": "ServiceAccount", "name": "A_b"}],
        }
        answer = await api.post(bindings, wrong)
        assert [cause["field"] for cause in answer.body["details"]["causes"]] == [
            "roleRef.apiGroup",
            "roleRef.kind",
            "roleRef.name",
            "subjects[0].name",
            "subjects[0].kind",
            "subjects[1].name",
        ]
        right = {
            "metadata": {"name": "x:y"},
            "roleRef": {"kind": "Role", "name": "r"},
            "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}],
        }
        made = (await api.put(f"{bindings}/x:y", right)).body
        group = "rbac.authorization.k8s.io"
        assert made["roleRef"]["apiGroup"] == made["subjects"][0]["apiGroup"] == group
        assert "apiGroup" not in made["subjects"][1]
        answer = await api.patch(f"{bindings}/x:y", {"roleRef": {"name": "other"}})
        assert answer.body["message"].endswith(
            'roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"other"}: '
            "cannot change roleRef"
        )

    play(scenario)


# Reviews.


def test_what_is_said_of_others_comes_from_the_roles(play):
    async def scenario(api):
        await grant(api, "bob", rule("get", "pods"))
        asked = {"verb": "get", "resource": "pods", "namespace": "default"}

        async def ask(user, **changed):
            body = {"spec": {"user": user, "resourceAttributes": {**asked, **changed}}}
            return (await api.post(f"{REVIEWS}/subjectaccessreviews", body)).body["status"]

        assert await ask("bob") == {
            "allowed": True,
            "reason": 'RBAC: allowed by RoleBinding "bob/default" of Role "bob" to User "bob"',
        }
        assert await ask("bob", namespace="kube-system") == {"allowed": False}
        assert await ask("eve") == {"allowed": False}
        local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews"
        body = {"spec": {"user": "bob", "resourceAttributes": asked}}
        assert (await api.post(local, body)).body["status"]["allowed"] is True
        body["spec"]["resourceAttributes"]["namespace"] = "other"
        assert "must match metadata.namespace" in (await api.post(local, body)).body["message"]

    play(scenario)


def test_a_question_must_be_one(play):
    async def scenario(api):
        answer = await api.post(f"{REVIEWS}/subjectaccessreviews", {"spec": {}})
        assert (answer.status, answer.body["message"]) == (
            422,
            '.authorization.k8s.io "" is invalid: [spec.resourceAttributes: Invalid value: null: exactly one '
            "of nonResourceAttributes or resourceAttributes must be specified, spec.user: Invalid value: "
            '"": at least one of user or group must be specified]',
        )
        assert (await api.get(f"{REVIEWS}/subjectaccessreviews")).status == 405
        assert (await api.post(f"{REVIEWS}/selfsubjectrulesreviews", {"spec": {}})).status == 400
        for wrong in ("x", {"spec": "x"}, {"spec": {"resourceAttributes": [1]}}, []):
            answer = await api.post(f"{REVIEWS}/selfsubjectaccessreviews", wrong)
            assert answer.status in (400, 422)

    play(scenario)


def test_my_rules_are_listed(play):
    async def scenario(api):
        await grant(api, "bob", rule("get", "pods", resourceNames=["x"]))
        bob = Secured(api, "bob")
        body = {"spec": {"namespace": "default"}}
        status = (await bob("POST", f"{REVIEWS}/selfsubjectrulesreviews", body)).body["status"]
        assert rule("get", "pods", resourceNames=["x"]) in status["resourceRules"]
        assert status["incomplete"] is False
        assert any("/version" in one["nonResourceURLs"] for one in status["nonResourceRules"])

    play(scenario)


# What was decided.


def test_each_decision_is_kept_and_shows_what_a_role_is_too_large_by(play):
    async def scenario(api):
        await grant(api, "bob", rule("get list", "pods"), rule("delete", "secrets"))
        decided = api.server.gate.record()
        bob = Secured(api, "bob")
        await bob.get(PODS)
        await bob.get("/api/v1/nodes")
        shown = {(one.user, one.verb, one.resource, one.namespace, one.allowed) for one in decided}
        assert shown == {
            ("bob", "list", "pods", "default", True),
            ("bob", "list", "nodes", "", False),
        }
        seen = []
        api.server.audit.subscribe(lambda mutation: seen.append((mutation.user, mutation.name)))
        await api("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "x"}})
        assert seen == [("system:admin", "x")]
        assert api.server.gate.unused_grants(User("bob"), decided, ["default"]) == [
            '{APIGroups:[""], Resources:["pods"], Verbs:["get"]}',
            '{APIGroups:[""], Resources:["secrets"], Verbs:["delete"]}',
        ]

    play(scenario)


# autoscaling/v1.


def test_an_autoscaler_is_one_object_in_two_versions(play):
    async def scenario(api):
        v1, v2 = (
            f"/apis/autoscaling/{one}/namespaces/default/horizontalpodautoscalers" for one in ("v1", "v2")
        )
        reference = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}
        made = await api.post(
            v1, {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": reference, "maxReplicas": 3}}
        )
        assert (made.status, made.body["apiVersion"]) == (201, "autoscaling/v1")
        assert made.body["spec"]["targetCPUUtilizationPercentage"] == 80
        watch = await api.watch(v1, resourceVersion=made.version)
        status = {
            "desiredReplicas": 2,
            "conditions": [{"type": "AbleToScale", "status": "True", "reason": "r", "message": "m"}],
        }
        await api.patch(f"{v2}/h/status", {"status": status})
        event = await watch.next()
        assert event["object"]["apiVersion"] == "autoscaling/v1"
        assert "AbleToScale" in str(event["object"]["metadata"]["annotations"])
        await watch.close()
        # A client of v1 that drops the annotations takes no status away.
        seen = (await api.get(f"{v1}/h")).body
        del seen["metadata"]["annotations"]
        seen["spec"]["targetCPUUtilizationPercentage"] = 50
        assert (await api.put(f"{v1}/h", seen)).status == 200
        kept = (await api.get(f"{v2}/h")).body
        assert [one["reason"] for one in kept["status"]["conditions"]] == ["r"]
        assert kept["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
        version = kept["metadata"]["resourceVersion"]
        same = await api.patch(f"{v1}/h", {"spec": {"targetCPUUtilizationPercentage": 50}})
        assert same.version == version
        group = (await api.get("/apis/autoscaling")).body
        assert group["preferredVersion"]["version"] == "v2"

    play(scenario)


def test_an_autoscaler_of_v1_is_held_to_the_same_rules(play):
    async def scenario(api):
        v1 = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
        spec = {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 1, "minReplicas": 2}
        answer = await api.post(v1, {"metadata": {"name": "h"}, "spec": spec})
        assert (answer.status, [one["field"] for one in answer.body["details"]["causes"]]) == (
            422,
            ["spec.maxReplicas"],
        )

    play(scenario)


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        (
            {"maxReplicas": 0, "minReplicas": 0},
            [
                "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
                "spec.maxReplicas: Required value: must be set and greater than 0",
                "spec.metrics: Forbidden: must specify at least one Object or External metric to support "
                "scaling to zero replicas",
            ],
        ),
        (
            {"maxReplicas": -1, "minReplicas": -1},
            [
                "spec.minReplicas: Invalid value: -1: must be greater than or equal to 1",
                "spec.maxReplicas: Invalid value: -1: must be greater than or equal to 1",
            ],
        ),
        (
            {"maxReplicas": 2, "behavior": {"scaleUp": {"policies": []}}},
            ["spec.behavior.scaleUp.policies: Required value: must specify at least one Policy"],
        ),
        (
            {"maxReplicas": 2, "metrics": [{"type": "Pods"}]},
            [
                "spec.metrics[0].pods: Required value: must populate information for the given metric source",
            ],
        ),
    ],
)
def test_an_impossible_autoscaler_is_refused_in_the_servers_words(play, spec, causes):
    async def scenario(api):
        path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
        reference = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}
        answer = await api.post(
            path, {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": reference, **spec}}
        )
        assert answer.status == 422
        found = [f"{one['field']}: {one['message']}" for one in answer.body["details"]["causes"]]
        assert found == causes

    play(scenario)

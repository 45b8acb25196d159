"""reference: apiserver 1 (auth), 2 (RBAC kinds), 4 (401, 403) and issue: who asks, and what he may."""

import pytest
from capabilities import found_in
from paths import everywhere
from target import from_kubeconfig

ACCESS = everywhere("selfsubjectaccessreviews")
SUBJECTS = everywhere("subjectaccessreviews")
TOKENS = everywhere("tokenreviews")
WHO = everywhere("selfsubjectreviews")


@pytest.fixture(scope="module")
def target(secure_kubeconfig):
    """The server as its administrator sees it, with an authorizer where there is one to be had."""
    target = from_kubeconfig(secure_kubeconfig)
    yield target
    target.close()


@pytest.fixture(scope="module")
def capabilities(target):
    return found_in(target)


def may(target, **attributes):
    body = {"spec": {"resourceAttributes": attributes}}
    answer = target.post(ACCESS, body).ok(201)
    return answer.json["status"]["allowed"]


def test_one_asks_what_one_may(target, paths):
    """reference: apiserver 1, auth can-i: POST selfsubjectaccessreviews"""
    assert may(target, verb="list", resource="pods", namespace=paths.namespace) is True


def test_one_asks_about_a_path(target):
    """reference: apiserver 1, auth can-i: nonResourceAttributes"""
    body = {"spec": {"nonResourceAttributes": {"verb": "get", "path": "/healthz"}}}
    assert target.post(ACCESS, body).ok(201).json["status"]["allowed"] is True


def test_a_question_about_nothing_is_invalid(target):
    """reference: apiserver 4, 422: exactly one of the attributes"""
    answer = target.post(ACCESS, {"spec": {}}).ok(422)
    assert "exactly one of nonResourceAttributes or resourceAttributes must be specified" in answer.message


def test_one_asks_who_one_is(target):
    """reference: apiserver 1, auth whoami: POST selfsubjectreviews"""
    info = target.post(WHO, {}).ok(201).json["status"]["userInfo"]
    assert info["username"]
    assert "system:authenticated" in info["groups"]


def test_a_token_is_reviewed(target, paths):
    """reference: issue: tokenreviews"""
    token = target.post(paths.of("serviceaccounts", "default", "token"), {"spec": {}}).ok(201)
    body = {"spec": {"token": token.json["status"]["token"]}}
    status = target.post(TOKENS, body).ok(201).json["status"]
    assert status["authenticated"] is True
    assert status["user"]["username"] == f"system:serviceaccount:{paths.namespace}:default"
    assert f"system:serviceaccounts:{paths.namespace}" in status["user"]["groups"]


def test_a_wrong_token_is_not_authenticated(target):
    """reference: issue: tokenreviews, bad tokens"""
    status = target.post(TOKENS, {"spec": {"token": "nope"}}).ok(201).json["status"]
    assert not status.get("authenticated")


def test_one_asks_what_another_may(target, paths):
    """reference: issue: subjectaccessreviews"""
    spec = {
        "user": "conformance-nobody",
        "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": paths.namespace},
    }
    status = target.post(SUBJECTS, {"spec": spec}).ok(201).json["status"]
    assert isinstance(status["allowed"], bool)


def test_a_question_about_nobody_is_invalid(target):
    """reference: apiserver 4, 422: subjectaccessreviews"""
    spec = {"resourceAttributes": {"verb": "get", "resource": "pods"}}
    target.post(SUBJECTS, {"spec": spec}).ok(422)


@pytest.fixture
def robot(target, paths, name):
    """An account with a token, and a client that speaks as it."""
    target.post(paths.of("serviceaccounts"), {"metadata": {"name": name}}).ok(201)
    token = (
        target.post(paths.of("serviceaccounts", name, "token"), {"spec": {}}).ok(201).json["status"]["token"]
    )
    robot = target.identified(Authorization=f"Bearer {token}")
    yield robot
    robot.close()


def grant(target, paths, name, *rules):
    role = {"metadata": {"name": name}, "rules": list(rules)}
    target.post(paths.of("roles"), role).ok(201)
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": paths.namespace}],
    }
    target.post(paths.of("rolebindings"), binding).ok(201)


def until_allowed(robot, path):
    """A role counts within a moment of being stored."""
    return robot.eventually(path, lambda answer: answer.code != 403)


@pytest.mark.needs("authorizer")
def test_an_account_without_roles_may_nothing(robot, paths, name):
    """reference: apiserver 4, 403; issue: RBAC evaluated from the stored roles"""
    answer = robot.get(paths.of("pods")).ok(403)
    assert answer.message == (
        f'pods is forbidden: User "system:serviceaccount:{paths.namespace}:{name}" cannot list resource '
        f'"pods" in API group "" in the namespace "{paths.namespace}"'
    )


@pytest.mark.needs("authorizer")
def test_a_role_grants_its_verbs_and_no_others(target, robot, paths, name):
    """reference: issue: RBAC evaluated from the stored roles"""
    grant(target, paths, name, {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]})
    until_allowed(robot, paths.of("configmaps")).ok(200)
    robot.get(paths.of("configmaps", "none")).ok(404)
    robot.post(paths.of("configmaps"), {"metadata": {"name": name}}).ok(403)
    robot.get(paths.of("secrets")).ok(403)
    robot.get("/api/v1/namespaces/default/configmaps").ok(403)


@pytest.mark.needs("authorizer")
def test_a_role_may_name_objects(target, robot, paths, name):
    """reference: issue: RBAC: resourceNames"""
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["mine"]}
    grant(target, paths, name, rule)
    until_allowed(robot, paths.of("secrets", "mine")).ok(404)
    robot.get(paths.of("secrets", "other")).ok(403)


@pytest.mark.needs("authorizer")
def test_a_role_may_name_subresources(target, robot, paths, name):
    """reference: issue: RBAC: subresources are resources of their own"""
    grant(target, paths, name, {"apiGroups": ["apps"], "resources": ["deployments/status"], "verbs": ["get"]})
    until_allowed(robot, paths.of("deployments", "none", "status")).ok(404)
    robot.get(paths.of("deployments", "none")).ok(403)


@pytest.mark.needs("authorizer")
def test_a_watch_is_a_verb_of_its_own(target, robot, paths, name):
    """reference: issue: RBAC: verbs"""
    grant(target, paths, name, {"apiGroups": [""], "resources": ["services"], "verbs": ["list"]})
    until_allowed(robot, paths.of("services")).ok(200)
    robot.get(paths.of("services"), watch="true", timeoutSeconds="1").ok(403)


@pytest.mark.needs("authorizer")
def test_nobody_grants_more_than_he_has(target, robot, paths, name):
    """reference: issue: RBAC: escalation"""
    rule = {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create", "get"]}
    grant(target, paths, name, rule)
    until_allowed(robot, paths.of("roles", "none")).ok(404)
    more = {
        "metadata": {"name": f"{name}-more"},
        "rules": [{"apiGroups": [""], "resources": ["*"], "verbs": ["*"]}],
    }
    answer = robot.post(paths.of("roles"), more).ok(403)
    assert "is attempting to grant RBAC permissions not currently held" in answer.message


@pytest.mark.needs("authorizer")
def test_an_administrator_may_speak_as_another(target, paths):
    """reference: apiserver 1, auth: impersonation"""
    headers = {"Impersonate-User": "someone", "Impersonate-Group": "some-group"}
    info = target.post(WHO, {}, headers=headers).ok(201).json["status"]["userInfo"]
    assert info["username"] == "someone"
    assert {"some-group", "system:authenticated"} <= set(info["groups"])


@pytest.mark.needs("authorizer")
def test_everybody_may_see_health_and_version(target):
    """reference: apiserver 1, Common: health and version need no rights"""
    stranger = target.identified()
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        stranger.get(path).ok(200)
    stranger.close()


@pytest.mark.needs("authorizer")
def test_a_role_of_a_binding_is_immutable(target, robot, paths, name):
    """reference: apiserver 5, Immutable: roleRef"""
    grant(target, paths, name, {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]})
    change = {"roleRef": {"name": "other"}}
    answer = target.patch(paths.of("rolebindings", name), change).ok(422)
    assert "cannot change roleRef" in answer.message


def test_a_cluster_role_is_kept(target, unique):
    """reference: issue: roles and bindings"""
    rules = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
    path = everywhere("clusterroles")
    made = target.post(path, {"metadata": {"name": unique}, "rules": rules}).ok(201)
    target.delete(f"{path}/{unique}").ok(200)
    assert made.json["rules"] == rules


def test_a_list_of_my_rules(target, paths):
    """reference: apiserver 1, auth can-i --list: POST selfsubjectrulesreviews"""
    answer = target.post(everywhere("selfsubjectrulesreviews"), {"spec": {"namespace": paths.namespace}}).ok(
        201
    )
    assert [rule for rule in answer.json["status"]["resourceRules"] if "*" in rule["verbs"]]


# --- refusals


@pytest.mark.needs("authorizer")
def test_a_bad_token_is_unauthorized(target, paths):
    """reference: apiserver 4, 401: `Unauthorized`"""
    stranger = target.identified(Authorization="Bearer nope")
    answer = stranger.get(paths.of("configmaps")).ok(401)
    stranger.close()
    assert (answer.reason, answer.message) == ("Unauthorized", "Unauthorized")


@pytest.mark.needs("authorizer")
def test_a_stranger_is_forbidden(target, paths):
    """reference: apiserver 4, 403"""
    stranger = target.identified(Impersonated="no")
    answer = stranger.get(paths.of("configmaps"))
    stranger.close()
    assert answer.code in (401, 403)
    assert answer.reason in ("Unauthorized", "Forbidden")


@pytest.mark.needs("authorizer")
def test_a_refusal_says_who_may_not_do_what_where(target, paths):
    """reference: apiserver 4, 403: `pods "x" is forbidden: User "u" cannot get resource "pods" …`"""
    answer = target.get(paths.of("pods", "x"), headers={"Impersonate-User": "u"}).ok(403)
    assert answer.message == (
        'pods "x" is forbidden: User "u" cannot get resource "pods" in API group "" '
        f'in the namespace "{paths.namespace}"'
    )
    assert answer.json["details"] == {"name": "x", "kind": "pods"}
    answer = target.get(everywhere("deployments"), headers={"Impersonate-User": "u"}).ok(403)
    assert answer.message == (
        'deployments.apps is forbidden: User "u" cannot list resource "deployments" in API group "apps" '
        "at the cluster scope"
    )

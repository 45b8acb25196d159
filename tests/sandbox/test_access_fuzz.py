"""Nothing that anybody posts about access makes the server fail: no 5xx, whoever asks."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcm.base.rng import SeededRng
from kcm.sandbox.api.server import ApiServer
from kcm.sandbox.api.wishes import wish_of
from kcm.serving.http import Request
from kcm.testing.virtual import VirtualClock, run

RBAC = "/apis/rbac.authorization.k8s.io/v1"
INSIDE = "/namespaces/default"
PATHS = (
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews",
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
    f"/apis/authorization.k8s.io/v1{INSIDE}/localsubjectaccessreviews",
    "/apis/authentication.k8s.io/v1/tokenreviews",
    "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    f"/api/v1{INSIDE}/serviceaccounts/default/token",
    f"{RBAC}{INSIDE}/roles",
    f"{RBAC}{INSIDE}/rolebindings",
    f"{RBAC}/clusterroles",
    f"{RBAC}/clusterrolebindings",
    f"/apis/autoscaling/v1{INSIDE}/horizontalpodautoscalers",
)
NAMES = """
    spec status metadata resourceAttributes nonResourceAttributes user groups extra uid namespace verb group
    resource name path token audiences expirationSeconds boundObjectRef kind apiVersion rules roleRef subjects
    verbs apiGroups resources resourceNames nonResourceURLs aggregationRule clusterRoleSelectors matchLabels
    matchExpressions key operator values labels annotations scaleTargetRef maxReplicas metrics behavior
"""
WORDS = ("get", "*", "pods", "x", "Role", "ClusterRole", "User", "ServiceAccount", "default", "In", "Pod")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**40) | st.text(max_size=4) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=5)
    ),
    max_leaves=20,
)
BODIES = st.dictionaries(
    st.sampled_from(("spec", "rules", "roleRef", "subjects", "aggregationRule", "metadata")), JSON, max_size=4
)


async def server_with_bob():
    """Return a server on which bob may write roles, but not escalate."""
    server = ApiServer(VirtualClock(), SeededRng(1))
    groups = ["rbac.authorization.k8s.io", "authorization.k8s.io", "autoscaling"]
    rule = {"verbs": ["create", "update", "patch", "get", "list"], "apiGroups": groups, "resources": ["*"]}
    role = {"metadata": {"name": "w"}, "rules": [rule]}
    binding = {
        "metadata": {"name": "w"},
        "roleRef": {"kind": "ClusterRole", "name": "w"},
        "subjects": [{"kind": "User", "name": "bob"}],
    }
    for plural, body in (("clusterroles", role), ("clusterrolebindings", binding)):
        answer = await server.handle(Request("POST", f"{RBAC}/{plural}", body=json.dumps(body).encode()))
        assert answer.status == 201
    return server


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(PATHS), BODIES, st.booleans(), st.booleans()), max_size=6))
def test_no_document_makes_the_server_fail(documents):
    async def main():
        server = await server_with_bob()
        for path, body, named, by_bob in documents:
            sent = {**body, "metadata": {"name": "x"}} if named else body
            own = {"impersonate-user": "bob"} if by_bob else {}
            for method, at, kind in (
                ("POST", path, "application/json"),
                ("PUT", f"{path}/x", "application/json"),
                ("PATCH", f"{path}/x", "application/merge-patch+json"),
            ):
                headers = {**own, "content-type": kind}
                answer = await server.handle(Request(method, at, (), headers, json.dumps(sent).encode()))
                assert answer.status < 500, (method, at, sent, answer.body)
            # What was stored is read by whoever is asked for next.
            answer = await server.handle(Request("GET", path, (), {"impersonate-user": "bob"}))
            assert answer.status < 500, answer.body

    run(main())


@settings(deadline=None)
@given(
    st.sampled_from(("GET", "POST", "DELETE", "OPTIONS", "BREW")),
    st.lists(
        st.sampled_from(("api", "apis", "v1", "namespaces", "a", "pods", "status", "", "..", "é")), max_size=9
    ),
    st.lists(st.tuples(st.sampled_from(("watch", "fieldSelector")), st.text(max_size=20)), max_size=3),
    st.text(max_size=300),
)
def test_every_path_is_a_wish_and_every_header_a_credential_or_none(method, parts, query, authorization):
    request = Request(method, "/" + "/".join(parts), tuple(query), {"authorization": authorization})
    wish = wish_of(request)
    assert not (wish.path and wish.resource)

    async def main():
        answer = await ApiServer(VirtualClock(), SeededRng(1)).handle_secured(request)
        assert answer.status < 500

    run(main())

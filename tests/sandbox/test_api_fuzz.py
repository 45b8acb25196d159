"""Whatever is sent, the answer is a Status or an object: never a mistake of ours, never a hang."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcm.base.rng import SeededRng
from kcm.sandbox.api import ApiServer
from kcm.sandbox.api.decoding import MalformedJson, read_json, repeated_fields, syntax_problem
from kcm.sandbox.api.labels import BadSelector, parse_labels
from kcm.sandbox.schema.protobuf import ProtobufError, decode_object
from kcm.sandbox.schema.quantities import canonical
from kcm.serving.http import Request, Response
from kcm.testing.virtual import VirtualClock, run

NAMESPACE = "/api/v1/namespaces/default"
POD = {
    "metadata": {"name": "a", "labels": {"app": "x"}},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}
DEPLOYMENT = {
    "metadata": {"name": "a"},
    "spec": {
        "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": POD["spec"]},
    },
}
SEEDS: dict[str, dict[str, Any]] = {
    f"{NAMESPACE}/pods": POD,
    f"{NAMESPACE}/configmaps": {"metadata": {"name": "a"}, "data": {"k": "v"}},
    f"{NAMESPACE}/events": {
        "metadata": {"name": "a"},
        "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"},
        "reason": "r",
    },
    f"{NAMESPACE}/services": {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}},
    "/apis/apps/v1/namespaces/default/deployments": DEPLOYMENT,
    "/apis/apps/v1/namespaces/default/replicasets": DEPLOYMENT,
    "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers": {
        "metadata": {"name": "a"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "a"}},
    },
    "/apis/coordination.k8s.io/v1/namespaces/default/leases": {
        "metadata": {"name": "a"},
        "spec": {"leaseDurationSeconds": 5},
    },
    "/apis/policy/v1/namespaces/default/poddisruptionbudgets": {
        "metadata": {"name": "a"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}},
    },
    "/api/v1/namespaces": {"metadata": {"name": "a"}},
    "/api/v1/nodes": {"metadata": {"name": "a"}},
    "/apis/events.k8s.io/v1/namespaces/default/events": {"metadata": {"name": "a"}, "regarding": {}},
}
PATHS = [*SEEDS, *(f"{path}/a" for path in SEEDS), *(f"{path}/a/status" for path in SEEDS)]
PATHS += [
    f"{NAMESPACE}/pods/a/binding",
    f"{NAMESPACE}/pods/a/eviction",
    f"{NAMESPACE}/serviceaccounts/default/token",
    "/apis/apps/v1/namespaces/default/deployments/a/scale",
    "/api/v1/namespaces/a/finalize",
    "/api/v1/pods",
    "/apis",
    "/apis/apps/v1",
    "/openapi/v3",
    "/nowhere",
]
NAMES = ["metadata", "name", "spec", "status", "labels", "annotations", "ownerReferences", "finalizers"]
NAMES += ["containers", "resources", "limits", "cpu", "replicas", "selector", "matchLabels", "template"]
NAMES += ["uid", "resourceVersion", "kind", "apiVersion", "conditions", "type", "ports", "port", "data"]
NAMES += ["$patch", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers", "$retainKeys"]
NAMES += ["strategy", "rollingUpdate", "maxSurge", "metrics", "behavior", "deletionTimestamp", "env"]
NAMES += ["preconditions", "gracePeriodSeconds", "dryRun", "propagationPolicy", "target", "finalizers"]
NAMES += ["volumes", "tolerations", "managedFields", "eventTime", "series", "managedFields", "generateName"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["a", "", "1", "100m", "2026-01-01T00:00:00Z", "a.b/c", "delete", "Always", "a" * 300])
    | st.text(max_size=8)
)
keys = st.sampled_from(NAMES) | st.text(max_size=6)
documents = st.recursive(
    scalars,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(keys, inside, max_size=4),
    max_leaves=12,
)
pointers = st.lists(st.sampled_from([*NAMES, "0", "-", "-1", "9", "a~1b", "~"]), max_size=4).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]), "path": pointers},
    optional={"value": documents, "from": pointers},
)
raw = st.binary(max_size=60)
bodies = (
    documents.map(json.dumps).map(str.encode)
    | raw
    | raw.map(lambda tail: b"k8s\x00" + tail)
    | st.lists(operations, max_size=4).map(json.dumps).map(str.encode)
    | st.text(max_size=40).map(lambda text: text.encode(errors="replace"))
)
content_types = st.sampled_from(
    [
        "",
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
        "text/plain",
    ]
)
accepts = st.sampled_from(
    [
        "",
        "application/json",
        "application/yaml",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
        ";;,=",
    ]
)
OPTIONS = ["labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch"]
OPTIONS += ["sendInitialEvents", "allowWatchBookmarks", "timeoutSeconds", "dryRun", "fieldManager", "force"]
OPTIONS += ["fieldValidation", "propagationPolicy", "gracePeriodSeconds", "orphanDependents", "watch"]
OPTIONS += ["includeObject", "pretty"]
values = st.sampled_from(["", "true", "0", "1", "-1", "All", "Exact", "NotOlderThan", "Strict", "abc"])
queries = st.lists(
    st.tuples(st.sampled_from(OPTIONS), values | st.text(max_size=12)).map(tuple), max_size=3
).map(tuple)
methods = st.sampled_from(["GET", "POST", "PUT", "PATCH", "PATCH", "DELETE"])

fuzzing = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
MERGED = {"application/merge-patch+json", "application/strategic-merge-patch+json"}


def answers(requests: list[Request]) -> list[tuple[int, bytes]]:
    """Send requests to a fresh server that holds one object of each kind; return what it said."""

    async def main() -> list[tuple[int, bytes]]:
        server = ApiServer(VirtualClock(), SeededRng(3), collect_garbage=False, empty_namespaces=False)
        for path, seed in SEEDS.items():
            await server.handle(Request("POST", path, body=json.dumps(seed).encode()))
        return [await said(await server.handle(request)) for request in requests]

    async def said(response: Response) -> tuple[int, bytes]:
        if isinstance(response.body, bytes):
            return response.status, response.body
        begun = b""
        async with asyncio.timeout(5.0):
            async for chunk in response.body:
                begun += chunk
        return response.status, begun

    async def bounded() -> list[tuple[int, bytes]]:
        async with asyncio.timeout(1_000_000.0):
            return await main()

    return run(bounded())


def check(requests: list[Request]) -> None:
    # A watch would go on: it is ended at once.
    ended = [
        Request(one.method, one.path, (("timeoutSeconds", "1"), *one.query), one.headers, one.body)
        for one in requests
    ]
    for request, (status, body) in zip(ended, answers(ended), strict=True):
        assert b"Internal error occurred" not in body, (request, body)
        assert status in range(200, 600), request
        if body.startswith(b'{"kind":"Status"'):
            document = json.loads(body)
            assert document["status"] in ("Success", "Failure")
            assert document.get("code", status) == status


@fuzzing
@given(
    st.lists(
        st.builds(
            lambda method, path, query, kind, accept, body: Request(
                method, path, query, {"content-type": kind, "accept": accept}, body
            ),
            methods,
            st.sampled_from(PATHS),
            queries,
            content_types,
            accepts,
            bodies,
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_request_meets_a_mistake_of_ours(requests):
    check(requests)


@fuzzing
@given(
    st.lists(
        st.builds(
            lambda path, kind, patch: Request(
                "PATCH", path, (), {"content-type": kind}, json.dumps(patch).encode()
            ),
            st.sampled_from([path for path in PATHS if "/a" in path]),
            st.sampled_from(sorted(MERGED)),
            st.dictionaries(
                st.sampled_from(["metadata", "spec", "status", "data"]),
                st.dictionaries(keys, documents, max_size=3) | documents,
                min_size=1,
                max_size=3,
            ),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_patch_of_a_good_object_meets_a_mistake_of_ours(requests):
    check(requests)


def spoiled(document: Any, steps: list[tuple[int, Any]]) -> Any:
    """Return a document in which some values were replaced."""
    for step, value in steps:
        document = _spoil(document, step, value)
    return document


def _spoil(document: Any, step: int, value: Any) -> Any:
    if not isinstance(document, dict | list) or not document or step % 7 == 0:
        return value
    if isinstance(document, dict):
        name = sorted(document)[step % len(document)]
        return {**document, name: _spoil(document[name], step // 3, value)}
    copy = list(document)
    copy[step % len(copy)] = _spoil(copy[step % len(copy)], step // 3, value)
    return copy


@fuzzing
@given(
    st.lists(
        st.builds(
            lambda path, steps, method: Request(
                method,
                path if method == "POST" else f"{path}/a",
                body=json.dumps(spoiled(SEEDS[path], steps)).encode(),
            ),
            st.sampled_from(sorted(SEEDS)),
            st.lists(st.tuples(st.integers(1, 2000), documents), min_size=1, max_size=3),
            st.sampled_from(["POST", "PUT"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_object_with_wrong_values_meets_a_mistake_of_ours(requests):
    check(requests)


@fuzzing
@given(st.text(max_size=30) | st.text(alphabet="ab=!(),<> in", max_size=30))
def test_a_label_selector_is_read_or_refused(text):
    with contextlib.suppress(BadSelector):
        parse_labels(text).matches({"a": "b"})


@fuzzing
@given(
    st.binary(max_size=80)
    | st.text(alphabet='{}[]":,0123456789.eE+-truefalsn\\ua', max_size=40).map(str.encode)
)
def test_json_is_read_or_refused_in_the_servers_words(body):
    try:
        value = read_json(body)
    except MalformedJson:
        return
    assert isinstance(repeated_fields(body, value), tuple)
    if body.isascii():
        assert syntax_problem(body) == ""


@fuzzing
@given(st.binary(max_size=120))
def test_protobuf_is_read_or_refused(body):
    with contextlib.suppress(ProtobufError):
        decode_object(b"k8s\x00" + body)


@fuzzing
@given(st.text(max_size=20) | st.text(alphabet="0123456789.eE+-mkKMGTPEinu", max_size=20))
def test_a_quantity_has_one_spelling_or_is_refused(text):
    try:
        spelled = canonical(text)
    except ValueError:
        return
    assert canonical(spelled) == spelled


@pytest.mark.parametrize("open_", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [900, 20_000, 500_000])
@pytest.mark.parametrize("kind", ["application/json", "application/yaml", "application/merge-patch+json"])
def test_deep_nesting_is_bounded(open_, depth, kind):
    if kind == "application/yaml" and depth > 20_000:
        pytest.skip("what is read slowly is not read twice")
    body = open_ * depth
    method = "PATCH" if "patch" in kind else "POST"
    path = f"{NAMESPACE}/configmaps" + ("/a" if method == "PATCH" else "")
    (answer,) = answers([Request(method, path, (), {"content-type": kind}, body)])
    assert answer[0] == 400
    assert b"Internal error" not in answer[1]


@pytest.mark.parametrize("depth", [100, 400, 900, 990])
@pytest.mark.parametrize(
    ("method", "path", "kind", "around"),
    [
        ("POST", f"{NAMESPACE}/configmaps", "application/json", '{"metadata":{"name":"b"},"x":%s}'),
        ("POST", f"{NAMESPACE}/pods", "application/json", '{"metadata":{"name":"b"},"spec":%s}'),
        ("PATCH", f"{NAMESPACE}/configmaps/a", "application/merge-patch+json", '{"data":{"a":%s}}'),
        ("PATCH", f"{NAMESPACE}/pods/a", "application/strategic-merge-patch+json", '{"spec":{"x":%s}}'),
        (
            "PATCH",
            f"{NAMESPACE}/pods/a",
            "application/json-patch+json",
            '[{"op":"add","path":"/x","value":%s}]',
        ),
        (
            "PATCH",
            f"{NAMESPACE}/pods/a",
            "application/apply-patch+yaml",
            '{"apiVersion":"v1","kind":"Pod","x":%s}',
        ),
        ("POST", f"{NAMESPACE}/configmaps", "application/yaml", '{"metadata":{"name":"b"},"x":%s}'),
        ("DELETE", f"{NAMESPACE}/configmaps/a", "application/json", '{"x":%s}'),
    ],
)
def test_what_is_nested_deeply_but_well_is_no_mistake(method, path, kind, around, depth):
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        body = around % (opening * depth + "1" + closing * depth)
        query = (("fieldManager", "m"),)
        (answer,) = answers([Request(method, path, query, {"content-type": kind}, body.encode())])
        assert b"Internal error" not in answer[1], answer

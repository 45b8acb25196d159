"""Nearly good objects of every served kind: each write is done or refused, never a mistake of ours.

Each example takes a good object, fills in fields of its type, spoils some places, and sends it by one
of the ways to write. What was accepted must be readable in every form. One server serves a module.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcm.base.clock import Clock
from kcm.base.rng import SeededRng
from kcm.sandbox.api import ApiServer
from kcm.sandbox.cluster.cluster import Cluster, ClusterSettings
from kcm.sandbox.schema.fields import TYPES, Shape, TypeDef, type_of
from kcm.sandbox.schema.resources import RESOURCES, ResourceInfo
from kcm.serving.http import Request, Response
from kcm.testing.virtual import VirtualClock, run

CONTAINER = {
    "name": "c",
    "image": "i:1",
    "ports": [{"containerPort": 80}],
    "env": [{"name": "A", "value": "b"}],
    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
    "readinessProbe": {"httpGet": {"port": 80}},
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
}
TEMPLATE = {
    "metadata": {"labels": {"app": "x"}},
    "spec": {
        "containers": [CONTAINER],
        "initContainers": [{"name": "i", "image": "i"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
    },
}
SELECTED = {"selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE}
JOB = {**copy.deepcopy(TEMPLATE)}
JOB["spec"]["restartPolicy"] = "Never"
METRIC = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
}
SCALED = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}
ROLE_REF = {"apiGroup": "rbac.authorization.k8s.io", "name": "r"}
SUBJECTS = [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "default"}]
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 0, "default": 1},
                "parts": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                },
                "any": {"x-kubernetes-int-or-string": True},
            },
        },
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
    },
}
VERSION = {
    "name": "v1",
    "served": True,
    "storage": True,
    "schema": {"openAPIV3Schema": SCHEMA},
    "subresources": {
        "status": {},
        "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.n"},
    },
    "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
}
DEFINITION = {
    "group": "example.com",
    "names": {"plural": "widgets", "kind": "Widget"},
    "scope": "Namespaced",
    "versions": [VERSION],
}
RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
SPECS: dict[str, dict[str, Any]] = {
    "Pod": {"spec": TEMPLATE["spec"]},
    "Service": {"spec": {"selector": {"app": "x"}, "ports": [{"name": "p", "port": 80}]}},
    "ConfigMap": {"data": {"k": "v"}, "binaryData": {"b": "AAAA"}},
    "Secret": {"data": {"k": "AAAA"}, "stringData": {"s": "t"}},
    "Endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
    "Deployment": {"spec": {"replicas": 2, "strategy": {"type": "RollingUpdate"}, **SELECTED}},
    "ReplicaSet": {"spec": {"replicas": 2, **SELECTED}},
    "ReplicationController": {"spec": {"selector": {"app": "x"}, "template": TEMPLATE}},
    "StatefulSet": {"spec": {"serviceName": "s", **SELECTED}},
    "DaemonSet": {"spec": SELECTED},
    "Job": {"spec": {"template": JOB}},
    "CronJob": {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": JOB}}}},
    "PersistentVolumeClaim": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    },
    "PersistentVolume": {
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/p"}}
    },
    "PodDisruptionBudget": {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}},
    "Lease": {"spec": {"holderIdentity": "h", "leaseDurationSeconds": 5}},
    "Role": {"rules": RULES},
    "ClusterRole": {"rules": RULES},
    "RoleBinding": {"roleRef": {**ROLE_REF, "kind": "Role"}, "subjects": SUBJECTS},
    "ClusterRoleBinding": {"roleRef": {**ROLE_REF, "kind": "ClusterRole"}, "subjects": SUBJECTS},
    "Node": {"status": {"capacity": {"cpu": "1", "memory": "1Gi", "pods": "10"}}},
    "Ingress": {"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}},
    "NetworkPolicy": {"spec": {"podSelector": {}}},
    "SelfSubjectAccessReview": {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}},
    "SubjectAccessReview": {"spec": {"user": "u", "nonResourceAttributes": {"verb": "get", "path": "/"}}},
    "LocalSubjectAccessReview": {
        "spec": {"user": "u", "resourceAttributes": {"namespace": "default", "verb": "get"}}
    },
    "SelfSubjectRulesReview": {"spec": {"namespace": "default"}},
    "TokenReview": {"spec": {"token": "t"}},
    "CustomResourceDefinition": {"spec": DEFINITION},
    "Widget": {"spec": {"size": 3, "parts": [{"name": "p"}], "any": "5"}},
}
AUTOSCALERS = {
    "autoscaling/v2": {"maxReplicas": 3, "scaleTargetRef": SCALED, "metrics": [METRIC], "behavior": {}},
    "autoscaling/v1": {"maxReplicas": 3, "scaleTargetRef": SCALED, "targetCPUUtilizationPercentage": 50},
}
OF_EVENT = {"kind": "Pod", "namespace": "default", "name": "p"}
EVENTS = {
    "v1": {"involvedObject": OF_EVENT, "reason": "R", "message": "m", "type": "Normal"},
    "events.k8s.io/v1": {
        "regarding": OF_EVENT,
        "reason": "R",
        "action": "A",
        "type": "Normal",
        "reportingController": "c/d",
        "reportingInstance": "i",
        "eventTime": "2026-01-01T00:00:00.000000Z",
    },
}
WIDGET = ResourceInfo(
    "example.com", "v1", "Widget", "widgets", "widget", subresources=frozenset(("status", "scale"))
)
KINDS = (*RESOURCES, WIDGET)
WAYS = ("create", "update", "merge", "strategic", "json", "apply")
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
HUGE = "9" * 40
VALUES: tuple[Any, ...] = (
    None,
    [],
    {},
    "",
    0,
    -1,
    1,
    True,
    1.5,
    1e300,
    2**31,
    2**63,
    10**40,
    "x",
    "a b",
    HUGE,
    f"{HUGE}Gi",
    "-1",
    "1e9999",
    "100%",
    "-5%",
    "x" * 300,
    "é\u0000\ud800",
    "2026-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "=,!",
    "a.b/c",
    [None],
    [[]],
    [{}],
    {"": None},
    {"a": None},
    {"a": {}},
    [""],
    [1],
    {"$patch": "delete"},
    {"$patch": "replace"},
    ["a", "a"],
    "(",
)


def good(info: ResourceInfo, name: str) -> dict[str, Any]:
    """Return an object of a kind that the server takes."""
    parts: dict[str, Any] = SPECS.get(info.kind, {})
    if info.kind == "HorizontalPodAutoscaler":
        parts = {"spec": AUTOSCALERS[info.api_version]}
    elif info.kind == "Event":
        parts = EVENTS[info.api_version]
    elif info.kind == "CustomResourceDefinition":
        names = {"plural": f"{name}s", "kind": name.title()}
        parts = {"spec": {**DEFINITION, "names": names}}
        name = f"{name}s.example.com"
    metadata: dict[str, Any] = {"name": name, "labels": {"app": "x"}, "annotations": {"a": "b"}}
    if info.namespaced:
        metadata["namespace"] = "default"
    whole = {"apiVersion": info.api_version, "kind": info.kind, "metadata": metadata, **parts}
    return copy.deepcopy(whole)


SCALARS = {
    "string": "a",
    "int": 1,
    "long": 1,
    "float": 1.5,
    "bool": True,
    "bytes": "AAAA",
    "quantity": "1",
    "intOrString": 1,
    "time": "2026-01-01T00:00:00Z",
    "microTime": "2026-01-01T00:00:00.000000Z",
}


def example_of(shape: Shape, depth: int) -> Any:
    """Return a value of a field's type, with all that it may hold as far down as `depth`."""
    match shape.form:
        case "list" if shape.item is not None:
            return [example_of(shape.item, depth)]
        case "map" if shape.item is not None:
            return {"a": example_of(shape.item, depth)}
        case "object" if depth > 0:
            return {
                field.name: example_of(field.shape, depth - 1) for field in TYPES[shape.name].fields.values()
            }
        case "object":
            return {}
    return SCALARS.get(shape.name, {})


def grow(type_: TypeDef, obj: dict[str, Any], steps: Iterator[int]) -> None:
    """Give an object one more field of its type, somewhere."""
    here: dict[str, Any] = obj
    for step in steps:
        fields = list(type_.fields.values())
        if not fields:
            return
        field = fields[step % len(fields)]
        inner, value = field.shape, here.get(field.name)
        while inner.item is not None and isinstance(value, list | dict) and value:
            inner, value = inner.item, (value if isinstance(value, list) else list(value.values()))[0]
        if inner.form == "object" and isinstance(value, dict) and value:
            type_, here = TYPES[inner.name], value
            continue
        if field.name not in ("apiVersion", "kind", "name", "namespace", "finalizers"):
            here[field.name] = example_of(field.shape, 1 + step % 3)
        return


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the paths of all values inside a value."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inside in entries:
        yield (*path, key)
        yield from places(inside, (*path, key))


def spoil(obj: dict[str, Any], step: int, choice: int) -> None:
    """Change one place: take it away, put another value there, double it, bury it."""
    known = [path for path in places(obj) if path not in (("metadata", "name"), ("metadata",))]
    *way, last = known[step % len(known)]
    parent: Any = obj
    for key in way:
        parent = parent[key]
    match choice:
        case -1:
            del parent[last]
        case -2 if isinstance(parent, list):
            parent.append(copy.deepcopy(parent[last]))
        case -3:
            parent[last] = [parent[last]]
        case -4:
            for _ in range(60):
                parent[last] = {"a": parent[last]}
        case -5 if isinstance(parent, dict):
            parent[f"{last}x"] = parent[last]
        case _:
            parent[last] = copy.deepcopy(VALUES[choice % len(VALUES)])


def finished(work: Coroutine[Any, Any, Response]) -> Response:
    """Run what never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        response: Response = done.value
        return response
    raise AssertionError("the server waits")


class Still(Clock):
    """Time that stands: no loop is needed for it."""

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 1.0

    def boottime(self) -> float:
        return 1.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the server waits")


class Target:
    """One server, and what is sent to it."""

    def __init__(self) -> None:
        self.server = ApiServer(Still(), SeededRng(3), collect_garbage=False, empty_namespaces=False)
        self._number = 0
        definition = {
            **good(next(one for one in RESOURCES if one.kind == "CustomResourceDefinition"), "widget")
        }
        definition["spec"]["names"]["kind"] = "Widget"
        self.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        asyncio.run(self._establish())
        assert self.send("POST", "/apis/example.com/v1/namespaces/default/widgets", good(WIDGET, "w")) == 201

    async def _establish(self) -> None:
        """Let the server take note of its new definition."""
        work = asyncio.create_task(self.server.run())
        for _ in range(50):
            await asyncio.sleep(0)
        work.cancel()

    def send(
        self, method: str, path: str, body: Any = None, kind: str = "", accept: str = "", **query: str
    ) -> int:
        headers = {"content-type": kind, "accept": accept}
        data = b"" if body is None else json.dumps(body).encode()
        response = finished(self.server.handle(Request(method, path, tuple(query.items()), headers, data)))
        said = response.body if isinstance(response.body, bytes) else b""
        assert b"Internal error occurred" not in said, (method, path, kind, said, body)
        return response.status

    def example(
        self, info: ResourceInfo, way: str, sub: str, growth: list[int], flaws: list[tuple[int, int]]
    ) -> None:
        self._number += 1
        sent = good(info, f"o{self._number}")
        name = sent["metadata"]["name"]
        root = f"/apis/{info.api_version}" if info.group else "/api/v1"
        path = f"{root}/namespaces/default/{info.plural}" if info.namespaced else f"{root}/{info.plural}"
        if way != "create":
            self.send("POST", path, sent)
        for step in growth:
            grow(type_of(info.nature, info.api_version), sent, iter(divided(step)))
        for step, choice in flaws:
            spoil(sent, step, choice)
        place = f"{path}/{name}"
        where = f"{place}/{sub}" if sub else place
        accepted = self.write(way, path, where, sent)
        if accepted and sub in ("", "status") and "get" in info.verbs:
            for accept in ("", TABLE, "application/yaml"):
                self.send("GET", place, accept=accept)
            self.send("PUT", place, sent)
        self.send("DELETE", place, {"gracePeriodSeconds": 0})
        self.send("PATCH", place, {"metadata": {"finalizers": None}}, "application/merge-patch+json")

    def write(self, way: str, path: str, where: str, sent: Any) -> bool:
        match way:
            case "create":
                status = self.send("POST", path, sent)
            case "update":
                status = self.send("PUT", where, sent)
            case "apply":
                kind, query = "application/apply-patch+yaml", {"fieldManager": "m", "force": "true"}
                status = self.send("PATCH", where, sent, kind, **query)
            case "json":
                steps = [{"op": "add", "path": f"/{name}", "value": value} for name, value in sent.items()]
                status = self.send("PATCH", where, steps, "application/json-patch+json")
            case _:
                kind = "merge-patch" if way == "merge" else "strategic-merge-patch"
                status = self.send("PATCH", where, sent, f"application/{kind}+json")
        return status < 300


def divided(step: int) -> Iterator[int]:
    for _ in range(8):
        yield step
        step //= 7


flaws = st.tuples(st.integers(0, 10_000), st.integers(-5, len(VALUES) - 1))


@pytest.fixture(scope="module")
def target():
    return Target()


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(KINDS),
    st.sampled_from(("", "", "", "status", "scale", "binding", "eviction", "token", "finalize")),
    st.lists(st.integers(0, 10**7), max_size=4),
    st.lists(flaws, max_size=3),
)
def test_no_nearly_good_object_meets_a_mistake_of_ours(target, way, info, sub, growth, flaws):
    target.example(info, way, sub if sub in info.subresources else "", growth, flaws)


@pytest.mark.parametrize("containers", [[None], [{}], [CONTAINER, None]])
def test_an_element_that_is_null_is_an_empty_one(target, containers):
    sent = {"metadata": {"name": "null"}, "spec": {"containers": containers}}
    assert target.send("POST", "/api/v1/namespaces/default/pods", sent) == 422
    sent["spec"]["containers"] = [{**CONTAINER, "volumeMounts": None, "args": [None], "command": None}]
    for _ in range(2):
        assert target.send("POST", "/api/v1/namespaces/default/pods", sent) == 201
        assert target.send("DELETE", "/api/v1/namespaces/default/pods/null") == 200


ORDERS = (
    "crash-loop",
    "oom",
    "evicted",
    "init",
    "lost",
    "simulated",
    "-1s",
    "9" * 30 + "h",
    "cpu=ramp(1, 1e300, 0s)",
    "x",
)
NOTES = (
    "start-delay",
    "stop-delay",
    "run-for",
    "exit-code",
    "fault",
    "fault-after",
    "usage-cpu",
    "load",
    "node",
)
WATCHED = tuple(info for info in RESOURCES if info.kind in ("Pod", "Pod", "Node", "ReplicaSet", "Namespace"))


@pytest.mark.parametrize("seed", range(3))
def test_what_was_accepted_does_not_upset_the_cluster(seed):
    chance = Random(seed)

    async def upset(api):
        for number in range(60):
            info = chance.choice(WATCHED)
            sent = good(info, f"o{number}")
            for _ in range(chance.randrange(3)):
                grow(type_of(info.nature, info.api_version), sent, divided(chance.randrange(10**7)))
            for _ in range(chance.randrange(3)):
                spoil(sent, chance.randrange(10_000), chance.randint(-5, len(VALUES) - 1))
            if isinstance(sent.get("metadata"), dict):
                note = f"sandbox.kcm.dev/{chance.choice(NOTES)}"
                sent["metadata"]["annotations"] = {note: chance.choice(ORDERS)}
            place = "namespaces/default/" if info.namespaced else ""
            root = "/apis/apps/v1" if info.group else "/api/v1"
            request = Request("POST", f"{root}/{place}{info.plural}", body=json.dumps(sent).encode())
            await api.handle(request)
            await asyncio.sleep(chance.random())

    async def main():
        clock, rng = VirtualClock(), SeededRng(seed)
        api = ApiServer(clock, rng)
        cluster = Cluster(api.handle, ClusterSettings(), clock, rng)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(api.run()), group.create_task(cluster.run())]
            await cluster.register()
            await upset(api)
            await asyncio.sleep(600)
            answer = await api.handle(Request("GET", "/apis/metrics.k8s.io/v1beta1/pods"))
            assert answer.status == 200
            assert not any(task.done() for task in running)
            for task in running:
                task.cancel()

    run(main())

"""Paths of the metrics APIs, and what discovery says of them.

`read` turns a request into the same `Call` that resources get, so that faults, access rules and
whoever else looks at calls see metrics as they see anything. Guarantees: nothing is advertised
that is not served; custom and external metrics are advertised one by one as far as they are
known. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kcm.sandbox.api.calls import Call
from kcm.sandbox.schema.resources import ResourceInfo
from kcm.serving.http import Request

RESOURCE, CUSTOM, EXTERNAL = "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"
_GROUPS = frozenset((RESOURCE, CUSTOM, EXTERNAL))
_PREFIXES = tuple(f"/apis/{group}/" for group in (RESOURCE, CUSTOM, EXTERNAL))
# The first is the preferred one.
CUSTOM_VERSIONS = ("v1beta2", "v1beta1")
_GET = ("get",)

PODS = ResourceInfo(RESOURCE, "v1beta1", "PodMetrics", "pods", "", verbs=("get", "list"))
NODES = ResourceInfo(RESOURCE, "v1beta1", "NodeMetrics", "nodes", "", False, verbs=("get", "list"))


def read(request: Request) -> Call | None:
    """Return the call that a request makes on a metrics API; None when it makes none."""
    if not request.path.startswith(_PREFIXES):
        return None
    _, group, version, *rest = request.path.strip("/").split("/")
    match group:
        case "metrics.k8s.io" if version == "v1beta1":
            return _resource_call(request, rest)
        case "custom.metrics.k8s.io" if version in CUSTOM_VERSIONS:
            return _custom_call(request, version, rest)
        case "external.metrics.k8s.io" if version == "v1beta1":
            return _external_call(request, rest)
    return None


def is_measured(call: Call) -> bool:
    """Say whether a call is on one of the metrics APIs."""
    return call.resource.group in _GROUPS


def _resource_call(request: Request, rest: list[str]) -> Call | None:
    match rest:
        case ["nodes"]:
            return _call(request, NODES, "list")
        case ["nodes", name]:
            return _call(request, NODES, "get", "", name)
        case ["pods"]:
            return _call(request, PODS, "list")
        case ["namespaces", namespace, "pods"]:
            return _call(request, PODS, "list", namespace)
        case ["namespaces", namespace, "pods", name]:
            return _call(request, PODS, "get", namespace, name)
    return None


def _custom_call(request: Request, version: str, rest: list[str]) -> Call | None:
    match rest:
        case ["namespaces", namespace, "metrics", metric]:
            return _call(request, _custom("metrics", version), "get", namespace, namespace, metric)
        case ["namespaces", namespace, plural, name, metric]:
            return _call(request, _custom(plural, version), "get", namespace, name, metric)
        case [plural, name, metric]:
            return _call(request, _custom(plural, version), "get", "", name, metric)
    return None


def _external_call(request: Request, rest: list[str]) -> Call | None:
    match rest:
        case ["namespaces", namespace, metric]:
            return _call(request, _external(metric), "list", namespace)
    return None


def _call(
    request: Request, resource: ResourceInfo, verb: str, namespace: str = "", name: str = "", sub: str = ""
) -> Call:
    options = dict(reversed(request.query))
    if verb == "list" and options.get("watch", "false").lower() not in ("false", "0"):
        verb = "watch"
    if request.method not in ("GET", "HEAD"):
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(request.method, "delete")
    agent = request.headers.get("user-agent", "")
    return Call(resource, verb, namespace, name, sub, agent=agent, options=options)


def _custom(plural: str, version: str = CUSTOM_VERSIONS[0]) -> ResourceInfo:
    return ResourceInfo(CUSTOM, version, "MetricValueList", plural, "", verbs=_GET)


def _external(metric: str) -> ResourceInfo:
    return ResourceInfo(EXTERNAL, "v1beta1", "ExternalMetricValueList", metric, "", verbs=("get", "list"))


def advertised(custom: Iterable[tuple[str, str]], external: Iterable[str]) -> Iterator[ResourceInfo]:
    """Yield what discovery shows; `custom` is pairs of resource and metric."""
    yield PODS
    yield NODES
    # A group is there, as its adapter is, before it knows any metric.
    names = {"metrics", *(f"{resource}/{metric}" for resource, metric in custom)}
    for version in CUSTOM_VERSIONS:
        for name in sorted(names):
            yield _custom(name, version)
    for name in sorted({"externalmetrics", *external}):
        yield _external(name)

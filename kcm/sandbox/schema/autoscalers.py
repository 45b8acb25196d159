"""autoscaling/v1 as a view of autoscaling/v2: one HorizontalPodAutoscaler, two forms.

v1 knows a target for CPU; all else of v2 rides in annotations (reference: apiserver §5). Guarantees:
v2 → v1 → v2 loses nothing that an API server keeps (metrics other than the CPU target come first,
a second CPU target is dropped); annotations that cannot be read are dropped; no JSON makes a
conversion fail. Pure: the given object is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

Json = dict[str, Any]

V1, V2 = "autoscaling/v1", "autoscaling/v2"
_ANNOTATION = "autoscaling.alpha.kubernetes.io/"
_METRICS, _CURRENT = f"{_ANNOTATION}metrics", f"{_ANNOTATION}current-metrics"
_CONDITIONS, _BEHAVIOR = f"{_ANNOTATION}conditions", f"{_ANNOTATION}behavior"
_TOLERANCES = (f"{_ANNOTATION}scale-down-tolerance", f"{_ANNOTATION}scale-up-tolerance")
_OURS = frozenset((_METRICS, _CURRENT, _CONDITIONS, _BEHAVIOR, *_TOLERANCES))
_CPU_PERCENT = 80
_SPEC_SAME = ("scaleTargetRef", "minReplicas", "maxReplicas")
_STATUS_SAME = ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")
_CONDITION = ("type", "status", "lastTransitionTime", "reason", "message")
_REFERENCE = ("kind", "name", "apiVersion")
_RULES = ("stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance")


def to_v1(autoscaler: Mapping[str, Any]) -> Json:
    """Return a v2 autoscaler as v1 shows it."""
    spec, status = _part(autoscaler, "spec"), _part(autoscaler, "status")
    metrics = _items(spec, "metrics")
    shown: Json = {name: spec[name] for name in _SPEC_SAME if name in spec}
    percents = [percent for one in metrics if (percent := _cpu_target(one)) is not None]
    if percents:
        shown["targetCPUUtilizationPercentage"] = percents[0]
    standing: Json = {"currentReplicas": 0, "desiredReplicas": 0}
    standing |= {name: status[name] for name in _STATUS_SAME if name in status}
    for one in _items(status, "currentMetrics"):
        used = _part(one, "resource", "current").get("averageUtilization")
        if _part(one, "resource").get("name") == "cpu" and used is not None:
            standing["currentCPUUtilizationPercentage"] = used
    return {
        **autoscaler,
        "apiVersion": V1,
        "metadata": _annotated(_part(autoscaler, "metadata"), _riding(metrics, spec, status)),
        "spec": shown,
        "status": standing,
    }


def to_v2(autoscaler: Mapping[str, Any]) -> Json:
    """Return a v1 autoscaler as v2 shows it, its CPU target filled in as v1 defaults it."""
    spec, status = _part(autoscaler, "spec"), _part(autoscaler, "status")
    riding = _part(autoscaler, "metadata", "annotations")
    shown: Json = {name: spec[name] for name in _SPEC_SAME if name in spec}
    metrics = [_metric_of(one) for one in _list(riding, _METRICS)]
    percent = spec.get("targetCPUUtilizationPercentage")
    if percent is not None or not metrics:
        target = {"type": "Utilization", "averageUtilization": _CPU_PERCENT if percent is None else percent}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    shown["metrics"] = metrics
    behavior = _lower(_read(riding, _BEHAVIOR))
    if isinstance(behavior, dict) and behavior:
        shown["behavior"] = behavior
    standing: Json = {name: status[name] for name in _STATUS_SAME if name in status}
    used = status.get("currentCPUUtilizationPercentage")
    if _CURRENT in riding:
        standing["currentMetrics"] = [_status_of(one) for one in _list(riding, _CURRENT)]
    elif used is not None:
        resource = {"name": "cpu", "current": {"averageUtilization": used}}
        standing["currentMetrics"] = [{"type": "Resource", "resource": resource}]
    if conditions := _list(riding, _CONDITIONS):
        standing["conditions"] = conditions
    return {
        **autoscaler,
        "apiVersion": V2,
        "metadata": _annotated(_part(autoscaler, "metadata"), {}),
        "spec": shown,
        "status": standing,
    }


def _riding(metrics: Iterable[Json], spec: Json, status: Json) -> dict[str, str]:
    """Return the annotations that carry what v1 has no fields for."""
    parts: dict[str, Any] = {
        _METRICS: [_metric_to(one) for one in metrics if _cpu_target(one) is None],
        _CURRENT: [_status_to(one) for one in _items(status, "currentMetrics")],
        _CONDITIONS: [
            {name: one[name] for name in _CONDITION if name in one} for one in _items(status, "conditions")
        ],
        _BEHAVIOR: _behavior_to(_part(spec, "behavior")),
    }
    return {name: msgspec.json.encode(part).decode() for name, part in parts.items() if part}


def _annotated(metadata: Json, riding: Mapping[str, str]) -> Json:
    own = {name: text for name, text in _part(metadata, "annotations").items() if name not in _OURS}
    annotations = {**own, **riding}
    rest = {name: value for name, value in metadata.items() if name != "annotations"}
    return {**rest, "annotations": annotations} if annotations else rest


def _cpu_target(metric: Json) -> Any:
    """Return the percentage of a metric that v1 has a field for, None for all others."""
    resource = _part(metric, "resource")
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    return _part(resource, "target").get("averageUtilization")


# Metrics: the forms of v1 differ in names only. A source is (name there, path here).

_Fields = tuple[tuple[str, tuple[str, ...]], ...]

_UTILIZATION: _Fields = (
    ("name", ("name",)),
    ("targetAverageUtilization", ("target", "averageUtilization")),
    ("targetAverageValue", ("target", "averageValue")),
    ("container", ("container",)),
)
_SPECS: Mapping[str, _Fields] = {
    "resource": _UTILIZATION,
    "containerResource": _UTILIZATION,
    "pods": (
        ("metricName", ("metric", "name")),
        ("targetAverageValue", ("target", "averageValue")),
        ("selector", ("metric", "selector")),
    ),
    "object": (
        ("target", ("describedObject",)),
        ("metricName", ("metric", "name")),
        ("targetValue", ("target", "value")),
        ("selector", ("metric", "selector")),
        ("averageValue", ("target", "averageValue")),
    ),
    "external": (
        ("metricName", ("metric", "name")),
        ("metricSelector", ("metric", "selector")),
        ("targetValue", ("target", "value")),
        ("targetAverageValue", ("target", "averageValue")),
    ),
}
_USED: _Fields = (
    ("name", ("name",)),
    ("currentAverageUtilization", ("current", "averageUtilization")),
    ("currentAverageValue", ("current", "averageValue")),
    ("container", ("container",)),
)
_STATUSES: Mapping[str, _Fields] = {
    "resource": _USED,
    "containerResource": _USED,
    "pods": (
        ("metricName", ("metric", "name")),
        ("currentAverageValue", ("current", "averageValue")),
        ("selector", ("metric", "selector")),
    ),
    "object": (
        ("target", ("describedObject",)),
        ("metricName", ("metric", "name")),
        ("currentValue", ("current", "value")),
        ("selector", ("metric", "selector")),
        ("averageValue", ("current", "averageValue")),
    ),
    "external": (
        ("metricName", ("metric", "name")),
        ("metricSelector", ("metric", "selector")),
        ("currentValue", ("current", "value")),
        ("currentAverageValue", ("current", "averageValue")),
    ),
}
# A quantity that v1 cannot leave out, though v2 may.
_ALWAYS = {
    "targetValue": "object",
    "targetAverageValue": "pods",
    "currentValue": "object external",
    "currentAverageValue": "resource containerResource pods",
}


def _metric_to(metric: Json) -> Json:
    return _renamed(metric, _SPECS, _forth)


def _metric_of(metric: Json) -> Json:
    found = _renamed(metric, _SPECS, _back)
    for source in _SPECS:
        if source in found:
            target = found[source].setdefault("target", {})
            if "averageValue" in target and target.get("value") in ("0", 0):
                del target["value"]
            target["type"] = _target_type(target)
    return found


def _target_type(target: Json) -> str:
    if "averageUtilization" in target:
        return "Utilization"
    return "Value" if "value" in target and "averageValue" not in target else "AverageValue"


def _status_to(metric: Json) -> Json:
    return _renamed(metric, _STATUSES, _forth)


def _status_of(metric: Json) -> Json:
    return _renamed(metric, _STATUSES, _back)


def _renamed(
    metric: Json, sources: Mapping[str, _Fields], turn: Callable[[Json, _Fields, str], Json]
) -> Json:
    found: Json = {"type": metric.get("type", "")}
    for source, fields in sources.items():
        if isinstance(metric.get(source), dict):
            found[source] = turn(metric[source], fields, source)
    return found


def _forth(source: Json, fields: _Fields, called: str) -> Json:
    found: Json = {}
    for there, path in fields:
        value = _part(source, *path[:-1]).get(path[-1])
        if value is None and called in _ALWAYS.get(there, "").split():
            value = "0"
        if value is not None:
            found[there] = _reference(value) if there == "target" else value
    return found


def _reference(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: value[name] for name in _REFERENCE if name in value}


def _back(source: Json, fields: _Fields, called: str) -> Json:
    found: Json = {}
    for there, path in fields:
        if source.get(there) is None:
            continue
        here = found
        for name in path[:-1]:
            here = here.setdefault(name, {})
        here[path[-1]] = source[there]
    return found


# Behavior: the same fields, their names with a capital.


def _behavior_to(behavior: Json) -> Json | None:
    if not behavior:
        return None
    found: Json = {}
    for direction in ("scaleUp", "scaleDown"):
        rules = behavior.get(direction)
        shown = None
        if isinstance(rules, dict):
            shown = {_capital(name): _capitals(rules.get(name)) for name in _RULES}
        found[_capital(direction)] = shown
    return found


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _capitals(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    names = ("type", "value", "periodSeconds")
    return [{_capital(name): one.get(name) for name in names} for one in value if isinstance(one, dict)]


def _lower(value: Any) -> Any:
    """Return a value with the first letter of its names small, and without what is null."""
    match value:
        case dict():
            named = {f"{name[:1].lower()}{name[1:]}": _lower(inside) for name, inside in value.items()}
            return {name: inside for name, inside in named.items() if inside is not None}
        case list():
            return [_lower(one) for one in value]
    return value


def _read(riding: Json, name: str) -> Any:
    text = riding.get(name)
    if not isinstance(text, str):
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _list(riding: Json, name: str) -> list[Json]:
    found = _read(riding, name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _part(obj: Mapping[str, Any], *path: str) -> Json:
    here: Any = obj
    for name in path:
        here = here.get(name) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else {}


def _items(obj: Json, name: str) -> list[Json]:
    found = obj.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

"""The tables of HorizontalPodAutoscalers and PodDisruptionBudgets."""

from __future__ import annotations

from datetime import datetime

from kcm.sandbox.schema.autoscalers import V1, to_v2
from kcm.sandbox.schema.tables.columns import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    Json,
    Printer,
    age_of,
    column,
    count,
    items,
    name_of,
    part,
    text,
)

_SHOWN = 2
_SOURCES = {
    "External": "external",
    "Pods": "pods",
    "Object": "object",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}


def _autoscaler(obj: Json, now: datetime) -> list[object]:
    if text(obj, "apiVersion") == V1:
        obj = to_v2(obj)
    spec, status = part(obj, "spec"), part(obj, "status")
    target = part(spec, "scaleTargetRef")
    least: object = spec.get("minReplicas")
    return [
        name_of(obj),
        f"{text(target, 'kind')}/{text(target, 'name')}",
        _targets(items(spec, "metrics"), items(status, "currentMetrics")),
        "<unset>" if least is None else str(least),
        count(spec, "maxReplicas"),
        count(status, "currentReplicas"),
        age_of(obj, now),
    ]


def _targets(metrics: list[Json], current: list[Json]) -> str:
    if not metrics:
        return NONE
    shown = [
        _target(metric, current[index] if index < len(current) else {})
        for index, metric in enumerate(metrics[:_SHOWN])
    ]
    more = f" + {len(metrics) - _SHOWN} more..." if len(metrics) > _SHOWN else ""
    return ", ".join(shown) + more


def _target(metric: Json, status: Json) -> str:
    source = _SOURCES.get(text(metric, "type"))
    if source is None:
        return "<unknown type>"
    wanted, now = part(metric, source, "target"), part(status, source, "current")
    if source in ("resource", "containerResource"):
        prefix = f"{text(part(metric, source), 'name')}: "
        if "averageValue" in wanted:
            return f"{prefix}{text(now, 'averageValue') or UNKNOWN}/{text(wanted, 'averageValue')}"
        used = f"{now['averageUtilization']}%" if "averageUtilization" in now else UNKNOWN
        limit = f"{wanted['averageUtilization']}%" if "averageUtilization" in wanted else "<auto>"
        return f"{prefix}{used}/{limit}"
    if "averageValue" in wanted:
        suffix = "" if source == "pods" else " (avg)"
        return f"{text(now, 'averageValue') or UNKNOWN}/{text(wanted, 'averageValue')}{suffix}"
    return f"{text(now, 'value') or UNKNOWN}/{text(wanted, 'value')}"


def _budget(obj: Json, now: datetime) -> list[object]:
    spec = part(obj, "spec")
    least, most = (str(spec[name]) if name in spec else "N/A" for name in ("minAvailable", "maxUnavailable"))
    return [name_of(obj), least, most, count(part(obj, "status"), "disruptionsAllowed"), age_of(obj, now)]


AUTOSCALERS = Printer(
    (
        NAME,
        column("Reference"),
        column("Targets"),
        column("MinPods"),
        column("MaxPods", "integer"),
        column("Replicas", "integer"),
        AGE,
    ),
    _autoscaler,
)
BUDGETS = Printer(
    (NAME, column("Min Available"), column("Max Unavailable"), column("Allowed Disruptions", "integer"), AGE),
    _budget,
)

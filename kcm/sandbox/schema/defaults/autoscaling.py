"""Defaults of HorizontalPodAutoscalers (reference: apiserver §5, hpa §1).

A behavior that is given at all is completed field by field in both directions.
"""

from __future__ import annotations

from kcm.sandbox.schema.autoscalers import V1
from kcm.sandbox.schema.defaults.parts import Json, part, present

_CPU_PERCENT = 80
_WINDOW_UP = 0


def default_autoscaler(autoscaler: Json) -> None:
    """Fill in a HorizontalPodAutoscaler; the metrics of v1 are filled in when it is turned into v2."""
    spec = part(autoscaler, "spec")
    spec.setdefault("minReplicas", 1)
    if autoscaler.get("apiVersion") == V1:
        return
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": _CPU_PERCENT}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    part(autoscaler, "status").setdefault("currentMetrics", None)
    behavior = present(spec, "behavior")
    if behavior is None:
        return
    up = part(behavior, "scaleUp")
    up.setdefault("stabilizationWindowSeconds", _WINDOW_UP)
    up.setdefault("selectPolicy", "Max")
    up.setdefault("policies", [_policy("Pods", 4), _policy("Percent", 100)])
    down = part(behavior, "scaleDown")
    down.setdefault("selectPolicy", "Max")
    down.setdefault("policies", [_policy("Percent", 100)])


def _policy(type_: str, value: int) -> Json:
    return {"type": type_, "value": value, "periodSeconds": 15}

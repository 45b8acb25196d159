"""Rules for HorizontalPodAutoscalers v2 (reference: apiserver §5)."""

from __future__ import annotations

from kcm.sandbox.schema.autoscalers import V1, to_v2
from kcm.sandbox.schema.validation.failures import forbidden, invalid, required
from kcm.sandbox.schema.validation.metadata import check_selector
from kcm.sandbox.schema.validation.parts import Errors, Json, items, number, one_of, part, text

_SOURCES = {
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
    "External": "external",
    "ContainerResource": "containerResource",
}
_TARGETS = frozenset(("Utilization", "Value", "AverageValue"))
_LONGEST_WINDOW = 3600
_LONGEST_PERIOD = 1800


def check_autoscaler(autoscaler: Json) -> Errors:
    """The spec of an autoscaler."""
    if text(autoscaler, "apiVersion") == V1:
        autoscaler = to_v2(autoscaler)
    spec = part(autoscaler, "spec")
    low, high = number(spec, "minReplicas"), number(spec, "maxReplicas") or 0
    if low is not None and low < 1:
        yield invalid("spec.minReplicas", low, "must be greater than or equal to 1")
    if high == 0:
        yield required("spec.maxReplicas", "must be set and greater than 0")
    elif high < 0:
        yield invalid("spec.maxReplicas", high, "must be greater than or equal to 1")
    if low is not None and high < low:
        yield invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")
    yield from _check_reference(part(spec, "scaleTargetRef"), "spec.scaleTargetRef")
    for index, metric in enumerate(items(spec, "metrics")):
        yield from _check_metric(metric, f"spec.metrics[{index}]")
    if low == 0 and not any(text(one, "type") in ("Object", "External") for one in items(spec, "metrics")):
        detail = "must specify at least one Object or External metric to support scaling to zero replicas"
        yield forbidden("spec.metrics", detail)
    behavior = part(spec, "behavior")
    for direction in ("scaleUp", "scaleDown"):
        if direction in behavior:
            yield from _check_rules(part(behavior, direction), f"spec.behavior.{direction}")


def _check_reference(reference: Json, path: str) -> Errors:
    for name in ("kind", "name"):
        if not text(reference, name):
            yield required(f"{path}.{name}")
    api_version = text(reference, "apiVersion")
    if "/" not in api_version and api_version not in ("v1", ""):
        yield invalid(f"{path}.apiVersion", api_version, "apiVersion must specify API group")


def _check_metric(metric: Json, path: str) -> Errors:
    yield from one_of(metric, path, "type", _SOURCES.keys(), must=True)
    wanted = _SOURCES.get(text(metric, "type"))
    if wanted is None:
        return
    for source in _SOURCES.values():
        if source != wanted and source in metric:
            yield forbidden(f"{path}.{source}", "must populate the given metric source only")
    if wanted not in metric:
        yield required(f"{path}.{wanted}", "must populate information for the given metric source")
        return
    yield from _check_source(part(metric, wanted), wanted, f"{path}.{wanted}")


def _check_source(source: Json, called: str, path: str) -> Errors:
    target = part(source, "target")
    yield from one_of(target, f"{path}.target", "type", _TARGETS, must=True)
    utilization = number(target, "averageUtilization")
    if utilization is not None and utilization < 1:
        yield invalid(f"{path}.target.averageUtilization", utilization, "must be greater than 0")
    if called in ("resource", "containerResource"):
        if not text(source, "name"):
            yield required(f"{path}.name", "must specify a resource name")
        if called == "containerResource" and not text(source, "container"):
            yield required(f"{path}.container", "must specify a container")
        if utilization is None and "averageValue" not in target:
            detail = "must set either a target raw value or a target utilization"
            yield required(f"{path}.target.averageUtilization", detail)
        if utilization is not None and "averageValue" in target:
            detail = "may not set both a target raw value and a target utilization"
            yield forbidden(f"{path}.target.averageValue", detail)
        return
    identifier = part(source, "metric")
    if not text(identifier, "name"):
        yield required(f"{path}.metric.name", "must specify a metric name")
    if "selector" in identifier:
        yield from check_selector(part(identifier, "selector"), f"{path}.metric.selector")
    if called == "object":
        yield from _check_reference(part(source, "describedObject"), f"{path}.describedObject")
    if called == "pods" and "averageValue" not in target:
        yield required(f"{path}.target.averageValue", "must specify a positive target averageValue")
    elif "value" not in target and "averageValue" not in target:
        detail = "must set either a target value for metric or a per-pod target"
        yield required(f"{path}.target.averageValue", detail)


def _check_rules(rules: Json, path: str) -> Errors:
    window = number(rules, "stabilizationWindowSeconds")
    if window is not None and window < 0:
        yield invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window is not None and window > _LONGEST_WINDOW:
        detail = f"must be less than or equal to {_LONGEST_WINDOW}"
        yield invalid(f"{path}.stabilizationWindowSeconds", window, detail)
    yield from one_of(rules, path, "selectPolicy", ("Disabled", "Max", "Min"))
    policies = items(rules, "policies")
    if not policies:
        yield required(f"{path}.policies", "must specify at least one Policy")
    for index, policy in enumerate(policies):
        here = f"{path}.policies[{index}]"
        yield from one_of(policy, here, "type", ("Pods", "Percent"), must=True)
        value, period = number(policy, "value") or 0, number(policy, "periodSeconds") or 0
        if value <= 0:
            yield invalid(f"{here}.value", value, "must be greater than zero")
        if period <= 0:
            yield invalid(f"{here}.periodSeconds", period, "must be greater than zero")
        if period > _LONGEST_PERIOD:
            detail = f"must be less than or equal to {_LONGEST_PERIOD}"
            yield invalid(f"{here}.periodSeconds", period, detail)

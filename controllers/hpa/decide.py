"""The decision: what was measured in, how many replicas out (reference: hpa 8 to 11).

`outlook` says, before anything is fetched, whether metrics are needed at all; `verdict` puts
metrics, windows, rates and bounds together. Guarantees: a metric that fails never lowers the
number (S6); a size outside the bounds is brought back without asking metrics; a user's zero is
left alone. Pure: time is an argument, what is remembered comes back as a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

from controllers.hpa.conditions import ABLE, ACTIVE, AT_ZERO, LIMITED, Conditions, drop, holds, put
from controllers.hpa.evaluate import INVALID_SOURCE, Failure, Measured, Proposal, Situation, evaluate
from controllers.hpa.limits import (
    DOWN_LIMIT,
    DOWN_STABILIZED,
    IN_RANGE,
    READY,
    TOO_FEW,
    TOO_MANY,
    UP_LIMIT,
    UP_STABILIZED,
    Bounds,
    Limited,
    with_behavior,
    without_behavior,
)
from controllers.hpa.memory import Memory
from controllers.hpa.ratios import Tolerance
from controllers.hpa.settings import Settings
from controllers.hpa.values import BadValue, thousandths
from controllers.hpa.wishes import Fallback
from kcm.objects.autoscalers import AutoscalerSpec, MetricStatus, ScalingRules

# What people and their tools know these states by, from kube-controller-manager.
ABLE_TEXT = {
    READY: "recommended size matches current size",
    UP_STABILIZED: "recent recommendations were lower than current one, "
    "applying the lowest recent recommendation",
    DOWN_STABILIZED: "recent recommendations were higher than current one, "
    "applying the highest recent recommendation",
}
RANGE_TEXT = {
    IN_RANGE: "the desired count is within the acceptable range",
    UP_LIMIT: "the desired replica count is increasing faster than the maximum scale rate",
    DOWN_LIMIT: "the desired replica count is decreasing faster than the maximum scale rate",
    TOO_MANY: "the desired replica count is more than the maximum replica count",
    TOO_FEW: "the desired replica count is less than the minimum replica count",
}
ABOVE_TARGET = "{} above target"
BELOW_TARGET = "All metrics below target"
FALLBACK = "fallback, since metrics cannot be read"
ABOVE_BOUND = "Current number of replicas above Spec.MaxReplicas"
BELOW_BOUND = "Current number of replicas below Spec.MinReplicas"
NOTHING_COMPUTED = "FailedComputeMetricsReplicas"


class Outlook(Enum):
    """What an evaluation comes to."""

    DISABLED = "disabled"
    ABOVE = "above"
    BELOW = "below"
    MEASURE = "measure"


class Verdict(NamedTuple):
    """What an evaluation came to.

    `desired` None: no scaling, the status keeps its old number. `metrics` None: none evaluated.
    `cause` is why a rescale happens. `warnings` are events; `failed`: the last event, after the
    status was written, that no metric could be used. `results` are those of all metrics.
    """

    desired: int | None
    conditions: Conditions
    memory: Memory
    metrics: tuple[MetricStatus, ...] | None = None
    cause: str = ""
    warnings: tuple[Failure, ...] = ()
    failed: Failure | None = None
    results: tuple[Proposal | Failure, ...] = ()


def bounds_of(spec: AutoscalerSpec) -> Bounds:
    """Return the bounds; an unset minimum is 1."""
    return Bounds(1 if spec.min_replicas is None else spec.min_replicas, spec.max_replicas)


def outlook(
    spec: AutoscalerSpec, bounds: Bounds, conditions: Conditions, current: int, settings: Settings
) -> Outlook:
    """Say whether metrics are needed, and if not, why (reference: hpa 8, 11)."""
    if current == 0:
        ours = settings.scale_to_zero and holds(conditions, AT_ZERO)
        wakes = ours and (bounds.least != 0 or measures_outside(spec))
        return Outlook.MEASURE if wakes else Outlook.DISABLED
    if current > bounds.most:
        return Outlook.ABOVE
    return Outlook.BELOW if current < bounds.least else Outlook.MEASURE


def measures_outside(spec: AutoscalerSpec) -> bool:
    """Say whether a metric exists that says something while there are no pods."""
    return any(metric.type in ("Object", "External") for metric in spec.metrics)


def unmeasured(
    view: Outlook, bounds: Bounds, conditions: Conditions, memory: Memory, settings: Settings, now: datetime
) -> Verdict:
    """Return the verdict where no metrics are asked."""
    if view is Outlook.DISABLED:
        text = "scaling is disabled since the replica count of the target is zero"
        conditions = put(conditions, ACTIVE, False, "ScalingDisabled", text, now)
        if not settings.scale_to_zero:
            conditions = drop(conditions, AT_ZERO)
        return Verdict(0, conditions, memory)
    if view is Outlook.ABOVE:
        return Verdict(bounds.most, conditions, memory, None, ABOVE_BOUND)
    return Verdict(bounds.least, conditions, memory, None, BELOW_BOUND)


def paused(conditions: Conditions, memory: Memory, now: datetime) -> Verdict:
    """Return the verdict of an autoscaler that is to do nothing (reference: hpa 15)."""
    text = "the autoscaler is paused by annotation or configuration"
    return Verdict(None, put(conditions, ACTIVE, False, "Paused", text, now), memory)


def verdict(
    spec: AutoscalerSpec,
    bounds: Bounds,
    conditions: Conditions,
    measured: Sequence[Measured],
    situation: Situation,
    memory: Memory,
) -> Verdict:
    """Return what the metrics lead to."""
    now, current = situation.now, situation.current
    results = [
        evaluate(metric, found, situation) for metric, found in zip(spec.metrics, measured, strict=True)
    ]
    failures = tuple(each for each in results if isinstance(each, Failure))
    shown = tuple(each.status if isinstance(each, Proposal) else MetricStatus() for each in results)
    best = _highest(results)
    if best is None or (failures and best.replicas < current):
        found = _inactive(failures, len(results), shown, conditions, memory, now)
        return found._replace(results=tuple(results))

    conditions = put(
        conditions,
        ACTIVE,
        True,
        "ValidMetricFound",
        f"the HPA was able to successfully calculate a replica count from {best.metric}",
        now,
    )
    raw = best.replicas
    if situation.smoothing:
        raw, memory = memory.smoothed(raw, now, situation.smoothing)
    limited, memory = _normalize(spec, bounds, raw, situation, memory)
    conditions = put(conditions, ABLE, True, limited.able, ABLE_TEXT[limited.able], now)
    conditions = put(conditions, LIMITED, limited.limited, limited.range, RANGE_TEXT[limited.range], now)
    desired = limited.desired
    cause = ""
    if current == 0 and bounds.least != 0:
        desired, cause = max(desired, bounds.least), BELOW_BOUND
    if desired > current and raw > current:
        cause = ABOVE_TARGET.format(best.metric)
    elif desired < current and raw < current:
        cause = BELOW_TARGET
    failed = failures[0] if failures else None
    return Verdict(desired, conditions, memory, shown, cause, failures, failed, tuple(results))


def fall_back(
    found: Verdict, fallback: Fallback | None, bounds: Bounds, current: int, now: datetime
) -> Verdict:
    """Return the verdict with at least the fallback's replicas, if metrics failed for that long (hpa 15).

    It only ever adds: a metric that cannot be read must not shrink anything. Without results no
    metric was asked for: it was not metrics that failed, but the selector.
    """
    if found.failed is None or found.desired is not None or not found.results:
        return found._replace(memory=found.memory._replace(failing_since=None))
    since = found.memory.failing_since or now
    found = found._replace(memory=found.memory._replace(failing_since=since))
    if fallback is None or now - since < fallback.after:
        return found
    replicas = min(fallback.replicas, bounds.most)
    return found._replace(desired=replicas, cause=FALLBACK) if replicas > current else found


def tolerance_of(spec: AutoscalerSpec, settings: Settings) -> Tolerance:
    """Return the tolerance of each direction; BadValue when the autoscaler's own cannot be read."""
    behavior = spec.behavior
    return Tolerance(
        _tolerance(behavior.scale_down if behavior else None, settings.tolerance),
        _tolerance(behavior.scale_up if behavior else None, settings.tolerance),
    )


def at_zero(
    spec: AutoscalerSpec,
    bounds: Bounds,
    conditions: Conditions,
    before: int,
    after: int,
    settings: Settings,
    now: datetime,
) -> Conditions:
    """Return the conditions after a rescale: a zero of our own is told from a user's (reference: hpa 11)."""
    if not settings.scale_to_zero:
        return drop(conditions, AT_ZERO)
    if before > 0 and after == 0 and bounds.least == 0 and measures_outside(spec):
        return put(
            conditions, AT_ZERO, True, "ScaledToZero", "the autoscaler took the last replica away", now
        )
    return put(conditions, AT_ZERO, False, "NotScaledToZero", "the autoscaler keeps replicas", now)


def _highest(results: Sequence[Proposal | Failure]) -> Proposal | None:
    """Return the proposal that wins: it starts from none, and only a larger one replaces it."""
    best: Proposal | None = None
    for each in results:
        if isinstance(each, Proposal) and (
            best is None or best.replicas == 0 or each.replicas > best.replicas
        ):
            best = each
    return best


def _inactive(
    failures: tuple[Failure, ...],
    count: int,
    shown: tuple[MetricStatus, ...],
    conditions: Conditions,
    memory: Memory,
    now: datetime,
) -> Verdict:
    """No scaling: one metric that cannot be read must not let the others shrink anything (S6)."""
    first = failures[0] if failures else Failure(INVALID_SOURCE, "the autoscaler has no metrics")
    text = f"the HPA was unable to compute the replica count: {first.note}"
    conditions = put(conditions, ACTIVE, False, first.reason, text, now)
    note = f"invalid metrics ({len(failures)} invalid out of {count}), first error is: {first.note}"
    failed = Failure(NOTHING_COMPUTED, note)
    return Verdict(None, conditions, memory, shown, "", failures, failed)


def _normalize(
    spec: AutoscalerSpec, bounds: Bounds, raw: int, situation: Situation, memory: Memory
) -> tuple[Limited, Memory]:
    window = timedelta(seconds=situation.settings.downscale_stabilization)
    if spec.behavior is None:
        return without_behavior(raw, situation.current, bounds, memory, situation.now, window)
    return with_behavior(raw, situation.current, bounds, spec.behavior, memory, situation.now, window)


def _tolerance(rules: ScalingRules | None, default: float) -> float:
    if rules is None or rules.tolerance is None:
        return default
    value = thousandths(rules.tolerance)
    if value < 0:
        raise BadValue(f"a tolerance below zero: {rules.tolerance[:64]}")
    return value / 1000.0

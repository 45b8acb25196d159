"""One metric spec and what was measured, to a proposal or a failure (reference: hpa 7).

Which way a target is meant follows the reference: Object obeys its target's type and the field
that belongs to it; the others look at `averageValue` first and ignore the type. A failure has
the reason that the status and the event carry. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from controllers.hpa.grouping import Groups, Unmeasurable, group, ready_condition, requests_of
from controllers.hpa.ratios import Reading, Tolerance, by_average, by_share, by_utilization, by_value
from controllers.hpa.settings import Settings
from controllers.hpa.values import BadValue, Sample, in_binary, in_decimal, thousandths
from kcm.objects.autoscalers import (
    CurrentMetric,
    CurrentResource,
    MeasuredPod,
    MetricSpec,
    MetricStatus,
    MetricTarget,
    MetricValue,
    ResourceMetric,
)

INVALID_SOURCE = "InvalidMetricSourceType"

Measured = Mapping[str, Sample] | int | Unmeasurable
"""What was fetched for one metric: samples by pod, one amount in thousandths, or why there is none."""


class Situation(NamedTuple):
    """What a metric is compared with.

    `current` is the scale's spec, `status_replicas` its status. `smoothing`: the time over which
    proposals are averaged, for all metrics together.
    """

    pods: Sequence[MeasuredPod]
    current: int
    status_replicas: int
    tolerance: Tolerance
    now: datetime
    settings: Settings
    smoothing: timedelta = timedelta(0)


class Proposal(NamedTuple):
    """How many replicas a metric asks for, and what the status shows of it."""

    replicas: int
    metric: str
    status: MetricStatus


class Failure(NamedTuple):
    """A metric that could not be used: condition reason, and text for people."""

    reason: str
    note: str


def evaluate(spec: MetricSpec, measured: Measured, situation: Situation) -> Proposal | Failure:
    """Return what one metric asks for."""
    reason = f"FailedGet{spec.type}Metric"
    lead = _lead(spec, isinstance(measured, Unmeasurable))
    try:
        if isinstance(measured, Unmeasurable):
            raise measured
        match spec:
            case MetricSpec(type="Resource", resource=ResourceMetric() as source):
                return _resource(spec.type, source, "", measured, situation)
            case MetricSpec(type="ContainerResource", container_resource=ResourceMetric() as source):
                return _resource(spec.type, source, source.container, measured, situation)
            case MetricSpec(type="Pods", pods=source) if source is not None:
                reading = _pods(source.target, measured, situation)
                shown = CurrentMetric(source.metric, _shown(reading))
                status = MetricStatus("Pods", pods=shown)
                return Proposal(reading.replicas, f"pods metric {source.metric.name}", status)
            case MetricSpec(type="Object", object=source) if source is not None:
                reading = _object(source.target, measured, situation)
                shown = CurrentMetric(source.metric, _shown(reading), source.described_object)
                name = f"{source.described_object.kind} metric {source.metric.name}"
                return Proposal(reading.replicas, name, MetricStatus("Object", object=shown))
            case MetricSpec(type="External", external=source) if source is not None:
                reading = _external(source.target, measured, situation)
                shown = CurrentMetric(source.metric, _shown(reading))
                name = f"external metric {source.metric.name}"
                return Proposal(reading.replicas, name, MetricStatus("External", external=shown))
            case _:
                return Failure(INVALID_SOURCE, f"unknown metric source type {spec.type[:64]!r}")
    except BadValue as error:
        return Failure(reason, f"target: {error}")
    except Unmeasurable as error:
        return Failure(reason, f"{lead}{error}")


def _lead(spec: MetricSpec, unread: bool) -> str:
    """Return what a failure's text begins with: which metric, and whether it could be read at all."""
    match spec:
        case (
            MetricSpec(resource=ResourceMetric() as source)
            | MetricSpec(container_resource=ResourceMetric() as source)
        ):
            what = "usage" if source.target.average_value is not None else "utilization"
            metric = f"unable to get metrics for resource {source.name}: " if unread else ""
            return f"failed to get {source.name} {what}: {metric}"
        case MetricSpec(pods=source) if source is not None:
            return f"unable to get metric {source.metric.name}: " if unread else ""
        case MetricSpec(object=source) if source is not None:
            about = source.described_object
            return f"unable to get metric {source.metric.name} of {about.kind} {about.name}: "
        case MetricSpec(external=source) if source is not None:
            return f"unable to get external metric {source.metric.name}: "
        case _:
            return ""


def _resource(
    type_: str, source: ResourceMetric, container: str, measured: Measured, situation: Situation
) -> Proposal:
    samples, groups = _samples(measured, source.name, situation)
    target = source.target
    if target.average_value is not None:
        wanted = _positive(target.average_value)
        reading = by_average(samples, groups, wanted, situation.current, situation.tolerance)
    elif target.average_utilization is not None and target.average_utilization > 0:
        requests = requests_of(situation.pods, source.name, container)
        wanted = target.average_utilization
        reading = by_utilization(samples, requests, groups, wanted, situation.current, situation.tolerance)
    else:
        raise Unmeasurable("the target has neither averageUtilization nor averageValue")
    shown = CurrentResource(source.name, container, _shown(reading, binary=source.name == "memory"))
    if container:
        status = MetricStatus(type_, container_resource=shown)
    else:
        status = MetricStatus(type_, resource=shown)
    if reading.utilization is None:
        return Proposal(reading.replicas, f"{source.name} resource", status)
    unit = f"{'container ' if container else ''}resource utilization (percentage of request)"
    return Proposal(reading.replicas, f"{source.name} {unit}", status)


def _pods(target: MetricTarget, measured: Measured, situation: Situation) -> Reading:
    samples, groups = _samples(measured, "", situation)
    if target.average_value is None:
        raise Unmeasurable("the target has no averageValue")
    wanted = _positive(target.average_value)
    return by_average(samples, groups, wanted, situation.current, situation.tolerance)


def _object(target: MetricTarget, measured: Measured, situation: Situation) -> Reading:
    amount = _amount(measured)
    if target.type == "Value" and target.value is not None:
        return _by_value(amount, target.value, situation)
    if target.type == "AverageValue" and target.average_value is not None:
        return _by_share(amount, target.average_value, situation)
    raise Unmeasurable(f"the target of type {target.type[:64]!r} lacks the field that belongs to it")


def _external(target: MetricTarget, measured: Measured, situation: Situation) -> Reading:
    amount = _amount(measured)
    if target.average_value is not None:
        return _by_share(amount, target.average_value, situation)
    if target.value is not None:
        return _by_value(amount, target.value, situation)
    raise Unmeasurable("the target has neither value nor averageValue")


def _by_value(amount: int, target: str, situation: Situation) -> Reading:
    ready = sum(map(_serves, situation.pods)) if situation.pods else None
    return by_value(amount, _positive(target), situation.current, ready, situation.tolerance)


def _by_share(amount: int, target: str, situation: Situation) -> Reading:
    return by_share(amount, _positive(target), situation.status_replicas, situation.tolerance)


def _samples(measured: Measured, resource: str, situation: Situation) -> tuple[Mapping[str, Sample], Groups]:
    if not isinstance(measured, Mapping):
        raise Unmeasurable("the metric is not one of pods")
    if not situation.pods:
        raise Unmeasurable("no pods returned by selector while calculating replica count")
    return measured, group(situation.pods, measured, resource, situation.now, situation.settings)


def _amount(measured: Measured) -> int:
    if not isinstance(measured, int):
        raise Unmeasurable("the metric is not a single amount")
    return measured


def _serves(pod: MeasuredPod) -> bool:
    """Say whether a pod runs and is ready; one that is going away still counts (hpa 16, trap 6)."""
    condition = ready_condition(pod)
    return pod.status.phase == "Running" and condition is not None and condition.status == "True"


def _positive(text: str) -> int:
    wanted = thousandths(text)
    if wanted <= 0:
        raise BadValue(f"not above zero: {text[:64]}")
    return wanted


def _shown(reading: Reading, *, binary: bool = False) -> MetricValue:
    text = in_binary if binary else in_decimal
    return MetricValue(
        value=None if reading.value is None else text(reading.value),
        average_value=None if reading.average is None else text(reading.average),
        average_utilization=reading.utilization,
    )

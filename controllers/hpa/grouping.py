"""Which pods count, and what they asked for (reference: hpa 7, grouping and requests).

`group` sorts the pods that the target's selector finds; `requests_of` sums what their
containers asked for. A pod that asks for nothing fails its metric: a utilization of nothing is
no number. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from controllers.hpa.settings import Settings
from controllers.hpa.values import BadValue, Sample, thousandths
from kcm.objects import Condition
from kcm.objects.autoscalers import MeasuredContainer, MeasuredPod

CPU = "cpu"
_POD_LEVEL = ("cpu", "memory", "hugepages-")


class Unmeasurable(Exception):
    """A metric that cannot be used now; its text is shown to people."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Names of pods: whose metric counts, counts not yet, was not found, and who is as good as gone."""

    ready: frozenset[str]
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def group(
    pods: Iterable[MeasuredPod],
    samples: Mapping[str, Sample],
    resource: str,
    now: datetime,
    settings: Settings,
) -> Groups:
    """Sort pods by how their metrics count; `resource` "" is a metric that knows no readiness."""
    ready, unready, missing, ignored = set(), set(), set(), set()
    for pod in pods:
        name = pod.metadata.name
        sample = samples.get(name)
        if pod.metadata.deletion_timestamp is not None or pod.status.phase == "Failed":
            ignored.add(name)
        elif pod.status.phase == "Pending":
            unready.add(name)
        elif sample is None:
            missing.add(name)
        elif resource == CPU and _warms_up(pod, sample, now, settings):
            unready.add(name)
        else:
            ready.add(name)
    return Groups(frozenset(ready), frozenset(unready), frozenset(missing), frozenset(ignored))


def ready_condition(pod: MeasuredPod) -> Condition | None:
    """Return the pod's Ready condition."""
    return next((one for one in pod.status.conditions if one.type == "Ready"), None)


def _warms_up(pod: MeasuredPod, sample: Sample, now: datetime, settings: Settings) -> bool:
    """Say whether a pod's CPU is still that of its start."""
    condition, started = ready_condition(pod), pod.status.start_time
    if condition is None or started is None:
        return True
    since = condition.last_transition_time or started
    if started + timedelta(seconds=settings.cpu_initialization_period) > now:
        return condition.status == "False" or sample.at is None or sample.at < since + sample.window
    delay = timedelta(seconds=settings.initial_readiness_delay)
    return condition.status == "False" and started + delay > since


def requests_of(pods: Iterable[MeasuredPod], resource: str, container: str = "") -> dict[str, int]:
    """Return what each pod asked for, in thousandths; Unmeasurable when one asked for nothing."""
    return {pod.metadata.name: _request(pod, resource, container) for pod in pods}


def _request(pod: MeasuredPod, resource: str, container: str) -> int:
    sidecars = tuple(one for one in pod.spec.init_containers if one.restart_policy == "Always")
    containers = (*pod.spec.containers, *sidecars)
    try:
        if container:
            return _of_container(pod, containers, resource, container)
        if any(name.startswith(_POD_LEVEL) for name in pod.spec.resources.requests):
            return _of_pod(pod, resource)
        return sum(_asked(pod, one, resource) for one in containers)
    except BadValue as error:
        raise Unmeasurable(f"{resource} request of pod {pod.metadata.name}: {error}") from None


def _of_container(
    pod: MeasuredPod, containers: Iterable[MeasuredContainer], resource: str, container: str
) -> int:
    for one in containers:
        if one.name == container:
            return _asked(pod, one, resource)
    raise Unmeasurable(f"container {container} not found in Pod {pod.metadata.name}")


def _asked(pod: MeasuredPod, container: MeasuredContainer, resource: str) -> int:
    text = container.resources.requests.get(resource)
    if text is None:
        where = f"container {container.name} of Pod {pod.metadata.name}"
        raise Unmeasurable(f"missing request for {resource} in {where}")
    return thousandths(text)


def _of_pod(pod: MeasuredPod, resource: str) -> int:
    """Return the effective request of a pod that asks as a whole."""
    whole = pod.spec.resources.requests.get(resource)
    amount = thousandths(whole) if whole is not None else _of_all_containers(pod, resource)
    if whole is None and not amount:
        raise Unmeasurable(f"missing pod-level request for {resource} in Pod {pod.metadata.name}")
    return amount + _amount(pod.spec.overhead, resource)


def _of_all_containers(pod: MeasuredPod, resource: str) -> int:
    """Return what the containers ask for together; one init container at a time may ask for more."""
    together = sum(_amount(one.resources.requests, resource) for one in pod.spec.containers)
    beside, most = 0, 0
    for one in pod.spec.init_containers:
        amount = _amount(one.resources.requests, resource)
        if one.restart_policy == "Always":
            beside += amount
            most = max(most, beside)
        else:
            most = max(most, beside + amount)
    return max(together + beside, most)


def _amount(amounts: Mapping[str, str], resource: str) -> int:
    text = amounts.get(resource)
    return 0 if text is None else thousandths(text)

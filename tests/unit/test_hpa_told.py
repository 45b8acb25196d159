"""What an autoscaler tells people, word for word what they know: recorded from kube-controller-manager.

Its controller and ours were run on the same scenarios beside each other; where the texts differ
on purpose (it writes out Go values) the words here are ours.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from controllers.hpa.decide import Outlook, Verdict, bounds_of, unmeasured, verdict
from controllers.hpa.evaluate import Measured, Situation
from controllers.hpa.grouping import Unmeasurable
from controllers.hpa.memory import Memory, Recommendation
from controllers.hpa.ratios import Tolerance
from controllers.hpa.settings import Settings
from controllers.hpa.values import Sample
from kcm.objects.autoscalers import AutoscalerSpec, MeasuredPod

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}}
MEMORY = {"type": "Resource", "resource": {"name": "memory", "target": {"averageValue": "1"}}}
CONTAINER = {
    "type": "ContainerResource",
    "containerResource": {"name": "cpu", "container": "app", "target": {"averageUtilization": 50}},
}
PODS = {"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": {"averageValue": "1"}}}
OBJECT = {
    "type": "Object",
    "object": {
        "metric": {"name": "hits"},
        "describedObject": {"kind": "Service", "name": "web"},
        "target": {"type": "Value", "value": "1"},
    },
}
EXTERNAL = {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"averageValue": "1"}}}
NOTHING: dict[str, Sample] = {}
UNREADY = "did not receive metrics for targeted pods (pods might be unready)"


def pod(name: str, *, asks: bool = True) -> MeasuredPod:
    requests = {"cpu": "1"} if asks else {}
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2025-12-31T00:01:00Z"}
    document = {
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"containers": [{"name": "app", "resources": {"requests": requests}}]},
        "status": {"phase": "Running", "startTime": "2025-12-31T00:00:00Z", "conditions": [condition]},
    }
    return msgspec.convert(document, MeasuredPod)


def judged(
    metrics: list[object],
    *found: Measured,
    pods: int = 2,
    asks: bool = True,
    most: int = 20,
    memory: Memory | None = None,
) -> Verdict:
    spec = msgspec.convert({"maxReplicas": most, "metrics": metrics}, AutoscalerSpec)
    present = [pod(f"p{number}", asks=asks) for number in range(pods)]
    situation = Situation(present, 2, 2, Tolerance(0.1, 0.1), NOW, Settings())
    return verdict(spec, bounds_of(spec), (), found, situation, memory or Memory())


def samples(each: int, pods: int = 2) -> dict[str, Sample]:
    return {f"p{number}": Sample(each, NOW) for number in range(pods)}


def said(found: Verdict, type_: str) -> str:
    (message,) = [each.message for each in found.conditions if each.type == type_]
    return message


@pytest.mark.parametrize(
    ("metric", "found", "name"),
    [
        (CPU, samples(900), "cpu resource utilization (percentage of request)"),
        (MEMORY, samples(9000), "memory resource"),
        (CONTAINER, samples(900), "cpu container resource utilization (percentage of request)"),
        (PODS, samples(9000), "pods metric qps"),
        (OBJECT, 9000, "Service metric hits"),
        (EXTERNAL, 9000, "external metric queue"),
    ],
)
def test_a_metric_goes_by_the_name_that_people_know(metric: object, found: Measured, name: str) -> None:
    scaled = judged([metric], found)
    told = said(scaled, "ScalingActive")
    assert told == f"the HPA was able to successfully calculate a replica count from {name}"
    assert scaled.cause == f"{name} above target"


@pytest.mark.parametrize(
    ("metric", "found", "note"),
    [
        (
            CPU,
            Unmeasurable("no metrics returned from resource metrics API"),
            "failed to get cpu utilization: unable to get metrics for resource cpu: "
            "no metrics returned from resource metrics API",
        ),
        (
            CPU,
            NOTHING,
            f"failed to get cpu utilization: {UNREADY}",
        ),
        (
            MEMORY,
            NOTHING,
            f"failed to get memory usage: {UNREADY}",
        ),
        (PODS, NOTHING, UNREADY),
        (
            PODS,
            Unmeasurable("no metrics returned from custom metrics API"),
            "unable to get metric qps: no metrics returned from custom metrics API",
        ),
        (OBJECT, Unmeasurable("away"), "unable to get metric hits of Service web: away"),
        (EXTERNAL, Unmeasurable("away"), "unable to get external metric queue: away"),
    ],
)
def test_a_failure_says_which_metric_it_was_and_why(metric: object, found: Measured, note: str) -> None:
    failed = judged([metric], found)
    assert said(failed, "ScalingActive") == f"the HPA was unable to compute the replica count: {note}"
    assert [each.note for each in failed.warnings] == [note]
    assert failed.failed is not None
    assert failed.failed.reason == "FailedComputeMetricsReplicas"
    assert failed.failed.note == f"invalid metrics (1 invalid out of 1), first error is: {note}"


def test_a_pod_without_a_request_is_named() -> None:
    failed = judged([CPU], samples(900), asks=False)
    text = "failed to get cpu utilization: missing request for cpu in container app of Pod p0"
    assert [each.note for each in failed.warnings] == [text]


def test_no_pods_are_told_apart_from_pods_without_metrics() -> None:
    failed = judged([CPU], samples(900), pods=0)
    text = "failed to get cpu utilization: no pods returned by selector while calculating replica count"
    assert [each.note for each in failed.warnings] == [text]


def test_limits_and_windows_are_told_in_the_words_that_people_know() -> None:
    grown = judged([CPU], samples(5000))
    assert said(grown, "AbleToScale") == "recommended size matches current size"
    limit = "the desired replica count is increasing faster than the maximum scale rate"
    assert said(grown, "ScalingLimited") == limit
    few = "the desired replica count is more than the maximum replica count"
    assert said(judged([CPU], samples(5000), most=3), "ScalingLimited") == few
    held = Memory((Recommendation(2, NOW - timedelta(seconds=10)),))
    shrunk = judged([CPU], samples(100), memory=held)
    assert said(shrunk, "ScalingLimited") == "the desired count is within the acceptable range"
    stabilized = (
        "recent recommendations were higher than current one, applying the highest recent recommendation"
    )
    assert said(shrunk, "AbleToScale") == stabilized
    assert judged([CPU], samples(100)).cause == "All metrics below target"


@pytest.mark.parametrize(
    ("view", "cause"),
    [
        (Outlook.ABOVE, "Current number of replicas above Spec.MaxReplicas"),
        (Outlook.BELOW, "Current number of replicas below Spec.MinReplicas"),
    ],
)
def test_bounds_are_told_in_the_words_that_people_know(view: Outlook, cause: str) -> None:
    spec = AutoscalerSpec(max_replicas=3)
    assert unmeasured(view, bounds_of(spec), (), Memory(), Settings(), NOW).cause == cause

"""The traps of the reference (hpa 16) that are about decisions; the others are tested on the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from controllers.hpa.conditions import ACTIVE, AT_ZERO, holds, put
from controllers.hpa.decide import Outlook, at_zero, bounds_of, outlook, unmeasured, verdict
from controllers.hpa.evaluate import Proposal, Situation, evaluate
from controllers.hpa.grouping import Groups, Unmeasurable, group, requests_of
from controllers.hpa.limits import Bounds, with_behavior, without_behavior
from controllers.hpa.memory import Memory, Recommendation
from controllers.hpa.pacing import Pacing
from controllers.hpa.ratios import Tolerance, by_average, by_share, by_utilization, by_value
from controllers.hpa.settings import Settings
from controllers.hpa.values import MOST_REPLICAS, Sample, in_binary, in_decimal, replicas_from, truncated
from kcm.objects import Condition, HorizontalPodAutoscaler, ObjectMeta
from kcm.objects.autoscalers import (
    AutoscalerSpec,
    Behavior,
    ExternalMetric,
    MeasuredPod,
    MetricIdentifier,
    MetricSpec,
    MetricTarget,
    ObjectMetric,
    ResourceMetric,
    ScalingPolicy,
    ScalingRules,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = Settings()
FIVE_MINUTES = timedelta(minutes=5)
TOLERANCE = Tolerance(0.1, 0.1)
FAST = ScalingRules(0, "Max", (ScalingPolicy("Percent", 100_000, 15), ScalingPolicy("Pods", 1000, 15)))


def all_ready(*names: str) -> Groups:
    return Groups(frozenset(names), frozenset(), frozenset(), frozenset())


def samples(**values: int) -> dict[str, Sample]:
    return {name: Sample(value, NOW) for name, value in values.items()}


def pod(name: str, *, requests: dict[str, str] | None = None, **changes: Any) -> MeasuredPod:
    container = {"name": "c", "resources": {"requests": {"cpu": "1"} if requests is None else requests}}
    document = {
        "metadata": {"name": name, "namespace": "ns", **changes.get("metadata", {})},
        "spec": {"containers": [container], **changes.get("spec", {})},
        "status": {
            "phase": changes.get("phase", "Running"),
            "startTime": "2025-12-31T00:00:00Z",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2025-12-31T00:01:00Z"}],
        },
    }
    return msgspec.convert(document, MeasuredPod)


GOING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(("dividend", "divisor", "expected"), [(-7, 2, -3), (7, 2, 3), (-1, 3, 0), (9, 3, 3)])
def test_trap_1_division_is_toward_zero(dividend: int, divisor: int, expected: int) -> None:
    assert truncated(dividend, divisor) == expected


def test_trap_1_utilization_is_cut_before_it_is_divided() -> None:
    found = by_utilization(samples(a=1099), {"a": 1000}, all_ready("a"), 100, 1, TOLERANCE)
    assert (found.utilization, found.replicas) == (109, 1)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (float("inf"), MOST_REPLICAS),
        (float("-inf"), -MOST_REPLICAS),
        (float("nan"), 0),
        (2.0000001, 3),
        (-1.5, -1),
    ],
)
def test_trap_2_no_number_is_too_large_to_be_rounded(amount: float, expected: int) -> None:
    assert replicas_from(amount) == expected


def test_trap_2_nothing_is_divided_by_no_reported_replicas() -> None:
    found = by_share(70_000, 10_000, 0, TOLERANCE)
    assert (found.replicas, found.average) == (7, 70_000)


def test_trap_3_tolerance_is_about_the_ratio_and_does_not_hold_at_zero() -> None:
    assert by_value(1100, 1000, 10, 50, TOLERANCE).replicas == 10
    assert by_value(1050, 1000, 0, None, TOLERANCE).replicas == 2


def test_trap_4_what_is_ready_is_multiplied_not_what_is_wanted() -> None:
    groups = Groups(frozenset("a"), frozenset("b"), frozenset(), frozenset())
    assert by_average(samples(a=200, b=900), groups, 1000, 2, TOLERANCE).replicas == 1
    assert by_share(70_000, 10_000, 100, TOLERANCE).replicas == 7


def test_trap_5_samples_of_unknown_pods() -> None:
    given = samples(a=100, stranger=100_000)
    missing = Groups(frozenset("a"), frozenset(), frozenset("b"), frozenset())
    found = by_utilization(given, {"a": 1000, "b": 1000}, missing, 80, 4, TOLERANCE)
    # The stranger's usage does not count, but it is one of three entries: ceil(0.6875 · 3), not · 2.
    assert (found.utilization, found.replicas) == (10, 3)
    assert by_average(given, all_ready("a"), 1000, 1, TOLERANCE).average == 50_050


def test_trap_6_pods_that_go_away_still_need_requests() -> None:
    with pytest.raises(Unmeasurable, match="missing request for cpu in container"):
        requests_of([pod("a"), pod("b", requests={}, metadata=GOING)], "cpu")


def test_trap_6_pods_that_go_away_still_count_for_a_value() -> None:
    target = MetricTarget("Value", value="1")
    spec = MetricSpec("Object", object=ObjectMetric(metric=MetricIdentifier("m"), target=target))
    there = (pod("a"), pod("b", metadata=GOING), pod("c", phase="Pending"))
    found = evaluate(spec, 2000, Situation(there, 2, 2, TOLERANCE, NOW, PLAIN))
    assert isinstance(found, Proposal)
    assert found.replicas == 4


def test_trap_6_pods_that_ran_to_their_end_are_missing() -> None:
    found = group([pod("a", phase="Succeeded"), pod("b", phase="Failed")], {}, "cpu", NOW, PLAIN)
    assert (found.missing, found.ignored) == (frozenset("a"), frozenset("b"))


def test_trap_7_a_start_blocks_scaling_down_for_a_window_and_up_for_its_window() -> None:
    memory = Memory().seeded(5, NOW)
    bounds = Bounds(1, 100)
    early, memory = without_behavior(1, 5, bounds, memory, NOW + timedelta(seconds=299), FIVE_MINUTES)
    late, _ = without_behavior(1, 5, bounds, memory, NOW + timedelta(seconds=301), FIVE_MINUTES)
    assert (early.desired, late.desired) == (5, 1)
    up = ScalingRules(60, "Max", FAST.policies)
    seeded = Memory().seeded(5, NOW)
    held, seeded = with_behavior(
        9, 5, bounds, Behavior(up, FAST), seeded, NOW + timedelta(seconds=59), FIVE_MINUTES
    )
    after, _ = with_behavior(
        9, 5, bounds, Behavior(up, FAST), seeded, NOW + timedelta(seconds=61), FIVE_MINUTES
    )
    assert (held.desired, after.desired) == (5, 9)


def test_trap_8_what_is_remembered_is_not_bounded() -> None:
    found, memory = without_behavior(90, 10, Bounds(1, 10), Memory(()), NOW, FIVE_MINUTES)
    assert found.desired == 10
    later, _ = without_behavior(10, 10, Bounds(1, 100), memory, NOW + timedelta(minutes=1), FIVE_MINUTES)
    assert later.desired == 20


def test_trap_9_a_disabled_direction_still_says_that_it_limits() -> None:
    down = ScalingRules(0, "Disabled", (ScalingPolicy("Pods", 1, 1),))
    found, _ = with_behavior(1, 5, Bounds(1, 100), Behavior(FAST, down), Memory(()), NOW, FIVE_MINUTES)
    assert (found.desired, found.range, found.limited) == (5, "ScaleDownLimit", True)


def test_trap_11_zero_below_the_minimum_is_not_corrected() -> None:
    spec = AutoscalerSpec(min_replicas=3, max_replicas=9)
    view = outlook(spec, bounds_of(spec), (), 0, PLAIN)
    assert view is Outlook.DISABLED
    assert unmeasured(view, bounds_of(spec), (), Memory(), PLAIN, NOW).desired == 0


def test_trap_12_from_zero_one_metric_has_to_be_readable() -> None:
    zero = Settings(scale_to_zero=True)
    conditions = put((), AT_ZERO, True, "ScaledToZero", "", NOW)
    cpu = MetricSpec(
        "Resource", resource=ResourceMetric("cpu", target=MetricTarget("Utilization", None, None, 50))
    )
    outside = MetricSpec(
        "External", external=ExternalMetric(MetricIdentifier("q"), MetricTarget("Value", value="1"))
    )
    situation = Situation((), 0, 0, TOLERANCE, NOW, zero)
    spec = AutoscalerSpec(min_replicas=2, max_replicas=9, metrics=(cpu,))
    assert outlook(spec, bounds_of(spec), conditions, 0, zero) is Outlook.MEASURE
    found = verdict(spec, bounds_of(spec), conditions, [{}], situation, Memory(()))
    assert found.desired is None
    assert ("False", "FailedGetResourceMetric") in [(each.status, each.reason) for each in found.conditions]
    spec = AutoscalerSpec(min_replicas=0, max_replicas=9, metrics=(cpu, outside))
    found = verdict(spec, bounds_of(spec), conditions, [{}, 3000], situation, Memory(()))
    assert (found.desired, len(found.warnings)) == (3, 1)


def test_trap_13_only_a_rescale_of_ours_says_whose_zero_it_is() -> None:
    zero = Settings(scale_to_zero=True)
    outside = MetricSpec(
        "External", external=ExternalMetric(MetricIdentifier("q"), MetricTarget("Value", value="1"))
    )
    spec = AutoscalerSpec(min_replicas=0, max_replicas=9, metrics=(outside,))
    ours = at_zero(spec, bounds_of(spec), (), 3, 0, zero, NOW)
    assert holds(ours, AT_ZERO)
    # A user goes to 3 and back to 0 in between: nobody wrote the condition, and it still says ours.
    assert outlook(spec, bounds_of(spec), ours, 0, zero) is Outlook.MEASURE
    assert not holds(at_zero(spec, bounds_of(spec), ours, 0, 3, zero, NOW), AT_ZERO)
    assert at_zero(spec, bounds_of(spec), ours, 3, 0, PLAIN, NOW) == ()


def autoscaler(uid: str, most: int = 5) -> HorizontalPodAutoscaler:
    return HorizontalPodAutoscaler(
        metadata=ObjectMeta(name="a", namespace="ns", uid=uid), spec=AutoscalerSpec(max_replicas=most)
    )


def test_trap_15_turns_come_once_a_period_whatever_happens_in_between() -> None:
    pacing = Pacing(15.0)
    first = pacing.wait(autoscaler("u"), 100.0)
    assert 0 <= first <= 15
    due = 100.0 + first
    pacing.taken(autoscaler("u"), due + 0.5)
    assert pacing.wait(autoscaler("u", most=9), due + 1) == pytest.approx(14.0)
    pacing.taken(autoscaler("u"), due + 100)
    assert pacing.wait(autoscaler("u"), due + 100) == 15.0


def test_edits_are_evaluated_at_once_only_where_that_is_asked_for() -> None:
    pacing = Pacing(15.0)
    assert pacing.wait(autoscaler("u"), 5.0, at_once=True) == 0
    pacing.taken(autoscaler("u"), 5.0)
    assert pacing.wait(autoscaler("u"), 6.0, at_once=True) == 14.0
    assert pacing.wait(autoscaler("u", most=9), 6.0, at_once=True) == 0
    pacing.taken(autoscaler("u", most=9), 6.0)
    assert pacing.wait(autoscaler("v"), 7.0, at_once=True) == 0


def test_trap_16_a_condition_keeps_its_time_until_its_status_flips() -> None:
    earlier = NOW - timedelta(hours=1)
    before = put(put((), "A", True, "One", "", earlier), ACTIVE, True, "Two", "", earlier)
    after = put(put(before, "A", True, "Other", "text", NOW), ACTIVE, False, "Gone", "", NOW)
    assert after == (
        Condition("A", "True", earlier, "Other", "text"),
        Condition(ACTIVE, "False", NOW, "Gone", ""),
    )


def test_a_pod_that_never_became_ready_stops_counting_late() -> None:
    def judged(started: int, since: int, status: str) -> Groups:
        starting = msgspec.convert(
            {
                "metadata": {"name": "a", "namespace": "ns"},
                "status": {
                    "phase": "Running",
                    "startTime": NOW - timedelta(seconds=started),
                    "conditions": [
                        {
                            "type": "Ready",
                            "status": status,
                            "lastTransitionTime": NOW - timedelta(seconds=since),
                        }
                    ],
                },
            },
            MeasuredPod,
        )
        return group([starting], {"a": Sample(1, NOW)}, "cpu", NOW, PLAIN)

    assert judged(600, 580, "False").unready  # not ready 20 s after its start, and never since
    assert judged(600, 500, "False").ready  # it was ready once: what it uses counts
    assert judged(600, 580, "Unknown").ready


def test_sidecars_count_and_other_init_containers_do_not() -> None:
    init = [
        {"name": "setup", "resources": {"requests": {"cpu": "8"}}},
        {"name": "proxy", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
    ]
    assert requests_of([pod("a", spec={"initContainers": init})], "cpu") == {"a": 1100}
    assert requests_of([pod("a", spec={"initContainers": init})], "cpu", "proxy") == {"a": 100}
    with pytest.raises(Unmeasurable, match="container nobody not found"):
        requests_of([pod("a")], "cpu", "nobody")


def test_a_pod_may_ask_as_a_whole() -> None:
    whole = {"resources": {"requests": {"cpu": "3"}}, "overhead": {"cpu": "250m"}}
    assert requests_of([pod("a", spec=whole)], "cpu") == {"a": 3250}
    memory_only = {"resources": {"requests": {"memory": "1Gi"}}}
    assert requests_of([pod("a", spec=memory_only)], "cpu") == {"a": 1000}
    with pytest.raises(Unmeasurable, match="missing pod-level request for cpu"):
        requests_of([pod("a", requests={}, spec=memory_only)], "cpu")


@pytest.mark.parametrize(
    ("value", "decimal", "binary"),
    [
        (425, "425m", "425m"),
        (2000, "2", "2"),
        (1_500_000_000, "1500k", "1500000"),
        (104_857_600_000, "104857600", "100Mi"),
        (0, "0", "0"),
    ],
)
def test_readings_are_spelled_as_the_api_spells_them(value: int, decimal: str, binary: str) -> None:
    assert (in_decimal(value), in_binary(value)) == (decimal, binary)


def test_the_highest_of_the_recent_recommendations_is_held_to_the_very_second() -> None:
    memory = Memory((Recommendation(8, NOW - FIVE_MINUTES),))
    held, _ = without_behavior(3, 8, Bounds(1, 100), memory, NOW, FIVE_MINUTES)
    assert held.desired == 8
    behavior = Behavior(FAST, ScalingRules(300, "Max", FAST.policies))
    let_go, _ = with_behavior(3, 8, Bounds(1, 100), behavior, memory, NOW, FIVE_MINUTES)
    assert let_go.desired == 3

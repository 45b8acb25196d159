"""S6 of the reference (reliability 2) over random specs, metrics and histories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.hpa.conditions import ABLE, AT_ZERO, put
from controllers.hpa.decide import Outlook, Verdict, bounds_of, outlook, unmeasured, verdict
from controllers.hpa.evaluate import Measured, Situation
from controllers.hpa.grouping import Unmeasurable
from controllers.hpa.limits import longest_period
from controllers.hpa.memory import Memory, Recommendation, Rescale
from controllers.hpa.ratios import Tolerance
from controllers.hpa.settings import Settings
from controllers.hpa.values import Sample
from kcm.objects import Condition, Metadata
from kcm.objects.autoscalers import (
    AutoscalerSpec,
    Behavior,
    ExternalMetric,
    MeasuredContainer,
    MeasuredPod,
    MeasuredPodSpec,
    MeasuredPodStatus,
    MetricIdentifier,
    MetricSpec,
    MetricTarget,
    ObjectMetric,
    PodsMetric,
    Requirements,
    ResourceMetric,
    ScalingPolicy,
    ScalingRules,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = Settings()
TOLERANCE = Tolerance(0.1, 0.1)
INT64 = 2**63 - 1

counts = st.integers(1, 60)
amounts = st.one_of(st.integers(0, 5000), st.integers(0, INT64))
targets = st.integers(1, 5000).map(lambda value: f"{value}m")


@st.composite
def pods(draw: st.DrawFn) -> tuple[MeasuredPod, ...]:
    def pod(index: int) -> MeasuredPod:
        condition = Condition("Ready", draw(st.sampled_from(("True", "False", "Unknown"))), NOW)
        requests = draw(st.sampled_from(({"cpu": "100m"}, {"cpu": "2"}, {"cpu": "1n"}, {})))
        return MeasuredPod(
            metadata=Metadata(
                name=f"p{index}", namespace="ns", deletion_timestamp=draw(st.sampled_from((None, None, NOW)))
            ),
            spec=MeasuredPodSpec(containers=(MeasuredContainer("c", resources=Requirements(requests)),)),
            status=MeasuredPodStatus(
                draw(st.sampled_from(("Running", "Running", "Pending", "Failed", "Succeeded", ""))),
                draw(st.sampled_from((None, NOW, NOW - timedelta(hours=1)))),
                draw(st.sampled_from(((), (condition,)))),
            ),
        )

    return tuple(pod(index) for index in range(draw(st.integers(0, 8))))


@st.composite
def metrics(draw: st.DrawFn) -> tuple[MetricSpec, Measured]:
    samples = st.dictionaries(
        st.sampled_from([f"p{index}" for index in range(9)]),
        amounts.map(lambda value: Sample(value, NOW)),
        max_size=9,
    )
    failure = st.just(Unmeasurable("down"))
    kind = draw(st.sampled_from(("Resource", "Pods", "Object", "External", "Nonsense")))
    target = draw(
        st.one_of(
            st.integers(1, 500).map(lambda each: MetricTarget("Utilization", average_utilization=each)),
            targets.map(lambda each: MetricTarget("AverageValue", average_value=each)),
            targets.map(lambda each: MetricTarget("Value", value=each)),
            st.sampled_from(("0", "-1", "NaN", "1e1000000", "", "1Q")).map(
                lambda each: MetricTarget("Value", each, each)
            ),
        )
    )
    name = MetricIdentifier("m")
    match kind:
        case "Resource":
            resource = draw(st.sampled_from(("cpu", "memory")))
            return MetricSpec(kind, resource=ResourceMetric(resource, target=target)), draw(samples | failure)
        case "Pods":
            return MetricSpec(kind, pods=PodsMetric(name, target)), draw(samples | failure)
        case "Object":
            return MetricSpec(kind, object=ObjectMetric(metric=name, target=target)), draw(amounts | failure)
        case "External":
            return MetricSpec(kind, external=ExternalMetric(name, target)), draw(amounts | failure)
        case _:
            return MetricSpec(kind), draw(amounts | samples | failure)


policies = st.builds(
    ScalingPolicy,
    st.sampled_from(("Pods", "Percent")),
    st.integers(1, 2**31 - 1) | st.integers(1, 100),
    st.integers(1, 1800),
)
rules = st.builds(
    ScalingRules,
    st.none() | st.integers(0, 3600),
    st.sampled_from(("Max", "Min", "Disabled")),
    st.lists(policies, min_size=1, max_size=3).map(tuple),
)
behaviors = st.none() | st.builds(Behavior, rules, rules)
moments = st.floats(0, 4000).map(lambda seconds: NOW - timedelta(seconds=seconds))
memories = st.builds(
    Memory,
    st.lists(st.builds(Recommendation, st.integers(-5, 2**31 - 1) | counts, moments), max_size=5).map(tuple),
    st.lists(st.builds(Rescale, counts, moments), max_size=4).map(tuple),
    st.lists(st.builds(Rescale, counts, moments), max_size=4).map(tuple),
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[AutoscalerSpec, list[Measured], Situation, Memory]:
    chosen = draw(st.lists(metrics(), min_size=1, max_size=3))
    least, more = draw(counts), draw(st.integers(0, 60))
    spec = AutoscalerSpec(
        min_replicas=least,
        max_replicas=least + more,
        metrics=tuple(each for each, _ in chosen),
        behavior=draw(behaviors),
    )
    current = draw(st.integers(least, least + more))
    situation = Situation(draw(pods()), current, draw(st.integers(0, 130)), TOLERANCE, NOW, PLAIN)
    return spec, [found for _, found in chosen], situation, draw(memories)


def decide(case: tuple[AutoscalerSpec, list[Measured], Situation, Memory]) -> Verdict:
    spec, measured, situation, memory = case
    bounds = bounds_of(spec)
    assert outlook(spec, bounds, (), situation.current, PLAIN) is Outlook.MEASURE
    return verdict(spec, bounds, (), measured, situation, memory)


@given(cases())
@settings(max_examples=600)
def test_what_is_decided_lies_within_the_bounds(case: Any) -> None:
    spec = case[0]
    found = decide(case)
    assert found.desired is None or spec.min_replicas <= found.desired <= spec.max_replicas


@given(cases())
@settings(max_examples=600)
def test_a_metric_that_cannot_be_used_never_shrinks_anything(case: Any) -> None:
    found = decide(case)
    if found.failed is not None:
        assert found.desired is None or found.desired >= case[2].current


@given(cases(), st.integers(0, 2))
@settings(max_examples=400)
def test_metrics_that_all_fail_change_nothing(case: Any, which: int) -> None:
    spec, measured, situation, memory = case
    found = decide((spec, [Unmeasurable("down") for _ in measured], situation, memory))
    assert found.desired is None
    assert found.memory == memory
    assert len(found.warnings) == len(measured)


@given(st.integers(1, 40), st.integers(91, 110), behaviors)
def test_within_tolerance_nothing_changes(count: int, percent: int, behavior: Behavior | None) -> None:
    condition = Condition("Ready", "True", NOW - timedelta(hours=1))
    there = tuple(
        MeasuredPod(
            metadata=Metadata(name=f"p{index}", namespace="ns"),
            spec=MeasuredPodSpec(containers=(MeasuredContainer("c", resources=Requirements({"cpu": "1"})),)),
            status=MeasuredPodStatus("Running", NOW - timedelta(hours=1), (condition,)),
        )
        for index in range(count)
    )
    target = MetricTarget("Utilization", average_utilization=100)
    spec = AutoscalerSpec(
        min_replicas=1,
        max_replicas=50,
        behavior=behavior,
        metrics=(MetricSpec("Resource", resource=ResourceMetric("cpu", target=target)),),
    )
    samples = {pod.metadata.name: Sample(percent * 10, NOW) for pod in there}
    situation = Situation(there, count, count, TOLERANCE, NOW, PLAIN)
    assert decide((spec, [samples], situation, Memory(()))).desired == count


@given(st.integers(0, 5), st.integers(1, 9), behaviors, st.booleans())
def test_zero_replicas_are_left_alone_unless_the_autoscaler_took_them(
    least: int, most: int, behavior: Behavior | None, ours: bool
) -> None:
    spec = AutoscalerSpec(
        min_replicas=least, max_replicas=most, behavior=behavior, metrics=(MetricSpec("External"),)
    )
    conditions = put((), AT_ZERO, True, "ScaledToZero", "", NOW) if ours else ()
    bounds = bounds_of(spec)
    view = outlook(spec, bounds, conditions, 0, PLAIN)
    assert view is Outlook.DISABLED
    assert unmeasured(view, bounds, conditions, Memory(), PLAIN, NOW).desired == 0


def proposing(count: int) -> tuple[MetricSpec, int]:
    """A metric that proposes just so many."""
    target = MetricTarget("AverageValue", average_value="1")
    return MetricSpec("External", external=ExternalMetric(MetricIdentifier("m"), target)), count * 1000


Steps = list[tuple[float, int, int]]


def simulate(behavior: Behavior, proposals: list[tuple[int, int]]) -> Steps:
    """Return time, size before and size after for evaluations `gap` seconds apart."""
    size, now, memory, steps = 10, NOW, Memory(()), []
    for gap, proposal in proposals:
        now += timedelta(seconds=gap)
        metric, total = proposing(proposal)
        spec = AutoscalerSpec(min_replicas=1, max_replicas=1000, metrics=(metric,), behavior=behavior)
        # Reported replicas far from the proposal: tolerance is not what is looked at here.
        situation = Situation((), size, 100_000, TOLERANCE, now, PLAIN)
        found = verdict(spec, bounds_of(spec), put((), ABLE, True, "x", "", now), [total], situation, memory)
        memory = found.memory
        assert found.desired is not None
        if found.desired != size:
            direction = behavior.scale_up if found.desired > size else behavior.scale_down
            memory = memory.rescaled(size, found.desired, now, longest_period(direction))
        steps.append(((now - NOW).total_seconds(), size, found.desired))
        size = found.desired
    return steps


histories = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 500)), min_size=1, max_size=25)


@given(histories, st.integers(1, 20), st.integers(1, 300))
@settings(max_examples=200)
def test_no_window_sees_more_pods_added_than_its_policy_allows(
    proposals: Any, value: int, period: int
) -> None:
    up = ScalingRules(0, "Max", (ScalingPolicy("Pods", value, period),))
    down = ScalingRules(0, "Disabled", (ScalingPolicy("Pods", 1, 1),))
    steps = simulate(Behavior(up, down), proposals)
    for at, _, _ in steps:
        added = sum(after - before for when, before, after in steps if at - period < when <= at)
        assert added <= value


@given(histories, st.integers(1, 20), st.integers(1, 300))
@settings(max_examples=200)
def test_no_window_sees_more_pods_taken_than_its_policy_allows(
    proposals: Any, value: int, period: int
) -> None:
    up = ScalingRules(0, "Disabled", (ScalingPolicy("Pods", 1, 1),))
    down = ScalingRules(0, "Max", (ScalingPolicy("Pods", value, period),))
    steps = simulate(Behavior(up, down), proposals)
    for at, _, _ in steps:
        taken = sum(before - after for when, before, after in steps if at - period < when <= at)
        assert taken <= value


@given(histories, st.integers(1, 600), st.integers(0, 600))
@settings(max_examples=200)
def test_the_windows_hold_in_both_directions(proposals: Any, down_window: int, up_window: int) -> None:
    fast = (ScalingPolicy("Percent", 100_000, 15), ScalingPolicy("Pods", 1000, 15))
    behavior = Behavior(ScalingRules(up_window, "Max", fast), ScalingRules(down_window, "Max", fast))
    steps = simulate(behavior, proposals)
    wanted = [proposal for _, proposal in proposals]
    for index, (at, before, after) in enumerate(steps):
        recent = [(when, wanted[each]) for each, (when, _, _) in enumerate(steps[: index + 1])]
        if after < before:
            assert after >= max(count for when, count in recent if at - when < down_window or when == at)
        if after > before:
            assert after <= min(count for when, count in recent if at - when < up_window or when == at)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(-1000, 2**31 - 1)), min_size=1, max_size=30))
def test_without_behavior_a_size_at_most_doubles_and_holds_its_window(
    proposals: list[tuple[int, int]],
) -> None:
    size, now, memory = 3, NOW, Memory()
    raws: list[tuple[datetime, int]] = []
    for gap, proposal in proposals:
        now += timedelta(seconds=gap)
        memory = memory.seeded(size, now)
        metric, total = proposing(proposal)
        spec = AutoscalerSpec(min_replicas=1, max_replicas=10_000, metrics=(metric,))
        situation = Situation((), size, 10_000_000, TOLERANCE, now, PLAIN)
        found = verdict(spec, bounds_of(spec), (), [total], situation, memory)
        memory = found.memory
        raws.append((now, proposal))
        assert found.desired is not None
        assert found.desired <= max(2 * size, 4)
        held = max(count for when, count in raws if now - when <= timedelta(seconds=300))
        assert found.desired >= min(held, max(2 * size, 4), 10_000)
        size = found.desired

"""The worked examples of the reference (hpa 14), one test each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.hpa.conditions import ABLE, ACTIVE, AT_ZERO, LIMITED, put
from controllers.hpa.decide import Outlook, Verdict, bounds_of, outlook, tolerance_of, unmeasured, verdict
from controllers.hpa.evaluate import Situation
from controllers.hpa.grouping import Unmeasurable, group
from controllers.hpa.memory import Memory, Recommendation, Rescale
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

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEFAULTS = Settings()


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def pod(name: str, request: str | None = "1000m", ready: str = "True", **changes: Any) -> MeasuredPod:
    condition = Condition("Ready", ready, changes.get("ready_since", NOW - HOUR))
    requests = {} if request is None else {"cpu": request}
    return MeasuredPod(
        metadata=Metadata(name=name, namespace="ns"),
        spec=MeasuredPodSpec(containers=(MeasuredContainer("app", resources=Requirements(requests)),)),
        status=MeasuredPodStatus(
            phase=changes.get("phase", "Running"),
            start_time=changes.get("started", NOW - HOUR),
            conditions=(condition,),
        ),
    )


def unready(name: str) -> MeasuredPod:
    """A pod that is not there yet."""
    return pod(name, ready="False", phase="Pending")


def cpu(utilization: int) -> MetricSpec:
    target = MetricTarget("Utilization", average_utilization=utilization)
    return MetricSpec("Resource", resource=ResourceMetric("cpu", target=target))


def external(**target: Any) -> MetricSpec:
    return MetricSpec("External", external=ExternalMetric(MetricIdentifier("queue"), MetricTarget(**target)))


PODS_METRIC = MetricSpec(
    "Pods", pods=PodsMetric(MetricIdentifier("rps"), MetricTarget("AverageValue", None, "1"))
)


def samples(values: list[int]) -> dict[str, Sample]:
    return {f"p{index}": Sample(value, ago(5), timedelta(seconds=30)) for index, value in enumerate(values)}


@dataclass
class Case:
    """One evaluation. `raw` stands for a metric that proposes just that."""

    current: int
    metrics: tuple[MetricSpec, ...] = ()
    measured: tuple[Any, ...] = ()
    pods: list[MeasuredPod] = field(default_factory=list)
    raw: int | None = None
    least: int = 1
    most: int = 100
    status_replicas: int | None = None
    behavior: Behavior | None = None
    recommendations: tuple[tuple[int, float], ...] = ()
    ups: tuple[tuple[int, float], ...] = ()
    downs: tuple[tuple[int, float], ...] = ()
    settings: Settings = DEFAULTS
    at_zero: bool = False

    def run(self) -> Verdict:
        metrics, measured = self.metrics, self.measured
        if self.raw is not None:
            # At a share of one for each, the total is the proposal (away from tolerance: of 1000 replicas).
            metrics, measured = (external(type="AverageValue", average_value="1"),), (self.raw * 1000,)
            self.status_replicas = 1000
        spec = AutoscalerSpec(
            min_replicas=self.least, max_replicas=self.most, metrics=metrics, behavior=self.behavior
        )
        conditions = put((), ABLE, True, "SucceededGetScale", "", NOW)
        if self.at_zero:
            conditions = put(conditions, AT_ZERO, True, "ScaledToZero", "", NOW)
        memory = Memory(
            tuple(Recommendation(count, ago(seconds)) for count, seconds in self.recommendations),
            tuple(Rescale(count, ago(seconds)) for count, seconds in self.ups),
            tuple(Rescale(count, ago(seconds)) for count, seconds in self.downs),
        ).seeded(self.current, NOW)
        bounds = bounds_of(spec)
        view = outlook(spec, bounds, conditions, self.current, self.settings)
        if view is not Outlook.MEASURE:
            return unmeasured(view, bounds, conditions, memory, self.settings, NOW)
        reported = self.current if self.status_replicas is None else self.status_replicas
        situation = Situation(
            self.pods, self.current, reported, tolerance_of(spec, self.settings), NOW, self.settings
        )
        return verdict(spec, bounds, conditions, measured, situation, memory)


def reason(found: Verdict, type_: str) -> str:
    return next((each.reason for each in found.conditions if each.type == type_), "")


def status_of(found: Verdict, type_: str) -> str:
    return next((each.status for each in found.conditions if each.type == type_), "")


def of_cpu(values: list[int], target: int, *, request: str = "1000m", **changes: Any) -> Case:
    pods = [pod(f"p{index}", request) for index in range(len(values))] + changes.pop("more", [])
    current = changes.pop("current", len(pods))
    return Case(current, (cpu(target),), (samples(values),), pods, **changes)


def rules(
    *policies: tuple[str, int, int], select: str = "Max", window: int | None = 0, tolerance: str | None = None
) -> ScalingRules:
    return ScalingRules(window, select, tuple(ScalingPolicy(*each) for each in policies), tolerance)


UP_DEFAULT = rules(("Pods", 4, 15), ("Percent", 100, 15))
DOWN_DEFAULT = rules(("Percent", 100, 15), window=None)


def shown(found: Verdict) -> int | None:
    assert found.metrics is not None
    assert found.metrics[0].resource is not None
    return found.metrics[0].resource.current.average_utilization


def test_example_1_utilization_far_above_its_target() -> None:
    found = of_cpu([400, 450, 500, 350], 60, request="500m").run()
    assert found.desired == 6
    assert reason(found, ACTIVE) == "ValidMetricFound"
    assert reason(found, LIMITED) == "DesiredWithinRange"
    assert found.metrics is not None
    assert found.metrics[0].resource is not None
    current = found.metrics[0].resource.current
    assert (current.average_utilization, current.average_value) == (85, "425m")


def test_example_2_utilization_is_cut_to_a_percent_and_tolerance_includes_its_end() -> None:
    found = of_cpu([112] * 9 + [110], 50, request="200m").run()
    assert found.desired == 10
    assert reason(found, ABLE) == "ReadyForNewScale"


@pytest.mark.parametrize(("tolerance", "expected"), [("50m", 11), (None, 10)])
def test_example_3_an_autoscaler_may_have_its_own_tolerance(tolerance: str | None, expected: int) -> None:
    behavior = Behavior(replace_rules(UP_DEFAULT, tolerance), DOWN_DEFAULT)
    assert of_cpu([109] * 10, 50, request="200m", behavior=behavior).run().desired == expected


def replace_rules(given: ScalingRules, tolerance: str | None) -> ScalingRules:
    return ScalingRules(given.stabilization_window_seconds, given.select_policy, given.policies, tolerance)


@pytest.mark.parametrize(("target", "expected"), [(50, 4), (150, 2)])
def test_examples_4_and_5_a_missing_pod_counts_as_busy_when_shrinking(target: int, expected: int) -> None:
    case = of_cpu([100] * 9, target, more=[pod("missing")], recommendations=((10, 600),))
    found = case.run()
    assert (found.desired, shown(found)) == (expected, 10)


@pytest.mark.parametrize(("usage", "expected", "utilization"), [(900, 5, 90), (1500, 9, 150)])
def test_examples_6_and_7_unready_pods_count_as_idle_when_growing(
    usage: int, expected: int, utilization: int
) -> None:
    found = of_cpu([usage] * 3, 50, more=[unready("u1"), unready("u2")]).run()
    assert (found.desired, shown(found)) == (expected, utilization)


def test_example_8_unready_pods_are_no_reason_to_keep_more() -> None:
    case = of_cpu([200] * 3, 50, more=[unready("u1"), unready("u2")], recommendations=((5, 600),))
    assert case.run().desired == 2


def test_example_9_filling_in_must_not_turn_the_direction() -> None:
    assert of_cpu([900], 60, more=[pod("missing")]).run().desired == 2


def test_example_10_surge_pods_do_not_grow_a_target_that_is_to_shrink() -> None:
    assert of_cpu([300] * 5, 50, more=[pod("missing")], current=4).run().desired == 4


def test_example_11_doubles_decide_at_the_edge() -> None:
    assert of_cpu([1050] * 19, 95).run().desired == 22


def test_example_12_an_object_value_is_compared_with_the_ready_pods() -> None:
    target = MetricTarget("Value", value="100")
    metric = MetricSpec("Object", object=ObjectMetric(metric=MetricIdentifier("x"), target=target))
    pods = [pod("a"), pod("b"), pod("c", ready="False")]
    assert Case(3, (metric,), (250_000,), pods).run().desired == 5


@pytest.mark.parametrize("reported", [5, 7])
def test_example_13_an_average_is_compared_with_the_reported_replicas(reported: int) -> None:
    metric = external(type="AverageValue", average_value="10")
    assert Case(5, (metric,), (70_000,), status_replicas=reported).run().desired == 7


@pytest.mark.parametrize(("current", "expected"), [(3, 6), (1, 4)])
def test_example_14_without_behavior_a_target_at_most_doubles(current: int, expected: int) -> None:
    found = Case(current, raw=20).run()
    assert (found.desired, status_of(found, LIMITED), reason(found, LIMITED)) == (
        expected,
        "True",
        "ScaleUpLimit",
    )


@pytest.mark.parametrize(
    ("raw", "changes", "expected", "why"),
    [
        (12, {"most": 8}, 8, "TooManyReplicas"),
        (1, {"least": 3, "recommendations": ((5, 600),)}, 3, "TooFewReplicas"),
    ],
)
def test_example_15_bounds(raw: int, changes: dict[str, Any], expected: int, why: str) -> None:
    found = Case(5, raw=raw, **changes).run()
    assert (found.desired, reason(found, LIMITED)) == (expected, why)


@pytest.mark.parametrize(
    ("oldest", "expected", "able"), [(200, 8, "ScaleDownStabilized"), (310, 6, "ScaleDownStabilized")]
)
def test_example_16_the_highest_recent_recommendation_holds(oldest: float, expected: int, able: str) -> None:
    found = Case(8, raw=3, recommendations=((8, oldest), (6, 100))).run()
    assert (found.desired, reason(found, ABLE)) == (expected, able)


def test_example_17_without_behavior_a_users_cut_is_undone_and_with_it_not() -> None:
    found = Case(5, raw=5, recommendations=((10, 60),)).run()
    assert (found.desired, found.cause) == (10, "")
    behavior = Behavior(UP_DEFAULT, DOWN_DEFAULT)
    assert Case(5, raw=5, recommendations=((10, 60),), behavior=behavior).run().desired == 5


def test_example_18_a_scale_up_window_takes_the_lowest() -> None:
    up = rules(("Pods", 4, 15), ("Percent", 100, 15), window=60)
    found = Case(4, raw=9, recommendations=((6, 30),), behavior=Behavior(up, DOWN_DEFAULT)).run()
    assert (found.desired, reason(found, ABLE)) == (6, "ScaleUpStabilized")


@pytest.mark.parametrize(("select", "expected"), [("Max", 13), ("Min", 11)])
def test_example_19_rates_up_count_from_the_start_of_the_period(select: str, expected: int) -> None:
    up = rules(("Pods", 5, 60), ("Percent", 30, 60), select=select)
    found = Case(10, raw=40, behavior=Behavior(up, DOWN_DEFAULT), ups=((3, 20),), downs=((1, 30),)).run()
    assert (found.desired, reason(found, LIMITED)) == (expected, "ScaleUpLimit")


@pytest.mark.parametrize(("select", "expected"), [("Max", 16), ("Min", 18)])
def test_example_20_rates_down(select: str, expected: int) -> None:
    down = rules(("Pods", 4, 60), ("Percent", 10, 60), select=select)
    found = Case(20, raw=4, behavior=Behavior(UP_DEFAULT, down)).run()
    assert (found.desired, reason(found, LIMITED)) == (expected, "ScaleDownLimit")


def test_example_21_a_limit_on_the_wrong_side_means_hold() -> None:
    behavior = Behavior(rules(("Pods", 5, 60)), DOWN_DEFAULT)
    found = Case(30, raw=60, behavior=behavior, ups=((10, 30),)).run()
    assert (found.desired, status_of(found, LIMITED), reason(found, LIMITED)) == (30, "True", "ScaleUpLimit")


def test_example_22_percentages_round_toward_the_larger_change() -> None:
    up = Behavior(rules(("Percent", 10, 60)), DOWN_DEFAULT)
    assert Case(50, raw=90, behavior=up).run().desired == 56
    down = Behavior(UP_DEFAULT, rules(("Percent", 80, 60)))
    found = Case(10, raw=1, behavior=down).run()
    assert (found.desired, reason(found, LIMITED)) == (1, "DesiredWithinRange")


@pytest.mark.parametrize(("most", "why"), [(100, "ScaleUpLimit"), (4, "TooManyReplicas")])
def test_example_23_disabled_holds_the_size(most: int, why: str) -> None:
    behavior = Behavior(rules(("Pods", 4, 15), select="Disabled"), DOWN_DEFAULT)
    found = Case(4, raw=9, most=most, behavior=behavior).run()
    assert (found.desired, reason(found, LIMITED)) == (4, why)


def test_example_24_bounds_need_no_metrics() -> None:
    found = Case(12, (cpu(50),), (Unmeasurable("down"),), most=10).run()
    assert (found.desired, found.metrics) == (10, None)
    assert [each.type for each in found.conditions] == [ABLE]


def test_example_25_a_failed_metric_may_not_shrink_but_others_may_grow() -> None:
    def case(usage: int) -> Case:
        given = of_cpu([usage] * 5, 50, recommendations=((5, 600),))
        both = (samples([usage] * 5), Unmeasurable("down"))
        return replace(given, metrics=(cpu(50), PODS_METRIC), measured=both)

    grows = case(700).run()
    assert (grows.desired, reason(grows, ACTIVE)) == (7, "ValidMetricFound")
    assert grows.failed is not None
    assert [each.reason for each in grows.warnings] == ["FailedGetPodsMetric"]
    held = case(300).run()
    assert (held.desired, status_of(held, ACTIVE), reason(held, ACTIVE)) == (
        None,
        "False",
        "FailedGetPodsMetric",
    )
    assert held.metrics is not None
    assert [each.type for each in held.metrics] == ["Resource", ""]


@pytest.mark.parametrize("least", [0, 3])
def test_example_26_zero_is_left_alone(least: int) -> None:
    found = Case(0, (cpu(50),), ({},), least=least).run()
    assert (found.desired, reason(found, ABLE), reason(found, ACTIVE)) == (
        0,
        "SucceededGetScale",
        "ScalingDisabled",
    )


ZERO = Settings(scale_to_zero=True)


def test_example_27_from_zero_by_an_external_metric() -> None:
    metric = external(type="Value", value="10")
    found = Case(0, (metric,), (75_000,), least=0, settings=ZERO, at_zero=True).run()
    assert (found.desired, reason(found, LIMITED)) == (4, "ScaleUpLimit")
    percent = Behavior(rules(("Percent", 100, 15)), DOWN_DEFAULT)
    found = Case(0, (metric,), (75_000,), least=0, settings=ZERO, at_zero=True, behavior=percent).run()
    assert found.desired == 0


def test_example_28_from_zero_at_least_the_minimum() -> None:
    metric = external(type="Value", value="10")
    found = Case(0, (metric,), (5_000,), least=2, settings=ZERO, at_zero=True).run()
    assert (found.desired, reason(found, LIMITED)) == (2, "TooFewReplicas")
    behavior = Behavior(UP_DEFAULT, DOWN_DEFAULT)
    found = Case(0, (metric,), (5_000,), least=2, settings=ZERO, at_zero=True, behavior=behavior).run()
    assert (found.desired, status_of(found, LIMITED)) == (2, "False")


def test_example_29_a_container_without_a_request_fails_the_metric() -> None:
    case = of_cpu([100, 100, 100], 50)
    case.pods[1] = pod("p1", None)
    found = case.run()
    assert (found.desired, reason(found, ACTIVE)) == (None, "FailedGetResourceMetric")


@pytest.mark.parametrize(("seconds", "ready"), [(15, False), (5, True)])
def test_example_30_a_sample_must_be_from_after_readiness(seconds: float, ready: bool) -> None:
    starting = pod("p0", started=ago(120), ready_since=ago(40))
    taken = {"p0": Sample(100, ago(seconds), timedelta(seconds=30))}
    groups = group([starting], taken, "cpu", NOW, Settings())
    assert (groups.ready, groups.unready) == (
        (frozenset({"p0"}), frozenset()) if ready else (frozenset(), frozenset({"p0"}))
    )

"""Which pods go first: reference workloads 1.6 rule by rule, 5 (42, 72, 77)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.replicaset.ranking import age_bucket, deletion_cost, victims
from kcm.objects import Condition, Pod
from kcm.objects.pods import Container, ContainerStatus, PodAnnotations, PodMeta, PodSpec, PodStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600.0


def ago(seconds: float | None) -> datetime | None:
    return None if seconds is None else NOW - timedelta(seconds=seconds)


def pod(
    uid: str,
    *,
    node: str = "n1",
    phase: str = "Running",
    ready: bool = True,
    since: float | None = HOUR,
    cost: str = "",
    restarts: int = 0,
    sidecar: int = 0,
    init: int = 0,
    created: float | None = 2 * HOUR,
) -> Pod:
    """A pod that is ready for an hour on a node, unless said otherwise. Ages in seconds."""
    return Pod(
        metadata=PodMeta(
            name=f"pod-{uid}",
            uid=uid,
            creation_timestamp=ago(created),
            annotations=PodAnnotations(deletion_cost=cost),
        ),
        spec=PodSpec(
            node_name=node, init_containers=(Container("proxy", "Always"), Container("migrate", ""))
        ),
        status=PodStatus(
            phase=phase,
            conditions=(
                Condition("Initialized", "True", NOW),
                Condition("Ready", "True" if ready else "False", ago(since)),
            ),
            container_statuses=(ContainerStatus("main", restarts), ContainerStatus("other", 0)),
            init_container_statuses=(ContainerStatus("proxy", sidecar), ContainerStatus("migrate", init)),
        ),
    )


def unready(uid: str, **more: object) -> Pod:
    return pod(uid, ready=False, **more)  # type: ignore[arg-type]  # the test tables give builder arguments


# In every row the first pod goes before the second, though its uid alone would let it stay.
RULES = [
    pytest.param(unready("z", node=""), unready("a", phase="Pending"), id="1 no node goes first"),
    pytest.param(unready("z", phase="Pending"), unready("a", phase="Unknown"), id="2 pending before unknown"),
    pytest.param(unready("z", phase=""), unready("a", phase="Unknown"), id="2 no phase is as pending"),
    pytest.param(unready("z", phase="Unknown"), unready("a", phase="Running"), id="2 unknown before running"),
    pytest.param(pod("z", phase="Unknown"), unready("a"), id="2 counts before 3"),
    pytest.param(unready("z"), pod("a"), id="3 not ready goes first"),
    pytest.param(unready("z", cost="100"), pod("a", cost="-100"), id="3 readiness beats cost"),
    pytest.param(pod("z", cost="-1"), pod("a"), id="4 a negative cost goes before none"),
    pytest.param(pod("z"), pod("a", cost="1"), id="4 none goes before a cost"),
    pytest.param(pod("z", cost="9"), pod("a", cost="10"), id="4 costs are numbers"),
    pytest.param(pod("z", cost="1", node="n9"), pod("a", cost="2", node="n1"), id="4 cost beats crowding"),
    pytest.param(pod("z", node="n1"), pod("a", node="n9"), id="5 the crowded node goes first"),
    pytest.param(
        pod("z", node="n1", since=9 * HOUR), pod("a", node="n9", since=1), id="5 crowding beats age"
    ),
    pytest.param(pod("z", since=None), pod("a", since=1), id="6 ready since nobody knows when goes first"),
    pytest.param(pod("z", since=2 * HOUR), pod("a", since=5 * HOUR), id="6 ready later goes first"),
    pytest.param(pod("z", since=-5), pod("a", since=5), id="6 ready in the future goes first"),
    pytest.param(pod("a", since=8 * HOUR), pod("b", since=5 * HOUR), id="6 one power of two: uid decides"),
    pytest.param(
        pod("a", since=5 * HOUR), pod("b", since=8 * HOUR, restarts=9), id="6 equal buckets end at the uid"
    ),
    pytest.param(pod("a", since=-5), pod("b", since=-9), id="6 both in the future: uid decides"),
    pytest.param(pod("z", restarts=2), pod("a", restarts=1), id="7 more restarts go first"),
    pytest.param(unready("z", restarts=2, created=9 * HOUR), unready("a", created=1), id="7 before age"),
    pytest.param(pod("z", sidecar=2), pod("a", sidecar=1), id="7 then sidecars' restarts"),
    pytest.param(pod("z", restarts=1), pod("a", sidecar=9), id="7 containers before sidecars"),
    pytest.param(pod("a", init=1), pod("b", init=5), id="7 other init containers do not count"),
    pytest.param(pod("z", created=None), pod("a", created=1), id="8 created nobody knows when goes first"),
    pytest.param(pod("z", created=2 * HOUR), pod("a", created=5 * HOUR), id="8 younger goes first"),
    pytest.param(pod("a", created=8 * HOUR), pod("b", created=5 * HOUR), id="8 one power of two: uid"),
    pytest.param(unready("a", since=1), unready("b", since=9 * HOUR), id="6 is only for ready pods"),
]


@pytest.mark.parametrize(("first", "second"), RULES)
def test_the_first_pod_goes_before_the_second(first: Pod, second: Pod) -> None:
    crowding = {"n1": 3, "n9": 1}
    assert victims([first, second], 1, crowding, NOW) == [first]
    assert victims([second, first], 1, crowding, NOW) == [first]


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("", 0),
        ("0", 0),
        ("7", 7),
        ("-7", -7),
        ("-0", 0),
        ("-007", -7),
        ("2147483647", 2147483647),
        ("-2147483648", -2147483648),
        ("2147483648", 0),
        ("-2147483649", 0),
        ("9999999999", 0),
        ("+7", 0),
        ("007", 0),
        ("00", 0),
        ("-", 0),
        (" 7", 0),
        ("7\n", 0),
        ("1_0", 0),
        ("1e3", 0),
        ("1.5", 0),
        ("٣", 0),
        ("9" * 5000, 0),
        ("-" + "0" * 5000 + "1", 0),
    ],
)
def test_a_deletion_cost_is_an_int32_or_nothing(text: str, cost: int) -> None:
    assert deletion_cost(text) == cost


@pytest.mark.parametrize(
    ("age", "bucket"),
    [(None, -2), (-1.0, -1), (0.0, -1), (1e-6, 9), (1.0, 29), (1.073741, 29), (1.073742, 30), (3600.0, 41)],
)
def test_an_age_is_ranked_by_its_power_of_two(age: float | None, bucket: int) -> None:
    assert age_bucket(ago(age), NOW) == bucket


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_no_moment_is_too_far_to_be_ranked(moment: datetime) -> None:
    assert age_bucket(moment, NOW) in range(-1, 128)


# Case 77: five and eight hours are one power of two, two hours and five are not; cost beats rank.
def test_sorted_with_ranks_as_upstream_sorts_them() -> None:
    order = [
        unready("00", node="", phase="Pending"),
        unready("01", node="n1", phase="Pending"),
        unready("02", phase="Unknown"),
        unready("03"),
        pod("04", cost="-50", node="n9"),
        pod("05", since=None),
        pod("06", since=2 * HOUR),
        pod("07", since=8 * HOUR),
        pod("08", since=5 * HOUR),
        pod("09", node="n9", since=2 * HOUR),
        pod("10", cost="50", node="n1", since=1),
    ]
    for count in range(1, len(order)):
        chosen = victims(reversed(order), count, {"n1": 2, "n9": 1}, NOW)
        assert {each.metadata.uid for each in chosen} == {each.metadata.uid for each in order[:count]}


# Case 72: how many are asked for.
@pytest.mark.parametrize(("count", "names"), [(0, []), (1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"])])
def test_as_many_are_chosen_as_are_asked_for(count: int, names: list[str]) -> None:
    pods = [pod("c", cost="3"), pod("a", cost="1"), pod("b", cost="2")]
    assert [each.metadata.uid for each in victims(pods, count, {}, NOW)] == names


def test_more_than_there_are_is_all_of_them() -> None:
    assert len(victims([pod("a"), pod("b")], 9, {}, NOW)) == 2


# Case 42: the integration test's four.
@pytest.mark.parametrize(
    ("costs", "gone"),
    [
        pytest.param({"a": "1000", "b": "100"}, "b", id="the cheaper goes"),
        pytest.param({"a": "-10", "b": "100"}, "a", id="a negative cost goes"),
        pytest.param({"a": "-10", "b": ""}, "a", id="no cost is zero"),
        pytest.param({"a": "invalid", "b": "-1"}, "b", id="an invalid cost is zero"),
    ],
)
def test_the_deletion_cost_chooses(costs: dict[str, str], gone: str) -> None:
    pods = [pod(uid, cost=cost) for uid, cost in costs.items()]
    assert [each.metadata.uid for each in victims(pods, 1, {}, NOW)] == [gone]


def test_where_the_rules_go_round_in_circles_the_answer_does_not_depend_on_the_order() -> None:
    # By restarts c before a; by uid a before b and b before c.
    circle = [pod("a"), pod("b", since=HOUR + 1), pod("c", restarts=5)]
    for count in (1, 2):
        answers = {
            tuple(each.metadata.uid for each in victims(pods, count, {}, NOW))
            for pods in permutations(circle)
        }
        assert len(answers) == 1


_PODS = st.builds(
    pod,
    st.text("ab", min_size=3, max_size=8),
    node=st.sampled_from(("", "n1", "n9")),
    phase=st.sampled_from(("", "Pending", "Unknown", "Running", "Elsewhere")),
    ready=st.booleans(),
    since=st.none() | st.floats(-10, 1e6),
    cost=st.sampled_from(("", "1", "-1", "no")),
    restarts=st.integers(0, 2),
    sidecar=st.integers(0, 2),
    created=st.none() | st.floats(-10, 1e6),
)


@given(st.lists(_PODS, max_size=12, unique_by=lambda each: each.metadata.uid), st.data())
def test_victims_are_a_part_of_the_pods_and_depend_only_on_the_set(
    pods: list[Pod], data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, len(pods)))
    shuffled = data.draw(st.permutations(pods))
    chosen = [each.metadata.uid for each in victims(pods, count, {"n1": 2}, NOW)]
    assert len(chosen) == len(set(chosen)) == count
    assert chosen == [each.metadata.uid for each in victims(shuffled, count, {"n1": 2}, NOW)]

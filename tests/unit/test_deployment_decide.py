"""Sizes, bounds and kinds of pass: reference workloads 2.3 to 2.10 and the cases 85 to 100."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.deployment.annotations import (
    DESIRED,
    LAST_APPLIED,
    LONGEST_HISTORY,
    MAXIMUM,
    REVISION,
    REVISION_HISTORY,
    ROLLBACK_TO,
    copied,
    count,
    integer,
    revised,
)
from controllers.deployment.births import birth_size, new_replica_set
from controllers.deployment.bounds import LARGEST, Bounds, bounds_of
from controllers.deployment.decide import decide, recreate_sizes
from controllers.deployment.fleet import Fleet, available, sort_fleet, wanted
from controllers.deployment.history import expendable
from controllers.deployment.observe import Seen, selector_of
from controllers.deployment.passes import Deleting, Paused, Recreate, Resize, Roll, RollBack, kind_of
from controllers.deployment.proportions import (
    is_saturated,
    proportional_sizes,
    round_half_away,
    scaled_sizes,
    size_change,
)
from controllers.deployment.rollback import find_revision, rollback_plan
from controllers.deployment.rolling import new_size, old_sizes, rolling_sizes
from controllers.deployment.templates import HASH_LABEL, template_hash
from kcm import Plan, TerminalError
from kcm.objects import Deployment, LabelSelector, ObjectMeta, WholeReplicaSet
from kcm.objects.deployments import (
    DeploymentSpec,
    DeploymentStatus,
    DeploymentStrategy,
    RollingUpdate,
    WholeReplicaSetSpec,
)
from kcm.objects.replicasets import ReplicaSetStatus
from kcm.runtime.plan import Emit, Patch

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB = {"app": "web"}


def template(image: str) -> msgspec.Raw:
    content = {"metadata": {"labels": WEB}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return msgspec.Raw(msgspec.json.encode(content))


def deployment(
    replicas: int = 10,
    *,
    strategy: str = "RollingUpdate",
    surge: int | str | None = 3,
    unavailable: int | str | None = 2,
    annotations: Mapping[str, str] | None = None,
    status: DeploymentStatus | None = None,
    deleting: bool = False,
    image: str = "new",
    **spec: Any,
) -> Deployment:
    return Deployment(
        metadata=ObjectMeta(
            name="web",
            namespace="ns",
            uid="d-uid",
            resource_version="9",
            generation=1,
            annotations=annotations or {},
            deletion_timestamp=NOW if deleting else None,
        ),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(WEB),
            template=template(image),
            strategy=DeploymentStrategy(strategy, RollingUpdate(surge, unavailable)),
            **spec,
        ),
        status=status or DeploymentStatus(),
    )


def replica_set(
    name: str,
    size: int,
    *,
    ready: int | None = None,
    age: int = 0,
    image: str = "",
    sized_for: tuple[int, int] | None = None,
    revision: str = "",
    pods: int | None = None,
    observed: bool = True,
    deleting: bool = False,
    **annotations: str,
) -> WholeReplicaSet:
    """`ready` pods are available too; `age` in seconds; `sized_for` are desired and max replicas."""
    notes = dict(annotations)
    if sized_for:
        notes |= {DESIRED: str(sized_for[0]), MAXIMUM: str(sized_for[1])}
    if revision:
        notes[REVISION] = revision
    counted = size if ready is None else ready
    return WholeReplicaSet(
        metadata=ObjectMeta(
            name=name,
            namespace="ns",
            uid=f"uid-{name}",
            resource_version="5",
            generation=1,
            labels=WEB,
            annotations=notes,
            creation_timestamp=NOW - timedelta(seconds=age),
            deletion_timestamp=NOW if deleting else None,
        ),
        spec=WholeReplicaSetSpec(replicas=size, template=template(image or name)),
        status=ReplicaSetStatus(
            replicas=size if pods is None else pods,
            ready_replicas=counted,
            available_replicas=counted,
            observed_generation=1 if observed else 0,
        ),
    )


def seen(what: Deployment, *mine: WholeReplicaSet, pods_run: bool = False) -> Seen:
    fleet = sort_fleet(what.spec.template, mine)
    return Seen(what, False, bounds_of(what), fleet, (), (), pods_run)


def fleet(*mine: WholeReplicaSet) -> Fleet:
    return sort_fleet(template("new"), mine)


def by_name(sizes: Mapping[str, int]) -> dict[str, int]:
    return {uid.removeprefix("uid-"): size for uid, size in sizes.items()}


# Case 98: fenceposts.
@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        pytest.param(10, "25%", "25%", (3, 2), id="up and down"),
        pytest.param(10, "39%", "39%", (4, 3), id="39% of 10"),
        pytest.param(10, 0, 0, (0, 1), id="something has to give"),
        pytest.param(1, "0%", "1%", (0, 1), id="both come to nothing"),
        pytest.param(10, None, None, (0, 1), id="absent"),
        pytest.param(0, "25%", "25%", (0, 0), id="nothing of nothing"),
        pytest.param(5, 1, 100, (1, 5), id="no more can be missing than there are"),
        pytest.param(2, "1000%", 0, (20, 0), id="much surge"),
        pytest.param(LARGEST, LARGEST, 0, (LARGEST, 0), id="int32"),
    ],
)
def test_case_98_fenceposts(
    replicas: int, surge: int | str | None, unavailable: int | str | None, expected: tuple[int, int]
) -> None:
    bounds = bounds_of(deployment(replicas, surge=surge, unavailable=unavailable))
    assert (bounds.surge, bounds.unavailable) == expected
    assert bounds.most <= LARGEST
    assert bounds.min_available == replicas - expected[1]


def test_case_98_recreate_has_no_bounds() -> None:
    assert bounds_of(deployment(5, strategy="Recreate")) == Bounds(5, 0, 0)


@pytest.mark.parametrize("absurd", ["25", "x%", "-1%", "25.5%", -1, "٣%", "9" * 40 + "%"])
def test_a_share_that_is_none_is_one_keys_problem(absurd: int | str) -> None:
    with pytest.raises(TerminalError, match="maxSurge"):
        bounds_of(deployment(surge=absurd))


# Case 93 and 98: sizes of a rolling update.
@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        pytest.param(None, (10,), 3, id="a first step"),
        pytest.param(3, (8,), 5, id="room for two"),
        pytest.param(3, (10,), 3, id="no room"),
        pytest.param(3, (12,), 3, id="less than no room"),
        pytest.param(10, (3,), 10, id="all it wants"),
        pytest.param(12, (), 10, id="more than it should"),
        pytest.param(8, (0,), 10, id="the last step"),
    ],
)
def test_case_98_how_large_the_new_one_may_be(new: int | None, old: tuple[int, ...], expected: int) -> None:
    mine = [replica_set(f"old{number}", size, age=9) for number, size in enumerate(old)]
    if new is not None:
        mine.append(replica_set("new", new))
    assert new_size(fleet(*mine), Bounds(10, 3, 2)) == expected


@pytest.mark.parametrize(
    ("bounds", "mine", "expected"),
    [
        pytest.param((10, 0, 2), [("a", 10, 10), ("new", 0, 0)], {"a": 8}, id="what can be missing"),
        pytest.param((10, 3, 2), [("a", 10, 10), ("new", 3, 0)], {"a": 8}, id="the new ones do not run"),
        pytest.param((10, 3, 2), [("a", 10, 10), ("new", 3, 3)], {"a": 5}, id="the new ones run"),
        pytest.param((10, 3, 2), [("a", 8, 8), ("new", 5, 0)], {}, id="nothing to spare"),
        pytest.param((10, 0, 2), [("a", 10, 8), ("new", 0, 0)], {"a": 8}, id="ailing ones first"),
        pytest.param((10, 0, 2), [("a", 10, 0), ("new", 0, 0)], {"a": 8}, id="but not all of them"),
        pytest.param((10, 3, 2), [("a", 3, 0), ("b", 5, 5), ("new", 5, 0)], {}, id="no room"),
        pytest.param(
            (10, 3, 2), [("a", 3, 0), ("b", 7, 7), ("new", 3, 3)], {"a": 0, "b": 5}, id="ailing, then spare"
        ),
        pytest.param((4, 0, 4), [("a", 2, 2), ("b", 2, 2)], {"a": 0, "b": 0}, id="all may go"),
        pytest.param((10, 0, 2), [("a", 6, 6), ("b", 4, 4)], {"a": 4}, id="the oldest first"),
        pytest.param((10, 3, 2), [("a", 5, 10), ("b", 5, 0), ("new", 3, 0)], {"b": 3}, id="stale counts"),
    ],
)
def test_case_93_what_old_ones_lose(
    bounds: tuple[int, int, int], mine: list[tuple[str, int, int]], expected: dict[str, int]
) -> None:
    sets = [
        replica_set(name, size, ready=ready, age=9 - number)
        for number, (name, size, ready) in enumerate(mine)
    ]
    assert by_name(old_sizes(fleet(*sets), Bounds(*bounds))) == expected


def test_old_ones_wait_while_the_new_one_grows() -> None:
    sizes = rolling_sizes(fleet(replica_set("a", 8), replica_set("new", 3)), Bounds(10, 3, 2))
    assert by_name(sizes) == {"new": 5}


def test_nothing_shrinks_by_what_a_status_said_of_another_spec() -> None:
    # A raised minReadySeconds, or a size taken back, makes it count pods that are not available any more.
    stale = replica_set("new", 5, observed=False, revision="2", sized_for=(10, 13))
    old = replica_set("a", 8, age=9, sized_for=(10, 13))
    assert rolling_sizes(fleet(old, stale), Bounds(10, 3, 2)) == {}
    assert scaled_sizes(seen(deployment(5), old, stale)) == {}
    assert by_name(scaled_sizes(seen(deployment(20), old, stale))) == {"new": 9, "a": 14}
    unborn = replica_set("new", 3, ready=0, observed=False)
    assert by_name(rolling_sizes(fleet(replica_set("a", 10, age=9), unborn), Bounds(10, 3, 2))) == {"a": 8}


SIZES = st.integers(0, 12)


@given(
    st.integers(0, 12),
    st.integers(0, 5),
    st.integers(0, 12),
    st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=4),
)
def test_no_step_of_any_rollout_leaves_its_bounds(
    replicas: int, surge: int, unavailable: int, sizes: list[tuple[int, int]]
) -> None:
    if surge == unavailable == 0:
        unavailable = 1
    bounds = Bounds(replicas, surge, min(unavailable, replicas))
    names = ["new", *(f"old{number}" for number in range(len(sizes) - 1))]
    now = fleet(
        *(replica_set(name, size, ready=ready) for name, (size, ready) in zip(names, sizes, strict=True))
    )
    after = dict(rolling_sizes(now, bounds))
    for each in now.all:
        after.setdefault(each.metadata.uid, each.spec.replicas)
    total, before = sum(after.values()), wanted(now.all)
    assert total <= max(before, bounds.most)
    runs = sum(map(available, now.all))
    left = sum(min(each.status.available_replicas, after[each.metadata.uid]) for each in now.all)
    assert left >= min(runs, bounds.min_available)


@given(
    st.integers(1, 30),
    st.integers(0, 10),
    st.integers(0, 10),
    st.lists(st.integers(0, 30), min_size=1, max_size=4),
)
def test_every_rollout_ends_when_pods_come_up(
    replicas: int, surge: int, unavailable: int, sizes: list[int]
) -> None:
    if surge == unavailable == 0:
        unavailable = 1
    bounds = Bounds(replicas, surge, min(unavailable, replicas))
    have = {"new": 0, **{f"old{number}": size for number, size in enumerate(sizes)}}
    for _ in range(200):
        now = fleet(*(replica_set(name, size) for name, size in have.items()))
        step = by_name(rolling_sizes(now, bounds))
        if not step:
            break
        have |= step
    assert have == {"new": replicas, **{f"old{number}": 0 for number in range(len(sizes))}}


# Cases 37, 94, 100: proportions. Sizes are (name, size, desired, max), the youngest first.
@pytest.mark.parametrize(
    ("replicas", "surge", "sizes", "expected"),
    [
        pytest.param(30, 3, [("new", 8, 10, 13), ("a", 5, 10, 13)], (20, 13), id="10 to 30"),
        pytest.param(120, 20, [("new", 100, 100, 120), ("a", 20, 100, 120)], (117, 23), id="100 to 120"),
        pytest.param(14, 0, [("new", 7, 10, 10), ("a", 3, 10, 10)], (10, 4), id="7 and 3"),
        pytest.param(
            10, 0, [("new", 2, 7, 7), ("a", 3, 7, 7), ("b", 2, 7, 7)], (3, 4, 3), id="2, 3 and 2 to 10"
        ),
        pytest.param(4, 0, [("new", 8, 9, 9), ("a", 1, 9, 9)], (4, 0), id="8 and 1, 9 to 4"),
        pytest.param(0, 3, [("new", 8, 10, 13), ("a", 5, 10, 13)], (0, 0), id="to nothing"),
        pytest.param(30, 3, [("new", 20, 30, 33), ("a", 5, 10, 13)], (20, 13), id="cut after the first"),
        pytest.param(30, 3, [("new", 8, 10, 13), ("a", 13, 30, 33)], (20, 13), id="cut the other way"),
        pytest.param(10, 3, [("new", 8, 10, 13), ("a", 5, 10, 13)], (8, 5), id="nothing to spread"),
        pytest.param(20, 0, [("new", 5, 10, 10), ("a", 5, 10, 10)], (10, 10), id="equals"),
    ],
)
def test_case_94_proportional_scaling(
    replicas: int, surge: int, sizes: list[tuple[str, int, int, int]], expected: tuple[int, ...]
) -> None:
    mine = [
        replica_set(name, size, age=number, sized_for=(desired, most))
        for number, (name, size, desired, most) in enumerate(sizes)
    ]
    split = by_name(proportional_sizes(fleet(*mine), Bounds(replicas, surge, 0), 0))
    assert tuple(split[name] for name, *_ in sizes) == expected


@pytest.mark.parametrize(
    ("replicas", "bounds", "sizes", "expected"),
    [
        pytest.param(4, (1, 1), [("new", 8, 0), ("a", 5, 5)], (2, 3), id="what runs is kept"),
        pytest.param(4, (1, 1), [("new", 8, 8), ("a", 5, 5)], (3, 2), id="all runs: in proportion"),
        pytest.param(4, (1, 1), [("new", 8, 0), ("a", 5, 2)], (3, 2), id="too few run: none goes"),
        pytest.param(4, (1, 1), [("new", 2, 0), ("a", 5, 5)], (2, 3), id="cut after the new one"),
        pytest.param(4, (1, 1), [("new", 8, 0), ("a", 3, 3)], (2, 3), id="cut after the old one"),
        pytest.param(0, (1, 1), [("new", 8, 0), ("a", 5, 5)], (0, 0), id="nothing is wanted"),
    ],
)
def test_scaling_down_spares_what_runs(
    replicas: int, bounds: tuple[int, int], sizes: list[tuple[str, int, int]], expected: tuple[int, ...]
) -> None:
    within = Bounds(replicas, bounds[0], min(bounds[1], replicas))
    mine = [
        replica_set(
            name,
            size,
            ready=ready,
            age=number,
            sized_for=(4, 5) if (name, size) in (("new", 2), ("a", 3)) else (10, 13),
        )
        for number, (name, size, ready) in enumerate(sizes)
    ]
    split = by_name(proportional_sizes(fleet(*mine), within, 0))
    assert tuple(split[name] for name, *_ in sizes) == expected


@pytest.mark.parametrize(
    ("amount", "by", "rounded"),
    [(5, 2, 3), (7, 2, 4), (3, 2, 2), (1, 3, 0), (2, 3, 1), (0, 5, 0), (10**18, 3, 333333333333333333)],
)
def test_halves_are_rounded_away_from_zero(amount: int, by: int, rounded: int) -> None:
    assert round_half_away(amount, by) == rounded


@pytest.mark.parametrize(
    ("replicas", "surge", "size", "sized_for", "counted", "change"),
    [
        pytest.param(0, 0, 5, 10, 10, -5, id="to nothing"),
        pytest.param(10, 0, 5, 5, 5, 5, id="twice as many"),
        pytest.param(5, 0, 10, 10, 10, -5, id="half as many"),
        pytest.param(15, 0, 5, 10, 10, 3, id="a half upwards goes up"),
        pytest.param(7, 0, 3, 6, 6, 1, id="3.5 is 4"),
        pytest.param(5, 0, 3, 10, 10, -1, id="1.5 is 2"),
        pytest.param(30, 3, 8, 13, 13, 12, id="20.3 is 20"),
        pytest.param(30, 3, 5, 13, 13, 8, id="12.7 is 13"),
        pytest.param(20, 0, 5, None, 10, 5, id="no annotation: by the status"),
        pytest.param(20, 0, 5, 0, 10, 5, id="an annotation of nothing: by the status"),
        pytest.param(20, 0, 5, None, 0, 0, id="nothing to go by"),
    ],
)
def test_case_100_fractions(
    replicas: int, surge: int, size: int, sized_for: int | None, counted: int, change: int
) -> None:
    sized = None if sized_for is None else (sized_for, sized_for)
    assert size_change(replica_set("a", size, sized_for=sized), Bounds(replicas, surge, 0), counted) == change


def test_case_100_without_annotations_the_status_tells_the_proportion() -> None:
    assert size_change(replica_set("a", 5), Bounds(20, 0, 0), 10) == 5
    assert size_change(replica_set("a", 5), Bounds(20, 0, 0), 0) == 0
    assert size_change(replica_set("a", 5), Bounds(0, 0, 0), 10) == -5


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 3)),
        min_size=2,
        max_size=4,
        unique_by=lambda each: each[1],
    ),
    st.integers(0, 80),
    st.integers(0, 10),
)
def test_a_cut_in_the_middle_of_spreading_changes_nothing_of_the_end(
    sizes: list[tuple[int, int]], replicas: int, surge: int
) -> None:
    # k/k#44734. What is left after cutting to zero is the one case that a later pass settles.
    total = sum(size for size, _ in sizes)
    bounds = Bounds(replicas, surge, 0)
    mine = [replica_set(f"a{age}", size, age=age, sized_for=(total, total)) for size, age in sizes]
    whole = by_name(proportional_sizes(fleet(*mine), bounds, 0))
    if sum(whole.values()) != (bounds.most if replicas else 0):
        return
    names = list(whole)
    for cut in range(1, len(names)):
        written = set(names[:cut])
        half = [
            replica_set(f"a{age}", whole[f"a{age}"], age=age, sized_for=(replicas, bounds.most))
            if f"a{age}" in written
            else replica_set(f"a{age}", size, age=age, sized_for=(total, total))
            for size, age in sizes
        ]
        rest = by_name(proportional_sizes(fleet(*half), bounds, 0))
        assert {**whole, **rest} == whole


# The table of case 94: replicas now and before, surge now and before, the new size, the old ones' from the
# youngest to the oldest, and what becomes of both.
SCALED: list[Any] = [
    pytest.param(12, 10, 0, 0, 10, (), (12, ()), id="one, up"),
    pytest.param(5, 10, 0, 0, 10, (), (5, ()), id="one, down"),
    pytest.param(10, 5, 0, 0, 2, (3,), (4, (6,)), id="two, up"),
    pytest.param(3, 5, 0, 0, 2, (3,), (1, (2,)), id="two, down"),
    pytest.param(4, 9, 0, 0, 8, (1,), (4, (0,)), id="what is left goes from the largest"),
    pytest.param(10, 7, 0, 0, 2, (3, 2), (3, (4, 3)), id="three, up"),
    pytest.param(8, 13, 0, 0, 2, (8, 3), (1, (5, 2)), id="three, down"),
    pytest.param(4, 3, 0, 0, 1, (1, 1), (2, (1, 1)), id="equals, up: the youngest first"),
    pytest.param(2, 3, 0, 0, 1, (1, 1), (1, (1, 0)), id="equals, down: the oldest first"),
    pytest.param(10, 4, 0, 0, None, (4,), (None, (10,)), id="no new one, one old"),
    pytest.param(10, 5, 0, 0, None, (3, 2), (None, (6, 4)), id="no new one, two old"),
    pytest.param(0, 6, 0, 0, 3, (2, 1), (0, (0, 0)), id="to nothing"),
    pytest.param(6, 0, 0, 0, 0, (0, 0), (6, (0, 0)), id="from nothing: the new one"),
    pytest.param(6, 0, 0, 0, None, (0, 0), (None, (6, 0)), id="from nothing: else the youngest"),
    pytest.param(2, 2, 1, 1, 2, (1,), (2, (1,)), id="a new one that does not run takes nothing from the old"),
    pytest.param(20, 10, 2, 2, 6, (6,), (11, (11,)), id="with surge"),
    pytest.param(50, 10, 6, 3, 5, (8,), (22, (34,)), id="with another surge"),
]


@pytest.mark.parametrize(("now", "before", "surge", "surged", "new", "old", "expected"), SCALED)
def test_case_94_scale(
    now: int,
    before: int,
    surge: int,
    surged: int,
    new: int | None,
    old: tuple[int, ...],
    expected: tuple[int | None, tuple[int, ...]],
) -> None:
    sized = (before, before + surged)
    mine = [
        replica_set(f"a{age}", size, ready=0, age=age, sized_for=sized) for age, size in enumerate(old, 1)
    ]
    if new is not None:
        mine.append(replica_set("new", new, ready=0, sized_for=sized))
    look = seen(deployment(now, surge=surge, unavailable=0 if surge else 1), *mine)
    sizes = by_name(scaled_sizes(look))
    found = {each.metadata.name: sizes.get(each.metadata.name, each.spec.replicas) for each in mine}
    assert (found.get("new"), tuple(found[f"a{age}"] for age in range(1, len(old) + 1))) == expected


def in_proportion(sizes: list[tuple[int, int]], replicas: int, most: int) -> list[int]:
    """Return the split of workloads 2.7, by fractions; `sizes` are (size, max), the youngest first."""
    allowed = most if replicas else 0
    missing = allowed - sum(size for size, _ in sizes)
    ranked = list(range(len(sizes))) if missing > 0 else list(reversed(range(len(sizes))))
    ranked.sort(key=lambda number: -sizes[number][0])
    after = [size for size, _ in sizes]
    for number in ranked:
        size, sized = sizes[number]
        exact = Fraction(size * most, sized)
        change = -size if not replicas else int(exact + Fraction(1, 2)) - size
        given = sum(after) - sum(size for size, _ in sizes)
        rest = missing - given
        after[number] += max(0, min(change, rest)) if missing > 0 else min(0, max(change, rest))
    first = ranked[0]
    after[first] = max(0, after[first] + allowed - sum(after))
    return after


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60)), min_size=2, max_size=5),
    st.integers(0, 120),
    st.integers(0, 30),
    st.integers(0, 10),
    st.integers(0, 20),
)
def test_case_94_proportions_are_exact_but_for_pods_that_have_to_stay(
    sizes: list[tuple[int, int]], replicas: int, surge: int, unavailable: int, more: int
) -> None:
    bounds = Bounds(replicas, surge, min(unavailable, replicas))
    sized = sum(size for size, _ in sizes) + more
    mine = [
        replica_set(f"a{number}", size, ready=ready, age=number, sized_for=(sized, sized))
        for number, (size, ready) in enumerate(sizes)
    ]
    exact = in_proportion([(size, sized) for size, _ in sizes], replicas, bounds.most)
    after = list(by_name(proportional_sizes(fleet(*mine), bounds, 0)).items())
    found = [dict(after)[f"a{number}"] for number in range(len(sizes))]
    runs = [min(size, ready) for size, ready in sizes]
    left = sum(map(min, runs, exact))
    short = min(sum(runs), bounds.min_available) - left
    if short <= 0:
        assert found == exact
        return
    # S4 wins: as many as have to stay do, and as many of those that do not run go in their place.
    assert sum(map(min, runs, found)) == left + short
    assert sum(found) == max(sum(exact), sum(map(min, runs, found)))
    assert sum(max(0, one - other) for one, other in zip(found, exact, strict=True)) == short


@pytest.mark.parametrize(
    ("mine", "expected"),
    [
        pytest.param([("new", 0, 0), ("a", 0, 0)], {"new": 10}, id="nobody is active: the new one"),
        pytest.param([("a", 0, 9), ("b", 0, 1)], {"b": 10}, id="no new one: the youngest"),
        pytest.param([("new", 4, 0), ("a", 0, 0)], {"new": 10}, id="one is active"),
        pytest.param([("new", 0, 0), ("a", 4, 0)], {"a": 10}, id="one is active, an old one"),
        pytest.param([("new", 10, 0), ("a", 4, 0)], {"a": 0}, id="the new one is saturated"),
        pytest.param([], {}, id="none at all"),
    ],
)
def test_case_94_who_is_scaled(mine: list[tuple[str, int, int]], expected: dict[str, int]) -> None:
    sets = [replica_set(name, size, age=age, sized_for=(10, 13)) for name, size, age in mine]
    assert by_name(scaled_sizes(seen(deployment(10), *sets))) == expected


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=2, max_size=4),
    st.integers(0, 30),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_no_scaling_takes_more_than_can_be_spared(
    sizes: list[tuple[int, int]], replicas: int, surge: int, unavailable: int
) -> None:
    total = sum(size for size, _ in sizes)
    bounds = Bounds(replicas, surge, min(unavailable, replicas))
    mine = [
        replica_set(f"a{number}", size, ready=ready, age=number, sized_for=(total, total))
        for number, (size, ready) in enumerate(sizes)
    ]
    now = fleet(*mine)
    after = proportional_sizes(now, bounds, 0)
    runs = sum(map(available, now.all))
    left = sum(min(available(each), after[each.metadata.uid]) for each in now.all)
    assert left >= min(runs, bounds.min_available)
    assert sum(after.values()) <= max(total, bounds.most)
    assert min(after.values()) >= 0


def test_saturated_means_sized_available_and_so_recorded() -> None:
    bounds = Bounds(10, 3, 2)
    assert is_saturated(replica_set("new", 10, sized_for=(10, 13)), bounds)
    assert not is_saturated(replica_set("new", 10, sized_for=(9, 13)), bounds)
    assert not is_saturated(replica_set("new", 10, ready=9, sized_for=(10, 13)), bounds)
    assert not is_saturated(None, bounds)


# What kind of pass.
def test_the_kinds_of_pass_in_their_order() -> None:
    old = replica_set("old", 4, sized_for=(4, 7))
    back = {ROLLBACK_TO: "3"}
    assert kind_of(seen(deployment(deleting=True, paused=True), old)) == Deleting()
    assert kind_of(seen(deployment(paused=True, annotations=back), old)) == Paused()
    assert kind_of(seen(deployment(annotations=back), old)) == RollBack(3)
    assert kind_of(seen(deployment(10), old)) == Resize()
    assert kind_of(seen(deployment(4), old)) == Roll()
    assert kind_of(seen(deployment(4, strategy="Recreate"), old)) == Recreate()
    with pytest.raises(TerminalError, match="strategy"):
        kind_of(seen(deployment(strategy="Other")))


@pytest.mark.parametrize("text", ["x", "", "1.5", "9" * 30, "0x1"])
def test_a_rollback_to_no_number_is_ignored(text: str) -> None:
    assert kind_of(seen(deployment(annotations={ROLLBACK_TO: text}))) == Roll()


@pytest.mark.parametrize("text", ["-1", "x", "4294967296", ""])
def test_a_size_made_for_no_number_is_no_scaling(text: str) -> None:
    old = replica_set("old", 4, **{DESIRED: text})
    assert kind_of(seen(deployment(10), old)) == Roll()


def test_recreate_with_several_active_goes_on_instead_of_waiting_for_ever() -> None:
    mine = replica_set("a", 4, sized_for=(4, 4)), replica_set("b", 4, sized_for=(4, 4))
    assert kind_of(seen(deployment(5, strategy="Recreate"), *mine)) == Recreate()


# Recreate (cases 30, 92).
@pytest.mark.parametrize(
    ("mine", "pods_run", "sizes", "born"),
    [
        pytest.param([], False, {}, 5, id="nothing yet"),
        pytest.param([("a", 3)], False, {"a": 0}, None, id="old ones first"),
        pytest.param([("a", 0)], True, {}, None, id="until they are gone"),
        pytest.param([("a", 0)], False, {}, 5, id="then the new one"),
        pytest.param([("a", 0), ("new", 0)], True, {}, None, id="which waits too"),
        pytest.param([("a", 0), ("new", 0)], False, {"new": 5}, None, id="and is filled"),
        pytest.param([("a", 2), ("new", 5)], False, {"a": 0}, None, id="somebody woke an old one"),
        pytest.param([("new", 5)], False, {}, None, id="all is well"),
    ],
)
def test_case_92_recreate(
    mine: list[tuple[str, int]], pods_run: bool, sizes: dict[str, int], born: int | None
) -> None:
    sets = [replica_set(name, size) for name, size in mine]
    look = seen(deployment(5, strategy="Recreate"), *sets, pods_run=pods_run)
    assert by_name(recreate_sizes(look)) == sizes
    assert birth_size(look, Recreate()) == born


def test_a_rollback_brings_no_pods_of_the_present_template_under_recreate() -> None:
    look = seen(deployment(5, strategy="Recreate"), replica_set("a", 5))
    assert birth_size(look, RollBack(0)) == 0


@pytest.mark.parametrize("kind", [Deleting(), Paused(), Resize()])
def test_case_24_nothing_is_born_while_deleting_paused_or_scaling(kind: Any) -> None:
    assert birth_size(seen(deployment()), kind) is None


# The new replica set (cases 21, 82, 96, 97).
def test_case_82_a_new_replica_set() -> None:
    what = deployment(annotations={"a": "b", LAST_APPLIED: "{}", REVISION: "7"}, min_ready_seconds=4)
    made = new_replica_set(seen(what, replica_set("old", 10, revision="4")), 3)
    name = template_hash(what.spec.template, None)
    assert made.metadata.name == f"web-{name}"
    assert made.metadata.labels == {**WEB, HASH_LABEL: name}
    assert made.spec.selector == LabelSelector({**WEB, HASH_LABEL: name})
    assert made.metadata.annotations == {"a": "b", REVISION: "5", DESIRED: "10", MAXIMUM: "13"}
    assert (made.spec.replicas, made.spec.min_ready_seconds) == (3, 4)
    (owner,) = made.metadata.owner_references
    assert (owner.uid, owner.controller, owner.block_owner_deletion) == ("d-uid", True, True)


def test_case_96_long_names_are_cut() -> None:
    what = deployment()
    long = msgspec.structs.replace(what, metadata=msgspec.structs.replace(what.metadata, name="x" * 253))
    made = new_replica_set(seen(long), 1)
    assert len(made.metadata.name) == 253
    assert made.metadata.name.endswith("-" + made.metadata.labels[HASH_LABEL])


def test_case_97_the_oldest_of_equal_templates_is_new_and_the_others_are_old() -> None:
    young, old = replica_set("b", 1, age=1, image="new"), replica_set("a", 1, age=5, image="new")
    other = replica_set("c", 1, age=9)
    sorted_out = fleet(young, other, old)
    assert sorted_out.new is old
    assert sorted_out.old == (other, young)
    twins = replica_set("y", 1, image="new"), replica_set("x", 1, image="new")
    assert fleet(*twins).new is twins[1]
    assert fleet(other).new is None


# Upkeep and annotations (case 100).
def patches(plan: Plan) -> list[tuple[str, Any]]:
    return [(action.target.key.name, action.changes) for action in plan.actions if isinstance(action, Patch)]


def test_size_and_upkeep_are_one_write() -> None:
    what = deployment(annotations={"team": "a"}, min_ready_seconds=5)
    mine = replica_set("old", 8, age=9, revision="3"), replica_set("new", 3, revision="1", sized_for=(10, 13))
    plan = decide(seen(what, *mine), Roll())
    assert patches(plan) == [
        (
            "new",
            {
                "spec": {"replicas": 5, "minReadySeconds": 5},
                "metadata": {"annotations": {"team": "a", REVISION: "4", REVISION_HISTORY: "1"}},
            },
        )
    ]
    (_, told) = plan.actions
    assert isinstance(told, Emit)
    assert told.note == "Scaled up replica set new from 3 to 5"


def test_old_ones_shrink_only_as_they_were_seen() -> None:
    what = deployment()
    plan = decide(seen(what, replica_set("a", 10, age=9), replica_set("new", 3, revision="1")), Roll())
    (shrink, _) = plan.actions
    assert isinstance(shrink, Patch)
    assert shrink.exact
    assert shrink.changes == {
        "spec": {"replicas": 5},
        "metadata": {"annotations": {DESIRED: "10", MAXIMUM: "13"}},
    }


def test_case_29_scaling_records_what_each_was_sized_for() -> None:
    mine = (
        replica_set("new", 5, revision="2", sized_for=(10, 13)),
        replica_set("a", 8, age=9, sized_for=(10, 13)),
    )
    plan = decide(seen(deployment(11), *mine), Resize())
    stamps = {DESIRED: "11", MAXIMUM: "14"}
    assert {name: changes["metadata"]["annotations"] for name, changes in patches(plan)} == {
        "new": stamps,
        "a": stamps,
    }


def test_a_single_replica_set_of_the_right_size_gets_the_right_record() -> None:
    # Left as it is, the record would be taken for a scaling at every look, and nothing rolled out.
    plan = decide(seen(deployment(5), replica_set("a", 5, sized_for=(4, 7))), Resize())
    assert patches(plan) == [("a", {"metadata": {"annotations": {DESIRED: "5", MAXIMUM: "8"}}})]


def test_an_old_one_is_not_kept_up() -> None:
    what = deployment(10, annotations={"team": "a"})
    assert patches(decide(seen(what, replica_set("a", 10)), Resize())) == [
        ("a", {"metadata": {"annotations": {DESIRED: "10", MAXIMUM: "13"}}})
    ]


def test_case_100_what_is_copied_and_what_is_not() -> None:
    own = (REVISION, REVISION_HISTORY, DESIRED, MAXIMUM, ROLLBACK_TO, LAST_APPLIED)
    assert copied({**dict.fromkeys(own, "1"), "a": "b"}) == {"a": "b"}


@pytest.mark.parametrize(
    ("before", "revision", "changes"),
    [
        ({}, 1, {REVISION: "1"}),
        ({REVISION: "1"}, 1, {}),
        ({REVISION: "5"}, 3, {}),
        ({REVISION: "1"}, 3, {REVISION: "3", REVISION_HISTORY: "1"}),
        ({REVISION: "3", REVISION_HISTORY: "1"}, 5, {REVISION: "5", REVISION_HISTORY: "1,3"}),
        ({REVISION: "x"}, 5, {}),
        ({REVISION: "-1"}, 1, {REVISION: "1", REVISION_HISTORY: "-1"}),
    ],
)
def test_case_100_revisions(before: dict[str, str], revision: int, changes: dict[str, str]) -> None:
    assert revised(before, revision) == changes


def test_case_100_a_long_history_loses_its_oldest() -> None:
    history = ",".join(str(number) for number in range(1000, 1400))
    changed = revised({REVISION: "1400", REVISION_HISTORY: history}, 1401)
    assert len(changed[REVISION_HISTORY]) <= LONGEST_HISTORY
    assert changed[REVISION_HISTORY].startswith("1001,")
    assert changed[REVISION_HISTORY].endswith(",1399,1400")


def test_annotations_are_bounded_numbers() -> None:
    assert integer({"a": "9223372036854775807"}, "a") == 2**63 - 1
    for text in ("9223372036854775808", "9" * 5000, "", "1e3", "NaN", " 1"):
        assert integer({"a": text}, "a") is None
    assert count({"a": "2147483647"}, "a") == 2**31 - 1
    assert count({"a": "2147483648"}, "a") is None
    assert count({"a": "-1"}, "a") is None


# History (case 95).
@pytest.mark.parametrize(
    ("limit", "mine", "gone"),
    [
        pytest.param(None, [("a", "1", {})], [], id="no limit"),
        pytest.param(LARGEST, [("a", "1", {})], [], id="the largest limit is none"),
        pytest.param(0, [("a", "1", {}), ("b", "2", {})], ["a", "b"], id="none is kept"),
        pytest.param(1, [("b", "2", {}), ("a", "1", {})], ["a"], id="by revision"),
        pytest.param(1, [("a", "10", {}), ("b", "9", {})], ["b"], id="as numbers"),
        pytest.param(1, [("a", "1", {"pods": 1}), ("b", "2", {})], [], id="skipped, not replaced"),
        pytest.param(1, [("a", "1", {"observed": False}), ("b", "2", {})], [], id="not yet observed"),
        pytest.param(0, [("a", "1", {"size": 2})], [], id="in use"),
        pytest.param(1, [("a", "1", {"deleting": True}), ("b", "2", {})], [], id="on its way out"),
        pytest.param(1, [("b", "x", {"age": 5}), ("a", "x", {"age": 1})], ["b"], id="by age"),
        pytest.param(5, [("a", "1", {})], [], id="within the limit"),
    ],
)
def test_case_95_history(
    limit: int | None, mine: list[tuple[str, str, dict[str, Any]]], gone: list[str]
) -> None:
    sets = [
        replica_set(
            name, more.get("size", 0), revision=revision, **{k: v for k, v in more.items() if k != "size"}
        )
        for name, revision, more in mine
    ]
    look = seen(deployment(revision_history_limit=limit), *sets, replica_set("new", 10, revision="99"))
    assert [each.metadata.name for each in expendable(look)] == gone


# Rollback (case 86).
def test_case_86_a_rollback_is_one_exact_write() -> None:
    what = deployment(annotations={ROLLBACK_TO: "1", REVISION: "2", LAST_APPLIED: "{}", "mine": "x"})
    goal = replica_set("old", 0, revision="1", theirs="y")
    plan = rollback_plan(seen(what, goal, replica_set("new", 10, revision="2")), 1)
    (write, told) = plan.actions
    assert isinstance(write, Patch)
    assert isinstance(told, Emit)
    assert (write.exact, write.kind) == (True, "strategic")
    changes = msgspec.json.decode(msgspec.json.encode(write.changes))
    assert changes["metadata"]["annotations"] == {"mine": None, "theirs": "y", ROLLBACK_TO: None}
    assert changes["spec"]["template"]["$patch"] == "replace"
    assert changes["spec"]["template"]["spec"]["containers"][0]["image"] == "old"
    assert (told.type, told.reason) == ("Normal", "DeploymentRollback")


@pytest.mark.parametrize(
    ("revisions", "to", "found"),
    [
        (["1", "2", "3"], 0, "r2"),
        (["1"], 0, None),
        (["2", "2"], 0, None),
        (["1", "x", "3"], 0, "r1"),
        (["1", "2"], 2, "r2"),
        (["1", "2"], 3, None),
        ([], 0, None),
    ],
)
def test_which_revision(revisions: list[str], to: int, found: str | None) -> None:
    mine = [
        replica_set(f"r{text if text.isdigit() else 'x'}", 0, revision=text, age=number)
        for number, text in enumerate(revisions)
    ]
    goal = find_revision(fleet(*mine), to)
    assert (goal.metadata.name if goal else None) == found


def test_case_85_an_empty_selector_selects_nothing_to_act_on() -> None:
    plain = deployment()
    empty = msgspec.structs.replace(plain, spec=msgspec.structs.replace(plain.spec, selector=LabelSelector()))
    assert selector_of(empty) is None

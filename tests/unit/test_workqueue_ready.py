"""The rule of the two lanes, and delays, as plain data structures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.workqueue.delays import Delays
from kcm.workqueue.ready import Priority, Ready

FRESH, BACKLOG = Priority.FRESH, Priority.BACKLOG


def filled(fresh: int, backlog: int, fresh_run: int = 4) -> Ready[str]:
    ready: Ready[str] = Ready(fresh_run)
    for number in range(backlog):
        ready.put(f"b{number}", BACKLOG, 0.0)
    for number in range(fresh):
        ready.put(f"f{number}", FRESH, 0.0)
    return ready


def order(ready: Ready[str]) -> list[str]:
    return [ready.take()[0] for _ in range(len(ready))]


@pytest.mark.parametrize(
    ("fresh", "backlog", "expected"),
    [
        pytest.param(3, 0, "f0 f1 f2", id="first in, first out"),
        pytest.param(0, 3, "b0 b1 b2", id="a backlog alone is first in, first out"),
        pytest.param(2, 2, "f0 f1 b0 b1", id="fresh before backlog"),
        pytest.param(6, 2, "f0 f1 f2 f3 b0 f4 f5 b1", id="one backlog key after four fresh ones"),
    ],
)
def test_lanes_are_emptied_by_the_rule(fresh: int, backlog: int, expected: str) -> None:
    assert order(filled(fresh, backlog)) == expected.split()


def test_a_raised_key_goes_to_the_end_of_the_fresh_lane_and_keeps_its_first_add() -> None:
    ready: Ready[str] = Ready()
    ready.put("old", BACKLOG, 1.0)
    ready.put("new", FRESH, 2.0)
    assert ready.put("old", FRESH, 3.0) is False
    assert ready.take() == ("new", FRESH, 2.0)
    assert ready.take() == ("old", FRESH, 1.0)


def test_a_lower_priority_does_not_sink_a_key() -> None:
    ready: Ready[str] = Ready()
    ready.put("a", FRESH, 1.0)
    assert ready.put("a", BACKLOG, 2.0) is False
    assert ready.take() == ("a", FRESH, 1.0)
    assert len(ready) == 0


def test_one_fresh_key_at_a_time_still_lets_the_backlog_through() -> None:
    ready = filled(0, 2)
    taken = []
    for number in range(10):
        ready.put(f"f{number}", FRESH, 0.0)
        taken.append(ready.take()[0])
    assert [key for key in taken if key[0] == "b"] == ["b0", "b1"]


@given(st.integers(1, 6), st.lists(st.sampled_from("fbt"), max_size=200))
def test_no_backlog_key_waits_longer_than_the_bound(fresh_run: int, moves: list[str]) -> None:
    ready: Ready[int] = Ready(fresh_run)
    limits: dict[int, int] = {}
    takes = 0
    for key, move in enumerate(moves):
        if move == "b":
            limits[key] = takes + (len(ready.backlog) + 1) * (fresh_run + 1)
            ready.put(key, BACKLOG, 0.0)
        elif move == "f":
            ready.put(key, FRESH, 0.0)
        elif ready:
            takes += 1
            limits.pop(ready.take()[0], None)
        assert all(takes < limit for limit in limits.values())


@given(st.integers(1, 6), st.lists(st.sampled_from("fbt"), max_size=200))
def test_at_most_one_backlog_key_comes_before_a_fresh_one_at_the_head(
    fresh_run: int, moves: list[str]
) -> None:
    ready: Ready[int] = Ready(fresh_run)
    backlog_in_a_row = 0
    for key, move in enumerate(moves):
        if move != "t":
            ready.put(key, FRESH if move == "f" else BACKLOG, 0.0)
        elif ready:
            fresh_waited = bool(ready.fresh)
            _, priority, _ = ready.take()
            backlog_in_a_row = backlog_in_a_row + 1 if priority is BACKLOG and fresh_waited else 0
            assert backlog_in_a_row <= 1


def test_a_run_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="fresh_run is 0"):
        Ready(0)


def test_the_earliest_of_several_delays_wins_and_the_highest_priority_stays() -> None:
    delays: Delays[str] = Delays()
    delays.put("a", 5.0, BACKLOG)
    delays.put("a", 3.0, BACKLOG)
    delays.put("a", 9.0, FRESH)
    assert delays.first() == 3.0
    assert list(delays.pop_due(2.9)) == []
    assert list(delays.pop_due(10.0)) == [("a", FRESH)]
    assert delays.first() is None


def test_delays_due_together_come_in_the_order_they_were_asked_for() -> None:
    delays: Delays[str] = Delays()
    for key in ("c", "a", "b"):
        delays.put(key, 1.0, FRESH)
    assert [key for key, _ in delays.pop_due(1.0)] == ["c", "a", "b"]


def test_ever_earlier_delays_of_one_key_do_not_pile_up() -> None:
    delays: Delays[str] = Delays()
    for number in range(10_000):
        delays.put("a", 10_000.0 - number, FRESH)
    assert len(delays) == 1
    assert len(delays._heap) < 100
    assert [key for key, _ in delays.pop_due(10_000.0)] == ["a"]

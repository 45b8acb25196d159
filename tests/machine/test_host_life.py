"""The life of a host, step by step."""

from __future__ import annotations

import msgspec
import pytest

from kcm.base.backoff import Backoff
from kcm.manager import host_life as life

SETTINGS = life.LifeSettings(start_timeout=30.0, hang_deadline=20.0, restarts=Backoff(1.0, 60.0))
T = 1000.0


def step(state: life.State, input: life.Input, now: float = T) -> tuple[life.State, tuple[life.Output, ...]]:
    return life.step(state, input, now, SETTINGS)


def test_a_host_goes_from_launch_to_leading() -> None:
    state: life.State = life.Waiting(T)
    state, outputs = step(state, life.Tick())
    assert outputs == (life.Launch(),)
    for input in (life.Declared(), life.SyncedNow(), life.Promoted()):
        state, outputs = step(state, input)
        assert outputs == ()
    assert isinstance(state, life.Leading)


def test_the_first_death_is_answered_at_once_and_further_ones_back_off() -> None:
    waits = []
    state: life.State = life.Starting(T, 0)
    for _ in range(4):
        state, _ = step(state, life.Gone("signal SIGKILL"))
        assert isinstance(state, life.Waiting)
        waits.append(state.until - T)
        state = life.Starting(T, state.failures)
    assert waits == [0.0, 2.0, 4.0, 8.0]


def test_a_silent_host_is_killed_and_its_successor_waits_until_it_is_reaped() -> None:
    state: life.State = life.Leading(T, T, 0)
    state, outputs = step(state, life.Tick(), T + 20.0)
    assert outputs == (life.Kill("silent"),)
    assert life.due(state, SETTINGS) is None, "killed once, however long the reaping takes"
    state, outputs = step(state, life.Gone("signal SIGKILL"), T + 20.1)
    assert isinstance(state, life.Waiting)
    assert outputs == ()


@pytest.mark.parametrize("state", [life.Starting(T, 0), life.Filling(T, T, 0), life.Ready(T, T, 0)])
def test_a_host_that_does_not_lead_need_not_be_killed_when_the_lease_is_lost(state: life.State) -> None:
    assert step(state, life.DemotedNow()) == (state, ())


def test_a_leader_that_lost_the_lease_comes_back_without_a_mark_against_it() -> None:
    state, outputs = step(life.Leading(T, T, 0), life.DemotedNow())
    assert outputs == (life.Kill("the Lease was lost"),)
    state, _ = step(state, life.Gone("signal SIGKILL"))
    assert state == life.Waiting(T, 0)


def test_a_host_that_does_not_stop_in_time_is_killed_once() -> None:
    state, outputs = step(life.Leading(T, T, 0), life.StopAsked(10.0))
    assert outputs == (life.AskToStop(10.0),)
    state, outputs = step(state, life.Tick(), T + 15.0)
    assert outputs == (life.Kill("not stopped in time"),)
    assert step(state, life.Tick(), T + 16.0)[1] == ()
    assert step(state, life.Gone("signal SIGKILL"))[0] == life.Ended()


def test_a_host_that_runs_well_for_long_is_forgiven() -> None:
    state = life.Leading(T, T, 5)
    assert step(state, life.Heard(), T + 1.0)[0] == life.Leading(T + 1.0, T, 5)
    assert step(state, life.Heard(), T + 121.0)[0] == life.Leading(T + 121.0, T, 0)


def test_refusing_the_configuration_is_final() -> None:
    state, _ = step(life.Starting(T, 0), life.RefusedNow("controllers.x: no such module"))
    assert step(state, life.Gone("exit code 0"))[0] == state
    assert life.due(state, SETTINGS) is None
    assert step(state, life.StopAsked(1.0)) == (life.Ended(), ())


def test_a_host_that_ends_too_often_in_a_row_is_left_alone_and_says_how_it_ended() -> None:
    settings = msgspec.structs.replace(SETTINGS, most_restarts=2)
    state: life.State = life.Starting(T, 0)
    for _ in range(2):
        state, _ = life.step(state, life.Gone("exit code 7"), T, settings)
        assert isinstance(state, life.Waiting)
        state = life.Starting(T, state.failures)
    state, outputs = life.step(state, life.Gone("exit code 7"), T, settings)
    assert state == life.GivenUp("ended 3 times in a row, at last: exit code 7")
    assert outputs == ()
    assert life.due(state, settings) is None
    assert life.step(state, life.StopAsked(1.0), T, settings) == (life.Ended(), ())


def test_two_minutes_of_health_forgive_what_was_before() -> None:
    settings = msgspec.structs.replace(SETTINGS, most_restarts=2)
    state, _ = life.step(life.Leading(T, T, 2), life.Heard(), T + 120.0, settings)
    state, _ = life.step(state, life.Gone("exit code 7"), T + 121.0, settings)
    assert state == life.Waiting(T + 121.0, 1)

"""Every row of reference/runtime.md §1 as a step of the machine."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kcm.base.rng import SeededRng
from kcm.cache import listwatch as lw
from kcm.cache import phases
from kcm.cache.listwatch import deadline, step
from kcm.cache.phases import (
    Arrived,
    Begin,
    Commit,
    Elapsed,
    Ended,
    GetPage,
    Idle,
    Input,
    Listing,
    Memory,
    Opened,
    OpenWatch,
    Output,
    Paged,
    Pausing,
    Priming,
    Proved,
    Refresh,
    Refused,
    State,
    Wait,
    Watching,
)

T0 = 1000.0


class Machine:
    """A machine in a given state, at a given time."""

    def __init__(self, state: State, now: float = T0) -> None:
        self.state = state
        self.now = now
        self.rng = SeededRng(3)

    def tell(self, *inputs: Input, after: float = 0.0) -> tuple[Output, ...]:
        """Return what the last of the inputs leads to."""
        self.now += after
        outputs: tuple[Output, ...] = ()
        for what in inputs:
            self.state, outputs = step(self.state, what, self.now, self.rng)
        return outputs

    @property
    def memory(self) -> Memory:
        return self.state.memory

    @property
    def pause(self) -> float:
        assert isinstance(self.state, Pausing)
        return self.state.until - self.now


def priming(asked: str = "", **memory: Any) -> Machine:
    machine = Machine(Idle(Memory(version=asked, **memory)))
    machine.tell(Begin(), Opened())
    return machine


def listing(asked: str = "", **memory: Any) -> Machine:
    machine = priming(asked, **memory)
    machine.tell(Refused("failed"))
    assert isinstance(machine.state, Listing)
    return machine


def watching(version: str = "50", **memory: Any) -> Machine:
    known = Memory(version=version, synced=True, **memory)
    return Machine(Watching(known, 400, T0, T0))


def shape(outputs: tuple[Output, ...]) -> list[tuple[Any, ...]]:
    """Return outputs without what is random."""
    short: list[tuple[Any, ...]] = []
    for output in outputs:
        match output:
            case OpenWatch(version, timeout, initial):
                assert 300 <= timeout <= 600
                short.append(("watchlist" if initial else "watch", version))
            case GetPage(version, match, limit, token):
                short.append(("list", version, match, limit, token))
            case Commit(version, rolled_back):
                short.append(("rollback" if rolled_back else "commit", version))
            case Wait():
                short.append(("wait",))
    return short


# --- the initial sync by WatchList


@pytest.mark.parametrize(
    ("memory", "asked"),
    [
        pytest.param(Memory(), "", id="at first: consistent, never 0"),
        pytest.param(Memory(version="50"), "50", id="later: at least as new as what was seen"),
        pytest.param(Memory(version="50", unavailable=True), "", id="after 410: consistent"),
    ],
)
def test_a_cycle_begins_with_a_watch_list(memory: Memory, asked: str) -> None:
    assert shape(Machine(Idle(memory)).tell(Begin())) == [("watchlist", asked)]


def test_the_end_bookmark_commits_and_the_stream_goes_on_as_the_watch() -> None:
    machine = priming()
    machine.tell(Arrived(100, ""), Arrived(3, ""))
    assert machine.memory.version == ""
    assert shape(machine.tell(Arrived(0, "60", 0, True))) == [("commit", "60")]
    assert isinstance(machine.state, Watching)
    assert machine.memory.version == "60"


def test_versions_of_synthetic_events_are_never_resume_points() -> None:
    machine = priming()
    machine.tell(Arrived(100, "999"))
    assert machine.memory.version == ""
    assert shape(machine.tell(Ended(), after=5)) == [("watchlist", "")]


@pytest.mark.parametrize(
    ("asked", "what", "expected"),
    [
        pytest.param("50", Refused("expired"), [("watchlist", "")], id="410: consistent at once"),
        pytest.param("50", Refused("tooLarge"), [("watchlist", "")], id="too large: consistent at once"),
        pytest.param("", Refused("expired"), [("wait",)], id="410 though consistent: later"),
        pytest.param("50", Refused("throttled"), [("wait",)], id="429: later, again"),
        pytest.param("50", Refused("unreachable"), [("wait",)], id="refused: later, again"),
        pytest.param("", Refused("failed"), [("list", "", "", 500, "")], id="422 or anything else: list"),
        pytest.param("", Refused("forbidden"), [("list", "", "", 500, "")], id="403: list"),
        pytest.param("", Refused("missing"), [("list", "", "", 500, "")], id="404: list"),
        pytest.param("50", Refused("failed"), [("list", "50", "NotOlderThan", 500, "")], id="relist"),
    ],
)
def test_failures_of_a_watch_list(asked: str, what: Input, expected: list[Any]) -> None:
    assert shape(priming(asked).tell(what)) == expected


def test_after_a_pause_the_watch_list_is_tried_again() -> None:
    machine = priming()
    machine.tell(Refused("throttled"))
    assert shape(machine.tell(Elapsed(), after=machine.pause)) == [("watchlist", "")]


def test_a_watch_list_that_is_closed_is_tried_once_more_and_then_listed() -> None:
    machine = priming()
    machine.tell(Arrived(10, ""))
    assert shape(machine.tell(Ended(), after=5)) == [("watchlist", "")]
    machine.tell(Opened(), Arrived(10, ""))
    assert shape(machine.tell(Ended(), after=5)) == [("list", "", "", 500, "")]


def test_a_very_short_watch_list_is_listed() -> None:
    assert shape(priming().tell(Ended(), after=0.2)) == [("list", "", "", 500, "")]


def test_a_watch_list_that_brings_nothing_for_30_seconds_is_listed() -> None:
    machine = priming()
    assert deadline(machine.state) == T0 + 30
    machine.tell(Arrived(10, ""), after=20)
    assert deadline(machine.state) == T0 + 50
    machine.tell(Arrived(0, "70", 1), after=5)
    assert deadline(machine.state) == T0 + 50, "a plain bookmark is no progress"
    assert shape(machine.tell(Elapsed(), after=25)) == [("list", "", "", 500, "")]


def test_a_watch_list_that_never_ends_is_listed_after_five_minutes() -> None:
    machine = priming()
    for _ in range(40):
        machine.tell(Arrived(10, ""), after=10)
    assert deadline(machine.state) == T0 + 300


# --- the initial sync by LIST


def test_pages_are_fetched_until_the_last_and_committed_at_the_lists_version() -> None:
    machine = listing()
    assert shape(machine.tell(Paged("60", "token"))) == [("list", "", "", 500, "token")]
    assert shape(machine.tell(Paged("60", "more"))) == [("list", "", "", 500, "more")]
    assert shape(machine.tell(Paged("60"))) == [("commit", "60"), ("watch", "60")]
    assert machine.memory.version == "60"


@pytest.mark.parametrize(
    ("asked", "inputs", "expected"),
    [
        pytest.param(
            "50",
            (Paged("60", "t"), Refused("expired")),
            [("list", "50", "NotOlderThan", 0, "")],
            id="410 on a later page: all at once at the same version",
        ),
        pytest.param("50", (Refused("expired"),), [("list", "", "", 500, "")], id="410: consistent at once"),
        pytest.param("50", (Refused("tooLarge"),), [("list", "", "", 500, "")], id="too large: consistent"),
        pytest.param("", (Refused("expired"),), [("wait",)], id="410 though consistent: later"),
        pytest.param("", (Refused("missing"),), [("wait",)], id="404: later"),
        pytest.param("", (Refused("forbidden"),), [("wait",)], id="403: later"),
        pytest.param("", (Refused("unauthorized"),), [("wait",)], id="401: later"),
        pytest.param("", (Refused("cut"),), [("wait",)], id="cut: later"),
        pytest.param("", (Refused("undecodable"),), [("wait",)], id="not a list: later"),
        pytest.param("", (Paged("not a number"),), [("wait",)], id="a version that is none: later"),
    ],
)
def test_failures_of_a_list(asked: str, inputs: tuple[Input, ...], expected: list[Any]) -> None:
    assert shape(listing(asked).tell(*inputs)) == expected


def test_a_list_all_at_once_that_expires_too_is_asked_for_consistently() -> None:
    machine = listing("50")
    machine.tell(Paged("60", "t"), Refused("expired"))
    assert shape(machine.tell(Refused("expired"))) == [("list", "", "", 500, "")]


def test_a_list_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lw, "MOST_PAGES", 3)
    machine = listing()
    for _ in range(3):
        machine.tell(Paged("60", "t"))
    assert shape(machine.tell(Paged("60", "t"))) == [("wait",)]


def test_a_missing_resource_type_is_found_within_a_minute_of_its_appearance() -> None:
    machine = priming()
    for _ in range(30):
        machine.tell(Refused("missing"), Refused("missing"))
        assert machine.memory.trouble == phases.Trouble("missing", "list")
        assert machine.pause <= 60
        machine.tell(Elapsed(), after=machine.pause)
    assert isinstance(machine.state, Priming)
    machine.tell(Arrived(0, "60", 0, True))
    assert machine.memory.trouble is None


# --- the watch


@pytest.mark.parametrize(
    ("inputs", "after", "expected"),
    [
        pytest.param((Arrived(1, "51"), Ended()), 0.5, [("watch", "51")], id="closed after an event"),
        pytest.param((Ended(),), 1.0, [("watch", "50")], id="closed after a second"),
        pytest.param((Refused("cut"),), 5.0, [("watch", "50")], id="cut is closed"),
        pytest.param(
            (Arrived(0, "55", 1), Ended()), 300.0, [("watch", "55")], id="bookmarks are resumed from"
        ),
        pytest.param((Ended(),), 0.5, [("wait",)], id="very short: backoff"),
        pytest.param((Refused("throttled"),), 5.0, [("wait",)], id="429 inside: backoff"),
        pytest.param((Refused("expired"),), 5.0, [("watchlist", "50")], id="410 inside: resync at once"),
        pytest.param((Refused("failed"),), 5.0, [("wait",)], id="500 inside: backoff"),
        pytest.param((Refused("undecodable"),), 5.0, [("wait",)], id="undecodable: backoff"),
        pytest.param((Elapsed(),), 405.0, [("watch", "50")], id="silent: again"),
    ],
)
def test_ends_of_a_watch(inputs: tuple[Input, ...], after: float, expected: list[Any]) -> None:
    assert shape(watching().tell(*inputs, after=after)) == expected


@pytest.mark.parametrize(
    ("what", "then"),
    [
        pytest.param(Ended(), ("watchlist", "50"), id="very short: full resync"),
        pytest.param(Refused("throttled"), ("watch", "50"), id="429: no relist"),
        pytest.param(Refused("unreachable"), ("watch", "50"), id="refused: no relist"),
        pytest.param(Refused("expired"), ("watchlist", "50"), id="410: resync at the last version"),
        pytest.param(Refused("tooLarge"), ("watchlist", ""), id="too large: consistent resync"),
        pytest.param(Refused("failed"), ("watchlist", "50"), id="500: resync"),
        pytest.param(Refused("undecodable"), ("watchlist", "50"), id="undecodable: resync"),
        pytest.param(Refused("missing"), ("watchlist", "50"), id="404: resync"),
        pytest.param(Refused("forbidden"), ("watchlist", "50"), id="403: resync"),
    ],
)
def test_what_follows_the_backoff(what: Input, then: tuple[str, str]) -> None:
    machine = watching(expiries=1)
    machine.tell(what, after=0.5)
    assert shape(machine.tell(Elapsed(), after=machine.pause)) == [then]


def test_only_the_first_410_is_answered_at_once_until_events_have_come_again() -> None:
    machine = watching()
    assert shape(machine.tell(Opened(), Refused("expired"))) == [("watchlist", "50")]
    machine.tell(Arrived(0, "60", 1, ends_initial=True))
    assert shape(machine.tell(Refused("expired"))) == [("wait",)]
    machine = watching(expiries=1)
    machine.tell(Opened(), Arrived(1, "51"))
    assert shape(machine.tell(Refused("expired"))) == [("watchlist", "51")]


def test_a_server_that_ends_every_watch_after_one_event_is_not_hammered() -> None:
    machine = watching()
    outputs: list[tuple[Any, ...]] = []
    for version in range(51, 60):
        machine.tell(Opened(), Arrived(1, str(version)))
        outputs += shape(machine.tell(Ended(), after=0.01))
        if isinstance(machine.state, Pausing):
            break
    assert outputs == [("watch", "51"), ("watch", "52"), ("wait",)]
    assert shape(machine.tell(Elapsed(), after=machine.pause)) == [("watch", "53")]


def test_ninety_seconds_of_silence_are_too_long_until_a_server_has_shown_that_it_sends_no_bookmarks() -> None:
    machine = watching()
    assert deadline(machine.state) == T0 + 90
    machine.tell(Elapsed(), after=90)
    machine.tell(Opened())
    assert deadline(machine.state) == T0 + 180
    machine.tell(Elapsed(), after=90)
    assert machine.memory.mute == 2


def test_without_bookmarks_the_idle_deadline_is_the_watchs_own_timeout_and_five_seconds() -> None:
    machine = watching(mute=2)
    assert deadline(machine.state) == T0 + 405
    machine.tell(Arrived(1, "51"), after=100)
    assert deadline(machine.state) == T0 + 505


def test_ninety_seconds_of_silence_are_enough_after_periodic_bookmarks_were_seen() -> None:
    machine = watching()
    machine.tell(Arrived(0, "51", 1), after=60)
    assert deadline(machine.state) == T0 + 150
    machine.tell(Elapsed(), after=90)
    machine.tell(Opened())
    assert deadline(machine.state) == T0 + 240, "remembered for the next watch"


def test_the_bookmark_before_the_end_is_not_a_periodic_one() -> None:
    machine = watching()
    machine.tell(Arrived(0, "51", 1), after=398)
    assert not machine.memory.periodic


def test_silence_is_answered_by_a_new_watch_however_often() -> None:
    machine = watching(periodic=True)
    for _ in range(5):
        assert shape(machine.tell(Elapsed(), after=90)) == [("watch", "50")]
        machine.tell(Opened())


def test_a_server_without_watch_list_is_no_trouble() -> None:
    machine = priming()
    assert shape(machine.tell(Refused("invalid", "sendInitialEvents is forbidden"))) == [
        ("list", "", "", 500, "")
    ]
    assert machine.memory.trouble is None


def test_the_resume_point_never_goes_back() -> None:
    machine = watching("100")
    machine.tell(Arrived(1, "99"), Proved("98"))
    assert machine.memory.version == "100"
    machine.tell(Proved("101"))
    assert machine.memory.version == "101"


def test_someone_who_needs_a_fresh_list_gets_a_consistent_one_at_once() -> None:
    assert shape(watching().tell(Refresh())) == [("watchlist", "")]
    machine = priming("50")
    assert machine.tell(Refresh()) == ()


# --- backoff


def test_the_backoff_doubles_from_0_8_to_30_seconds_with_full_jitter() -> None:
    machine = Machine(Idle(Memory(calmed=T0)))
    pauses = []
    machine.tell(Begin())
    for _ in range(8):
        machine.tell(Refused("throttled"))
        pauses.append(machine.pause)
        machine.tell(Elapsed())
    for pause, base in zip(pauses, [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30], strict=True):
        assert base <= pause < 2 * base


def test_a_server_that_is_not_there_is_asked_again_within_six_seconds() -> None:
    machine = watching()
    for _ in range(8):
        machine.tell(Refused("unreachable"))
        assert machine.pause <= 6.0
        machine.tell(Elapsed())


def test_failures_of_a_server_that_was_away_do_not_hold_up_what_follows_its_return() -> None:
    machine = watching(calmed=T0, expiries=1)
    for _ in range(6):
        machine.tell(Refused("unreachable"))
        machine.tell(Elapsed())
    machine.tell(Refused("failed"))
    assert machine.pause < 1.6
    machine = watching(calmed=T0, expiries=1)
    for _ in range(6):
        machine.tell(Refused("unreachable"))
        machine.tell(Elapsed())
    machine.tell(Opened(), Refused("expired"))
    assert machine.pause < 1.6


def test_the_backoff_starts_anew_two_minutes_after_it_last_did() -> None:
    machine = watching(failures=6, calmed=T0 - 119)
    machine.tell(Refused("throttled"))
    assert machine.pause >= 30
    machine = watching(failures=6, calmed=T0 - 121)
    machine.tell(Refused("throttled"))
    assert machine.pause < 1.6
    assert machine.memory.calmed == T0


@pytest.mark.parametrize(("asked", "waited"), [(45.0, 45.0), (1e9, 3600.0)])
def test_the_servers_retry_after_is_honoured_within_reason(asked: float, waited: float) -> None:
    machine = watching()
    machine.tell(Refused("throttled", retry_after=asked))
    assert machine.pause == waited


# --- a server that goes back in time


def test_a_list_older_than_asked_for_is_refused_and_asked_for_consistently() -> None:
    machine = priming("100")
    assert shape(machine.tell(Arrived(0, "90", 0, True))) == [("wait",)]
    assert shape(machine.tell(Elapsed(), after=machine.pause)) == [("watchlist", "")]


def test_a_rollback_is_believed_after_three_consistent_reads() -> None:
    machine = priming("100", unavailable=True)
    for _ in range(2):
        assert shape(machine.tell(Arrived(0, "90", 0, True))) == [("wait",)]
        machine.tell(Elapsed(), after=machine.pause)
    assert shape(machine.tell(Arrived(0, "91", 0, True))) == [("rollback", "91")]
    assert (machine.memory.version, machine.memory.rollbacks) == ("91", 0)


def test_one_good_read_ends_the_suspicion() -> None:
    machine = priming("100", unavailable=True, rollbacks=2)
    assert shape(machine.tell(Arrived(0, "100", 0, True))) == [("commit", "100")]
    assert machine.memory.rollbacks == 0


# --- whatever happens


@pytest.mark.parametrize("seed", range(20))
def test_every_state_goes_on_under_any_inputs_and_never_asks_for_version_0(seed: int) -> None:
    rng = SeededRng(seed)
    causes = msgspec.inspect.type_info(phases.Cause)
    assert isinstance(causes, msgspec.inspect.LiteralType)
    machine = Machine(Idle(Memory()))
    machine.tell(Begin())
    version = 10
    for _ in range(500):
        version += 1
        inputs: list[Input] = [
            Opened(),
            Arrived(1, str(version)),
            Arrived(0, str(version), 1),
            Arrived(0, str(version), 0, True),
            Paged(str(version)),
            Paged(str(version), "t"),
            Ended(),
            Elapsed(),
            Proved(str(version)),
            Refresh(),
            *(Refused(cause) for cause in causes.values),  # type: ignore[arg-type]  # the literals themselves
        ]
        before = machine.state
        what = inputs[int(rng.uniform(0, len(inputs)))]
        outputs = machine.tell(what, after=rng.uniform(0, 3))
        for output in outputs:
            assert not isinstance(output, OpenWatch | GetPage) or output.version != "0"
        # An activity that has ended is followed by another one.
        if isinstance(what, Refused | Ended | Elapsed) and not isinstance(before, Pausing | Listing):
            assert outputs or isinstance(before, Watching)
        if isinstance(machine.state, Pausing):
            assert deadline(machine.state) is not None

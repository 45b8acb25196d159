"""How a reflector lists and watches: the machine, without any I/O.

`step(state, input, now, rng)` gives the next state and what the driver has to do. One cycle is:
get everything (a WatchList stream, or else a paged LIST), then watch from there; watches follow
each other from the last resourceVersion until something forces a new cycle. Facts and numbers:
reference/runtime.md §1. Guarantees: the resume point comes only from a completed list, live
events, bookmarks and proofs, never from synthetic events; resourceVersion "0" is never asked
for; every failure leads to a later attempt; a server that went back in time is believed only
after `ROLLBACKS_BELIEVED` consistent reads in a row. Pure: the state owns everything.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from kcm.base.backoff import Backoff
from kcm.base.rng import Rng
from kcm.cache.phases import (
    After,
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
    Paged,
    Pausing,
    Priming,
    Proved,
    Refresh,
    Refused,
    State,
    Step,
    Trouble,
    Wait,
    Watching,
)
from kcm.objects.versions import newer, well_formed

# All seconds. Source: runtime §1 unless another is named.
BACKOFF = Backoff(base=0.8, cap=30.0, factor=2.0, jitter=1.0)
# Ours: to knock at a closed door costs nobody anything, to come back late costs the user half a minute.
BACKOFF_ABSENT = Backoff(base=0.8, cap=4.0, factor=2.0, jitter=0.5)
BACKOFF_RESET = 120.0
WATCH_TIMEOUT = (300, 600)
SHORT_WATCH = 1.0
# Ours: upstream waits for ever (gravitational/teleport#64188).
WATCHLIST_QUIET = 30.0
WATCHLIST_CEILING = 300.0
# kube-rs: a watch that outlives its own time-out is dead.
IDLE_SLACK = 5.0
# Ours (reliability L5): bookmarks come every 60 s where they come at all. Not always: on
# a quiet resource a real server sends none until its own cache has moved past where the watch began.
BOOKMARK_SILENCE = 90.0
# Bookmarks are expected of every server, until so many silent watches in a row brought none.
MUTE_WATCHES = 2
# A bookmark closer to the end than this may be the one that announces the end.
PERIODIC_BEFORE_END = 10.0
PAGE_LIMIT = 500
MOST_PAGES = 20_000
LONGEST_WAIT = 3600.0
# Ours: a server that ends every watch after one event (runtime §11.4).
BRIEF_WATCHES = 3
ROLLBACKS_BELIEVED = 3


def deadline(state: State) -> float | None:
    """Return when `Elapsed` is due, on the clock of `now`; None when only the client's time-outs count."""
    match state:
        case Priming(begun=begun, heard=heard):
            return min(heard + WATCHLIST_QUIET, begun + WATCHLIST_CEILING)
        case Watching(opened=None):
            return None
        case Watching(memory=memory, heard=heard, timeout=timeout):
            expects = memory.periodic or memory.mute < MUTE_WATCHES
            return heard + (BOOKMARK_SILENCE if expects else timeout + IDLE_SLACK)
        case Pausing(until=until):
            return until
        case _:
            return None


def step(state: State, what: Input, now: float, rng: Rng) -> Step:
    """Return the state after `what`, and what to do, in order. `now` is monotonic seconds."""
    match state, what:
        case Idle(memory), Begin():
            return _cycle(memory, now, rng)
        case Priming() | Listing() | Pausing() | Watching(), Proved(version):
            return _with(state, version=_newest(state.memory.version, version)), ()
        case ((Pausing(memory) | Watching(memory)), Refresh()):
            return _cycle(_changed(memory, unavailable=True), now, rng)
        case Pausing(memory, _, then), Elapsed():
            return _cycle(memory, now, rng) if then == "cycle" else _watch(memory, now, rng)
        case Priming(), _:
            return _primed(state, what, now, rng)
        case Listing(), _:
            return _listed(state, what, now, rng)
        case Watching(), _:
            return _watched(state, what, now, rng)
        case _:
            return state, ()


def _cycle(memory: Memory, now: float, rng: Rng) -> Step:
    asked = "" if memory.unavailable else memory.version
    timeout = _timeout(rng)
    return Priming(memory, asked, now, now, timeout), (OpenWatch(asked, timeout, initial=True),)


def _list(memory: Memory) -> Step:
    asked = "" if memory.unavailable else memory.version
    return Listing(memory, asked, PAGE_LIMIT), (GetPage(asked, _match(asked), PAGE_LIMIT),)


def _watch(memory: Memory, now: float, rng: Rng) -> Step:
    timeout = _timeout(rng)
    return Watching(memory, timeout, None, now), (OpenWatch(memory.version, timeout),)


def _pause(memory: Memory, now: float, rng: Rng, then: After, retry_after: float = 0.0) -> Step:
    """Back off. The count starts anew 2 minutes after it last did, whatever happened since."""
    if now - memory.calmed > BACKOFF_RESET:
        memory = _changed(memory, failures=0, calmed=now)
    absent = memory.trouble is not None and memory.trouble.cause == "unreachable"
    backoff = BACKOFF_ABSENT if absent else BACKOFF
    wait = max(backoff.delay(memory.failures, rng), min(retry_after, LONGEST_WAIT))
    memory = _changed(memory, failures=memory.failures + 1)
    return Pausing(memory, now + wait, then), (Wait(),)


def _primed(state: Priming, what: Input, now: float, rng: Rng) -> Step:
    memory = state.memory
    match what:
        case Arrived(version=version, ends_initial=True):
            return _committed(memory, state.asked, version, now, rng, state)
        case Arrived(events=events) if events:
            return msgspec.structs.replace(state, heard=now, events=state.events + events), ()
        case Ended() | Refused(cause="cut"):
            if state.again or (now - state.begun < SHORT_WATCH and not state.events):
                return _list(memory)
            following, outputs = _cycle(memory, now, rng)
            return msgspec.structs.replace(following, again=True), outputs
        case Elapsed():
            return _list(memory)
        case Refused(cause="expired" | "tooLarge"):
            return _unavailable(memory, what, state.asked, now, rng, "watch")
        case Refused(cause="throttled" | "unreachable"):
            return _pause(_troubled(memory, what, "watch"), now, rng, "cycle", what.retry_after)
        case Refused(cause="invalid"):
            # A server without WatchList says so: that is no trouble.
            return _list(memory)
        case Refused():
            return _list(_troubled(memory, what, "watch"))
        case _:
            return state, ()


def _listed(state: Listing, what: Input, now: float, rng: Rng) -> Step:
    memory = state.memory
    match what:
        case Paged(version, next_page) if next_page and state.pages < MOST_PAGES:
            pages = state.pages + 1
            paged = msgspec.structs.replace(state, pages=pages, version=state.version or version)
            return paged, (GetPage(state.asked, _match(state.asked), state.limit, next_page),)
        case Paged(version, ""):
            return _committed(memory, state.asked, state.version or version, now, rng, None)
        case Paged():
            endless = Refused("failed", f"a list of more than {MOST_PAGES} pages")
            return _pause(_troubled(memory, endless, "list"), now, rng, "cycle")
        case Refused(cause="expired") if state.pages and state.limit:
            # The token expired on the way: once more, all in one answer.
            whole = Listing(memory, state.asked, limit=0)
            return whole, (GetPage(state.asked, _match(state.asked), 0),)
        case Refused(cause="expired" | "tooLarge"):
            return _unavailable(memory, what, state.asked, now, rng, "list")
        case Refused():
            return _pause(_troubled(memory, what, "list"), now, rng, "cycle", what.retry_after)
        case _:
            return state, ()


def _watched(state: Watching, what: Input, now: float, rng: Rng) -> Step:
    memory = state.memory
    match what:
        case Opened():
            memory = _changed(_reached(memory), trouble=None)
            return msgspec.structs.replace(state, memory=memory, opened=now, heard=now), ()
        case Arrived():
            return _heard(state, what, now), ()
        case Ended() | Refused(cause="cut") if state.opened is not None:
            return _closed(state, state.opened, now, rng)
        case Elapsed():
            # Whether anything was missed is for `Freshness.doubt` to find out: a list would be wasted.
            return _watch(_changed(memory, mute=memory.mute + (not memory.periodic)), now, rng)
        case Refused(cause="unreachable" | "throttled" | "cut"):
            return _pause(_troubled(memory, what, "watch"), now, rng, "watch", what.retry_after)
        case Refused(cause="expired") if memory.expiries == 0:
            return _cycle(_changed(memory, expiries=1), now, rng)
        case Refused(cause="expired"):
            return _pause(memory, now, rng, "cycle")
        case Refused(cause=cause):
            troubled = _changed(_troubled(memory, what, "watch"), unavailable=cause == "tooLarge")
            return _pause(troubled, now, rng, "cycle", what.retry_after)
        case _:
            return state, ()


def _heard(state: Watching, what: Arrived, now: float) -> Watching:
    memory = state.memory
    ends = (state.opened if state.opened is not None else now) + state.timeout
    periodic = memory.periodic or (what.bookmarks > 0 and ends - now > PERIODIC_BEFORE_END)
    memory = _changed(memory, version=_newest(memory.version, what.version), periodic=periodic, expiries=0)
    events = state.events + what.events + what.bookmarks
    return msgspec.structs.replace(state, memory=memory, heard=now, events=events)


def _closed(state: Watching, opened: float, now: float, rng: Rng) -> Step:
    """The watch ended after it was open: go on, unless that would be a loop without a pause."""
    memory = state.memory
    if now - opened >= SHORT_WATCH:
        return _watch(_changed(memory, brief=0), now, rng)
    if not state.events:
        very_short = Refused("failed", "the server ends every watch at once")
        return _pause(_troubled(memory, very_short, "watch"), now, rng, "cycle")
    brief = memory.brief + 1
    if brief >= BRIEF_WATCHES:
        return _pause(_changed(memory, brief=0), now, rng, "watch")
    return _watch(_changed(memory, brief=brief), now, rng)


def _unavailable(memory: Memory, what: Refused, asked: str, now: float, rng: Rng, verb: str) -> Step:
    """The resourceVersion cannot be served: ask for the newest at once, or if that was asked, later."""
    memory = _changed(memory, unavailable=True)
    if asked:
        return _cycle(memory, now, rng) if verb == "watch" else _list(memory)
    return _pause(_troubled(memory, what, verb), now, rng, "cycle", what.retry_after)


def _committed(
    memory: Memory, asked: str, version: str, now: float, rng: Rng, stream: Priming | None
) -> Step:
    """A complete list is there: take it, unless it is older than what is known."""
    verb = "watch" if stream is not None else "list"
    if not well_formed(version):
        failed = Refused("failed", "the list's resourceVersion is not a number")
        return _pause(_troubled(memory, failed, verb), now, rng, "cycle")
    older = newer(memory.version, version)
    if older:
        # Only a consistent read can show that the server was restored from a backup.
        rollbacks = memory.rollbacks + (asked == "")
        if rollbacks < ROLLBACKS_BELIEVED:
            failed = Refused("failed", f"the list is of {version}, {memory.version} was seen before")
            memory = _changed(_troubled(memory, failed, verb), unavailable=True, rollbacks=rollbacks)
            return _pause(memory, now, rng, "cycle")
    memory = _changed(
        memory,
        version=version,
        synced=True,
        unavailable=False,
        brief=0,
        rollbacks=0,
        trouble=None,
    )
    commit = Commit(version, rolled_back=older)
    if stream is not None:
        # The same stream goes on as the watch.
        return Watching(memory, stream.timeout, stream.begun, now, stream.events + 1), (commit,)
    following, outputs = _watch(memory, now, rng)
    return following, (commit, *outputs)


def _reached(memory: Memory) -> Memory:
    """The server is there again: what was counted while it was away must not hold up what follows."""
    absent = memory.trouble is not None and memory.trouble.cause == "unreachable"
    return _changed(memory, failures=0) if absent else memory


def _troubled(memory: Memory, what: Refused, verb: str) -> Memory:
    if what.cause != "unreachable":
        memory = _reached(memory)
    return _changed(memory, trouble=Trouble(what.cause, verb, what.text))


def _changed(memory: Memory, **fields: Any) -> Memory:
    return msgspec.structs.replace(memory, **fields)


def _with(state: Priming | Listing | Pausing | Watching, **fields: Any) -> State:
    return msgspec.structs.replace(state, memory=_changed(state.memory, **fields))


def _newest(one: str, other: str) -> str:
    return other if newer(other, one) else one


def _match(asked: str) -> Literal["", "NotOlderThan"]:
    return "NotOlderThan" if asked else ""


def _timeout(rng: Rng) -> int:
    return int(rng.uniform(*WATCH_TIMEOUT))

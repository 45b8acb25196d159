"""The lease machine: when to lead, when to stop, what to write. Pure.

Rules (reference: runtime 5, DESIGN 2.6):
- Times written by others are never compared with a clock. A change of the record starts a local
  countdown of the holder's leaseDurationSeconds; a newcomer waits a whole one.
- The claim is sent when the countdown ends, when the holder is "" and when the record is our own.
  Every write is based on an exact resourceVersion, so a claim on an outdated view is refused.
- Leadership ends, whatever is on its way, at `renew_deadline` after the last successful write was
  *sent*, or as soon as the record is seen not to be ours. Every step looks at the deadline first:
  after a pause or a suspension that is the first thing that happens.
- A write without an answer is recognised by its record when that is seen later.
- A deleted Lease is created anew by its leader at once, by others who knew it after a whole duration.
- The Lease is released only after work has ended; while it ends on request, renewals go on.

Guarantees at most one leader by its own deadline, as long as clocks run at the same rate and only
candidates write the Lease, and also over one deletion by someone else that every candidate sees.
Does not guarantee that of a candidate that had never seen a Lease that was deleted, nor of a create
that was on its way meanwhile: a create names no version. Owns no state: `step` returns the next one.
"""

from __future__ import annotations

from dataclasses import replace

from kcm.base.timestamps import format_micro_time
from kcm.election.record import Found, Record, parse_handover
from kcm.election.states import (
    Abandon,
    Acquiring,
    Attempt,
    Candidate,
    Depose,
    Deposed,
    Elect,
    Ended,
    Extend,
    Idle,
    Input,
    Leading,
    Moment,
    Output,
    Read,
    ReadFailed,
    Refused,
    Releasing,
    Resign,
    Saw,
    Sighting,
    State,
    Term,
    Watching,
    Write,
    WriteFailed,
    Written,
)
from kcm.objects.versions import at_least, well_formed

Step = tuple[State, tuple[Output, ...]]

_REMEMBERED_ATTEMPTS = 4
_FIRST_PAUSE = 0.1


def start(now: Moment, me: Candidate) -> Watching:
    """Return the first state. The driver reads the Lease on its own when it begins to watch."""
    return Watching(sighting=None, read_at=now.boottime + _silence(me))


def step(state: State, event: Input, now: Moment, me: Candidate) -> Step:
    """Return the next state and what is to be done, in order."""
    match state:
        case Watching():
            return _watching(state, event, now, me)
        case Acquiring():
            return _acquiring(state, event, now, me)
        case Leading():
            return _leading(state, event, now, me)
        case Deposed():
            return _deposed(state, event, now, me)
        case Releasing():
            return _releasing(state, event, now, me)
        case Ended():
            return state, ()


def wake_at(state: State, me: Candidate) -> float:
    """Return when the machine wants a `Tick`; infinity when only an answer moves it on."""
    never = float("inf")
    match state:
        case Watching(sighting=None) | Watching(stale=True):
            return state.read_at
        case Watching(sighting=Sighting() as sighting):
            return min(state.read_at, max(_free_at(sighting, me), state.try_at))
        case Leading(stale=True):
            return min(state.deadline, state.read_at)
        case Leading():
            return min(state.deadline, never if state.open else state.renew_at)
        case Releasing():
            return min(state.until, state.read_at if state.stale else never)
        case _:
            return never


def _watching(state: Watching, event: Input, now: Moment, me: Candidate) -> Step:
    match event:
        case Resign():
            return Ended(released=False), ()
        case Saw() | Written():
            sighting = _sighted(state.sighting, event, now, me)
            if sighting is not None:
                read_at = now.boottime + _silence(me)
                state = replace(state, sighting=sighting, stale=False, read_at=read_at)
        case ReadFailed():
            read_at = now.boottime + _pause(state.failures, me)
            state = replace(state, read_at=read_at, failures=state.failures + 1)
        case _:
            pass
    return _compete(state, now, me)


def _compete(state: Watching, now: Moment, me: Candidate) -> Step:
    """Claim the Lease if it is free, read it if nothing was heard of it for long."""
    sighting = state.sighting
    known = sighting is not None and not state.stale
    if sighting is not None and known and now.boottime >= max(_free_at(sighting, me), state.try_at):
        attempt = Attempt(_claim(sighting.found, now, me), now.boottime)
        claimed = Acquiring(sighting, sighting.found, attempt, state.failures)
        return claimed, (Write(attempt, sighting.found),)
    if now.boottime >= state.read_at:
        return replace(state, read_at=now.boottime + _silence(me)), (Read(),)
    return state, ()


def _acquiring(state: Acquiring, event: Input, now: Moment, me: Candidate) -> Step:
    match event:
        case Written(attempt=attempt) if attempt == state.attempt:
            return _won(state, event.found, now, me)
        case Saw() | Written():
            sighting = _sighted(state.sighting, event, now, me)
            if sighting is None:
                return state, ()
            if sighting.found is not None and sighting.found.record == state.attempt.record:
                return _won(state, sighting.found, now, me)
            return replace(state, sighting=sighting), ()
        case Refused(attempt=attempt) if attempt == state.attempt:
            if state.leaving:
                return Ended(released=False), ()
            return _again(state, now, me)
        case WriteFailed(attempt=attempt) if attempt == state.attempt:
            if state.leaving:
                until = now.boottime + me.settings.renew_timeout
                return _release(Releasing(state.sighting, until, stale=True), now, me)
            return _again(state, now, me)
        case Resign():
            return replace(state, leaving=True), ()
        case _:
            return state, ()


def _again(state: Acquiring, now: Moment, me: Candidate) -> Step:
    """Back to standby after a claim that did not succeed, and look at the Lease at once."""
    try_at = now.boottime + _pause(state.failures, me)
    waiting = Watching(state.sighting, now.boottime, try_at, state.failures + 1, stale=True)
    return _compete(waiting, now, me)


def _won(state: Acquiring, found: Found, now: Moment, me: Candidate) -> Step:
    sighting = _fresh(found, now, me)
    if state.leaving:
        return _release(Releasing(sighting, now.boottime + me.settings.renew_timeout), now, me)
    deadline = state.attempt.sent + me.settings.renew_deadline
    if now.boottime >= deadline:
        return _compete(Watching(sighting, now.boottime + _silence(me)), now, me)
    before = state.before
    handover = parse_handover(before.handover if before else "")
    term = Term(
        identity=me.identity,
        previous=before.record.holder if before else "",
        deadline=deadline,
        graceful=before is not None and before.record.holder == "" and handover.complete,
        last_writes=handover,
        transitions=found.record.transitions,
        uid=found.uid,
        version=found.version,
    )
    renew_at = state.attempt.sent + me.settings.retry_period
    return Leading(sighting, (state.attempt,), deadline, renew_at), (Elect(term),)


def _leading(state: Leading, event: Input, now: Moment, me: Candidate) -> Step:
    if now.boottime >= state.deadline:
        lost, outputs = _lost(state, "no renewal succeeded before the deadline")
        after, more = step(lost, event, now, me)
        return after, outputs + more
    outputs = ()
    match event:
        case Saw():
            return _saw_leading(state, event, now, me)
        case Written():
            return _renewed(state, event.attempt, _sighted(state.sighting, event, now, me), now, me)
        case Refused(attempt=attempt) if attempt == state.attempts[-1]:
            state = replace(state, open=False, stale=True, read_at=now.boottime)
        case WriteFailed(attempt=attempt) if attempt == state.attempts[-1] and state.open:
            renew_at = now.boottime + _pause(state.failures, me)
            state = replace(state, open=False, renew_at=renew_at, failures=state.failures + 1)
        case ReadFailed():
            read_at = now.boottime + _pause(state.failures, me)
            state = replace(state, read_at=read_at, failures=state.failures + 1)
        case Resign() if not state.leaving:
            state = replace(state, leaving=True)
            outputs = (Depose("asked to stop", asked=True),)
        case Idle():
            until = now.boottime + me.settings.renew_timeout
            return _release(Releasing(state.sighting, until, stale=state.stale), now, me)
        case _:
            pass
    after, more = _keep(state, now, me)
    return after, outputs + more


def _saw_leading(state: Leading, event: Saw, now: Moment, me: Candidate) -> Step:
    sighting = _sighted(state.sighting, event, now, me)
    if sighting is None:
        return state, ()
    found = sighting.found
    if found is not None and found.record.holder != me.identity:
        reason = (
            f"the Lease is held by {found.record.holder}"
            if found.record.holder
            else "the Lease was taken away"
        )
        return _lost(replace(state, sighting=sighting), reason)
    for attempt in state.attempts if found is not None else ():
        if found is not None and found.record == attempt.record:
            return _renewed(state, attempt, sighting, now, me)
    before = state.sighting.found
    renew_at = state.renew_at
    if state.stale:
        renew_at = now.boottime
    elif found is None or before is None or found.record != before.record:
        # Someone deleted or changed our record: heal it, but never as fast as they can break it.
        renew_at = max(now.boottime, state.attempts[-1].sent + me.settings.retry_period / 4)
    return _keep(replace(state, sighting=sighting, stale=False, renew_at=renew_at), now, me)


def _renewed(state: Leading, attempt: Attempt, sighting: Sighting | None, now: Moment, me: Candidate) -> Step:
    deadline = max(state.deadline, attempt.sent + me.settings.renew_deadline)
    renew_at = state.renew_at
    first_answer = state.open and attempt == state.attempts[-1]
    if first_answer:
        renew_at = attempt.sent + me.settings.retry_period
    elif state.stale:
        renew_at = now.boottime
    after = replace(
        state,
        sighting=sighting or state.sighting,
        deadline=deadline,
        open=state.open and not first_answer,
        renew_at=renew_at,
        stale=False,
        failures=0,
    )
    extended = (Extend(deadline),) if deadline > state.deadline else ()
    kept, outputs = _keep(after, now, me)
    return kept, extended + outputs


def _keep(state: Leading, now: Moment, me: Candidate) -> Step:
    """Renew, or read first if the last write was refused, when that is due."""
    if state.stale:
        if now.boottime < state.read_at:
            return state, ()
        return replace(state, read_at=now.boottime + me.settings.retry_period), (Read(),)
    if state.open or now.boottime < state.renew_at:
        return state, ()
    held = state.attempts[-1].record
    record = replace(held, renewed=format_micro_time(now.wall), duration=int(me.settings.lease_duration))
    attempt = Attempt(record, now.boottime)
    attempts = (*state.attempts, attempt)[-_REMEMBERED_ATTEMPTS:]
    return replace(state, attempts=attempts, open=True), (Write(attempt, state.sighting.found),)


def _lost(state: Leading, reason: str) -> Step:
    outputs: tuple[Output, ...] = (Abandon(),) if state.leaving else (Abandon(), Depose(reason))
    return Deposed(state.sighting, state.leaving), outputs


def _deposed(state: Deposed, event: Input, now: Moment, me: Candidate) -> Step:
    match event:
        case Saw() | Written():
            return replace(state, sighting=_sighted(state.sighting, event, now, me) or state.sighting), ()
        case Resign():
            return replace(state, leaving=True), ()
        case Idle() if state.leaving:
            until = now.boottime + me.settings.renew_timeout
            return _release(Releasing(state.sighting, until, stale=True), now, me)
        case Idle():
            return _compete(Watching(state.sighting, now.boottime, stale=True), now, me)
        case _:
            return state, ()


def _releasing(state: Releasing, event: Input, now: Moment, me: Candidate) -> Step:
    if now.boottime >= state.until:
        return Ended(released=False), (Abandon(),)
    match event:
        case Written(attempt=attempt) if attempt == state.attempt:
            return Ended(released=True), ()
        case Saw() | Written():
            sighting = _sighted(state.sighting, event, now, me)
            if sighting is not None:
                state = replace(state, sighting=sighting, stale=False)
        case Refused(attempt=attempt) | WriteFailed(attempt=attempt) if attempt == state.attempt:
            read_at = now.boottime + (_pause(state.failures - 1, me) if state.failures else 0.0)
            state = replace(state, open=False, stale=True, read_at=read_at, failures=state.failures + 1)
        case ReadFailed():
            read_at = now.boottime + _pause(state.failures, me)
            state = replace(state, read_at=read_at, failures=state.failures + 1)
        case _:
            pass
    return _release(state, now, me)


def _release(state: Releasing, now: Moment, me: Candidate) -> Step:
    if state.stale:
        if now.boottime < state.read_at:
            return state, ()
        return replace(state, read_at=now.boottime + me.settings.retry_period), (Read(),)
    found = state.sighting.found
    if found is None or found.record.holder != me.identity:
        ours = state.attempt is not None and found is not None and found.record == state.attempt.record
        return Ended(released=ours), (Abandon(),)
    if state.open:
        return state, ()
    moment = format_micro_time(now.wall)
    record = Record("", 1, moment, moment, found.record.transitions)
    attempt = Attempt(record, now.boottime)
    return replace(state, attempt=attempt, open=True), (Write(attempt, found, final=True),)


def _sighted(known: Sighting | None, event: Saw | Written, now: Moment, me: Candidate) -> Sighting | None:
    """Return what is known after `event`; None when it is older than what was known."""
    if isinstance(event, Written):
        event = Saw(event.found, event.found.version, event.attempt.sent)
    if known is not None and not _is_news(event, known):
        return None
    return Sighting(event.found, event.version, now.boottime, _expiry(known, event.found, now, me))


def _is_news(event: Saw, known: Sighting) -> bool:
    """A read that was sent after the last news is true whatever its version: an API server that
    was restored from a backup goes back, and must not be disbelieved for ever."""
    if event.asked is not None and event.asked > known.seen:
        return True
    return well_formed(event.version) and at_least(event.version, known.version)


def _expiry(known: Sighting | None, found: Found | None, now: Moment, me: Candidate) -> float:
    before = known.found.record if known is not None and known.found is not None else None
    record = found.record if found is not None else None
    if known is not None and record == before:
        return known.expires
    if record is not None:
        return now.boottime + (record.duration or me.settings.lease_duration)
    if before is None:
        return now.boottime
    # Deleted under its holder, who may have renewed unseen until a moment ago; and with the Lease
    # went the version that would refuse a claim made too early. So wait a whole duration.
    return now.boottime + max(before.duration, me.settings.lease_duration)


def _fresh(found: Found, now: Moment, me: Candidate) -> Sighting:
    return Sighting(found, found.version, now.boottime, _expiry(None, found, now, me))


def _free_at(sighting: Sighting, me: Candidate) -> float:
    if sighting.found is not None and sighting.found.record.holder in ("", me.identity):
        return 0.0
    return sighting.expires


def _claim(found: Found | None, now: Moment, me: Candidate) -> Record:
    moment = format_micro_time(now.wall)
    duration = int(me.settings.lease_duration)
    if found is None:
        return Record(me.identity, duration, moment, moment, 0)
    if found.record.holder == me.identity:
        return replace(found.record, duration=duration, renewed=moment)
    return Record(me.identity, duration, moment, moment, found.record.next_transitions())


def _silence(me: Candidate) -> float:
    """A leader renews each retry period; twice that without news means that the watch is blind."""
    return 2 * me.settings.retry_period


def _pause(failures: int, me: Candidate) -> float:
    return min(_FIRST_PAUSE * 2.0 ** min(failures, 10), me.settings.retry_period)

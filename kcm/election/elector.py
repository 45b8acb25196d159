"""Runs the lease machine against an API server and tells a follower when it leads.

Job: carry out what `kcm.election.lease` asks for, and feed it what comes back. All decisions are
the machine's; this module is requests, timers and calls.

Guarantees: the machine is asked at least every `CHECK_EVERY` seconds and before anything else after
a pause, so a deadline that passed while the process or the machine slept is the first thing noticed;
a hanging request delays nothing; the Lease is released only after `deposed` has returned; when `run`
returns or raises, no task of it is left. Does not emit Events and does not stop the process: the
follower may do that.

Owns the state of the election; only `_drive` writes it. Tasks: one that watches, at most one read,
one write and one `deposed`, all children of `run`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from kcm.base.backoff import Backoff
from kcm.base.clock import Clock
from kcm.base.errors import KcmError
from kcm.base.rng import Rng
from kcm.client.errors import Expired
from kcm.election.access import LeaseAccess, Outdated
from kcm.election.lease import start, step, wake_at
from kcm.election.metrics import ElectionMetrics
from kcm.election.record import handover_text, parse_handover
from kcm.election.settings import ElectionSettings
from kcm.election.states import (
    Abandon,
    Candidate,
    Depose,
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
    Resign,
    Saw,
    State,
    Term,
    Tick,
    Write,
    WriteFailed,
    Written,
)
from kcm.telemetry.logging import Logger

# Timers of a loop stand still while the machine is suspended; the deadline does not.
CHECK_EVERY = 0.5
_SHORTEST_TIMER = 0.001
# A timer may fall short of its time by a rounding error; the next must not come at the same moment.
_SHORTEST = 0.001


class Follower(Protocol):
    """What leads when its elector is elected. All but `deposed` must return at once."""

    def elected(self, term: Term) -> None:
        """Leadership begins, until `term.deadline` (seconds of `Clock.boottime`) unless renewed."""
        ...

    def renewed(self, deadline: float) -> None:
        """Leadership lasts until `deadline` now."""
        ...

    async def deposed(self, reason: str) -> None:
        """End all work and return when none is left: the Lease may go to another after that.

        When asked to stop, `renewed` goes on being called meanwhile; when leadership was lost,
        the deadline may have passed already.
        """
        ...

    def last_writes(self) -> Mapping[str, str] | None:
        """Return the newest resourceVersion per resource that this leader wrote or waited for.

        None until its freshness barrier is passed: it cannot vouch for its predecessor yet.
        """
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """An election as people want to see it.

    `deadline` is seconds of boottime, 0 when not leading; `errors` are those that last now. `heard` is
    for how many seconds the Lease was not read or heard of, None: it never was. `acquired`: since when its
    holder has it, as the holder wrote; `expires`: when, in boottime, another may take it.
    """

    identity: str
    leading: bool
    holder: str
    transitions: int
    deadline: float
    errors: tuple[str, ...]
    heard: float | None = None
    acquired: str = ""
    expires: float | None = None


class Elector:
    """A candidate for one Lease."""

    def __init__(
        self,
        leases: LeaseAccess,
        settings: ElectionSettings,
        identity: str,
        clock: Clock,
        rng: Rng,
        metrics: ElectionMetrics,
        log: Logger,
    ) -> None:
        if not 0 < len(identity) <= 253:
            raise ValueError(f"an identity has 1 to 253 characters, not {len(identity)}")
        self._leases = leases
        self._me = Candidate(identity, settings)
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._log = log.bind(identity=identity)
        self._state: State = Ended(released=False)
        self._inbox: asyncio.Queue[Input] = asyncio.Queue()
        self._ended = asyncio.Event()
        self._ended.set()
        self._timer: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._holder = ""
        self._errors: dict[str, str] = {}
        metrics.show_age(self._age)

    async def run(self, follower: Follower) -> None:
        """Take part until asked to stop, with `resign` or by cancelling once.

        Cancelled once, it still lets `deposed` return and releases the Lease, and then raises
        CancelledError; cancelled twice, it leaves at once and the Lease has to expire. What
        `follower` raises ends it in an ExceptionGroup, and the Lease is not released.
        """
        self._ended.clear()
        self._inbox = asyncio.Queue()
        try:
            async with asyncio.TaskGroup() as outer:
                work = outer.create_task(self._drive(follower))
                try:
                    await asyncio.wait([work])
                except asyncio.CancelledError:
                    self._post(Resign())
                    await asyncio.wait([work])
                    raise
        finally:
            self._ended.set()

    async def resign(self) -> None:
        """Stop taking part: end the work, release the Lease, and return when `run` has ended."""
        if self._ended.is_set():
            return
        self._post(Resign())
        await self._ended.wait()

    def standing(self) -> Standing:
        """Return who leads, as far as is known."""
        state = self._state
        leading = isinstance(state, Leading) and self._clock.boottime() < state.deadline
        sighting = None if isinstance(state, Ended) else state.sighting
        record = sighting.found.record if sighting and sighting.found else None
        return Standing(
            identity=self._me.identity,
            leading=leading,
            holder=record.holder if record else "",
            transitions=record.transitions if record else 0,
            deadline=state.deadline if isinstance(state, Leading) else 0.0,
            errors=tuple(self._errors.values()),
            heard=self._clock.boottime() - sighting.seen if sighting else None,
            acquired=record.acquired if record else "",
            expires=sighting.expires if sighting and record and record.holder else None,
        )

    def _age(self) -> float:
        """Return for how many seconds nobody has renewed the Lease; NaN where there is none to judge."""
        sighting = None if isinstance(self._state, Ended) else self._state.sighting
        if sighting is None or sighting.found is None:
            return math.nan
        lasts = sighting.found.record.duration or self._me.settings.lease_duration
        return max(0.0, self._clock.boottime() - (sighting.expires - lasts))

    # --- the loop

    async def _drive(self, follower: Follower) -> None:
        self._state = start(self._now(), self._me)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            try:
                while not isinstance(self._state, Ended):
                    self._set_timer()
                    event = await self._inbox.get()
                    self._state, outputs = step(self._state, event, self._now(), self._me)
                    for output in outputs:
                        self._carry_out(output, group, follower)
                    self._note_holder()
            finally:
                self._metrics.deposed()
                if self._timer is not None:
                    self._timer.cancel()
                for task in (watching, self._reading, self._writing):
                    if task is not None:
                        task.cancel()

    def _carry_out(self, output: Output, group: asyncio.TaskGroup, follower: Follower) -> None:
        match output:
            case Read():
                if isinstance(self._state, Leading):
                    self._metrics.slow_path()
                if self._reading is None or self._reading.done():
                    self._reading = group.create_task(self._read())
            case Write():
                self._abandon()
                self._writing = group.create_task(self._write(output, follower))
            case Abandon():
                self._abandon()
            case Elect(term=term):
                self._log.info("became leader", transitions=term.transitions, graceful=term.graceful)
                self._metrics.elected()
                follower.elected(term)
            case Extend(deadline=deadline):
                follower.renewed(deadline)
            case Depose(reason=reason, asked=asked):
                if not asked:
                    self._log.warning("lost leadership", reason=reason)
                    self._metrics.deposed()
                group.create_task(self._depose(follower, reason))

    async def _depose(self, follower: Follower, reason: str) -> None:
        await follower.deposed(reason)
        self._log.info("stopped leading", reason=reason)
        self._metrics.deposed()
        self._post(Idle())

    # --- requests

    async def _watch(self) -> None:
        """Follow the Lease; where watching is not possible, its repeated reads are the poll."""
        retry = Backoff(base=0.25, cap=min(1.0, self._me.settings.retry_period), jitter=0.2)
        failures = 0
        while True:
            began = self._clock.monotonic()
            try:
                version = await self._look()
                if version:
                    async with self._leases.watch(version) as events:
                        async for saw in events:
                            self._errors.pop("watch", None)
                            self._post(saw)
            except Expired:
                # A Lease that rested for longer than the server remembers: nothing is wrong, reads go on.
                self._errors.pop("watch", None)
            except (KcmError, TimeoutError) as error:
                self._failed("watch", error)
            # A watch that lasted was a good one; one that ends at once must not become a hot loop.
            lasted = self._clock.monotonic() - began > 5.0
            failures = 0 if lasted else failures + 1
            await self._clock.sleep(retry.delay(failures, self._rng) if failures else 0.0)

    async def _read(self) -> None:
        try:
            await self._look()
        except (KcmError, TimeoutError) as error:
            self._failed("read", error)
            self._post(ReadFailed())

    async def _look(self) -> str:
        """Read the Lease, tell the machine, and return its resourceVersion, "" when there is none."""
        asked = self._clock.boottime()
        async with asyncio.timeout(self._me.settings.renew_timeout):
            lease = await self._leases.get()
        self._errors.pop("read", None)
        self._post(Saw(lease, lease.version if lease else "", asked))
        return lease.version if lease else ""

    async def _write(self, order: Write, follower: Follower) -> None:
        handover = self._handover(order, follower)
        record = order.attempt.record
        try:
            async with asyncio.timeout(self._me.settings.renew_timeout):
                if order.base is None:
                    lease = await self._leases.create(record, handover)
                else:
                    lease = await self._leases.write(order.base, record, handover)
        except Outdated as error:
            self._log.debug("the Lease changed under a write", error=str(error))
            self._post(Refused(order.attempt))
        except (KcmError, TimeoutError) as error:
            self._failed("write", error)
            self._post(WriteFailed(order.attempt))
        else:
            self._errors.pop("write", None)
            self._post(Written(order.attempt, lease))

    def _handover(self, order: Write, follower: Follower) -> str:
        """Return what to leave for the next leader: what was inherited, and what was written since."""
        inherited = parse_handover(order.base.handover if order.base else "")
        leads = isinstance(self._state, Leading) or order.final
        own = follower.last_writes() if leads else None
        handover = inherited.merged(own or {})
        return handover_text(handover.finished() if order.final and own is not None else handover)

    def _failed(self, what: str, error: BaseException) -> None:
        """Say a failure once, not at every try."""
        text = f"{what}: {str(error) or 'time-out'}"
        if text != self._errors.get(what):
            self._errors[what] = text
            self._log.warning("the Lease cannot be reached", what=what, error=str(error) or "time-out")

    # --- small things

    def _now(self) -> Moment:
        return Moment(self._clock.boottime(), self._clock.wall())

    def _post(self, event: Input) -> None:
        self._inbox.put_nowait(event)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = min(max(wake_at(self._state, self._me) - self._clock.boottime(), _SHORTEST), CHECK_EVERY)
        self._timer = asyncio.get_running_loop().call_later(wait, self._post, Tick())

    def _abandon(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _note_holder(self) -> None:
        holder = self.standing().holder
        if holder and holder != self._holder:
            self._log.info("leader is", holder=holder)
        self._holder = holder or self._holder

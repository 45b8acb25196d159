"""The event recorder.

Hears what all controllers of the daemon emit; its keys are the objects that events are about, so
that the events of one object are written in their order, and those of different objects at the
same time. Guarantees: at most the writes that the correlator asks for; a write whose answer is
lost is repeated under the same name; `TRIES` attempts while the server is away, none after it
has refused; what is dropped is counted by reason. Does not guarantee delivery. All it remembers
is gone with its process: then a repetition is told as a new event.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from controllers.eventrecorder.correlator import Correlator, Tell
from controllers.eventrecorder.instruments import Instruments
from controllers.eventrecorder.settings import Settings
from controllers.eventrecorder.wording import CountWording, SeriesWording, Wording, event_name
from kcm import (
    AlreadyExists,
    ApiError,
    Controller,
    Done,
    Key,
    NamespaceTerminating,
    NotFound,
    Plan,
    Rate,
    RequeueAfter,
    TransportError,
    emitted,
    writes,
)
from kcm.objects import CoreEvent, Event, Resource

if TYPE_CHECKING:
    from kcm import Cache, Context, Result
    from kcm.objects import Emitted

TRIES = 12
FIRST_WAIT = 0.5
LONGEST_WAIT = 10.0
MOST_LATE = 4096


class Late(NamedTuple):
    """A write that is tried again at `until` (loop time), and the event that it tells."""

    tell: Tell
    event: Emitted | None
    tries: int
    until: float


class EventRecorder(Controller[Resource[Any], Key]):
    """Writes events."""

    name = "eventrecorder"
    aliases: ClassVar[tuple[str, ...]] = ("event-recorder",)
    hears = emitted()
    writes = (writes(Event, "create", "patch"), writes(CoreEvent, "create", "patch"))
    settings_type = Settings
    workers = 16
    # For the whole daemon; each object has a budget of its own.
    rate = Rate(100.0, 200)

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        counts = (settings or Settings()).api == "v1"
        self._wording: Wording = CountWording() if counts else SeriesWording()
        self._correlator = Correlator(eager=counts)
        self._late: dict[Key, Late] = {}
        self._number = 0
        self._refusals: set[int] = set()
        self._instruments: Instruments | None = None

    def observe(self, cache: Cache, key: Key) -> Key:
        return key

    async def reconcile(self, ctx: Context, seen: Key) -> Result:
        clock = asyncio.get_running_loop().time
        instruments = self._instruments = self._instruments or Instruments(ctx)
        wait = await self._tell_all(ctx, instruments)
        if wait is None:
            wait = self._correlator.due_in(ctx.key, clock())
        correlator = self._correlator
        instruments.remembered(len(correlator), correlator.combined, correlator.unpaid)
        return Done() if wait is None else RequeueAfter(max(0.001, wait))

    async def _tell_all(self, ctx: Context, instruments: Instruments) -> float | None:
        """Write what is to be written about the object; return seconds if that has to wait."""
        clock = asyncio.get_running_loop().time
        late = self._late.get(ctx.key)
        if late is not None:
            if (wait := late.until - clock()) > 0:
                return wait
            if (wait_more := await self._tell(ctx, late.tell, late.event, late.tries)) is not None:
                return wait_more
        for event in ctx.heard():
            instruments.heard(event.times)
            tell = self._correlator.take(event, clock())
            if tell is None:
                ctx.handled(event)
            elif (wait_more := await self._tell(ctx, tell, event, 0)) is not None:
                return wait_more
        for tell in self._correlator.sweep(ctx.key, clock()):
            if (wait_more := await self._tell(ctx, tell, None, 0)) is not None:
                return wait_more
        return None

    async def _tell(self, ctx: Context, tell: Tell, event: Emitted | None, tries: int) -> float | None:
        """Try to write; return None when that is settled, else the seconds after which to try again."""
        error = await self._write(ctx, tell, fresh=event is not None)
        if error is not None and not _rejects(error) and tries + 1 < TRIES and len(self._late) < MOST_LATE:
            self._count_failure(type(error).__name__)
            wait = _pause(ctx.key, tries, error)
            self._late[ctx.key] = Late(tell, event, tries + 1, asyncio.get_running_loop().time() + wait)
            return wait
        self._late.pop(ctx.key, None)
        if event is not None:
            ctx.handled(event)
        if error is None:
            self._correlator.told(tell, asyncio.get_running_loop().time())
        else:
            self._give_up(ctx, tell, error)
        return None

    async def _write(self, ctx: Context, tell: Tell, *, fresh: bool) -> Exception | None:
        """Create or update the event; return what went wrong."""
        verb = "update" if tell.story.told else "create"
        error = await (self._update(ctx, tell) if tell.story.told else self._create(ctx, tell))
        if isinstance(error, NotFound) and verb == "update":
            # The server keeps events for an hour: it is told anew, with all it has counted.
            tell.story.name, verb = "", "create"
            error = await self._create(ctx, tell)
        if error is None and self._instruments is not None:
            age = ctx.now().timestamp() - tell.story.event.time if fresh else None
            self._instruments.written(verb, age)
        return error

    async def _create(self, ctx: Context, tell: Tell) -> Exception | None:
        story = tell.story
        story.name = story.name or self._new_name(ctx, tell)
        outcome = await ctx.apply(Plan.create(self._wording.whole(tell), because="an event"))
        for failure in outcome.failed:
            return None if _is_there(failure.error) else failure.error
        return None

    async def _update(self, ctx: Context, tell: Tell) -> Exception | None:
        change = self._wording.change(tell)
        outcome = await ctx.apply(Plan.patch(self._wording.whole(tell), change, because="it has repeated"))
        return outcome.failed[0].error if outcome.failed else None

    def _new_name(self, ctx: Context, tell: Tell) -> str:
        self._number = (self._number + 1) % 1000
        nanoseconds = int(ctx.now().timestamp() * 1_000_000) * 1000 + self._number
        about = tell.story.event.about
        return event_name(about.name, nanoseconds, f"{about.kind}/{about.namespace}/{about.uid}")

    def _give_up(self, ctx: Context, tell: Tell, error: Exception) -> None:
        reason = "lost"
        if isinstance(error, NamespaceTerminating | NotFound):
            # The namespace goes away or is gone, and all that is in it: nobody will read it.
            reason = "namespace"
        elif isinstance(error, ApiError):
            reason = "refused"
            if error.code not in self._refusals:
                self._refusals.add(error.code)
                ctx.log.warning("event refused; others like it are only counted", error=str(error))
        self._count_failure(type(error).__name__)
        if self._instruments is not None:
            self._instruments.dropped(reason, tell.times - tell.story.told)
        self._correlator.forget(tell.story)

    def _count_failure(self, reason: str) -> None:
        if self._instruments is not None:
            self._instruments.failed(reason)


def _is_there(error: Exception) -> bool:
    """Say whether the name is taken: it is ours alone, so a create whose answer was lost has arrived.

    Whose it is was looked up, too, which an account that may only write events may not.
    """
    if isinstance(error, TransportError) and isinstance(error.__cause__, ApiError):
        return True
    return isinstance(error, AlreadyExists)


def _rejects(error: Exception) -> bool:
    """Say whether the server has decided against the event; 429 and 5xx are no verdict."""
    if isinstance(error, ApiError):
        return error.code < 500 and error.code != 429
    return not isinstance(error, TransportError)


def _pause(key: Key, tries: int, error: Exception) -> float:
    """Return for how many seconds an object's events wait: longer each time, not all objects alike."""
    share = zlib.crc32(str(key).encode(errors="replace")) / 2**32
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0**tries) * (1.0 + 0.25 * share)
    asked = error.retry_after if isinstance(error, ApiError) else None
    return max(wait, min(asked or 0.0, 6 * LONGEST_WAIT))

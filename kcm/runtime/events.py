"""Events on their way to the API server.

`EventLog.emit` never waits: it filters, then queues; one task writes. Per source object and
type a bucket of 25 events that refills one per five minutes keeps a scale-up of thousands from
flooding the API; an event that repeats within memory raises the count of the one already
written (reference: runtime §6). Guarantees bounded memory, the order of one object's events,
and that what is dropped is counted by reason. Does not guarantee delivery: events are for
people, no controller may wait for one. The log owns its queue and both bounded memories.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Any, NamedTuple

import msgspec

from kcm.base.clock import Clock
from kcm.base.errors import KcmError
from kcm.base.timestamps import format_time
from kcm.client.api import ApiClient
from kcm.client.errors import NotFound
from kcm.client.transport import TransportError
from kcm.objects.metadata import Metadata, Spec
from kcm.objects.resource import Key, ResourceType
from kcm.runtime.plan import Emit
from kcm.telemetry.logging import Logger
from kcm.telemetry.metrics import Metrics

EVENTS = ResourceType("v1", "Event", "events")

BURST = 25
REFILL_SECONDS = 300.0
REMEMBERED = 4096
QUEUED = 1000
LONGEST_NOTE = 1024
TRIES = 3


class _Bucket(NamedTuple):
    tokens: float
    at: float


class _Written(NamedTuple):
    name: str
    namespace: str
    times: int


class _Answer(Spec, frozen=True):
    metadata: Metadata = Metadata()


class EventLog:
    """Takes the Events of one controller and writes them as core/v1 Events."""

    def __init__(
        self, client: ApiClient, component: str, clock: Clock, metrics: Metrics, log: Logger
    ) -> None:
        self._client = client
        self._component = component
        self._clock = clock
        self._log = log
        self._queue: deque[Emit] = deque()
        self._number = 0
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()
        self._written: OrderedDict[tuple[str, str, str, str], _Written] = OrderedDict()
        self._emitted = metrics.counter(
            "kcm_events_emitted_total", "Events that controllers emitted.", ("controller",)
        ).labels(component)
        dropped = metrics.counter(
            "kcm_events_dropped_total", "Events not written, by reason.", ("controller", "reason")
        )
        self._dropped = {
            reason: dropped.labels(component, reason) for reason in ("rate", "full", "refused", "lost")
        }

    def emit(self, event: Emit) -> None:
        """Take one event; over its object's rate or over the queue's size it is dropped and counted."""
        self._emitted.inc()
        if not self._allowed(event):
            self._dropped["rate"].inc()
            return
        if len(self._queue) >= QUEUED:
            self._dropped["full"].inc()
            return
        self._queue.append(event)
        self._idle.clear()
        self._arrived.set()

    async def run(self) -> None:
        """Write what is queued, for ever."""
        while True:
            await self._arrived.wait()
            while self._queue:
                await self._deliver(self._queue.popleft())
            self._arrived.clear()
            self._idle.set()

    async def flush(self, seconds: float) -> None:
        """Wait until everything is written, at most so long; the rest is counted as lost."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            self._dropped["lost"].inc(len(self._queue))

    def _allowed(self, event: Emit) -> bool:
        key = (event.about.uid, event.type)
        now = self._clock.monotonic()
        bucket = self._buckets.pop(key, _Bucket(BURST, now))
        tokens = min(BURST, bucket.tokens + (now - bucket.at) / REFILL_SECONDS)
        self._buckets[key] = _Bucket(tokens - 1 if tokens >= 1 else tokens, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return tokens >= 1

    async def _deliver(self, event: Emit) -> None:
        for attempt in range(TRIES):
            try:
                await self._write(event)
                return
            except TransportError:
                await self._clock.sleep(0.5 * 2**attempt)
            except (KcmError, ValueError) as error:
                # An answer is an answer: a refused event is not sent again (reference: runtime §6). Nor is
                # one that cannot be written as JSON; and whatever it is, the next event is written.
                self._dropped["refused"].inc()
                self._log.debug("event refused", reason=event.reason, error=str(error))
                return
        self._dropped["lost"].inc()

    async def _write(self, event: Emit) -> None:
        key = (event.about.uid, event.type, event.reason, event.note)
        written = self._written.pop(key, None)
        if written is not None:
            try:
                self._remember(key, await self._count(written))
                return
            except NotFound:
                pass  # its hour is over: write it anew
        namespace = event.about.namespace or "default"
        answer = await self._client.create(EVENTS, namespace, self._body(event, namespace))
        try:
            metadata = msgspec.json.decode(answer, type=_Answer).metadata
        except (ValueError, RecursionError) as error:
            # It is written; without its name a repetition becomes an event of its own.
            self._log.debug("answer to an event cannot be read", error=str(error))
            return
        self._remember(key, _Written(metadata.name, namespace, 1))

    async def _count(self, written: _Written) -> _Written:
        count = written.times + 1
        body = msgspec.json.encode({"count": count, "lastTimestamp": format_time(self._clock.wall())})
        await self._client.patch(EVENTS, Key(written.namespace, written.name), body, "merge")
        return written._replace(times=count)

    def _remember(self, key: tuple[str, str, str, str], written: _Written) -> None:
        self._written[key] = written
        if len(self._written) > REMEMBERED:
            self._written.popitem(last=False)

    def _body(self, event: Emit, namespace: str) -> bytes:
        now = self._clock.wall()
        about = event.about
        stamp = format_time(now)
        unique = int(now.timestamp() * 1_000_000) * 1000 + self._next_number()
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about.name[:230]}.{unique:x}", "namespace": namespace},
            "involvedObject": about,
            "type": event.type,
            "reason": event.reason[:128],
            "message": event.note[:LONGEST_NOTE],
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        return msgspec.json.encode(body)

    def _next_number(self) -> int:
        """Return a number that differs for events of the same microsecond."""
        self._number = (self._number + 1) % 1000
        return self._number

"""Events on their way out of a process.

A controller's `EventSink` turns what it emits into records (`kcm.objects.Emitted`) in the
process's one `Outbox`, which posts them in batches to whoever carries them to the recorders.
Guarantees: `emit` never waits and never raises, whatever it is handed; memory is bounded; the
order of one controller's events is kept, but for those beyond the rate. Of one object and type a
bucket of 25 passes that refills one per five minutes (reference: runtime §6): what exceeds it is
counted here and told as a number, so that a scale-up of thousands costs a few records. Does not
guarantee delivery: events are for people, no controller may wait for one. A sink owns its
buckets, the outbox its queue.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from kcm.base.clock import Clock
from kcm.objects.events import Emitted, ObjectReference
from kcm.runtime.plan import Emit
from kcm.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from prometheus_client import Counter

BURST = 25
REFILL_SECONDS = 300.0
REMEMBERED = 4096
FOLDS = 1024
FOLD_SECONDS = 5.0
QUEUED = 1000
BATCH = 256
POST_SECONDS = 0.05
LONGEST_NOTE = 1024
LONGEST_WORD = 128
LARGEST_RECORD = 8192

Post = Callable[[Sequence[bytes]], None]

_encode = msgspec.json.Encoder().encode


class Outbox:
    """The records of one process that wait to be posted, a moment at most."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._records: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    def put(self, record: bytes) -> bool:
        """Take one record; False when there are too many."""
        if len(self._records) >= QUEUED:
            return False
        self._records.append(record)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(POST_SECONDS, self.flush)
        return True

    def flush(self) -> None:
        """Post everything now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        records, self._records = self._records, []
        for begin in range(0, len(records), BATCH):
            self._post(records[begin : begin + BATCH])


class _Bucket:
    """What one object may tell of one type."""

    __slots__ = ("at", "tokens")

    def __init__(self, now: float) -> None:
        self.tokens = float(BURST)
        self.at = now

    def take(self, now: float) -> bool:
        self.tokens = min(float(BURST), self.tokens + (now - self.at) / REFILL_SECONDS)
        self.at = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class _Fold:
    """Events beyond the rate that differ in their notes at most."""

    __slots__ = ("last", "mixed", "times")

    def __init__(self, event: Emit) -> None:
        self.last, self.times, self.mixed = event, 1, False

    def add(self, event: Emit) -> None:
        self.mixed |= event.note != self.last.note
        self.last = event
        self.times += 1


class EventSink:
    """Takes the events of one controller. `component` is its name for people, `instance` its process."""

    def __init__(
        self, controller: str, component: str, instance: str, outbox: Outbox, clock: Clock, metrics: Metrics
    ) -> None:
        self._component = component[:LONGEST_WORD]
        self._instance = f"{component}-{instance}"[:LONGEST_WORD]
        self._outbox = outbox
        self._clock = clock
        self._buckets: OrderedDict[tuple[str | ObjectReference, str], _Bucket] = OrderedDict()
        self._folds: dict[tuple[str | ObjectReference, str, str, str], _Fold] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._emitted = metrics.counter(
            "kcm_events_emitted_total", "Events that controllers emitted.", ("controller",)
        ).labels(controller)
        self._folded = metrics.counter(
            "kcm_events_folded_total",
            "Events beyond their object's rate, told to the recorder as a number only.",
            ("controller",),
        ).labels(controller)
        dropped = dropped_events(metrics)
        self._dropped = {
            reason: dropped.labels(controller, reason) for reason in ("rate", "full", "unreadable")
        }

    def emit(self, event: Emit) -> None:
        """Take one event. Beyond its object's rate it is only counted; what cannot be kept is dropped."""
        self._emitted.inc()
        try:
            if self._allowed(event):
                self._post(event, 1, mixed=False)
            else:
                self._fold(event)
        except (TypeError, ValueError, AttributeError, RecursionError):
            # Whoever wrote the controller may have put anything into an event; its reconcile goes on.
            self._dropped["unreadable"].inc()

    def flush(self) -> None:
        """Tell what was only counted so far."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        folds, self._folds = self._folds, {}
        for fold in folds.values():
            try:
                self._post(fold.last, fold.times, mixed=fold.mixed)
            except (TypeError, ValueError, AttributeError, RecursionError):
                self._dropped["unreadable"].inc(fold.times)

    def _allowed(self, event: Emit) -> bool:
        key = (event.about.uid or event.about, event.type)
        now = self._clock.monotonic()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(now)
            if len(self._buckets) > REMEMBERED:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket.take(now)

    def _fold(self, event: Emit) -> None:
        key = (event.about.uid or event.about, event.type, event.reason, event.action)
        fold = self._folds.get(key)
        if fold is not None:
            fold.add(event)
        elif len(self._folds) >= FOLDS:
            self._dropped["rate"].inc()
            return
        else:
            self._folds[key] = _Fold(event)
        self._folded.inc()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FOLD_SECONDS, self.flush)

    def _post(self, event: Emit, times: int, *, mixed: bool) -> None:
        reason = event.reason[:LONGEST_WORD]
        record = _encode(
            Emitted(
                about=event.about,
                type=event.type,
                reason=reason,
                note=event.note[:LONGEST_NOTE],
                action=event.action[:LONGEST_WORD] or reason,
                component=self._component,
                instance=self._instance,
                time=self._clock.wall().timestamp(),
                times=times,
                mixed=mixed,
            )
        )
        if len(record) > LARGEST_RECORD:
            self._dropped["unreadable"].inc(times)
        elif not self._outbox.put(record):
            self._dropped["full"].inc(times)


def dropped_events(metrics: Metrics) -> Counter:
    """Return the counter of events that nobody will read, by controller and reason."""
    return metrics.counter(
        "kcm_events_dropped_total", "Events not written, by reason.", ("controller", "reason")
    )

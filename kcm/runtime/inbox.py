"""What other controllers emit, for a controller that wants to hear it.

A controller says so with `hears = emitted()`; its keys are then the objects that events are
about, too. Guarantees: the events of one key wait in the order in which they were emitted until
the controller has `handled` them, so that a reconcile that fails sees them again; memory is
bounded: what comes when `MOST_WAITING` events wait is dropped and counted; what is no event is
dropped and counted, each by itself. Nothing outlasts the process. The inbox owns what waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from kcm.objects.events import Emitted
from kcm.objects.resource import Key
from kcm.runtime.events import dropped_events
from kcm.telemetry.metrics import Metrics

MOST_WAITING = 4096

_decode = msgspec.json.Decoder(Emitted).decode


class Emissions(msgspec.Struct, frozen=True):
    """Which events a controller hears: of one type or any (""), about one namespace or any ("")."""

    type: Literal["", "Normal", "Warning"] = ""
    namespace: str = ""

    def include(self, event: Emitted) -> bool:
        """Say whether an event is one of these."""
        return self.type in ("", event.type) and self.namespace in ("", event.about.namespace)


def emitted(*, type_: Literal["", "Normal", "Warning"] = "", namespace: str = "") -> Emissions:
    """Declare that a controller hears what all controllers of the daemon emit, itself included."""
    return Emissions(type_, namespace)


class Inbox:
    """The events that wait for one controller; `enqueue` is told which key has something."""

    def __init__(
        self, wanted: Emissions, enqueue: Callable[[Key], None], metrics: Metrics, controller: str
    ) -> None:
        self._wanted = wanted
        self._enqueue = enqueue
        self._waiting: dict[Key, deque[Emitted]] = {}
        self._count = 0
        dropped = dropped_events(metrics)
        self._dropped = {
            reason: dropped.labels(controller, reason) for reason in ("full", "unreadable", "lost")
        }
        self._depth = metrics.gauge("kcm_events_waiting", "Events that wait for a recorder.", ("controller",))
        self._depth.labels(controller).set_function(lambda: self._count)

    def __len__(self) -> int:
        return self._count

    def take(self, records: Iterable[msgspec.Raw]) -> None:
        """Take records as they came; none of them can spoil another."""
        for record in records:
            try:
                event = _decode(record)
            except (ValueError, RecursionError):
                self._dropped["unreadable"].inc()
                continue
            if not self._wanted.include(event):
                continue
            if self._count >= MOST_WAITING:
                self._dropped["full"].inc(event.times)
                continue
            self._waiting.setdefault(event.key, deque()).append(event)
            self._count += 1
            self._enqueue(event.key)

    def waiting(self, key: Key) -> tuple[Emitted, ...]:
        """Return what waits for a key, oldest first."""
        return tuple(self._waiting.get(key, ()))

    def handled(self, event: Emitted) -> None:
        """Forget an event; harmless when it is forgotten already."""
        queue = self._waiting.get(event.key)
        if queue is None:
            return
        try:
            queue.remove(event)
        except ValueError:
            return
        self._count -= 1
        if not queue:
            del self._waiting[event.key]

    def give_up(self) -> None:
        """Count what waits as lost: nobody will handle it any more."""
        self._dropped["lost"].inc(sum(event.times for queue in self._waiting.values() for event in queue))
        self._waiting.clear()
        self._count = 0

"""What ends by age: Events after an hour, history after five minutes.

An Event lives for an hour from its last write (reference: apiserver §2). One task looks once a
minute. Owns no state: the age of an object is read from the history's clock at its last write.
"""

from __future__ import annotations

from kcm.base.clock import Clock
from kcm.sandbox.api.history import DELETED, KEPT_SECONDS, Cause, Event
from kcm.sandbox.api.store import Collection, Store

EVENT_SECONDS = 3600.0
_EVERY = 60.0
_CAUSE = Cause("delete", "kcm-sandbox/expiry")


class Expiry:
    """Removes what is too old."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._events = store.collection("", "events")
        # Insertion order is the order of age: a write moves its key to the end.
        self._written: dict[str, float] = {}
        store.listeners.append(self._heard)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._clock.sleep(_EVERY)
            now = self._clock.monotonic()
            self._store.forget_before(now - KEPT_SECONDS)
            self._expire(now - EVENT_SECONDS)

    def _heard(self, collection: Collection, event: Event) -> None:
        if collection is not self._events:
            return
        self._written.pop(event.new.key, None)
        if event.kind != DELETED:
            self._written[event.new.key] = event.when

    def _expire(self, before: float) -> None:
        old = [key for key, when in self._written.items() if when < before]
        for key in old:
            self._store.remove(self._events, self._events.records[key], _CAUSE)

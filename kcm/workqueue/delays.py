"""Keys that become ready later; of several times for a key the earliest wins.

A heap with lazy removal: an entry whose time is no longer its key's time is skipped when it comes
up, and the heap is rebuilt when such entries outnumber the live ones, so memory stays proportional
to the keys. Owns the heap; knows no clock and sets no timer.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from kcm.workqueue.ready import Priority

K = TypeVar("K", bound=Hashable)

_SLACK = 64


class Delays(Generic[K]):
    """A map from key to its due time, with the earliest at hand."""

    def __init__(self) -> None:
        self._due: dict[K, tuple[float, Priority]] = {}
        # The number breaks ties, so that keys themselves are never compared, and keeps their order.
        self._heap: list[tuple[float, int, K]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._due)

    def put(self, key: K, when: float, priority: Priority) -> None:
        """Let `key` become due at `when`, unless it is due earlier; the higher priority stays."""
        waiting = self._due.get(key)
        if waiting is not None:
            earliest, urgency = waiting
            priority = max(priority, urgency)
            if earliest <= when:
                self._due[key] = (earliest, priority)
                return
        self._due[key] = (when, priority)
        self._number += 1
        heapq.heappush(self._heap, (when, self._number, key))
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._rebuild()

    def first(self) -> float | None:
        """Return the earliest due time; None when nothing waits."""
        while self._heap:
            when, _, key = self._heap[0]
            if self._live(key, when):
                return when
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: float) -> Iterator[tuple[K, Priority]]:
        """Remove and yield what is due at `now`, earliest first."""
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            if self._live(key, when):
                yield key, self._due.pop(key)[1]

    def clear(self) -> None:
        """Drop everything."""
        self._due.clear()
        self._heap.clear()

    def _live(self, key: K, when: float) -> bool:
        current = self._due.get(key)
        return current is not None and current[0] == when

    def _rebuild(self) -> None:
        self._heap = [entry for entry in self._heap if self._live(entry[2], entry[0])]
        heapq.heapify(self._heap)

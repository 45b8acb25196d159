"""The queue that workers take keys from.

Guarantees: a key is never with two workers at once; adding a key that waits changes nothing, and
adding one that is being worked on brings it back after `done`, so no change is lost and a burst
is one piece of work. Waiting `get`s are served in the order they came, and cancelling one loses no
key. Of several delays for a key the earliest wins; an immediate add does not cancel a delay
(reference: runtime 4). Which key is next: `kcm.workqueue.ready`.

Does not guarantee an order between keys of one lane beyond first in, first out; keeps nothing over
a restart. A key that fails for ever stays in the failure counts until `forget`.

One event loop, no locks: every method is called on that loop. The queue owns at most one loop
timer, for the earliest delay; there is no task, and `shut_down` cancels the timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from kcm.base.backoff import Backoff
from kcm.base.clock import Clock
from kcm.base.errors import KcmError
from kcm.base.rng import Rng
from kcm.workqueue.delays import Delays
from kcm.workqueue.metrics import NO_METRICS, QueueMetrics, Reading
from kcm.workqueue.ready import FRESH_RUN, Priority, Ready

K = TypeVar("K", bound=Hashable)

DEFAULT_BACKOFF = Backoff(base=0.005, cap=60.0, jitter=0.2)

# A timer never runs longer than this, so that a delay of a century is no trouble for the loop.
_LONGEST_TIMER = 86_400.0
# Timers of some loops have whole milliseconds and can fire that much early; never spin on the rest.
_SHORTEST_TIMER = 0.001
# "now + wait" can fall short of the due time by a rounding error.
_ROUNDING = 1e-6


class ShutDown(KcmError):
    """The queue is shut down and empty: the worker should end."""


class WorkQueue(Generic[K]):
    """Keys to work on: `add` from handlers; `get`, work, `forget` or retry, `done` from workers."""

    def __init__(
        self,
        *,
        clock: Clock,
        rng: Rng,
        backoff: Backoff = DEFAULT_BACKOFF,
        metrics: QueueMetrics = NO_METRICS,
        fresh_run: int = FRESH_RUN,
    ) -> None:
        self._now = clock.monotonic
        self._rng = rng
        self._backoff = backoff
        self._metrics = metrics
        self._ready: Ready[K] = Ready(fresh_run)
        self._delays: Delays[K] = Delays()
        self._failures: dict[K, int] = {}
        # Handed out: since when, with which priority, which a retry of the key keeps, and when it was added.
        self._processing: dict[K, tuple[float, Priority, float]] = {}
        # Added while handed out: comes back at `done`.
        self._again: dict[K, tuple[Priority, float]] = {}
        self._waiters: deque[asyncio.Future[bool]] = deque()
        # Keys that woken but not yet resumed `get`s count on; a newcomer must not snatch them.
        self._promised = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_for = 0.0
        self._shut = False
        self._drained: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        """Return how many keys wait for a worker now, without delayed ones."""
        return len(self._ready)

    def add(self, key: K, priority: Priority = Priority.FRESH) -> None:
        """Ask for work on `key`. Ignored when shut down; a repeated add can only raise the priority."""
        if self._shut:
            return
        if key in self._processing:
            again = self._again.get(key)
            if again is None:
                self._again[key] = (priority, self._now())
                self._metrics.added()
            elif priority > again[0]:
                self._again[key] = (priority, again[1])
            return
        if self._ready.put(key, priority, self._now()):
            self._metrics.added()
            if self._waiters:
                self._wake()

    def add_after(self, key: K, seconds: float, priority: Priority | None = None) -> None:
        """Ask for work on `key` in `seconds`; at once when that is not above 0. Counts as a retry.

        Without a priority, a key that is being worked on keeps the one it was handed out with, so
        that retries of a failing backlog stay backlog; any other key is FRESH.
        """
        if self._shut:
            return
        self._metrics.retried()
        self.postpone(key, seconds, priority)

    def postpone(self, key: K, seconds: float, priority: Priority | None = None) -> None:
        """Ask for work on `key` later, as `add_after` does, where nothing has been tried yet: no retry."""
        if self._shut:
            return
        if priority is None:
            handed_out = self._processing.get(key)
            priority = Priority.FRESH if handed_out is None else handed_out[1]
        if not seconds > 0:
            self.add(key, priority)
            return
        self._delays.put(key, self._now() + seconds, priority)
        self._set_timer()

    def add_rate_limited(self, key: K, priority: Priority | None = None) -> float:
        """Count a failure of `key`, ask for work after its back-off, and return that delay in seconds.

        For workers only: an event is no failure and is `add`ed (reference: runtime 4).
        """
        failed = self._failures.get(key, 0)
        self._failures[key] = failed + 1
        delay = self._backoff.delay(failed, self._rng)
        self.add_after(key, delay, priority)
        return delay

    def forget(self, key: K) -> None:
        """Clear the failures of `key`. Says nothing about its being worked on: that is `done`."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """Return how often `key` was added rate-limited since it was last forgotten."""
        return self._failures.get(key, 0)

    def waited(self, key: K) -> float:
        """Return for how many seconds a key that is out had waited for its worker."""
        handed_out = self._processing.get(key)
        return 0.0 if handed_out is None else handed_out[0] - handed_out[2]

    async def get(self) -> K:
        """Wait for a key and take it; `done` must follow. `ShutDown` once shut down and empty."""
        while len(self._ready) <= self._promised:
            if self._shut and not self._ready:
                raise ShutDown("the queue is shut down")
            waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                promised = await waiter
            except asyncio.CancelledError:
                self._withdraw(waiter)
                raise
            if promised:
                self._promised -= 1
        return self._take()

    def done(self, key: K) -> None:
        """Give back a key taken with `get`. ValueError when it is not out: one `done` per `get`."""
        handed_out = self._processing.pop(key, None)
        if handed_out is None:
            raise ValueError(f"done for {key!s}, which nobody is working on")
        now = self._now()
        self._metrics.finished(now - handed_out[0])
        again = self._again.pop(key, None)
        if again is not None:
            self._ready.put(key, again[0], again[1])
            self._wake()
        if self._shut:
            self._settle()

    def shut_down(self, *, discard: bool = False) -> None:
        """Refuse adds, drop delayed keys, let workers empty the queue, then end their `get`s.

        With `discard`, keys that wait are dropped too: workers end after the key they have. May be
        called again, for instance to discard what a drain takes too long over.
        """
        self._shut = True
        self._delays.clear()
        self._set_timer()
        if discard:
            self._ready.clear()
            self._again.clear()
        self._settle()

    async def drain(self) -> None:
        """Shut down, and wait until nothing waits and nobody works.

        Never ends when a worker omits `done` or keys wait and no worker is left: give it a time-out.
        """
        self.shut_down()
        if self._idle():
            return
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._drained.append(settled)
        await settled

    def reading(self) -> Reading:
        """Return the queue's gauges now. Costs time in proportion to the keys being worked on."""
        now = self._now()
        ages = [now - started for started, *_ in self._processing.values()]
        return Reading(
            depth=len(self._ready) + len(self._again),
            fresh=len(self._ready.fresh),
            backlog=len(self._ready.backlog),
            delayed=len(self._delays),
            processing=len(ages),
            failing=len(self._failures),
            unfinished_seconds=sum(ages),
            longest_running_seconds=max(ages, default=0.0),
        )

    def _take(self) -> K:
        key, priority, added = self._ready.take()
        now = self._now()
        self._processing[key] = (now, priority, added)
        self._metrics.taken(now - added)
        if self._shut:
            self._settle()
        return key

    def _wake(self) -> None:
        """Let the `get` that has waited longest have a key."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._promised += 1
                waiter.set_result(True)
                return

    def _withdraw(self, waiter: asyncio.Future[bool]) -> None:
        """Take back a cancelled `get`; a key promised to it goes to the next one that waits."""
        if waiter.cancelled():
            try:
                self._waiters.remove(waiter)
            except ValueError:
                pass
        elif waiter.done() and waiter.result():
            self._promised -= 1
            if self._ready:
                self._wake()

    def _settle(self) -> None:
        """After shut-down: end `get`s when the queue is empty, and drains when nobody works."""
        if not self._ready:
            while self._waiters:
                waiter = self._waiters.popleft()
                if not waiter.done():
                    waiter.set_result(False)
        if self._idle():
            for settled in self._drained:
                if not settled.done():
                    settled.set_result(None)
            self._drained.clear()

    def _idle(self) -> bool:
        return not self._ready and not self._processing

    def _set_timer(self) -> None:
        """Keep the one timer no later than the earliest delay."""
        first = self._delays.first()
        if self._timer is not None:
            if first is not None and self._timer_for <= first:
                return
            self._timer.cancel()
            self._timer = None
        if first is not None:
            wait = min(max(first - self._now(), _SHORTEST_TIMER), _LONGEST_TIMER)
            self._timer_for = first
            self._timer = asyncio.get_running_loop().call_later(wait, self._release_due)

    def _release_due(self) -> None:
        self._timer = None
        for key, priority in self._delays.pop_due(self._now() + _ROUNDING):
            self.add(key, priority)
        self._set_timer()

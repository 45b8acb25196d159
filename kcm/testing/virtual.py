"""A loop whose time is virtual.

`run` executes a coroutine on an event loop that never waits: when nothing is ready, time jumps
to the next timer. An hour of back-off takes milliseconds, and order is repeatable. Guarantees:
timers fire in order of their time; a run with nothing ready and no timer ends in `Stuck` instead
of hanging; while a thread is at work (an executor's, or one that `kcm.base.held` tells of) time stands
still.
Sockets do not belong on this loop. The loop owns the time; `VirtualClock` shows it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST_THREAD = 30.0


class Stuck(Exception):
    """Nothing is ready, no timer is set: the coroutine would wait for ever."""


class _JumpingSelector(selectors.SelectSelector):
    """Moves the loop's time forward where a real selector would wait."""

    now = 0.0
    held = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.held:
            if ready := super().select(LONGEST_THREAD):
                return ready
            raise Stuck(f"a thread has not been heard of for {LONGEST_THREAD:g} s")
        if timeout is None:
            raise Stuck("nothing is ready and no timer is set")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, starting at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # A timer's distance must survive the sum, or the loop would spin on a rest of 1e-17.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jumping.now

    def block(self, seconds: float) -> None:
        """Let time pass while nothing can run, as in a call that blocks the loop."""
        self._jumping.now += seconds

    def run_in_executor(  # type: ignore[override]  # as typed by asyncio, but for the future's class
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Have a thread work, in no time: nothing runs out while `asyncio.to_thread` waits for it."""
        future = super().run_in_executor(executor, func, *args)
        self.hold_time()
        future.add_done_callback(lambda _: self.release_time())
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads that are still at work."""
        self.hold_time()
        try:
            await super().shutdown_default_executor()
        finally:
            self.release_time()

    def hold_time(self) -> None:
        """Stand still until a thread is heard of."""
        self._jumping.held += 1

    def release_time(self) -> None:
        """Jump again, once everybody has released it."""
        self._jumping.held -= 1


class VirtualClock:
    """The time of the running `VirtualLoop`; its wall and boot clocks can be pushed by tests."""

    def __init__(self, start: datetime = EPOCH) -> None:
        self._start = start
        self._suspended = 0.0
        self._stepped = 0.0

    def wall(self) -> datetime:
        """Return the time of day, in UTC; it begins on the first day of 2026."""
        return self._start + timedelta(seconds=self.boottime() + self._stepped)

    def monotonic(self) -> float:
        """Return the loop's time in seconds."""
        return asyncio.get_running_loop().time()

    def boottime(self) -> float:
        """Return seconds since the start, with those for which the machine has slept."""
        return self.monotonic() + self._suspended

    async def sleep(self, seconds: float) -> None:
        """Let time pass; nobody waits for it."""
        await asyncio.sleep(max(0.0, seconds))

    def suspend(self, seconds: float) -> None:
        """Let the machine have slept: boot and wall time go on, monotonic time does not."""
        self._suspended += seconds

    def step_wall(self, seconds: float) -> None:
        """Set the time of day forward or back."""
        self._stepped += seconds


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time; `Stuck` when it would wait for ever."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)

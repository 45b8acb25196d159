"""A loop in real time that can be told to leap ahead.

`LeapingLoop` serves sockets like any other. Told to `leap`, it spends that many seconds at once:
whenever nothing is ready, time jumps to the next timer, as on the virtual loop, until the seconds
are used up. Guarantees: timers fire in order of their time, each at its own moment; time never
goes back. What runs outside the loop (a client in another thread) lives in real time and sees the
seconds fly by. The loop owns the time; `LeapingClock` shows it, to other threads too.
"""

from __future__ import annotations

import asyncio
import selectors
from datetime import UTC, datetime, timedelta

from kcm.base.clock import SystemClock


class _LeapingSelector(selectors.DefaultSelector):
    """Takes from the seconds to leap where a real selector would wait."""

    leapt = 0.0
    ahead = 0.0
    held = 0
    landed: asyncio.Future[None] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.landed is None or self.held:
            return super().select(timeout)
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        jump = self.ahead if timeout is None else min(self.ahead, max(0.0, timeout))
        self.leapt += jump
        self.ahead -= jump
        if self.ahead <= 0.0:
            landed, self.landed = self.landed, None
            landed.set_result(None)
        return []


class LeapingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time runs as the machine's, plus what it has leapt."""

    def __init__(self) -> None:
        self._leaping = _LeapingSelector()
        super().__init__(self._leaping)

    def time(self) -> float:
        return super().time() + self._leaping.leapt

    def hold_time(self) -> None:
        """Do not leap on before a thread is heard of (`kcm.base.held`)."""
        self._leaping.held += 1

    def release_time(self) -> None:
        """Leap again, once everybody has released it."""
        self._leaping.held -= 1

    @property
    def leapt(self) -> float:
        """Return how many seconds the loop has leapt so far."""
        return self._leaping.leapt

    async def leap(self, seconds: float) -> None:
        """Let so many seconds pass as fast as the loop's own tasks can live them. One leap at a time."""
        if seconds <= 0:
            return
        if self._leaping.landed is not None:
            raise ValueError("the loop is leaping already: wait for the end of the other leap")
        self._leaping.ahead = seconds
        self._leaping.landed = landed = self.create_future()
        await landed


class LeapingClock:
    """The time of one `LeapingLoop`; its wall clock can be set apart."""

    def __init__(self, loop: LeapingLoop) -> None:
        self._loop = loop
        self._system = SystemClock()
        self._stepped = 0.0

    def wall(self) -> datetime:
        return self._system.wall().astimezone(UTC) + timedelta(seconds=self._loop.leapt + self._stepped)

    def monotonic(self) -> float:
        return self._loop.time()

    def boottime(self) -> float:
        return self._system.boottime() + self._loop.leapt

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))  # noqa: TID251 - this is a clock, and the loop's own sleep its means

    def step_wall(self, seconds: float) -> None:
        """Set the time of day forward or back."""
        self._stepped += seconds

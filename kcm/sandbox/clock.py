"""A clock whose time of day can be set, on top of another.

What a person does with the clock of a machine, without touching the machine: a sandbox's
timestamps, leases and conditions follow, its timers do not. Owns the distance.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from kcm.base.clock import Clock


class SteppableClock:
    """Shows another clock's time, its time of day `stepped` apart."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stepped: timedelta | None = None

    def wall(self) -> datetime:
        now = self._clock.wall()
        return now if self._stepped is None else now + self._stepped

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def boottime(self) -> float:
        return self._clock.boottime()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def step_wall(self, seconds: float) -> None:
        """Set the time of day forward or back."""
        self._stepped = (self._stepped or timedelta()) + timedelta(seconds=seconds)

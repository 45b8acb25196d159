"""When usage is measured: every 15 seconds, as a metrics-server does, divided by the speed.

A sample covers the window between two scrapes, so a container has one only when it ran at both
ends: a pod is absent from the metrics for its first 15 to 30 seconds, which autoscalers have to
bear. Guarantees: scrapes lie on one grid from the start on; pure but for the clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time

RESOLUTION = 15.0
_SHORTEST = 0.25
_SLOWEST = 0.01


@dataclass(frozen=True, slots=True)
class Scrape:
    """The last scrape: its number, when it was, and the seconds that it covers."""

    number: int
    at: datetime
    window: float

    @property
    def before(self) -> datetime:
        """Return when the scrape before this one was."""
        return self.at - timedelta(seconds=self.window)

    @property
    def timestamp(self) -> str:
        return format_time(self.at)

    @property
    def window_text(self) -> str:
        """Return the window as Go writes durations."""
        milliseconds = round(self.window * 1000)
        return f"{milliseconds / 1000:g}s" if milliseconds >= 1000 else f"{milliseconds}ms"

    @property
    def window_seconds(self) -> int:
        return max(1, math.ceil(self.window))


class Scrapes:
    """The grid of scrapes."""

    def __init__(self, clock: Clock, speed: float = 1.0) -> None:
        self._clock = clock
        self._begun = clock.monotonic()
        # Speeds that make no sense are refused by the cluster, which may be made after this.
        self.window = max(_SHORTEST, RESOLUTION / max(_SLOWEST, speed))

    def last(self) -> Scrape:
        """Return the latest scrape."""
        passed = self._clock.monotonic() - self._begun
        number = int(passed / self.window)
        return Scrape(
            number, self._clock.wall() - timedelta(seconds=passed - number * self.window), self.window
        )

    def until(self, part: int, parts: int) -> float:
        """Return seconds until that many parts of a window have passed since the start."""
        return self._begun + part * self.window / parts - self._clock.monotonic()

    def part(self, parts: int) -> int:
        """Return how many whole parts of a window have passed since the start."""
        return int((self._clock.monotonic() - self._begun) / self.window * parts)

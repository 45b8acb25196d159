"""Time as an argument.

`Clock` is the only way that kcm learns the time or waits. Guarantees: `monotonic` and
`boottime` never go back; `boottime` also counts while the machine is suspended, which is why
the fence is measured on it. Does not guarantee that `wall` is right or steady: no decision
about leadership may rest on it. Owns no state.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where time comes from. All durations are float seconds."""

    def wall(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back and does not count suspension."""
        ...

    def boottime(self) -> float:
        """Return seconds on a clock that never goes back and runs on through suspension."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait. Zero or less only lets other tasks run."""
        ...


class SystemClock:
    """The machine's own time."""

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

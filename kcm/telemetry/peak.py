"""The highest of the values of the last minute, for gauges of what comes and goes between scrapes.

A lag of some seconds is over before anybody scrapes; a gauge that reads a `Peak` still shows it.
Guarantees: what was taken within the last `seconds` and was the highest is what is read; memory is
bounded by the number of values in that time. Owns them.
"""

from __future__ import annotations

from collections import deque

from kcm.base.clock import Clock
from kcm.telemetry.metrics import Metrics

# Longer than the time between two scrapes, as a rule.
KEPT_SECONDS = 60.0


class Peak:
    """Takes values, reads the highest; 0 where there was none."""

    def __init__(self, clock: Clock, seconds: float = KEPT_SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        # Falling values: whatever is followed by a higher one will never be the highest again.
        self._kept: deque[tuple[float, float]] = deque()

    def take(self, value: float) -> None:
        """Take a value, as of now."""
        while self._kept and self._kept[-1][1] <= value:
            self._kept.pop()
        self._kept.append((self._clock.monotonic(), value))

    def read(self) -> float:
        """Return the highest value of the time that is kept."""
        begin = self._clock.monotonic() - self._seconds
        while self._kept and self._kept[0][0] < begin:
            self._kept.popleft()
        return self._kept[0][1] if self._kept else 0.0


def loop_lag(metrics: Metrics, clock: Clock) -> Peak:
    """Return where a process notes how late its event loop was; /metrics shows the worst."""
    peak = Peak(clock)
    metrics.gauge(
        "kcm_process_loop_lag_seconds", "How late the event loop was, at worst in the last minute."
    ).set_function(peak.read)
    return peak

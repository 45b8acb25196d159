"""Exponential back-off with jitter, as a value.

A `Backoff` holds only numbers; whoever retries keeps the count of failures. Guarantees that
the exponent is bounded before the power is taken, so a long outage cannot overflow a float.
"""

from __future__ import annotations

from dataclasses import dataclass

from kcm.base.rng import Rng


@dataclass(frozen=True, slots=True)
class Backoff:
    """`base * factor**failures`, at most `cap`, stretched by up to `jitter` (a fraction). Seconds."""

    base: float
    cap: float
    factor: float = 2.0
    jitter: float = 0.0

    def delay(self, failures: int, rng: Rng) -> float:
        """Return the wait in seconds after `failures` earlier failures (0 for the first)."""
        steps = min(max(failures, 0), 64)
        plain = min(self.cap, self.base * self.factor**steps)
        return plain * (1.0 + self.jitter * rng.uniform(0.0, 1.0)) if self.jitter else plain

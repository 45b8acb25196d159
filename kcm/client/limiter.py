"""A client-side rate limit: a token bucket.

Guarantees: in any time t at most `burst + qps * t` requests pass; those that wait pass in the
order in which they came; a wait that is cancelled gives its token back. Each controller has its
own. Owns the count of tokens, which is negative by the number of those who wait.
"""

from __future__ import annotations

from kcm.base.clock import Clock


class TokenBucket:
    """`qps` tokens a second, at most `burst` in store. A limit that is off is None, not a bucket."""

    def __init__(self, qps: float, burst: int, clock: Clock) -> None:
        if not qps > 0 or burst < 1:
            raise ValueError(f"no rate limit: qps {qps}, burst {burst}")
        self._qps = qps
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._counted_at = clock.monotonic()

    async def acquire(self) -> float:
        """Wait for a token; return the seconds it took."""
        wait = self._reserve()
        if wait <= 0.0:
            return 0.0
        try:
            await self._clock.sleep(wait)
        except BaseException:
            self._tokens += 1.0
            raise
        return wait

    def _reserve(self) -> float:
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._qps)
        self._counted_at = now
        self._tokens -= 1.0
        return -self._tokens / self._qps


def token_bucket(qps: float, burst: int, clock: Clock) -> TokenBucket | None:
    """Return the limit that a configuration asks for: none when `qps` is 0 or less."""
    return TokenBucket(qps, max(1, burst), clock) if qps > 0 else None

"""What an autoscaler remembers between evaluations: recommendations and its own rescales.

Values that grow only as far as their windows reach: what no window reaches any more is
forgotten with the next entry (reference: hpa 9, 10). Times are wall time, since rescales
outlive a fail-over. Pure.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import floor
from typing import NamedTuple

# Windows are at most an hour; so many evaluations fit into none.
_MOST = 4096


class Recommendation(NamedTuple):
    """A raw proposal, before bounds and limits, and when it was made."""

    replicas: int
    at: datetime


class Rescale(NamedTuple):
    """By how many replicas a rescale went, and when."""

    change: int
    at: datetime


class Memory(NamedTuple):
    """What one autoscaler remembers; `recommendations` None: not evaluated since the start.

    `raws` are proposals before smoothing; `failing_since` is when metrics began to fail; `told` is
    what was last complained about.
    """

    recommendations: tuple[Recommendation, ...] | None = None
    ups: tuple[Rescale, ...] = ()
    downs: tuple[Rescale, ...] = ()
    raws: tuple[Recommendation, ...] = ()
    failing_since: datetime | None = None
    told: tuple[str, ...] = ()

    def seeded(self, current: int, now: datetime) -> Memory:
        """Return a memory that begins with the present size: a start never scales down at once."""
        if self.recommendations is not None:
            return self
        return self._replace(recommendations=(Recommendation(current, now),))

    def recommended(self, raw: int, now: datetime, expired_before: datetime) -> Memory:
        """Remember a proposal; those that no window reaches any more are forgotten."""
        kept = (each for each in self.recommendations or () if each.at >= expired_before)
        return self._replace(recommendations=(*kept, Recommendation(raw, now))[-_MOST:])

    def smoothed(self, raw: int, now: datetime, window: timedelta) -> tuple[int, Memory]:
        """Return the mean of the window's proposals, rounded to the nearest, and remember this one."""
        kept = (*(each for each in self.raws if each.at > now - window), Recommendation(raw, now))[-_MOST:]
        mean = sum(each.replicas for each in kept) / len(kept)
        return floor(mean + 0.5), self._replace(raws=kept)

    def rescaled(self, before: int, after: int, now: datetime, longest: timedelta) -> Memory:
        """Remember a rescale; `longest` is the longest period of its direction's policies."""
        event = Rescale(abs(after - before), now)
        if after > before:
            return self._replace(ups=_with(self.ups, event, now - longest))
        return self._replace(downs=_with(self.downs, event, now - longest))


def _with(events: tuple[Rescale, ...], new: Rescale, expired_before: datetime) -> tuple[Rescale, ...]:
    return (*(each for each in events if each.at >= expired_before), new)[-_MOST:]


def changed_since(events: tuple[Rescale, ...], since: datetime) -> int:
    """Return the sum of the changes strictly after `since`."""
    return sum(each.change for each in events if each.at > since)

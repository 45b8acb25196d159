"""What a queue tells about itself.

Counts and durations are pushed as they happen (`QueueMetrics`); what has a value at every moment
is pulled (`Reading`, from `WorkQueue.reading`). So gauges need no ticking task, cannot drift, and
cost nothing while nobody asks. The adapter to metric names lives above this layer. Owns no state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class QueueMetrics(Protocol):
    """Where a queue reports. Called on the queue's loop, on its hot path: must be quick and not raise."""

    def added(self) -> None:
        """Count a key that became dirty (`workqueue_adds_total`); repeats of a dirty key do not count."""
        ...

    def retried(self) -> None:
        """Count a delayed or rate-limited add, whatever its delay (`workqueue_retries_total`)."""
        ...

    def taken(self, waited: float) -> None:
        """Record the seconds from the first add to the get (`workqueue_queue_duration_seconds`)."""
        ...

    def finished(self, worked: float) -> None:
        """Record the seconds from the get to done (`workqueue_work_duration_seconds`)."""
        ...


class _NoMetrics:
    """Reports nothing."""

    def added(self) -> None:
        return

    def retried(self) -> None:
        return

    def taken(self, waited: float) -> None:
        return

    def finished(self, worked: float) -> None:
        return


NO_METRICS: QueueMetrics = _NoMetrics()


@dataclass(frozen=True, slots=True)
class Reading:
    """A queue at one moment. Durations in seconds.

    `depth` is what `workqueue_depth` shows: keys that need work and are not being worked on, and
    those that need it again. `ready` is how many a `get` would find; `fresh` and `backlog` split it.
    """

    depth: int
    fresh: int
    backlog: int
    delayed: int
    processing: int
    failing: int
    unfinished_seconds: float
    longest_running_seconds: float

    @property
    def ready(self) -> int:
        return self.fresh + self.backlog

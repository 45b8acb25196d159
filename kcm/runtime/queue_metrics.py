"""The `workqueue_*` series of one queue (names and buckets: reference runtime §4).

Implements the queue's own protocol, so that the queue needs to know nothing of Prometheus.
Gauges are set when the host reports, from the queue's reading. Owns only its instruments.
"""

from __future__ import annotations

from kcm.telemetry.metrics import Metrics
from kcm.workqueue.metrics import Reading

_SECONDS = tuple(1e-8 * 10**power for power in range(10))


class PrometheusQueueMetrics:
    """Reports one queue under its name."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        label = ("name",)
        self._depth = metrics.gauge("workqueue_depth", "Keys that need work.", label).labels(name)
        self._adds = metrics.counter("workqueue_adds_total", "Keys that came to need work.", label).labels(
            name
        )
        self._waited = metrics.histogram(
            "workqueue_queue_duration_seconds", "From the first add to the get.", label, _SECONDS
        ).labels(name)
        self._worked = metrics.histogram(
            "workqueue_work_duration_seconds", "From the get to done.", label, _SECONDS
        ).labels(name)
        self._retries = metrics.counter(
            "workqueue_retries_total", "Delayed and rate-limited adds.", label
        ).labels(name)
        self._unfinished = metrics.gauge(
            "workqueue_unfinished_work_seconds", "Age of all work in progress, added up.", label
        ).labels(name)
        self._longest = metrics.gauge(
            "workqueue_longest_running_processor_seconds", "Age of the oldest work in progress.", label
        ).labels(name)
        self.added = self._adds.inc
        self.retried = self._retries.inc
        self.taken = self._waited.observe
        self.finished = self._worked.observe

    def show(self, reading: Reading) -> None:
        """Set the gauges to what the queue reads now."""
        self._depth.set(reading.depth)
        self._unfinished.set(reading.unfinished_seconds)
        self._longest.set(reading.longest_running_seconds)

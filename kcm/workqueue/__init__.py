"""The queue between event handlers and workers: each key once, delayed, retried, in two priorities."""

from kcm.workqueue.metrics import NO_METRICS, QueueMetrics, Reading
from kcm.workqueue.queue import DEFAULT_BACKOFF, ShutDown, WorkQueue
from kcm.workqueue.ready import FRESH_RUN, Priority

__all__ = [
    "DEFAULT_BACKOFF",
    "FRESH_RUN",
    "NO_METRICS",
    "Priority",
    "QueueMetrics",
    "Reading",
    "ShutDown",
    "WorkQueue",
]

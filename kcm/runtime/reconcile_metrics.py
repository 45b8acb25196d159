"""The `controller_runtime_*` series of one controller, all present from the start at zero.

Names and buckets: reference runtime §8. Owns nothing but its instruments.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from kcm.base.clock import Clock
from kcm.telemetry.metrics import Metrics
from kcm.telemetry.tracing import current

Ending = Literal["success", "error", "requeue", "requeue_after"]

_SECONDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9),
    *(1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0),
    *(15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0),
)


class ReconcileMetrics:
    """Counts and times reconciles."""

    def __init__(self, metrics: Metrics, controller: str, clock: Clock) -> None:
        self._clock = clock
        label = ("controller",)
        total = metrics.counter(
            "controller_runtime_reconcile_total", "Reconciles by how they ended.", ("controller", "result")
        )
        self._total = {
            ending: total.labels(controller, ending)
            for ending in ("success", "error", "requeue", "requeue_after")
        }
        self._errors = metrics.counter(
            "controller_runtime_reconcile_errors_total", "Reconciles that failed.", label
        ).labels(controller)
        self._terminal = metrics.counter(
            "controller_runtime_terminal_reconcile_errors_total", "Failures that are not tried again.", label
        ).labels(controller)
        self._panics = metrics.counter(
            "controller_runtime_reconcile_panics_total",
            "Reconciles that raised an unexpected exception.",
            label,
        ).labels(controller)
        self._time = metrics.histogram(
            "controller_runtime_reconcile_time_seconds", "How long reconciles took.", label, _SECONDS
        ).labels(controller)
        self._most = metrics.gauge(
            "controller_runtime_max_concurrent_reconciles", "Workers configured.", label
        ).labels(controller)
        self._active = metrics.gauge("controller_runtime_active_workers", "Workers at work.", label).labels(
            controller
        )

    def workers(self, count: int) -> None:
        """Tell how many workers there are."""
        self._most.set(count)

    @contextmanager
    def reconciling(self) -> Iterator[None]:
        """Time one reconcile."""
        start = self._clock.monotonic()
        self._active.inc()
        try:
            yield
        finally:
            self._active.dec()
            self._time.observe(self._clock.monotonic() - start)

    def ended(self, ending: Ending, *, terminal: bool = False) -> None:
        """Count how a reconcile ended; its trace says so too."""
        span = current()
        if span is not None:
            span.put("kcm.result", ending)
            if ending == "error":
                span.fail("")
        self._total[ending].inc()
        if ending == "error":
            self._errors.inc()
        if terminal:
            self._terminal.inc()

    def panicked(self) -> None:
        """Count an exception that nobody expected."""
        self._panics.inc()

"""The controller's metrics, under the names the ecosystem knows (reference: hpa 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcm.objects import Key

if TYPE_CHECKING:
    from kcm import Context

_PREFIX = "horizontal_pod_autoscaler_controller_"
_TYPES = frozenset(("Resource", "ContainerResource", "Pods", "Object", "External"))
_LATE = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
_BUCKETS = tuple(0.001 * 2**power for power in range(15))


class Instruments:
    """Counts evaluations; made with the first one, whose context has the process's metrics."""

    def __init__(self, ctx: Context) -> None:
        metrics = ctx.metrics
        labels = ("action", "error")
        self._reconciliations = metrics.counter(
            f"{_PREFIX}reconciliations_total", "Evaluations of autoscalers.", labels
        )
        self._durations = metrics.histogram(
            f"{_PREFIX}reconciliation_duration_seconds", "Time an evaluation took.", labels, _BUCKETS
        )
        computed = (*labels, "metric_type")
        self._computations = metrics.counter(
            f"{_PREFIX}metric_computation_total", "Metrics computed for autoscalers.", computed
        )
        self._computation_times = metrics.histogram(
            f"{_PREFIX}metric_computation_duration_seconds", "Time to read a metric.", computed, _BUCKETS
        )
        self._late = metrics.histogram(
            "kcm_hpa_late_seconds", "How long after it was due an evaluation began.", (), _LATE
        )
        self._count = metrics.gauge(f"{_PREFIX}num_horizontal_pod_autoscalers", "Autoscalers known.")
        self._desired = metrics.gauge(
            f"{_PREFIX}desired_replicas",
            "Replicas that an autoscaler last asked for.",
            ("namespace", "hpa_name"),
        )

    def began(self, late: float) -> None:
        """Note how late an evaluation began, in seconds."""
        self._late.observe(late)

    def evaluated(self, action: str, error: str, seconds: float) -> None:
        """Count one evaluation: scale_up, scale_down or none; spec, internal or none."""
        self._reconciliations.labels(action, error).inc()
        self._durations.labels(action, error).observe(seconds)

    def computed(self, metric_type: str, action: str, error: str, seconds: float) -> None:
        """Count one metric of an evaluation. A type that is none of the API's is counted as "unknown"."""
        labels = (action, error, metric_type if metric_type in _TYPES else "unknown")
        self._computations.labels(*labels).inc()
        self._computation_times.labels(*labels).observe(seconds)

    def wants(self, key: Key, replicas: int) -> None:
        """Show what an autoscaler asked for."""
        self._desired.labels(key.namespace, key.name).set(replicas)

    def known(self, count: int) -> None:
        """Show how many autoscalers there are."""
        self._count.set(count)

    def forget(self, key: Key) -> None:
        """Show nothing more for an autoscaler that is gone."""
        try:
            self._desired.remove(key.namespace, key.name)
        except KeyError:
            pass

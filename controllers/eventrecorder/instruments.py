"""The recorder's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kcm import Context

_AGES = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)


class Instruments:
    """Counts events; made with the first one, whose context has the process's metrics."""

    def __init__(self, ctx: Context) -> None:
        metrics = ctx.metrics
        self._heard = metrics.counter("kcm_events_heard_total", "Events that came to the recorder.")
        self._aggregated = metrics.counter(
            "kcm_events_aggregated_total", "Events that were told as one combined event with others."
        )
        self._written = metrics.counter("kcm_events_written_total", "Writes of events, by verb.", ("verb",))
        self._failed = metrics.counter(
            "kcm_events_failed_total", "Attempts to write an event that failed, by reason.", ("reason",)
        )
        self._dropped = metrics.counter(
            "kcm_events_dropped_total", "Events not written, by reason.", ("controller", "reason")
        )
        self._age = metrics.histogram(
            "kcm_events_queue_age_seconds", "Time from an event to the write that tells it.", (), _AGES
        )
        self._stories = metrics.gauge("kcm_events_remembered", "Events whose repetitions are counted.")
        self._combined = 0
        self._unpaid = 0

    def heard(self, times: int) -> None:
        """Count events that came."""
        self._heard.inc(times)

    def written(self, verb: str, age: float | None) -> None:
        """Count a write, and how old (seconds) the event was that it told; None when it told only a count."""
        self._written.labels(verb).inc()
        if age is not None:
            self._age.observe(max(0.0, age))

    def failed(self, reason: str) -> None:
        """Count an attempt that failed."""
        self._failed.labels(reason).inc()

    def dropped(self, reason: str, times: int) -> None:
        """Count events that will not be written."""
        self._dropped.labels("eventrecorder", reason).inc(times)

    def remembered(self, stories: int, combined: int, unpaid: int) -> None:
        """Show what the correlator holds, and count on from what it has combined and not written."""
        self._stories.set(stories)
        self._aggregated.inc(combined - self._combined)
        if unpaid > self._unpaid:
            self.dropped("rate", unpaid - self._unpaid)
        self._combined, self._unpaid = combined, unpaid

"""What an election reports, under the names that the ecosystem knows (reference: runtime 5)."""

from __future__ import annotations

from collections.abc import Callable

from kcm.telemetry.metrics import Metrics


class ElectionMetrics:
    """The instruments of the election for the Lease `name`. The status is 0 from the start."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        status = metrics.gauge(
            "leader_election_master_status", "1 while this process leads, else 0", ("name",)
        )
        slow = metrics.counter(
            "leader_election_slowpath_total", "Renewals that had to read the Lease first", ("name",)
        )
        transitions = metrics.counter(
            "kcm_leader_election_transitions_total", "Terms of leadership begun by this process", ("name",)
        )
        age = metrics.gauge(
            "kcm_lease_age_seconds",
            "Since the Lease was last renewed by anybody, as this process saw it.",
            ("name",),
        )
        self._age = age.labels(name)
        self._age.set(float("nan"))
        self._status = status.labels(name)
        self._slow = slow.labels(name)
        self._transitions = transitions.labels(name)
        self._status.set(0)

    def show_age(self, age: Callable[[], float]) -> None:
        """Let the age of the Lease be asked for; NaN where it is not known."""
        self._age.set_function(age)

    def elected(self) -> None:
        """A term begins."""
        self._status.set(1)
        self._transitions.inc()

    def deposed(self) -> None:
        """The term is over."""
        self._status.set(0)

    def slow_path(self) -> None:
        """A leader had to read the Lease."""
        self._slow.inc()

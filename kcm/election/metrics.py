"""What an election reports, under the names that the ecosystem knows (reference: runtime 5)."""

from __future__ import annotations

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
        self._status = status.labels(name)
        self._slow = slow.labels(name)
        self._transitions = transitions.labels(name)
        self._status.set(0)

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

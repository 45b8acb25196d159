"""What a dry run has found to do: the last plans that were not sent, for /statusz.

Hosts report each plan once per change; nothing else is kept. Guarantees: bounded, newest first.
Owns the list.
"""

from __future__ import annotations

from collections import deque

from kcm.base.clock import Clock
from kcm.runtime.rehearsal import Planned
from kcm.serving.status import PlanStatus

MOST_PLANS = 100


class Rehearsals:
    """The plans of all hosts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._plans: deque[PlanStatus] = deque(maxlen=MOST_PLANS)

    def take(self, planned: Planned) -> None:
        """Keep a plan that a host has told of; the oldest makes room."""
        actions = tuple(map(str, planned.steps))
        now = self._clock.wall()
        self._plans.appendleft(PlanStatus(now, planned.controller, planned.key, actions, planned.total))

    def plans(self) -> tuple[PlanStatus, ...]:
        """Return what is kept, newest first."""
        return tuple(self._plans)

"""How far a rollout may go: surge, unavailability, and what follows from them.

Worked example, 10 replicas with 25% each: surge 3 (rounded up), unavailable 2 (rounded down),
so never more than 13 replicas in all and never fewer than 8 available (reference: workloads
2.3). Guarantees numbers within int32 whatever the spec says; TerminalError for a share that no
server should have accepted. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kcm import TerminalError
from kcm.objects import Deployment

LARGEST = 2**31 - 1
_PERCENT = re.compile(r"([0-9]{1,10})%", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Numbers of replicas: how many are wanted, may be in addition, may be missing."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        """Return how many replicas there may be in all, which is what max-replicas records."""
        return min(LARGEST, self.replicas + self.surge)

    @property
    def min_available(self) -> int:
        """Return how many replicas have to stay available."""
        return self.replicas - self.unavailable


def bounds_of(deployment: Deployment) -> Bounds:
    """Return the bounds that the spec gives; Recreate has no surge, and nothing to keep available."""
    spec = deployment.spec
    if spec.strategy.type == "Recreate":
        return Bounds(spec.replicas, 0, 0)
    rolling = spec.strategy.rolling_update
    surge = share("maxSurge", rolling.max_surge, spec.replicas, up=True)
    unavailable = share("maxUnavailable", rolling.max_unavailable, spec.replicas, up=False)
    if surge == 0 and unavailable == 0:
        # Both percentages can come to nothing: without one of them the rollout could never move.
        unavailable = 1
    return Bounds(spec.replicas, surge, min(unavailable, spec.replicas))


def share(name: str, value: int | str | None, replicas: int, *, up: bool) -> int:
    """Return a number or percentage of `replicas` as a number, rounded `up` or down; absent is 0."""
    match value:
        case None:
            return 0
        case int() if value >= 0:
            return min(value, LARGEST)
        case str() if found := _PERCENT.fullmatch(value):
            hundredths = int(found[1]) * replicas
            return min(LARGEST, -(-hundredths // 100) if up else hundredths // 100)
        case _:
            raise TerminalError(
                f"spec.strategy.rollingUpdate.{name} is neither a number nor a percentage: correct it"
            )

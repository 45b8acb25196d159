"""How much a pod asks of a node, in whole numbers.

Guarantees: quantity text is bounded and checked before arithmetic, fractions are rounded up
(a request is never counted smaller than it is). Knows cpu (milli-cores), memory (bytes) and
the number of pods; other resources are not simulated. Holds no state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from kcm.sandbox.cluster.views import PodSpecView, Resources
from kcm.sandbox.schema.quantities import parse


@dataclass(frozen=True, slots=True)
class Amount:
    """Milli-cores, bytes and pods: what is asked for, used, or there to give."""

    cpu: int = 0
    memory: int = 0
    pods: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.cpu + other.cpu, self.memory + other.memory, self.pods + other.pods)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.cpu - other.cpu, self.memory - other.memory, self.pods - other.pods)

    def at_least(self, other: Amount) -> Amount:
        """Return the larger of both, resource by resource."""
        return Amount(max(self.cpu, other.cpu), max(self.memory, other.memory), max(self.pods, other.pods))


@lru_cache(maxsize=4096)
def scaled(text: str, factor: int = 1) -> int:
    """Return the quantity times `factor`, rounded up; ValueError when it is none."""
    return math.ceil(parse(text) * factor)


def amount_of(resources: Mapping[str, str | int | float], pods: int = 0) -> Amount:
    """Return cpu and memory of a resource list; ValueError when one of them is no quantity."""
    return Amount(
        cpu=scaled(str(resources.get("cpu", 0)), 1000),
        memory=scaled(str(resources.get("memory", 0))),
        pods=pods,
    )


def capacity_of(allocatable: Mapping[str, str | int | float]) -> Amount:
    """Return what a node has to give; ValueError when it does not say so in quantities."""
    return amount_of(allocatable, scaled(str(allocatable.get("pods", 0))))


def requested_by(spec: PodSpecView) -> Amount:
    """Return what a pod occupies: its containers together, or its largest init step if that is more.

    Sidecars run beside both, so they count in both. Overhead is added on top.
    """
    sidecars = Amount()
    peak = Amount()
    for container in spec.init_containers:
        wanted = _wanted(container.resources)
        if container.restart_policy == "Always":
            sidecars += wanted
            peak = peak.at_least(sidecars)
        else:
            peak = peak.at_least(sidecars + wanted)
    together = _total(_wanted(each.resources) for each in spec.containers) + sidecars
    return together.at_least(peak) + amount_of(spec.overhead, pods=1)


def _wanted(resources: Resources) -> Amount:
    return amount_of({**resources.limits, **resources.requests})


def _total(amounts: Iterable[Amount]) -> Amount:
    total = Amount()
    for each in amounts:
        total += each
    return total

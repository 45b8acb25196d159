"""A Deployment's replica sets: which is the new one, which are old, what they add up to.

The new one is the oldest whose template means the same as the Deployment's; every other,
duplicates too, is old (reference: workloads 2.6). Neither name nor hash decides, so that a
rollout begun by another manager goes on here with the replica sets it made. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from controllers.deployment.annotations import REVISION, integer
from controllers.deployment.templates import meaning
from kcm.objects import WholeReplicaSet

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The replica sets, `old` from the oldest to the youngest."""

    new: WholeReplicaSet | None
    old: tuple[WholeReplicaSet, ...]

    @property
    def all(self) -> tuple[WholeReplicaSet, ...]:
        """Return the old ones and the new one."""
        return self.old if self.new is None else (*self.old, self.new)

    @property
    def active(self) -> tuple[WholeReplicaSet, ...]:
        """Return those that want pods."""
        return tuple(each for each in self.all if each.spec.replicas > 0)

    @property
    def active_old(self) -> tuple[WholeReplicaSet, ...]:
        """Return the old ones that want pods, the oldest first."""
        return tuple(each for each in self.old if each.spec.replicas > 0)

    @property
    def is_settled(self) -> bool:
        """Say whether every available pod is told of by a status that describes the present spec.

        One written for another size or another minReadySeconds may count pods that are already on
        their way out, or that are not available any more.
        """
        return all(is_observed(each) for each in self.active if each.status.available_replicas)

    @property
    def newest_revision(self) -> int:
        """Return the revision that the new replica set has to have: one more than any old one's."""
        return max((integer(each.metadata.annotations, REVISION) or 0 for each in self.old), default=0) + 1


def sort_fleet(template: msgspec.Raw, owned: Iterable[WholeReplicaSet]) -> Fleet:
    """Tell the new replica set from the old ones."""
    ordered = sorted(owned, key=age)
    wanted = meaning(template)
    new = next((each for each in ordered if meaning(each.spec.template) == wanted), None)
    return Fleet(new, tuple(each for each in ordered if each is not new))


def age(replica_set: WholeReplicaSet) -> tuple[datetime, str]:
    """Return what orders replica sets from the oldest to the youngest."""
    return replica_set.metadata.creation_timestamp or _NEVER, replica_set.metadata.name


def is_observed(replica_set: WholeReplicaSet) -> bool:
    """Say whether the status describes the present spec."""
    return replica_set.status.observed_generation >= replica_set.metadata.generation


def wanted(replica_sets: Sequence[WholeReplicaSet]) -> int:
    """Return how many pods replica sets want together."""
    return sum(each.spec.replicas for each in replica_sets)


def available(replica_set: WholeReplicaSet) -> int:
    """Return how many of its available pods will stay: those above its size are on their way out."""
    return min(replica_set.status.available_replicas, replica_set.spec.replicas)

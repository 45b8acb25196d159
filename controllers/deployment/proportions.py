"""A scaled Deployment: who gets how much of it.

Guarantees the split of reference workloads 2.7: each active replica set gets its share of the
change in proportion to its size, rounded half away from zero, the largest also what is left
over. The one departure: where that split would take available pods that have to stay
(reliability S4), as many of those that do not run go in their place. What shrinks waits for
statuses that describe the present specs. Re-entrant: a replica set that was written carries the
new max-replicas, its share is then nothing, and the others' shares come out as before
(k/k#44734). Pure.

Worked example, 10 replicas and surge 3 with sizes 8 (new) and 5 (old), scaled to 30, same surge:
33 may be, 13 are, so 20 are to be given. 8 x 33/13 = 20.3, so 12 more; 5 x 33/13 = 12.7, so 8
more: 20 and 13. Cut after the first write: 33 - 25 = 8 are left, 20 x 33/33 - 20 = 0 for the
first, 8 for the second: the same.
"""

from __future__ import annotations

from controllers.deployment.annotations import DESIRED, MAXIMUM, count
from controllers.deployment.bounds import Bounds
from controllers.deployment.fleet import Fleet, age, available, wanted
from controllers.deployment.observe import Seen
from controllers.deployment.rolling import Sizes
from kcm.objects import WholeReplicaSet


def scaled_sizes(seen: Seen) -> Sizes:
    """Return the sizes after scaling, unchanged ones included: their annotations may change."""
    fleet, bounds = seen.fleet, seen.bounds
    match fleet.active:
        case ():
            return _one(fleet.new or (fleet.old[-1] if fleet.old else None), bounds.replicas)
        case (single,):
            return _one(single, bounds.replicas)
    if is_saturated(fleet.new, bounds):
        return {each.metadata.uid: 0 for each in fleet.active_old} if fleet.is_settled else {}
    if seen.deployment.spec.strategy.type != "RollingUpdate":
        return {}
    sizes = proportional_sizes(fleet, bounds, seen.deployment.status.replicas)
    shrinks = any(sizes[each.metadata.uid] < each.spec.replicas for each in fleet.active)
    return {} if shrinks and not fleet.is_settled else sizes


def is_saturated(new: WholeReplicaSet | None, bounds: Bounds) -> bool:
    """Say whether the new replica set is all that the Deployment wants."""
    return (
        new is not None
        and new.spec.replicas == bounds.replicas
        and count(new.metadata.annotations, DESIRED) == bounds.replicas
        and new.status.available_replicas == bounds.replicas
    )


def proportional_sizes(fleet: Fleet, bounds: Bounds, counted: int) -> Sizes:
    """Spread the change over the active replica sets; `counted` is what the status last counted."""
    allowed = bounds.most if bounds.replicas > 0 else 0
    missing = allowed - wanted(fleet.active)
    sizes: dict[str, int] = {}
    given = 0
    for each in _largest_first(fleet.active, growing=missing > 0):
        share = 0
        if missing:
            rest = missing - given
            fraction = size_change(each, bounds, counted)
            share = max(0, min(fraction, rest)) if missing > 0 else min(0, max(fraction, rest))
        sizes[each.metadata.uid] = each.spec.replicas + share
        given += share
    if sizes:
        first = next(iter(sizes))
        sizes[first] = max(0, sizes[first] + missing - given)
    return spare_what_runs(fleet, bounds, sizes)


def spare_what_runs(fleet: Fleet, bounds: Bounds, sizes: Sizes) -> Sizes:
    """Return the sizes so that no more available pods go than can be spared (reliability S4).

    Unchanged wherever they keep enough, and always in sum where there are pods that do not run.
    Only a shrinking Deployment with pods that do not run is concerned: of 8 new ones that do not
    and 5 old ones that do, scaled from 10 to 4 with a surge of 1, the old would keep 2; they keep
    the 3 that have to be available, and the new get 2 in place of 3.
    """
    kept = dict(sizes)
    runs = {each.metadata.uid: available(each) for each in fleet.active}
    lost = sum(max(0, runs[uid] - size) for uid, size in kept.items())
    excess = lost - max(0, sum(runs.values()) - bounds.min_available)
    if excess <= 0:
        return kept
    owed = 0
    for uid, size in kept.items():
        back = max(0, min(excess - owed, runs[uid] - size))
        kept[uid] += back
        owed += back
    for uid, size in kept.items():
        taken = max(0, min(owed, size - runs[uid]))
        kept[uid] -= taken
        owed -= taken
    return kept


def size_change(replica_set: WholeReplicaSet, bounds: Bounds, counted: int) -> int:
    """Return by how much a replica set should change to keep its proportion."""
    size = replica_set.spec.replicas
    if bounds.replicas == 0:
        return -size
    before = count(replica_set.metadata.annotations, MAXIMUM) or counted
    if before == 0:
        return 0
    return round_half_away(size * bounds.most, before) - size


def round_half_away(amount: int, by: int) -> int:
    """Return amount / by for non-negative numbers, rounded half away from zero, exactly."""
    return (2 * amount + by) // (2 * by)


def _one(replica_set: WholeReplicaSet | None, replicas: int) -> Sizes:
    return {} if replica_set is None else {replica_set.metadata.uid: replicas}


def _largest_first(replica_sets: tuple[WholeReplicaSet, ...], *, growing: bool) -> list[WholeReplicaSet]:
    """Sort by size; of equals the youngest first when there is to be given, else the oldest."""
    by_age = sorted(replica_sets, key=age, reverse=growing)
    return sorted(by_age, key=lambda each: each.spec.replicas, reverse=True)

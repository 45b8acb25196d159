"""What one pass writes to the replica sets: one patch for each that changes.

Sizes come from the kind of pass, upkeep (copied annotations, revision, minReadySeconds) from
the Deployment; where a replica set needs both, both are one write. Guarantees: a patch holds
only what differs; old replica sets of a rolling update shrink only in exactly the state that
was seen, since what is available was counted in it; every change of size is told. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

from controllers.deployment.annotations import DESIRED, MAXIMUM, copied, revised
from controllers.deployment.observe import Seen
from controllers.deployment.passes import Deleting, Kind, Paused, Recreate, Resize, Roll, RollBack
from controllers.deployment.proportions import scaled_sizes
from controllers.deployment.rolling import Sizes, rolling_sizes
from kcm import Plan
from kcm.objects import WholeReplicaSet


def decide(seen: Seen, kind: Kind) -> Plan:
    """Return the writes of this pass; nothing when the replica sets are as they should be."""
    match kind:
        case Deleting():
            return Plan.nothing()
        case Paused() | Resize():
            return fleet_plan(seen, scaled_sizes(seen), stamps=True, careful=True)
        case RollBack():
            return fleet_plan(seen, {})
        case Roll():
            return fleet_plan(seen, rolling_sizes(seen.fleet, seen.bounds), careful=True)
        case Recreate():
            return fleet_plan(seen, recreate_sizes(seen))
        case _:
            assert_never(kind)


def recreate_sizes(seen: Seen) -> Sizes:
    """Return the old ones at nothing; when they are gone, the new one at full size."""
    old = {each.metadata.uid: 0 for each in seen.fleet.active_old}
    new = seen.fleet.new
    if old or seen.old_pods_run or new is None or new.spec.replicas == seen.bounds.replicas:
        return old
    return {new.metadata.uid: seen.bounds.replicas}


def fleet_plan(seen: Seen, sizes: Sizes, *, stamps: bool = False, careful: bool = False) -> Plan:
    """Plan the sizes, in their order, and the new replica set's upkeep.

    `stamps`: also record what an unchanged size was made for. `careful`: shrink only what is
    still exactly as it was seen.
    """
    by_uid = {each.metadata.uid: each for each in seen.fleet.all}
    new = seen.fleet.new
    if new is not None and new.metadata.uid not in sizes:
        plans = [_write(seen, new, new.spec.replicas)]
    else:
        plans = []
    for uid, size in sizes.items():
        exact = careful and size < by_uid[uid].spec.replicas and by_uid[uid] is not new
        plans.append(_write(seen, by_uid[uid], size, stamps=stamps, exact=exact))
    return _together(plans)


def _write(
    seen: Seen, replica_set: WholeReplicaSet, size: int, *, stamps: bool = False, exact: bool = False
) -> Plan:
    """Plan one replica set's changes as one patch, and the event of its size."""
    before = replica_set.spec.replicas
    notes = _stamps(seen) if size != before or stamps else {}
    spec: dict[str, Any] = {} if size == before else {"replicas": size}
    if replica_set is seen.fleet.new:
        annotations = seen.deployment.metadata.annotations
        revision = seen.fleet.newest_revision
        notes = {**notes, **copied(annotations), **revised(replica_set.metadata.annotations, revision)}
        if replica_set.spec.min_ready_seconds != seen.deployment.spec.min_ready_seconds:
            spec["minReadySeconds"] = seen.deployment.spec.min_ready_seconds
    known = replica_set.metadata.annotations
    notes = {name: text for name, text in notes.items() if known.get(name) != text}
    changes = {
        **_unless_empty("spec", spec),
        **_unless_empty("metadata", _unless_empty("annotations", notes)),
    }
    if not changes:
        return Plan.nothing()
    because = f"{before} to {size} replicas" if size != before else "annotations or minReadySeconds"
    patched = Plan.patch(replica_set, changes, because=because, exact=exact)
    if size == before:
        return patched
    way = "up" if size > before else "down"
    note = f"Scaled {way} replica set {replica_set.metadata.name} from {before} to {size}"
    return patched + Plan.emit(seen.deployment, "Normal", "ScalingReplicaSet", note)


def _stamps(seen: Seen) -> dict[str, str]:
    """Return what a replica set records with its size: for how many replicas it was made."""
    return {DESIRED: str(seen.bounds.replicas), MAXIMUM: str(seen.bounds.most)}


def _unless_empty(name: str, content: dict[str, Any]) -> dict[str, Any]:
    return {name: content} if content else {}


def _together(plans: Iterable[Plan]) -> Plan:
    return Plan(tuple(action for plan in plans for action in plan.actions))

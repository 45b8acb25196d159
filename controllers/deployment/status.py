"""What the status should say, and the one write that makes it so.

Counts are sums over the replica sets, own writes of this pass included; the revision of the
new replica set rides along as annotation, since the status takes it without counting a new
generation (reference: workloads 2.8, 2.11). Guarantees: a write happens only if something
differs; it carries the resourceVersion of the Deployment that was reconciled; conditions of
other people stay. Pure.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from controllers.deployment.annotations import REVISION
from controllers.deployment.births import Birth
from controllers.deployment.conditions import AVAILABLE, Conditions, make, put
from controllers.deployment.fleet import wanted
from controllers.deployment.observe import Seen
from controllers.deployment.passes import Deleting, Kind, Recreate, Roll, RollBack
from controllers.deployment.progress import (
    with_birth,
    with_failure,
    with_pause,
    with_progress,
    without_conditions,
)
from kcm import Plan
from kcm.objects import WholeReplicaSet
from kcm.objects.deployments import DeploymentStatus


def status_of(seen: Seen, kind: Kind, birth: Birth | None, now: datetime) -> DeploymentStatus:
    """Return the status that is true after this pass."""
    before = seen.deployment.status
    counted = count(seen)
    conditions = before.conditions
    if not isinstance(kind, Deleting):
        conditions = with_pause(conditions, seen.deployment, now)
        conditions = with_birth(conditions, seen, birth, now)
    conditions = _with_availability(conditions, seen, counted, now)
    if isinstance(kind, Roll | Recreate | RollBack):
        conditions = with_progress(conditions, seen, before, counted, now)
        conditions = with_failure(conditions, seen)
    return msgspec.structs.replace(counted, conditions=conditions)


def count(seen: Seen) -> DeploymentStatus:
    """Return the counts (reference: workloads 2.8), without conditions."""
    statuses = [each.status for each in seen.fleet.all]
    new = seen.fleet.new
    available = sum(each.available_replicas for each in statuses)
    return DeploymentStatus(
        replicas=sum(each.replicas for each in statuses),
        updated_replicas=new.status.replicas if new is not None else 0,
        ready_replicas=sum(each.ready_replicas for each in statuses),
        available_replicas=available,
        unavailable_replicas=max(0, wanted(seen.fleet.all) - available),
        terminating_replicas=_terminating(seen.fleet.all),
        collision_count=seen.deployment.status.collision_count,
        observed_generation=seen.deployment.metadata.generation,
    )


def status_plan(seen: Seen, status: DeploymentStatus) -> Plan:
    """Plan the write that makes the status true; nothing if it is."""
    stored = seen.deployment.status
    annotations = _revision(seen)
    conditions = _changes(stored.conditions, status.conditions)
    if not (conditions or annotations) and _comparable(status) == _comparable(stored):
        return Plan.nothing()
    counts = {
        "replicas": status.replicas,
        "updatedReplicas": status.updated_replicas,
        "readyReplicas": status.ready_replicas,
        "availableReplicas": status.available_replicas,
        "unavailableReplicas": status.unavailable_replicas,
        "terminatingReplicas": status.terminating_replicas,
        "observedGeneration": status.observed_generation,
    }
    changes: dict[str, Any] = {**counts, **({"conditions": conditions} if conditions else {})}
    because = f"{status.updated_replicas} updated, {status.available_replicas} available of {status.replicas}"
    return Plan.patch_status(
        seen.deployment, changes, because=because, kind="strategic", annotations=annotations
    )


def collision_plan(seen: Seen) -> Plan:
    """Plan to count a hash collision, so that the next name is another."""
    collisions = (seen.deployment.status.collision_count or 0) + 1
    because = f"hash collision {collisions}"
    return Plan.patch_status(seen.deployment, {"collisionCount": collisions}, because=because)


def observed_plan(seen: Seen) -> Plan:
    """Plan to say that the spec was read, and nothing else."""
    generation = seen.deployment.metadata.generation
    if seen.deployment.status.observed_generation >= generation:
        return Plan.nothing()
    because = f"observed generation {generation}"
    return Plan.patch_status(seen.deployment, {"observedGeneration": generation}, because=because)


def _with_availability(
    conditions: Conditions, seen: Seen, counted: DeploymentStatus, now: datetime
) -> Conditions:
    if counted.available_replicas >= seen.bounds.min_available:
        note = "Deployment has minimum availability."
        return put(conditions, make(AVAILABLE, "True", "MinimumReplicasAvailable", note, now))
    note = "Deployment does not have minimum availability."
    return put(conditions, make(AVAILABLE, "False", "MinimumReplicasUnavailable", note, now))


def _terminating(replica_sets: tuple[WholeReplicaSet, ...]) -> int | None:
    """Return the sum; None when a replica set that was looked at does not tell."""
    total = 0
    for each in replica_sets:
        known = each.status.terminating_replicas
        if known is None and each.status.observed_generation > 0:
            return None
        total += known or 0
    return total


def _revision(seen: Seen) -> dict[str, str | None]:
    new = seen.fleet.new
    revision = new.metadata.annotations.get(REVISION) if new is not None and not seen.deleting else None
    if revision is None or seen.deployment.metadata.annotations.get(REVISION) == revision:
        return {}
    return {REVISION: revision}


def _comparable(status: DeploymentStatus) -> DeploymentStatus:
    """Return the counts; a server that does not know terminatingReplicas reads back none."""
    counts = without_conditions(status)
    return msgspec.structs.replace(counts, terminating_replicas=counts.terminating_replicas or 0)


def _changes(stored: Conditions, wanted: Conditions) -> list[Any]:
    """Return the strategic merge entries that lead from one to the other."""
    kept = {each.type for each in wanted}
    gone = [{"$patch": "delete", "type": each.type} for each in stored if each.type not in kept]
    return [*(each for each in wanted if each not in stored), *gone]

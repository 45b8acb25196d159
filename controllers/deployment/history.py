"""Which old replica sets are not needed to roll back to any more.

Guarantees that only replica sets go that want and have no pods, by a status that describes
their present spec, and that one which is skipped is not replaced by a younger one (reference:
workloads 2.10; reliability S5). Pure.
"""

from __future__ import annotations

from controllers.deployment.annotations import REVISION, integer
from controllers.deployment.bounds import LARGEST
from controllers.deployment.fleet import age, is_observed
from controllers.deployment.observe import Seen
from kcm import Plan
from kcm.objects import WholeReplicaSet


def history_plan(seen: Seen) -> Plan:
    """Plan to delete what exceeds the history limit."""
    plans = (Plan.delete(each, because="exceeds revisionHistoryLimit") for each in expendable(seen))
    return Plan(tuple(action for plan in plans for action in plan.actions))


def expendable(seen: Seen) -> list[WholeReplicaSet]:
    """Return the old replica sets to delete, the earliest revision first."""
    limit = seen.deployment.spec.revision_history_limit
    if limit is None or limit == LARGEST:
        return []
    old = [each for each in seen.fleet.old if each.metadata.deletion_timestamp is None]
    excess = len(old) - limit
    if excess <= 0:
        return []
    old.sort(key=lambda each: (integer(each.metadata.annotations, REVISION) or 0, age(each)))
    return [each for each in old[:excess] if _is_idle(each)]


def _is_idle(replica_set: WholeReplicaSet) -> bool:
    unused = replica_set.spec.replicas == replica_set.status.replicas == 0
    return unused and is_observed(replica_set)

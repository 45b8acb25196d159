"""Which pods to take and which to let go, and the patches that do it.

An active orphan that the selector matches is adopted; an active pod that is ours and is no
longer matched is released; a replica set that is being deleted does neither (reference:
workloads 1.4). The patches are strategic merges keyed by uid: other owners of the pod stay,
and the pod's uid in the patch keeps it from touching a later pod of the same name. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from controllers.replicaset.census import is_active
from controllers.replicaset.observe import Seen
from kcm import Outcome, Pace, Plan
from kcm.objects import Pod, ReplicaSet, owner_reference


def strays(seen: Seen) -> list[Pod]:
    """Return the active pods to release: ours, and no longer selected."""
    return [] if seen.deleting else seen.census.strays


def adoptable(seen: Seen) -> list[Pod]:
    """Return the active pods to adopt: nobody's, and selected."""
    if seen.deleting:
        return []
    return [pod for pod in seen.orphans if is_active(pod) and seen.selector.matches(pod.metadata.labels)]


def releases(replica_set: ReplicaSet, pods: Iterable[Pod]) -> Plan:
    """Plan to stop owning `pods`, each whatever becomes of the others."""
    ours = {"$patch": "delete", "uid": replica_set.metadata.uid}
    return _patches(pods, ours, because="release: no longer matches the selector")


def adoptions(replica_set: ReplicaSet, pods: Iterable[Pod]) -> Plan:
    """Plan to become the controller of `pods`; a plain reference to us is completed in place."""
    return _patches(pods, owner_reference(replica_set), because="adopt: matches the selector")


def reason_not_to_adopt(replica_set: ReplicaSet, live: ReplicaSet | None) -> str:
    """Return why a live look at the replica set forbids adopting, "" if it does not.

    A pod that was set free by somebody's orphaning deletion must not be taken back (k/k#42639).
    """
    if live is None or live.metadata.uid != replica_set.metadata.uid:
        return "the replica set that would adopt is gone"
    return "the replica set that would adopt is being deleted" if live.metadata.deletion_timestamp else ""


def claim_error(outcome: Outcome, *forgiven: type[Exception]) -> Exception | None:
    """Return the first error that is not `forgiven`; it ends the pass before anything is counted."""
    return next((failed.error for failed in outcome.failed if not isinstance(failed.error, forgiven)), None)


def _patches(pods: Iterable[Pod], reference: object, *, because: str) -> Plan:
    changes = {"metadata": {"ownerReferences": [reference]}}
    plans = (Plan.patch(pod, changes, because=because, kind="strategic") for pod in pods)
    return Plan(tuple(action for plan in plans for action in plan.actions), Pace.TOGETHER)

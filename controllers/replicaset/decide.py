"""How many pods to create or delete, and which.

Guarantees: pods are counted as workloads 1.2 says (terminating and finished ones are replaced at
once, unless they keep failing: `holdoff`); at most `BURST` pods are created or deleted in one
pass, and the plan asks to be looked at again at once when more are left; a create carries its
name, a delete the state of the pod that it was decided on, so that a repeated plan does no harm.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from controllers.replicaset.holdoff import hold_off
from controllers.replicaset.names import pod_names
from controllers.replicaset.observe import Seen
from controllers.replicaset.ranking import victims
from kcm import Action, Pace, Plan
from kcm.objects import NewPod, NewPodMeta, Pod, owner_reference

BURST = 500


def decide(seen: Seen, now: datetime) -> Plan:
    """Return the creates or deletes of this pass (reference: workloads 1.5, 1.6)."""
    if seen.deleting or seen.surplus == 0:
        return Plan.nothing()
    count = min(abs(seen.surplus), BURST)
    recheck_in = 0.0 if abs(seen.surplus) > BURST else None
    because = f"{len(seen.census.active)} of {seen.replica_set.spec.replicas} pods"
    if seen.surplus < 0:
        if wait := hold_off(seen.census.finished, seen.replica_set.spec.replicas, now):
            return Plan(recheck_in=wait)
        plans = (Plan.create(pod, because=because) for pod in _new_pods(seen, count))
        return Plan(_actions(plans), Pace.SLOW_START, recheck_in)
    plans = (Plan.delete(pod, because=because) for pod in _victims(seen, count, now))
    return Plan(_actions(plans), Pace.TOGETHER, recheck_in)


def _new_pods(seen: Seen, count: int) -> Iterable[NewPod]:
    """Return pods as the template wants them: labels, annotations, finalizers, spec, nothing else."""
    replica_set = seen.replica_set
    metadata = replica_set.metadata
    template = replica_set.spec.template
    uids = (pod.metadata.uid for pod in seen.owned)
    names = pod_names(metadata.name, metadata.uid, uids, count, seen.taken)
    owners = (owner_reference(replica_set),)
    for name in names:
        yield NewPod(
            metadata=NewPodMeta(
                name=name,
                generate_name=f"{metadata.name}-",
                namespace=metadata.namespace,
                labels=template.metadata.labels,
                annotations=template.metadata.annotations,
                finalizers=template.metadata.finalizers,
                owner_references=owners,
            ),
            spec=template.spec,
        )


def _victims(seen: Seen, count: int, now: datetime) -> list[Pod]:
    """Return the pods to delete; where all go, in this pass or the next, their order is no matter."""
    active = seen.census.active
    if seen.replica_set.spec.replicas == 0:
        return active[:count]
    return victims(active, count, seen.crowding, now)


def _actions(plans: Iterable[Plan]) -> tuple[Action, ...]:
    return tuple(action for plan in plans for action in plan.actions)

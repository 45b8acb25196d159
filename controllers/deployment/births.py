"""A new replica set: what it looks like, and what became of the attempt to make it.

Its name follows from template and collision count, so that a create whose answer was lost
meets its own work instead of making a second one (reference: workloads 2.6, 4). Guarantees
that a name taken by anything else leads to another name, exactly one collision later. Pure.
"""

from __future__ import annotations

import msgspec

from controllers.deployment.annotations import DESIRED, MAXIMUM, REVISION, copied
from controllers.deployment.observe import Seen
from controllers.deployment.passes import Kind, Recreate, Roll, RollBack
from controllers.deployment.rolling import new_size
from controllers.deployment.templates import HASH_LABEL, labels_of, meaning, template_hash, with_hash
from kcm import AlreadyExists, ApiError, NamespaceTerminating, Outcome, Plan, TooManyRequests
from kcm.objects import LabelSelector, ObjectMeta, WholeReplicaSet, controller_of, owner_reference
from kcm.objects.deployments import WholeReplicaSetSpec

LONGEST_NAME = 253


class Born(msgspec.Struct, frozen=True):
    """The new replica set is there."""

    name: str


class Refused(msgspec.Struct, frozen=True):
    """The server did not take it, for a reason to tell."""

    name: str
    error: Exception


class Collided(msgspec.Struct, frozen=True):
    """Its name is taken by something else: it needs another one."""


class Again(msgspec.Struct, frozen=True):
    """What has its name can be adopted: look again."""


class Unwelcome(msgspec.Struct, frozen=True):
    """The namespace is being deleted: nothing can be made there any more."""


Birth = Born | Refused | Collided | Again | Unwelcome


def birth_size(seen: Seen, kind: Kind) -> int | None:
    """Return the size with which a new replica set is to be made in this pass, None for none."""
    if seen.fleet.new is not None:
        return None
    recreates = seen.deployment.spec.strategy.type == "Recreate"
    match kind:
        case Recreate():
            return None if seen.fleet.active_old or seen.old_pods_run else seen.bounds.replicas
        case RollBack() if recreates:
            # Only the present template's place in the history is needed: its pods must not come yet.
            return 0
        case Roll() | RollBack():
            return new_size(seen.fleet, seen.bounds)
        case _:
            return None


def new_replica_set(seen: Seen, size: int) -> WholeReplicaSet:
    """Return the replica set for the Deployment's present template (reference: workloads 2.6)."""
    deployment = seen.deployment
    spec = deployment.spec
    name = template_hash(spec.template, deployment.status.collision_count)
    selector = spec.selector or LabelSelector()
    numbers = {
        REVISION: seen.fleet.newest_revision,
        DESIRED: seen.bounds.replicas,
        MAXIMUM: seen.bounds.most,
    }
    return WholeReplicaSet(
        metadata=ObjectMeta(
            name=f"{deployment.metadata.name[: LONGEST_NAME - 1 - len(name)]}-{name}",
            namespace=deployment.metadata.namespace,
            labels={**labels_of(spec.template), HASH_LABEL: name},
            annotations={
                **copied(deployment.metadata.annotations),
                **{key: str(number) for key, number in numbers.items()},
            },
            owner_references=(owner_reference(deployment),),
        ),
        spec=WholeReplicaSetSpec(
            replicas=size,
            min_ready_seconds=spec.min_ready_seconds,
            selector=msgspec.structs.replace(
                selector, match_labels={**selector.match_labels, HASH_LABEL: name}
            ),
            template=with_hash(spec.template, name),
        ),
    )


def birth_plan(seen: Seen, new: WholeReplicaSet) -> Plan:
    """Plan to make it, and to tell."""
    created = Plan.create(new, because=f"no replica set for revision {seen.fleet.newest_revision}")
    if new.spec.replicas == 0:
        return created
    note = f"Scaled up replica set {new.metadata.name} from 0 to {new.spec.replicas}"
    return created + Plan.emit(seen.deployment, "Normal", "ScalingReplicaSet", note)


def judge(seen: Seen, new: WholeReplicaSet, found: WholeReplicaSet | None, outcome: Outcome) -> Birth:
    """Return what became of the attempt. `found` is what the replica holds under the name afterwards.

    An error that says nothing about the replica set (no answer, no leave to write, too many
    requests) is raised: it is tried again and told to nobody.
    """
    error = outcome.failed[0].error if outcome.failed else None
    name = new.metadata.name
    match error:
        case NamespaceTerminating():
            return Unwelcome()
        case None | AlreadyExists() if found is not None:
            owner = controller_of(found.metadata)
            same = meaning(found.spec.template) == meaning(seen.deployment.spec.template)
            if same and owner is not None and owner.uid == seen.deployment.metadata.uid:
                return Born(name)
            if same and owner is None and _adoptable(new, found):
                return Again()
            # The name is known to be made from this template: somebody edited what has it.
            return Collided()
        case None:
            return Born(name)
        case ApiError() if not isinstance(error, TooManyRequests):
            return Refused(name, error)
        case _:
            raise error


def _adoptable(new: WholeReplicaSet, found: WholeReplicaSet) -> bool:
    alive = found.metadata.deletion_timestamp is None
    return alive and new.metadata.labels.items() <= found.metadata.labels.items()

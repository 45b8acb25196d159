"""Owner references and the two finalizers: the vocabulary of everything else here.

Pure. An owner counts for a dependent when it is cluster-scoped or lives in the dependent's own
namespace (reference: apiserver §2, GC), and when a reference calls it what it is: its uid, group,
kind and name; nothing else is an owner, whatever a reference says. Its version does not matter.
"""

from __future__ import annotations

from kcm.objects import OwnerReference, PartialObject

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


def is_deleting(present: PartialObject) -> bool:
    """Say whether an object is being deleted."""
    return present.metadata.deletion_timestamp is not None


def waits_for_dependents(present: PartialObject) -> bool:
    """Say whether an object is being deleted in the foreground: its dependents go first."""
    return is_deleting(present) and FOREGROUND in present.metadata.finalizers


def lets_dependents_go(present: PartialObject) -> bool:
    """Say whether an object is being deleted and its dependents are to stay."""
    return is_deleting(present) and ORPHAN in present.metadata.finalizers


def can_own(owner: PartialObject, dependent: PartialObject) -> bool:
    """Say whether one object can own another: owners never reach into other namespaces."""
    return owner.metadata.namespace in ("", dependent.metadata.namespace)


def calls(reference: OwnerReference, owner: PartialObject) -> bool:
    """Say whether a reference names an object rightly, be it in another version of its group."""
    group, _, _ = reference.api_version.rpartition("/")
    resource = owner.resource_type()
    return (reference.uid, reference.name, reference.kind, group) == (
        owner.metadata.uid,
        owner.metadata.name,
        resource.kind,
        resource.group,
    )


def owns(owner: PartialObject, dependent: PartialObject) -> bool:
    """Say whether an object owns another: it can, and is rightly named."""
    return can_own(owner, dependent) and any(
        calls(each, owner) for each in dependent.metadata.owner_references
    )


def references_to(dependent: PartialObject, uid: str) -> tuple[OwnerReference, ...]:
    """Return the references of an object to one owner."""
    return tuple(each for each in dependent.metadata.owner_references if each.uid == uid)


def blocks(dependent: PartialObject, uid: str) -> bool:
    """Say whether an owner's foreground deletion has to wait for a dependent."""
    return any(each.block_owner_deletion for each in references_to(dependent, uid))

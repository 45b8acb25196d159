"""Owner references and the two finalizers: the vocabulary of everything else here.

Pure. An owner counts for a dependent when it is cluster-scoped or lives in the dependent's own
namespace (reference: apiserver §2, GC); nothing else is an owner, whatever a reference says.
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


def references_to(dependent: PartialObject, uid: str) -> tuple[OwnerReference, ...]:
    """Return the references of an object to one owner."""
    return tuple(each for each in dependent.metadata.owner_references if each.uid == uid)


def blocks(dependent: PartialObject, uid: str) -> bool:
    """Say whether an owner's foreground deletion has to wait for a dependent."""
    return any(each.block_owner_deletion for each in references_to(dependent, uid))

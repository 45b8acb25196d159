"""What to do about one object: pure, from what was seen and what the server answered.

Guarantees: nothing is deleted unless every one of its owners is absent or is waiting for it to
go; an owner of unknown standing keeps it, and what it says of absent owners too: without the
one in doubt they would be all it has. Every write carries the uid and the
resourceVersion it was decided on: whatever changed meanwhile, finalizers and references of others
included, turns it into a conflict and is looked at again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

from controllers.garbagecollector.observe import Dependent, Standing
from controllers.garbagecollector.references import FOREGROUND, ORPHAN, blocks, waits_for_dependents
from kcm import Pace, Plan
from kcm.objects import OwnerReference, PartialObject

Standings = tuple[tuple[OwnerReference, Standing], ...]

# Nobody can say whether they are there.
_DOUBTFUL = frozenset((Standing.UNKNOWN, Standing.MISPLACED))


def decide(seen: Dependent, standings: Standings) -> Plan:
    """Return what becomes of a dependent whose owners stand as told."""
    by_standing = {
        standing: {reference.uid for reference, its in standings if its is standing} for standing in Standing
    }
    solid, absent, waiting = (
        by_standing[each] for each in (Standing.SOLID, Standing.ABSENT, Standing.WAITING)
    )
    doubtful = set().union(*(by_standing[each] for each in _DOUBTFUL))
    if doubtful:
        # The absent are left for when the doubt has ended; who waits for this one would wait for ever.
        held_up = {uid for uid in waiting if blocks(seen.object, uid)}
        return without_owners(seen.object, held_up - solid - doubtful)
    if solid:
        # One that keeps it is enough; the others must not hold up their owners' end.
        return without_owners(seen.object, (absent | waiting) - solid)
    if not absent and not waiting:
        return Plan.nothing()
    if waiting and seen.children:
        return _unblocked(seen, waiting) or _end(seen.object, "Foreground", "its owner waits for it to go")
    return _end(seen.object, _propagation(seen.object), "none of its owners exists any more")


def without_owners(dependent: PartialObject, uids: Container[str]) -> Plan:
    """Plan to take out an object's references to owners."""
    left = [each for each in dependent.metadata.owner_references if each.uid not in uids]
    if len(left) == len(dependent.metadata.owner_references):
        return Plan.nothing()
    return _patch(dependent, {"ownerReferences": left or None}, "it is not owned any more by who is gone")


def orphans(owner: PartialObject, children: Iterable[PartialObject]) -> Plan:
    """Plan to let all dependents of an owner go, each whatever becomes of the others."""
    uid = frozenset((owner.metadata.uid,))
    plans = (without_owners(child, uid) for child in children)
    return Plan(tuple(action for plan in plans for action in plan.actions), Pace.TOGETHER)


def released(present: PartialObject, finalizer: str) -> Plan:
    """Plan to take one of our finalizers from an object, which lets it go."""
    left = [each for each in present.metadata.finalizers if each != finalizer]
    return _patch(present, {"finalizers": left or None}, f"{finalizer}: nothing is left to be done")


def _unblocked(seen: Dependent, waiting: set[str]) -> Plan:
    """Plan to break a circle: an owner waits for this one, and this one's dependent is waited for too.

    It lets its owners end before it; its own deletion follows from what it is then.
    """
    circle = any(waits_for_dependents(child) for child in seen.children)
    if not circle or not any(blocks(seen.object, uid) for uid in waiting):
        return Plan.nothing()
    unblocking = [
        OwnerReference(each.api_version, each.kind, each.name, each.uid, each.controller, False)
        for each in seen.object.metadata.owner_references
    ]
    return _patch(seen.object, {"ownerReferences": unblocking}, "owners wait for each other in a circle")


def _propagation(present: PartialObject) -> str:
    """Return the propagation that somebody already asked for, by a finalizer, before the deletion."""
    if ORPHAN in present.metadata.finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in present.metadata.finalizers else "Background"


def _end(present: PartialObject, propagation: Any, because: str) -> Plan:
    return Plan.delete(present, because=because, propagation=propagation)


def _patch(present: PartialObject, metadata: dict[str, Any], because: str) -> Plan:
    return Plan.patch(present, {"metadata": metadata}, because=because, exact=True)

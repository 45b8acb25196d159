"""Claiming: how a controller becomes, or stops being, the controller of objects.

Which objects to take and which to let go is each controller's own question; this is what
follows from the answer (reference: workloads 1.4). Guarantees: nothing is adopted before the
owner was read live in the same pass (k/k#42639); the patches are strategic merges keyed by
uid, so that other owners of an object stay, and an object's uid in the patch keeps it from
touching a later one of the same name; every object is tried, whatever becomes of the others.
Owns no state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from kcm.cache.replica import Cache
from kcm.client.errors import Invalid, NotFound
from kcm.objects.owners import owner_reference
from kcm.objects.resource import Resource
from kcm.runtime.context import Context
from kcm.runtime.plan import Outcome, Pace, Plan
from kcm.runtime.result import Waiting

R = TypeVar("R", bound=Resource[Any])


def owned(cache: Cache, type_: type[R], owner: Resource[Any]) -> tuple[R, ...]:
    """Return the objects of a type that name `owner` as their controller, from its own namespace only.

    Owners never reach across namespaces: an object elsewhere that claims so is not the owner's.
    """
    namespace = owner.metadata.namespace
    found = cache.controlled_by(type_, owner.metadata.uid)
    return tuple([each for each in found if each.metadata.namespace == namespace])


async def claim(
    ctx: Context, owner: Resource[Any], strays: Sequence[Resource[Any]], orphans: Sequence[Resource[Any]]
) -> Waiting | None:
    """Release `strays` and adopt `orphans`; what keeps the pass from going on is returned or raised."""
    released = await ctx.apply(releases(owner, strays))
    adopted = Outcome()
    if orphans:
        live = await ctx.live(type(owner), owner.key)
        if reason := reason_not_to_adopt(owner, live):
            return Waiting(reason)
        adopted = await ctx.apply(adoptions(owner, orphans))
    # An object that is gone, or was replaced by another (422: its uid cannot change), is released.
    error = claim_error(released, NotFound, Invalid) or claim_error(adopted, NotFound)
    if error:
        raise error
    return None


def releases(owner: Resource[Any], strays: Iterable[Resource[Any]]) -> Plan:
    """Plan to stop owning `strays`, each whatever becomes of the others."""
    ours = {"$patch": "delete", "uid": owner.metadata.uid}
    return _patches(strays, ours, because="release: no longer matches the selector")


def adoptions(owner: Resource[Any], orphans: Iterable[Resource[Any]]) -> Plan:
    """Plan to become the controller of `orphans`; a plain reference to us is completed in place."""
    return _patches(orphans, owner_reference(owner), because="adopt: matches the selector")


def reason_not_to_adopt(owner: Resource[Any], live: Resource[Any] | None) -> str:
    """Return why a live look at the owner forbids adopting, "" if it does not.

    An object that was set free by somebody's orphaning deletion must not be taken back (k/k#42639).
    """
    if live is None or live.metadata.uid != owner.metadata.uid:
        return f"the {owner.kind} that would adopt is gone"
    return f"the {owner.kind} that would adopt is being deleted" if live.metadata.deletion_timestamp else ""


def claim_error(outcome: Outcome, *forgiven: type[Exception]) -> Exception | None:
    """Return the first error that is not `forgiven`; it ends the pass before anything is counted."""
    return next((failed.error for failed in outcome.failed if not isinstance(failed.error, forgiven)), None)


def _patches(targets: Iterable[Resource[Any]], reference: object, *, because: str) -> Plan:
    changes = {"metadata": {"ownerReferences": [reference]}}
    plans = (Plan.patch(target, changes, because=because, kind="strategic") for target in targets)
    return Plan(tuple(action for plan in plans for action in plan.actions), Pace.TOGETHER)

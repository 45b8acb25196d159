"""The garbage collector: deletes what nobody owns any more, in the order that its owners ask for.

Works on the metadata of all objects of all types. Background: an object goes when each of its
owners is gone, after the server itself has said so. Foreground: an owner stays until the
dependents that block it are gone. Orphan: the dependents are let go, then the owner is. Guarantees:
every write is made on the state that was seen, or not at all, so that there is no need to read
an object again before it is deleted; in doubt (an error, a kind that the server does not have, a type
that is not filled yet) nothing is deleted. Holds nothing but short memories: of absent owners, of those
it orphaned, and of warnings given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from controllers.garbagecollector.asking import Inquiry
from controllers.garbagecollector.decide import decide, orphans, released, without_owners
from controllers.garbagecollector.memory import Recent
from controllers.garbagecollector.observe import (
    Asked,
    Dependent,
    Emptying,
    Orphaning,
    Seen,
    Standing,
    look,
    places_of_children,
)
from controllers.garbagecollector.references import FOREGROUND, ORPHAN
from controllers.garbagecollector.searching import search
from controllers.garbagecollector.touches import touched
from kcm import Controller, Done, NotFound, Plan, Rate, RequeueAfter, anything, claim_error, discovers
from kcm.objects import OwnerReference, PartialObject

if TYPE_CHECKING:
    from kcm import Cache, Context, Key, Result
    from kcm.objects import ObjectKey, Spec

# Events come and go by themselves, and nothing owns them; the others are not stored.
NOT_COLLECTED = ("events", "events.events.k8s.io", "*.metrics.k8s.io", "*.custom.metrics.k8s.io")
# A type is being filled: look again soon. An owner that nobody can judge, or that no watch tells of: seldom.
FILLING_SECONDS = 1.0
SELDOM_SECONDS = 60.0


class GarbageCollectorController(Controller[PartialObject, Seen]):
    """Collects."""

    name = "garbagecollector"
    aliases: ClassVar[tuple[str, ...]] = ("garbage-collector-controller", "garbagecollector")
    watches = (discovers(touches=touched, verbs=("list", "watch", "delete"), excluding=NOT_COLLECTED),)
    writes = anything("patch", "delete")
    workers = 20
    rate = Rate(100.0, 200)

    def __init__(self, settings: Spec | None = None) -> None:
        super().__init__(settings)
        self._inquiry = Inquiry()
        self._warned = Recent()
        self._orphaned = Recent()

    def observe(self, cache: Cache, key: Key) -> Seen | None:
        object_key: ObjectKey = key  # type: ignore[assignment]  # what `touched` yields
        return look(cache.graph, object_key)

    async def reconcile(self, ctx: Context, seen: Seen) -> Result:
        match seen:
            case Orphaning():
                return await self._orphan(ctx, seen)
            case Emptying():
                return await self._empty(ctx, seen)
            case Dependent():
                return await self._judge(ctx, seen)

    async def _judge(self, ctx: Context, seen: Dependent) -> Result:
        """Find out how the owners stand, and do what follows."""
        standings: list[tuple[OwnerReference, Standing]] = []
        unwatched = False
        for owner in seen.owners:
            reference, standing = owner.reference, owner.standing
            if owner.elsewhere or standing is Standing.MISPLACED:
                await self._warn(ctx, seen.object, reference)
            if isinstance(standing, Asked):
                standing = await self._inquiry.standing(ctx, reference, standing)
                unwatched |= standing is not Standing.ABSENT
            standings.append((reference, standing))
        if not seen.complete and any(standing is Standing.WAITING for _, standing in standings):
            return RequeueAfter(FILLING_SECONDS)
        # Whoever comes after its owner was orphaned was let go as well.
        freed = {reference.uid for reference, _ in standings if reference.uid in self._orphaned}
        plan = without_owners(seen.object, freed) if freed else decide(seen, tuple(standings))
        outcome = await ctx.apply(plan)
        if error := claim_error(outcome, NotFound):
            raise error
        unclear = unwatched or any(standing is Standing.UNKNOWN for _, standing in standings)
        return RequeueAfter(SELDOM_SECONDS) if unclear else Done()

    async def _orphan(self, ctx: Context, seen: Orphaning) -> Result:
        """Let the dependents go, and then the owner: when it goes, nobody may be left who names it."""
        if not seen.complete:
            return RequeueAfter(FILLING_SECONDS)
        outcome = await ctx.apply(orphans(seen.object, seen.children))
        if error := claim_error(outcome, NotFound):
            raise error
        # One that is on its way to us still names the owner, and would be deleted when that is gone.
        late = await search(ctx, places_of_children(ctx.cache.graph, seen.object), seen.object)
        if late:
            (await ctx.apply(orphans(seen.object, late))).raise_failure()
            return RequeueAfter(0.0)
        self._orphaned.add(seen.object.metadata.uid)
        return await self._release(ctx, seen.object, ORPHAN)

    async def _empty(self, ctx: Context, seen: Emptying) -> Result:
        """Let an owner go when nothing blocks it. What does is woken by itself, and wakes it by its end."""
        if not seen.complete:
            return RequeueAfter(FILLING_SECONDS)
        if seen.blocking:
            return Done()
        return await self._release(ctx, seen.object, FOREGROUND)

    async def _release(self, ctx: Context, present: PartialObject, finalizer: str) -> Result:
        outcome = await ctx.apply(released(present, finalizer))
        if error := claim_error(outcome, NotFound):
            raise error
        return Done()

    async def _warn(self, ctx: Context, dependent: PartialObject, reference: OwnerReference) -> None:
        """Tell people, once, that a reference leads where no owner can be."""
        about = f"{dependent.metadata.uid} {reference.uid}"
        if about in self._warned:
            return
        self._warned.add(about)
        namespace = dependent.metadata.namespace
        # The words of kube-controller-manager's collector, by which people look for it.
        note = (
            f"ownerRef [{reference.api_version}/{reference.kind}, namespace: {namespace}, "
            f'name: {reference.name}, uid: {reference.uid}] does not exist in namespace "{namespace}"'
        )
        await ctx.apply(Plan.emit(dependent, "Warning", "OwnerRefInvalidNamespace", note))

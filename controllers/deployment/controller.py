"""The Deployment controller: rolls templates out through replica sets.

One reconcile claims replica sets, makes or resizes them as its kind of pass asks, and then
writes status and history from what is there afterwards: at most one write of each object. Own
writes are in the replica at once, so the next step is woken by them and sees them; nothing
waits and nothing is retried for its own sake (DESIGN §2). Guarantees that a cut after any
write is made good by the next pass: every step follows from present state alone. Holds no
state, knows of replica sets only what the API says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from controllers.deployment.births import (
    Again,
    Birth,
    Collided,
    Refused,
    Unwelcome,
    birth_plan,
    birth_size,
    judge,
    new_replica_set,
)
from controllers.deployment.conditions import CREATE_ERROR
from controllers.deployment.decide import decide
from controllers.deployment.history import history_plan
from controllers.deployment.observe import Seen, look, look_for, selector_of
from controllers.deployment.passes import Kind, Paused, Recreate, Roll, RollBack, kind_of
from controllers.deployment.progress import error_text, is_complete, recheck_in
from controllers.deployment.rollback import rollback_plan
from controllers.deployment.status import collision_plan, observed_plan, status_of, status_plan
from kcm import Controller, Done, Plan, RequeueAfter, claim, owns, primary, watches, writes
from kcm.objects import Deployment, PodTrace, WholeReplicaSet

if TYPE_CHECKING:
    from kcm import Cache, Context, Key, Result

# Recreate is woken by the replica sets' statuses. A pod that ends without one changing (a server
# that does not count terminating pods) is noticed after so many seconds.
OLD_PODS_SECONDS = 1.0


def _nobody(pod: PodTrace) -> Iterable[Key]:
    """Pods are looked at, not listened to: thousands become ready, and their replica sets tell."""
    return ()


class DeploymentController(Controller[Deployment, Seen]):
    """Creates, resizes, adopts, releases and deletes replica sets, and counts them."""

    name = "deployment"
    component = "deployment-controller"
    aliases: ClassVar[tuple[str, ...]] = ("deployment-controller", "deployment")
    watches = primary(Deployment), owns(WholeReplicaSet, adopts=selector_of), watches(PodTrace, to=_nobody)
    # A rollback asked for by annotation changes the template: hence patch.
    writes = writes(Deployment, "patch", "status"), writes(WholeReplicaSet, "create", "patch", "delete")

    def observe(self, cache: Cache, key: Key) -> Seen | None:
        return look(cache, key)

    async def reconcile(self, ctx: Context, seen: Seen) -> Result:
        if seen.selects_all:
            return await _leave_alone(ctx, seen)
        if seen.strays or seen.orphans:
            if obstacle := await claim(ctx, seen.deployment, seen.strays, seen.orphans):
                return obstacle
            again = look(ctx.cache, ctx.key)
            if again is None:
                return Done()
            seen = again

        kind = kind_of(seen)
        if (size := birth_size(seen, kind)) is not None:
            return await _give_birth(ctx, seen, kind, size)
        plan = decide(seen, kind)
        (await ctx.apply(plan)).raise_failure()
        if isinstance(kind, RollBack):
            (await ctx.apply(rollback_plan(seen, kind.to))).raise_failure()
            return Done()
        after = look_for(ctx.cache, seen.deployment) if plan else seen
        if after.fleet != seen.fleet:
            # What was written asks for the next pass, and only the last one's counts are worth a write.
            return Done()
        return await _report(ctx, after, kind, None)


async def _give_birth(ctx: Context, seen: Seen, kind: Kind, size: int) -> Result:
    """Make the new replica set; what came of it decides how the pass goes on."""
    new = new_replica_set(seen, size)
    outcome = await ctx.apply(birth_plan(seen, new))
    birth = judge(seen, new, ctx.cache.get(WholeReplicaSet, new.key), outcome)
    match birth:
        case Unwelcome():
            return Done()
        case Again():
            return RequeueAfter(0.0)
        case Collided():
            (await ctx.apply(collision_plan(seen))).raise_failure()
            return RequeueAfter(0.0)
        case _:
            return await _report(ctx, look_for(ctx.cache, seen.deployment), kind, birth)


async def _report(ctx: Context, seen: Seen, kind: Kind, birth: Birth | None) -> Result:
    """Write the status and clean up the history; then say when to look again."""
    now = ctx.now()
    status = status_of(seen, kind, birth, now)
    plan = status_plan(seen, status)
    rolls = isinstance(kind, Roll | Recreate)
    if isinstance(kind, Paused) or (rolls and is_complete(seen.deployment, status)):
        plan += history_plan(seen)
    if isinstance(birth, Refused):
        note = f'Failed to create new replica set "{birth.name}": {error_text(birth.error)}'
        plan += Plan.emit(seen.deployment, "Warning", CREATE_ERROR, note)
    (await ctx.apply(plan)).raise_failure()
    if isinstance(birth, Refused):
        raise birth.error
    waits = [recheck_in(seen.deployment, status, now) if rolls else None]
    if isinstance(kind, Recreate) and seen.old_pods_run:
        waits.append(OLD_PODS_SECONDS)
    due = [wait for wait in waits if wait is not None]
    return RequeueAfter(min(due)) if due else Done()


async def _leave_alone(ctx: Context, seen: Seen) -> Result:
    """Say that a Deployment which selects everything is not acted on (reference: workloads 2.2)."""
    note = "This deployment is selecting all pods. A non-empty selector is required."
    warning = Plan.emit(seen.deployment, "Warning", "SelectingAll", note)
    (await ctx.apply(warning + observed_plan(seen))).raise_failure()
    return Done()

"""The ReplicaSet controller: keeps as many pods as were asked for.

One reconcile claims (releases, adopts), scales, tells, and writes the status, in this order; an
error in claiming ends it before anything is counted (reference: workloads 1.2). Instead of
expectations it relies on the runtime: the replica holds every own write, creates cannot
duplicate, deletes hold only for what was seen (DESIGN §2). Guarantees that no orphan is adopted
before the replica set was read live in the same pass. Holds no state, knows no Deployment.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from controllers.replicaset.census import Census
from controllers.replicaset.claims import adoptable, strays
from controllers.replicaset.decide import decide
from controllers.replicaset.observe import Seen, count, look, selector_of
from controllers.replicaset.report import events, scaling_error, scaling_failure
from controllers.replicaset.status import status_plan
from kcm import Controller, Done, NotFound, Outcome, RequeueAfter, claim, claim_error, owns, primary, writes
from kcm.objects import Pod, ReplicaSet

if TYPE_CHECKING:
    from kcm import Cache, Context, Key, Result


class ReplicaSetController(Controller[ReplicaSet, Seen]):
    """Creates, deletes, adopts and releases pods, and counts them."""

    name = "replicaset"
    component = "replicaset-controller"
    aliases: ClassVar[tuple[str, ...]] = ("replicaset-controller", "replicaset")
    watches = primary(ReplicaSet), owns(Pod, adopts=selector_of)
    writes = writes(Pod, "create", "patch", "delete"), writes(ReplicaSet, "status")

    def observe(self, cache: Cache, key: Key) -> Seen | None:
        return look(cache, key)

    async def reconcile(self, ctx: Context, seen: Seen) -> Result:
        ours, orphans = strays(seen), adoptable(seen)
        if ours or orphans:
            if obstacle := await claim(ctx, seen.replica_set, ours, orphans):
                return obstacle
            again = look(ctx.cache, ctx.key)
            if again is None:
                return Done()
            seen = again

        plan = decide(seen, ctx.now())
        outcome = await ctx.apply(plan)
        # With more to do at once the next pass counts these pods anyway: once is enough for thousands.
        in_burst = plan.recheck_in == 0.0 and not outcome.failed
        census = count(ctx.cache, seen) if plan and not in_burst else seen.census
        counted_at = ctx.now()
        await _tell(ctx, seen.replica_set, census, outcome, counted_at)
        waits = [
            plan.recheck_in if not outcome.failed else None,
            _next_available_in(seen.replica_set, census, counted_at, ctx.now()),
        ]
        due = [wait for wait in waits if wait is not None]
        return RequeueAfter(min(due)) if due else Done()


async def _tell(
    ctx: Context, replica_set: ReplicaSet, census: Census, outcome: Outcome, now: datetime
) -> None:
    """Emit the events and write the status; then raise what went wrong, scaling before status."""
    status = status_plan(replica_set, census, scaling_failure(outcome), now)
    written = await ctx.apply(events(replica_set, outcome) + status)
    if error := scaling_error(outcome) or claim_error(written, NotFound):
        raise error


def _next_available_in(
    replica_set: ReplicaSet, census: Census, counted_at: datetime, now: datetime
) -> float | None:
    """Return when a ready pod becomes available by mere waiting (reference: workloads 1.2 step 11)."""
    seconds = replica_set.spec.min_ready_seconds
    if seconds == 0 or census.ready == census.available(seconds, counted_at):
        return None
    rest = census.next_available_in(seconds, counted_at)
    if rest is None:
        return float(seconds)
    return max(0.0, rest - (now - counted_at).total_seconds())

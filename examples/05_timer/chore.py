"""A job on a timer: every Chore has a pod started each so many seconds.

Nothing is remembered between reconciles. Which run is due follows from the time alone, and a run's pod
is named after it: after a crash, or with another leader, no run happens twice; runs that were missed
while nobody led are not made up for, but for the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from kcm import (
    Cache,
    Context,
    Controller,
    Done,
    Key,
    Pace,
    Plan,
    RequeueAfter,
    Result,
    owned,
    owns,
    primary,
    writes,
)
from kcm.objects import ObjectMeta, Resource, Spec, owned_by

IMAGE = "example/chore:1"


class ChoreSpec(Spec, frozen=True):
    """What is to be done, and how often."""

    every_seconds: Annotated[int, Meta(ge=1, le=86400 * 366)]
    command: tuple[str, ...] = ("true",)
    keep: Annotated[int, Meta(ge=1, le=100)] = 3
    """How many pods stay, the newest."""


class Chore(Resource[ChoreSpec], frozen=True, kw_only=True):
    """Something that has to be done again and again."""

    api, kind, plural = "demo.dev/v1", "Chore", "chores"

    metadata: ObjectMeta
    spec: ChoreSpec


class RunSpec(Spec, frozen=True):
    """What a run's pod is made of; not read back."""

    restart_policy: str = ""
    containers: tuple[dict[str, object], ...] = ()


class Run(Resource[RunSpec], frozen=True, kw_only=True):
    """The pod of one run."""

    api, kind, plural = "v1", "Pod", "pods"

    metadata: ObjectMeta
    spec: RunSpec = RunSpec()


@dataclass(frozen=True)
class Seen:
    """What a decision is made from."""

    chore: Chore
    runs: tuple[Run, ...]


def decide(seen: Seen, now: datetime) -> Plan:
    """Return the pod of the run that is due, the pods that are too many, and when to look again."""
    chore, every = seen.chore, seen.chore.spec.every_seconds
    if chore.metadata.deletion_timestamp:
        return Plan.nothing()
    elapsed = now.timestamp()
    number = int(elapsed // every)
    name = f"{chore.metadata.name}-{number}"
    plan = Plan(recheck_in=(number + 1) * every - elapsed)
    runs = {run.metadata.name: run for run in seen.runs if not run.metadata.deletion_timestamp}
    if name not in runs:
        container: dict[str, object] = {"name": "chore", "image": IMAGE, "command": chore.spec.command}
        spec = RunSpec(restart_policy="Never", containers=(container,))
        plan += Plan.create(Run(metadata=owned_by(chore, name), spec=spec), because=f"run {number} is due")
    oldest_first = sorted(runs.values(), key=lambda run: int(run.metadata.name.rpartition("-")[2]))
    surplus = len({*runs, name}) - chore.spec.keep
    for run in oldest_first[: max(0, surplus)]:
        plan += Plan.delete(run, because=f"only {chore.spec.keep} stay")
    return plan.at_pace(Pace.TOGETHER)


class ChoreController(Controller[Chore, Seen]):
    """Starts what is due, and comes back when the next is."""

    name = "chore"
    watches = primary(Chore), owns(Run)
    writes = writes(Run, "create", "delete")

    def observe(self, cache: Cache, key: Key) -> Seen | None:
        chore = cache.get(Chore, key)
        return Seen(chore, owned(cache, Run, chore)) if chore else None

    async def reconcile(self, ctx: Context, seen: Seen) -> Result:
        plan = decide(seen, ctx.now())
        (await ctx.apply(plan)).raise_failure()
        return RequeueAfter(plan.recheck_in) if plan.recheck_in is not None else Done()

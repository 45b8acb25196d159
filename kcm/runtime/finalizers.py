"""Finalizers: nothing that was made outside the cluster is forgotten.

`with_finalizer` guarantees: `ensure` runs only after the server has confirmed the finalizer, so
that whatever it makes outside cannot outlive its object unnoticed, also when the object is deleted
while no controller runs; `cleanup` runs for every deletion until it has returned `Done`, and only
then is the finalizer taken off; other finalizers stay as they are (each change carries the
resourceVersion it was decided on, and is a `Conflict` otherwise). A dry run calls neither: what
they do outside would not be held back. It does not guarantee that
`cleanup` runs only once: it must find it natural that nothing is left. Who removes a finalizer by
hand takes the guarantee away. Owns no state.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Protocol, TypeVar

from kcm.base.errors import TerminalError
from kcm.objects.resource import Resource
from kcm.runtime.context import Context
from kcm.runtime.plan import Plan
from kcm.runtime.result import Done, Result
from kcm.telemetry.logging import Logger

R = TypeVar("R", bound=Resource[Any])


class Asking(Protocol):
    """What there is to know of the context of a reconcile, blocking or not."""

    log: Logger

    @property
    def dry_run(self) -> bool:
        """Say whether nothing may be changed."""
        ...


class Stage(Enum):
    """What is due: an object without the finalizer, with it, being deleted, or none of our business."""

    ADD = "add"
    ENSURE = "ensure"
    CLEAN_UP = "clean-up"
    NOTHING = "nothing"


async def with_finalizer(
    ctx: Context,
    seen: R,
    finalizer: str,
    *,
    ensure: Callable[[R], Awaitable[Result]],
    cleanup: Callable[[R], Awaitable[Result]],
) -> Result:
    """Run `ensure` under the protection of a finalizer, or `cleanup` for an object that is being deleted.

    Both are given the newest state of the object: after the finalizer was added, `seen` is outdated.
    `finalizer` is "your.domain/what"; the type's metadata must be an `ObjectMeta`. What the two raise
    is raised, and what they return is returned, unless it is `cleanup`'s `Done`.
    """
    match stage_of(ctx, seen, finalizer):
        case Stage.NOTHING:
            return Done()
        case Stage.ENSURE:
            return await ensure(seen)
        case Stage.ADD:
            (await ctx.apply(add_finalizer(seen, finalizer))).raise_failure()
            return await ensure(ctx.newest(seen))
        case Stage.CLEAN_UP:
            result = await cleanup(seen)
            if isinstance(result, Done):
                # What cleanup wrote (a status, say) changed the object: take it off the newest state.
                (await ctx.apply(remove_finalizer(ctx.newest(seen), finalizer))).raise_failure()
            return result


def stage_of(ctx: Asking, seen: Resource[Any], finalizer: str) -> Stage:
    """Return what is due for an object that a finalizer protects."""
    held = finalizer in _finalizers(seen)
    if held and ctx.dry_run:
        # What is done outside would not be held back by anything.
        ctx.log.info("dry run: what is outside is left alone", finalizer=finalizer)
        return Stage.NOTHING
    if seen.metadata.deletion_timestamp is not None:
        return Stage.CLEAN_UP if held else Stage.NOTHING
    return Stage.ENSURE if held else Stage.ADD


def add_finalizer(seen: Resource[Any], finalizer: str) -> Plan:
    """Plan to add a finalizer; nothing if it is there, or if the deletion has begun (which forbids it)."""
    present = _finalizers(seen)
    if finalizer in present or seen.metadata.deletion_timestamp is not None:
        return Plan.nothing()
    return _with(seen, (*present, finalizer), because=f"{finalizer} has to see its deletion")


def remove_finalizer(seen: Resource[Any], finalizer: str) -> Plan:
    """Plan to take a finalizer off; nothing if it is not there."""
    present = _finalizers(seen)
    if finalizer not in present:
        return Plan.nothing()
    left = tuple(each for each in present if each != finalizer)
    return _with(seen, left, because=f"{finalizer} has nothing left to do")


def _with(seen: Resource[Any], finalizers: tuple[str, ...], because: str) -> Plan:
    # A merge patch replaces the whole list: only exact, or another's finalizer could be lost.
    return Plan.patch(seen, {"metadata": {"finalizers": finalizers}}, because=because, exact=True)


def _finalizers(seen: Resource[Any]) -> tuple[str, ...]:
    try:
        present: tuple[str, ...] = seen.metadata.finalizers  # type: ignore[attr-defined] # of ObjectMeta
    except AttributeError:
        raise TerminalError(
            f"{type(seen).__name__} does not read finalizers: declare `metadata: ObjectMeta` in it"
        ) from None
    return present

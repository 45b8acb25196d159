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
from typing import Any, TypeVar

from kcm.base.errors import TerminalError
from kcm.objects.resource import Resource
from kcm.runtime.context import Context
from kcm.runtime.plan import Plan
from kcm.runtime.result import Done, Result

R = TypeVar("R", bound=Resource[Any])


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
    held = finalizer in _finalizers(seen)
    if held and ctx.dry_run:
        # What the two do outside would not be held back by anything.
        ctx.log.info("dry run: what is outside is left alone", finalizer=finalizer)
        return Done()
    if seen.metadata.deletion_timestamp is not None:
        if not held:
            return Done()
        result = await cleanup(seen)
        if not isinstance(result, Done):
            return result
        # What cleanup wrote (a status, say) changed the object: take the finalizer off the newest state.
        newest = ctx.newest(seen)
        (await ctx.apply(remove_finalizer(newest, finalizer))).raise_failure()
        return result
    if held:
        return await ensure(seen)
    outcome = await ctx.apply(add_finalizer(seen, finalizer))
    outcome.raise_failure()
    return await ensure(ctx.newest(seen))


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

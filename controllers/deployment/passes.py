"""What kind of pass a Deployment needs now.

One at a time, in this order: being deleted, paused, asked to roll back, scaled, rolled out
(reference: workloads 2.2). Pure; the kinds are a closed union that everything else matches on.
"""

from __future__ import annotations

import msgspec

from controllers.deployment.annotations import DESIRED, ROLLBACK_TO, count, integer
from controllers.deployment.observe import Seen
from kcm import TerminalError


class Deleting(msgspec.Struct, frozen=True):
    """Only tell how things stand."""


class Paused(msgspec.Struct, frozen=True):
    """Scale and clean up, but roll nothing out."""


class RollBack(msgspec.Struct, frozen=True):
    """Take the template of a revision; 0 is the last one before the present."""

    to: int


class Resize(msgspec.Struct, frozen=True):
    """The Deployment was scaled: spread that over its replica sets before rolling on."""


class Roll(msgspec.Struct, frozen=True):
    """Replace old pods step by step."""


class Recreate(msgspec.Struct, frozen=True):
    """Replace old pods at one blow: first all go, then the new ones come."""


Kind = Deleting | Paused | RollBack | Resize | Roll | Recreate


def kind_of(seen: Seen) -> Kind:
    """Return the kind of pass to make; TerminalError for a strategy that nobody knows."""
    spec = seen.deployment.spec
    if seen.deleting:
        return Deleting()
    if spec.paused:
        return Paused()
    to = integer(seen.deployment.metadata.annotations, ROLLBACK_TO)
    if to is not None:
        return RollBack(to)
    if was_scaled(seen):
        return Resize()
    match spec.strategy.type:
        case "RollingUpdate":
            return Roll()
        case "Recreate":
            return Recreate()
        case other:
            unknown = f"spec.strategy.type {other[:80]!r} is not known"
            raise TerminalError(f"deployment {seen.deployment.key}: {unknown}: correct it")


def was_scaled(seen: Seen) -> bool:
    """Say whether an active replica set was sized for another number of replicas.

    Recreate does not spread sizes: with several active replica sets it has to go on and stop the
    old ones, or it would wait for ever.
    """
    active = seen.fleet.active
    if seen.deployment.spec.strategy.type == "Recreate" and len(active) > 1:
        return False
    sized_for = (count(each.metadata.annotations, DESIRED) for each in active)
    return any(number is not None and number != seen.bounds.replicas for number in sized_for)

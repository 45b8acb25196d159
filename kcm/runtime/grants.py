"""What a controller says it writes, and whether a plan keeps to it.

`writes(ConfigMap, "create", "patch")` names a type and what is done to its objects. A controller
that declares `writes` cannot do anything else: a plan that would is refused as a whole before
anything is sent, so that a mistake is one clear line and not a 403 in production. Events may always
be emitted. Pure; also what minimal RBAC is derived from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

import msgspec

from kcm.base.errors import TerminalError
from kcm.objects.resource import Resource, ResourceType
from kcm.runtime.plan import Action, Apply, Create, Delete, Emit, Patch, Plan, Scale

Verb = Literal["create", "patch", "apply", "delete", "status", "scale"]
VERBS: tuple[str, ...] = get_args(Verb)


class Undeclared(TerminalError):
    """A plan holds a write that its controller does not declare; none of the plan was carried out."""


class Grant(msgspec.Struct, frozen=True):
    """One type, and what its controller does to objects of it."""

    resource: ResourceType
    verbs: frozenset[str]


def writes(type_: type[Resource[Any]] | ResourceType, *verbs: Verb) -> Grant:
    """Declare what is done to objects of a type: all of `VERBS`, or some. ValueError for any other word."""
    if unknown := [verb for verb in verbs if verb not in VERBS]:
        raise ValueError(f"writes: {', '.join(unknown)}: expected some of {', '.join(VERBS)}")
    resource = type_ if isinstance(type_, ResourceType) else type_.resource_type()
    return Grant(resource, frozenset(verbs or VERBS))


def check(grants: Iterable[Grant], plan: Plan) -> None:
    """Raise `Undeclared` if one of the plan's actions is not covered."""
    allowed = {(str(grant.resource), verb) for grant in grants for verb in grant.verbs}
    for action in plan.actions:
        if (asked := _asked(action)) is not None and asked not in allowed:
            resource, verb = asked
            raise Undeclared(
                f"may not {verb} {resource}: the controller's `writes` do not say so, and nothing "
                f'of the plan was carried out; add writes(…, "{verb}") for that type, or leave `writes` out'
            )


def _asked(action: Action) -> tuple[str, str] | None:
    """Return the resource and what is to be done to it; None for an Event."""
    match action:
        case Create(wanted):
            return str(wanted.resource_type()), "create"
        case Apply(wanted):
            return str(wanted.resource_type()), "apply"
        case Patch(target):
            return str(target.resource), action.subresource or "patch"
        case Scale(target):
            return str(target.resource), "scale"
        case Delete(target):
            return str(target.resource), "delete"
        case Emit():
            return None

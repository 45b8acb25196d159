"""What a controller says it writes, and whether a plan keeps to it.

`writes(ConfigMap, "create", "patch")` names a type and what is done to its objects. A plan with any other
write is refused as a whole before anything is sent, so that a mistake is one clear line and not a
403 in production. Where a controller says nothing, its `watches` do: what it `owns` it may create,
patch, apply and delete, of its `primary` it may write the status and the finalizers, and what it only
`watches` it leaves alone. `anything()` lifts that. Events may always be emitted. Pure; also
what minimal RBAC is derived from (`kcm.runtime.roles`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec

from kcm.base.errors import TerminalError
from kcm.objects.resource import Key, Resource, ResourceType
from kcm.runtime.plan import Action, Apply, Create, Delete, Emit, Patch, Plan, Scale
from kcm.runtime.watches import Watch

Verb = Literal["create", "patch", "apply", "delete", "status", "scale", "finalizers"]
VERBS: tuple[str, ...] = get_args(Verb)
# Of every type, where a grant names no type.
EVERYTHING = ResourceType("*/*", "*", "*")

_OF_OWNED: tuple[Verb, ...] = ("create", "patch", "apply", "delete")
_OF_PRIMARY: tuple[Verb, ...] = ("status", "finalizers")
# Who may do the one may do the other: the server cannot tell them apart.
_INCLUDED: Mapping[str, tuple[str, ...]] = {"patch": ("finalizers",)}


class Undeclared(TerminalError):
    """A plan holds a write that its controller does not declare; none of the plan was carried out."""


class Grant(msgspec.Struct, frozen=True):
    """One type, and what its controller does to objects of it."""

    resource: ResourceType
    verbs: frozenset[str]


Declared = Grant | tuple[Grant, ...] | None


def writes(type_: type[Resource[Any]] | ResourceType, *verbs: Verb) -> Grant:
    """Declare what is done to objects of a type: all of `VERBS`, or some. ValueError for any other word.

    "patch" is a change of the object itself, its finalizers among it; "finalizers" is these alone.
    """
    resource = type_ if isinstance(type_, ResourceType) else type_.resource_type()
    return Grant(resource, _known(verbs))


def anything(*verbs: Verb) -> Grant:
    """Declare that objects of every type may be written: in every way, or in some.

    For controllers whose types are not known before they run (`anything("scale")`), and for a first
    try: the role that `kcm rbac` derives from it is as wide.
    """
    return Grant(EVERYTHING, _known(verbs))


def grants_of(declared: Declared, watches: Iterable[Watch]) -> tuple[Grant, ...]:
    """Return what a controller may write: what it declares, or else what its watches imply."""
    match declared:
        case None:
            return tuple(_implied(watches))
        case Grant():
            return (declared,)
        case _:
            return declared


def _known(verbs: tuple[str, ...]) -> frozenset[str]:
    if unknown := [verb for verb in verbs if verb not in VERBS]:
        raise ValueError(f"writes: {', '.join(unknown)}: expected some of {', '.join(VERBS)}")
    return frozenset(verbs or VERBS)


def _implied(watches: Iterable[Watch]) -> Iterable[Grant]:
    for watch in watches:
        if watch.role == "owned":
            yield writes(watch.type, *_OF_OWNED)
        elif watch.role == "primary":
            yield writes(watch.type, *_OF_PRIMARY)


class Allowance:
    """What one controller may write, in the form in which each of its plans is held against it.

    `controller` is its class, as messages name it.
    """

    def __init__(self, controller: str, declared: Declared, watches: Iterable[Watch]) -> None:
        self._controller = controller
        self._silent = declared is None
        self._allowed = frozenset(
            (str(grant.resource), each)
            for grant in grants_of(declared, watches)
            for verb in grant.verbs
            for each in (verb, *_INCLUDED.get(verb, ()))
        )
        # As many as there are types: what was found allowed once costs a look into a set.
        self._found: set[tuple[ResourceType, str]] = set()
        self._created: set[type[Resource[Any]]] = set()

    def check(self, plan: Plan) -> None:
        """Raise `Undeclared` if one of the plan's actions is not covered."""
        for action in plan.actions:
            # Thousands of creates are the path where every microsecond counts.
            if type(action) is Create and type(action.object) in self._created:
                continue
            asked = _asked(action)
            if asked is None or asked in self._found:
                continue
            resource, verb = asked
            if (str(resource), verb) not in self._allowed and (str(EVERYTHING), verb) not in self._allowed:
                raise Undeclared(self._refusal(action, resource, verb))
            self._found.add(asked)
            if type(action) is Create:
                self._created.add(type(action.object))

    def _refusal(self, action: Action, resource: ResourceType, verb: str) -> str:
        remedy = f'add writes({resource.kind}, "{verb}") to its `writes`'
        if self._silent:
            remedy += ", which replaces what its watches imply: what it owns, and its primary's status"
        because = getattr(action, "because", "")
        return (
            f"{self._controller} may not {_in_words(verb)} {resource} {_key_of(action)} ({because}): "
            f"it does not declare that, and nothing of the plan was carried out; {remedy}"
        )


def _in_words(verb: str) -> str:
    return f"write the {verb} of" if verb in ("status", "finalizers") else verb


def _key_of(action: Any) -> Key | str:
    about = getattr(action, "target", None) or getattr(action, "object", None)
    return about.key if about is not None else ""


def _asked(action: Action) -> tuple[ResourceType, str] | None:
    """Return the resource and what is to be done to it; None for an Event."""
    match action:
        case Create(wanted):
            return wanted.resource_type(), "create"
        case Patch(target):
            if action.subresource:
                return target.resource, action.subresource
            return target.resource, "finalizers" if _is_about_finalizers(action.changes) else "patch"
        case Apply(wanted):
            return wanted.resource_type(), "apply"
        case Scale(target):
            return target.resource, "scale"
        case Delete(target):
            return target.resource, "delete"
        case Emit():
            return None


def _is_about_finalizers(changes: object) -> bool:
    """Say whether a patch touches finalizers and nothing else."""
    match changes:
        case {"metadata": {"finalizers": _, **others}, **rest}:
            return not others and not rest
    return False

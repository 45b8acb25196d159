"""What there is to know about one object and its neighbours, from the graph only.

`look` reads; nothing here writes, waits or asks for the time. An owner that the graph does not
know, or knows as something else than the reference says, is `Asked`: only the server can say
whether that is there (it may be new, unreadable, or gone), and only of a kind that the server
has. None: there is nothing to do for the object.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from controllers.garbagecollector.references import (
    blocks,
    calls,
    can_own,
    is_deleting,
    lets_dependents_go,
    owns,
    waits_for_dependents,
)
from kcm import Key
from kcm.objects import OwnerReference, PartialObject, ResourceType

if TYPE_CHECKING:
    from kcm import ObjectGraph
    from kcm.objects import ObjectKey


class Standing(Enum):
    """How an owner stands to its dependent.

    SOLID is there. WAITING is there, and is being deleted in the foreground. ABSENT is certainly
    not. UNKNOWN is of a kind that the server does not have: nobody can say. MISPLACED can own
    nothing here: a cluster-scoped object that names an owner in some namespace.
    """

    SOLID = "solid"
    WAITING = "waiting"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    MISPLACED = "misplaced"


@dataclass(frozen=True, slots=True)
class Asked:
    """An owner that only the server knows, and where it would be."""

    resource: ResourceType
    key: Key


@dataclass(frozen=True, slots=True)
class Owner:
    """One reference, and how its owner stands, or where to ask. `elsewhere`: in another namespace it is."""

    reference: OwnerReference
    standing: Standing | Asked
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Dependent:
    """An object that stays or goes with its owners. `children` depend on it."""

    object: PartialObject
    owners: tuple[Owner, ...]
    children: tuple[PartialObject, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Orphaning:
    """An object that is being deleted and lets its dependents go."""

    object: PartialObject
    children: tuple[PartialObject, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Emptying:
    """An object that is being deleted when the dependents that block it are gone."""

    object: PartialObject
    blocking: tuple[PartialObject, ...]
    complete: bool


Seen = Dependent | Orphaning | Emptying


def look(graph: ObjectGraph, key: ObjectKey) -> Seen | None:
    """Return what there is to do something about; None when there is nothing."""
    present = graph.find(key.resource, Key(key.namespace, key.name))
    if present is None or present.metadata.uid != key.uid:
        return None
    if lets_dependents_go(present):
        return Orphaning(present, graph.dependents(key.uid), graph.complete)
    if waits_for_dependents(present):
        children = children_of(graph, present)
        blocking = tuple(child for child in children if blocks(child, key.uid))
        return Emptying(present, blocking, graph.complete)
    if is_deleting(present):
        return None
    owners = tuple(_owner(graph, present, each) for each in present.metadata.owner_references)
    if all(owner.standing is Standing.SOLID for owner in owners):
        return None
    return Dependent(present, owners, children_of(graph, present), graph.complete)


def children_of(graph: ObjectGraph, owner: PartialObject) -> tuple[PartialObject, ...]:
    """Return the objects that an object owns, itself not among them."""
    uid = owner.metadata.uid
    found = graph.dependents(uid)
    return tuple(each for each in found if each.metadata.uid != uid and owns(owner, each))


def places_of_children(graph: ObjectGraph, owner: PartialObject) -> tuple[ResourceType, ...]:
    """Return the resources that a dependent of an object can be of, as far as they can be read."""
    everywhere = not owner.metadata.namespace
    return tuple(each for each in graph.resources if everywhere or each.namespaced)


def standing_of(owner: PartialObject) -> Standing:
    """Return how an owner that is there stands."""
    return Standing.WAITING if waits_for_dependents(owner) else Standing.SOLID


def _owner(graph: ObjectGraph, dependent: PartialObject, reference: OwnerReference) -> Owner:
    owner = graph.get(reference.uid)
    elsewhere = owner is not None and not can_own(owner, dependent)
    if owner is not None and not elsewhere and calls(reference, owner):
        return Owner(reference, standing_of(owner))
    return Owner(reference, _described(graph, dependent, reference), elsewhere)


def _described(graph: ObjectGraph, dependent: PartialObject, reference: OwnerReference) -> Standing | Asked:
    """Return where to ask for what a reference describes, whatever has the uid here."""
    resource = graph.resource_of(reference.api_version, reference.kind)
    if resource is None:
        return Standing.UNKNOWN
    namespace = dependent.metadata.namespace
    if resource.namespaced and not namespace:
        return Standing.MISPLACED
    return Asked(resource, Key(namespace if resource.namespaced else "", reference.name))

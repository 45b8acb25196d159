"""Which fields of an object somebody reads, as data.

A `Projection` mirrors the JSON: `Leaf` keeps a value whole, `Fields` keeps some members of an
object, `Items` and `Values` apply a projection to every element of a list or a map. It is
derived from a type's annotations, travels as JSON, and two can be united. Guarantees: a
projection is canonical (equal trees are equal values, and hash alike); `check` bounds one that
came from outside before anything recurses into it. Knows nothing of objects' values.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import inspect

from kcm.objects.resource import Resource

DEEPEST = 24
LARGEST = 4096
LONGEST_NAME = 317

Projection: TypeAlias = "Leaf | Fields | Items | Values"


class Leaf(msgspec.Struct, frozen=True, tag="leaf"):
    """The value, whatever it is."""


class Fields(msgspec.Struct, frozen=True, tag="fields"):
    """Some members of a JSON object, sorted by name."""

    members: tuple[tuple[str, Projection], ...] = ()


class Items(msgspec.Struct, frozen=True, tag="items"):
    """Every element of a JSON list."""

    each: Projection


class Values(msgspec.Struct, frozen=True, tag="values"):
    """Every value of a JSON object with free keys."""

    each: Projection


LEAF = Leaf()

# Every object is kept with these, whoever asks for what: they identify it and order its states.
IDENTITY = Fields(
    (
        (
            "metadata",
            Fields((("name", LEAF), ("namespace", LEAF), ("resourceVersion", LEAF), ("uid", LEAF))),
        ),
    )
)


def projection_of(type_: type[Resource[Any]]) -> Projection:
    """Return the fields that `type_` declares, identity included. ValueError for a type that nests itself."""
    return union(IDENTITY, _of(inspect.type_info(type_), DEEPEST))


def union(one: Projection, other: Projection) -> Projection:
    """Return what keeps everything that either keeps; different shapes at one place keep it whole."""
    match one, other:
        case Fields(mine), Fields(yours):
            members = dict(mine)
            for name, projection in yours:
                members[name] = union(members[name], projection) if name in members else projection
            return Fields(tuple(sorted(members.items(), key=lambda member: member[0])))
        case (Items(mine_each), Items(yours_each)):
            return Items(union(mine_each, yours_each))
        case (Values(mine_each), Values(yours_each)):
            return Values(union(mine_each, yours_each))
        case _:
            return LEAF


def check(projection: Projection) -> None:
    """Raise ValueError unless a projection from outside is canonical and bounded in depth, size and names."""
    waiting = [(projection, 0)]
    seen = 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > LARGEST:
            raise ValueError(f"projection too large: more than {DEEPEST} levels or {LARGEST} fields")
        match node:
            case Fields(members):
                _check_names([name for name, _ in members])
                waiting.extend((member, depth + 1) for _, member in members)
            case Items(each) | Values(each):
                waiting.append((each, depth + 1))


def encode(projection: Projection) -> bytes:
    """Return the projection as JSON."""
    return msgspec.json.encode(projection)


def decode(text: bytes) -> Projection:
    """Return the projection that `encode` wrote; ValueError for anything else."""
    try:
        projection: Projection = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(f"projection too large: more than {DEEPEST} levels") from None
    check(projection)
    return projection


_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Leaf | Fields | Items | Values)


def _check_names(names: list[str]) -> None:
    if any(not 0 < len(name) <= LONGEST_NAME for name in names):
        raise ValueError(f"projection: a field name is empty or longer than {LONGEST_NAME}")
    if names != sorted(set(names)):
        raise ValueError("projection: field names are not sorted and distinct")


def _of(type_: inspect.Type, room: int) -> Projection:
    """Derive from msgspec's description of a type; `room` is how many more levels are accepted."""
    if room <= 0:
        raise ValueError(f"a type is nested in more than {DEEPEST} levels, or in itself")
    match type_:
        case inspect.StructType():
            members = {field.encode_name: _of(field.type, room - 1) for field in type_.fields}
            if type_.tag_field is not None:
                members[type_.tag_field] = LEAF
            return Fields(tuple(sorted(members.items(), key=lambda member: member[0])))
        case inspect.UnionType():
            return _of_union(type_, room)
        case inspect.DictType():
            each = _of(type_.value_type, room - 1)
            return LEAF if each == LEAF else Values(each)
        case inspect.CollectionType():
            each = _of(type_.item_type, room - 1)
            return LEAF if each == LEAF else Items(each)
        case inspect.Metadata():
            return _of(type_.type, room)
        case _:
            return LEAF


def _of_union(type_: inspect.UnionType, room: int) -> Projection:
    some = [choice for choice in type_.types if not isinstance(choice, inspect.NoneType)]
    # Several shapes in one place cannot be told apart before decoding: keep it whole.
    return _of(some[0], room) if len(some) == 1 else LEAF

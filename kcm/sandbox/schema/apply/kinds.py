"""What server-side apply needs to know of a type: which parts merge, and which are one value.

A `Kind` describes one value. Built-in types give theirs by `builtin`, custom resources by
`kcm.sandbox.schema.apply.structural`; the walks see no difference. Guarantees: a kind is complete
once it was returned; kinds of built-in types are made once and shared, and may refer to
themselves. Nobody changes a kind after it was made.

`native` kinds stand for typed values: there a zero that cannot be told from absence is absence,
and fields that the server always writes (`kept`) are present in every value of their type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from kcm.sandbox.schema.apply import facts
from kcm.sandbox.schema.fields import TYPES, Field, Shape, TypeDef, type_of

Form = Literal["scalar", "list", "map", "free"]


@dataclass(eq=False, slots=True)
class Kind:
    """One kind of value. `item` is what a list, or a map outside `fields`, holds (None: nothing else).

    `scalar` is "string", "numeric" or "boolean" where a value may be nothing else. `keys` make a list
    a map by them; a list without keys that is not atomic is a set. `free`
    values are whatever they are: objects merge key by key, lists are one value.
    """

    form: Form
    scalar: str = ""
    atomic: bool = False
    item: Kind | None = None
    keys: tuple[str, ...] = ()
    key_defaults: Mapping[str, Any] = field(default_factory=dict)
    fields: dict[str, Kind] = field(default_factory=dict)
    native: bool = False
    kept: dict[str, Any] = field(default_factory=dict)
    nullable: frozenset[str] = frozenset()
    leaf: bool = False

    def __post_init__(self) -> None:
        # One value to every walk, whatever it holds.
        self.leaf = self.atomic or self.form == "scalar"

    def of(self, name: str) -> Kind | None:
        """Return the kind of a field or map entry; None when the type does not have it."""
        return self.fields.get(name) or self.item


SCALAR = Kind("scalar")
STRING = Kind("scalar", "string")
NUMBER = Kind("scalar", "numeric")
BOOLEAN = Kind("scalar", "boolean")
_SCALARS = {
    "string": STRING,
    "bytes": STRING,
    "int": NUMBER,
    "long": NUMBER,
    "float": NUMBER,
    "bool": BOOLEAN,
}
LEAF = Kind("free", atomic=True)
FREE = Kind("free")
FREE.item = FREE


@cache
def builtin(kind: str, api_version: str) -> Kind | None:
    """Return the kind of a built-in resource, None when the table does not have it."""
    type_ = type_of(kind, api_version)
    return None if type_.is_free else _named(type_.name)


def metadata_kind() -> Kind:
    """Return the kind of every object's metadata."""
    return _named("ObjectMeta")


_made: dict[str, Kind] = {}


def _named(name: str) -> Kind:
    if name in _made:
        return _made[name]
    type_ = TYPES[name]
    # Registered before its fields are made: types may contain themselves.
    made = _made[name] = Kind("map", atomic=name in facts.ATOMIC_TYPES, native=True)
    for entry in type_.fields.values():
        made.fields[entry.name] = _of_field(type_, entry)
    kept = facts.KEPT.get(name, ()) + tuple(entry.name for entry in type_.fields.values() if entry.required)
    if "metadata" in type_.fields:
        kept += ("metadata",)
    omitted = facts.OMITTED.get(name, ())
    made.kept = {
        name: _zero(type_.fields[name].shape) for name in kept if name in type_.fields and name not in omitted
    }
    made.nullable = frozenset(entry.name for entry in type_.fields.values() if entry.nullable)
    return made


def _zero(shape: Shape) -> Any:
    match shape.form, shape.name:
        case "object", _:
            return {}
        case "scalar", "string":
            return ""
        case "scalar", "int" | "long" | "float":
            return 0
        case "scalar", "bool":
            return False
    return None


def _of_field(type_: TypeDef, entry: Field) -> Kind:
    where = f"{type_.name}.{entry.name}"
    shape = entry.shape
    match shape.form:
        case "list" if shape.item is not None:
            keys = facts.LIST_KEYS.get(where, entry.map_keys)
            is_set = where in facts.SETS or (entry.merges and not entry.merge_key)
            if where in facts.ATOMIC_LISTS or not (keys or is_set):
                return Kind("list", atomic=True, item=_of_shape(shape.item))
            return Kind(
                "list",
                item=_of_shape(shape.item),
                keys=keys,
                key_defaults=_key_defaults(where, shape.item, keys),
            )
        case "map" if shape.item is not None:
            return Kind("map", atomic=where in facts.ATOMIC_MAPS, item=_of_shape(shape.item))
    return _of_shape(shape)


def _key_defaults(where: str, item: Shape, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """Return what an element's keys are when it does not say: zero, unless the facts say otherwise."""
    if not keys or item.name in facts.KEYS_UNSET:
        return {}
    fields = TYPES[item.name].fields
    return {name: _zero(fields[name].shape) for name in keys} | dict(facts.KEY_DEFAULTS.get(where, {}))


def _of_shape(shape: Shape) -> Kind:
    match shape.form:
        case "object":
            return _named(shape.name)
        case "list" if shape.item is not None:
            return Kind("list", atomic=True, item=_of_shape(shape.item))
        case "map" if shape.item is not None:
            return Kind("map", item=_of_shape(shape.item))
        case "any":
            return LEAF
    return _SCALARS.get(shape.name, SCALAR)

"""The table of types: what fields each kind has, read from the definitions' small language.

A definition is `name number type flags; ...`. A type is a scalar (`string int long float bool
quantity intOrString time microTime bytes any`), another type's name, `[T]` a list or `{T}` a map
by string. After the name: `!` required, `?` zero differs from absent. The number is the field's
in protobuf; `2.1` is field 1 of field 2, a message that JSON shows inlined; without one it is
never read there. Flags: `by k` strategic merge by key k; `merge` a list of scalars that merges;
`replace`, `retainKeys` strategies; `as a,b` server-side apply keys. `object` alone: the type has
apiVersion, kind and metadata.

Guarantees: the table is read once, is complete (every named type exists) and never changes.
Unknown kinds are treated as custom: metadata is known, everything else is free.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kcm.sandbox.schema.definitions import MODULES

Form = Literal["scalar", "object", "list", "map", "any"]

SCALARS = frozenset(
    ("string", "int", "long", "float", "bool", "quantity", "intOrString", "time", "microTime", "bytes")
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a JSON value must look like; `item` is what a list or a map holds."""

    form: Form
    name: str = ""
    item: Shape | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `merge_key` and `merges` say how a strategic patch treats its list.

    `numbers` is the path of protobuf field numbers; `nullable` says that zero is not absence.
    """

    name: str
    shape: Shape
    required: bool = False
    nullable: bool = False
    numbers: tuple[int, ...] = ()
    merge_key: str = ""
    merges: bool = False
    replaces: bool = False
    retains_keys: bool = False
    map_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TypeDef:
    """A named object type. `is_object`: it has apiVersion, kind and metadata."""

    name: str
    package: str
    fields: Mapping[str, Field]
    is_object: bool = False
    is_free: bool = False


ANY = Shape("any")
_ENTRY = re.compile(
    r"(?P<name>\w+)(?P<mark>[!?]?)(\s+(?P<numbers>[\d.]+))?\s+(?P<type>\S+)(?P<flags>(\s+\S+)*)"
)


def _shape(text: str) -> Shape:
    if text.startswith("["):
        return Shape("list", item=_shape(text[1:-1]))
    if text.startswith("{"):
        return Shape("map", item=_shape(text[1:-1]))
    if text == "any":
        return ANY
    return Shape("scalar" if text in SCALARS else "object", text)


def _field(text: str) -> Field:
    found = _ENTRY.fullmatch(text)
    if found is None:
        raise ValueError(f"not a field definition: {text!r}")
    flags = found["flags"].split()
    merge_key = flags[flags.index("by") + 1] if "by" in flags else ""
    map_keys = tuple(flags[flags.index("as") + 1].split(",")) if "as" in flags else ()
    return Field(
        name=found["name"],
        shape=_shape(found["type"]),
        required=found["mark"] == "!",
        nullable=found["mark"] == "?",
        numbers=tuple(map(int, (found["numbers"] or "").split("."))) if found["numbers"] else (),
        merge_key=merge_key,
        merges=bool(merge_key) or "merge" in flags,
        replaces="replace" in flags,
        retains_keys="retainKeys" in flags,
        map_keys=map_keys or ((merge_key,) if merge_key else ()),
    )


_OBJECT_FIELDS = ("apiVersion string", "kind string", "metadata 1 ObjectMeta")


def parse_type(name: str, package: str, text: str) -> TypeDef:
    """Return the type that a definition describes; ValueError when it is malformed."""
    entries = [entry.strip() for entry in text.split(";") if entry.strip()]
    is_object = "object" in entries
    if is_object:
        entries.remove("object")
        entries[:0] = _OBJECT_FIELDS
    fields = {field.name: field for field in map(_field, entries)}
    return TypeDef(name, package, fields, is_object)


TYPES: Mapping[str, TypeDef] = {
    name: parse_type(name, package, text)
    for module in MODULES
    for package, definitions in module.PACKAGES.items()
    for name, text in definitions.items()
}

_CUSTOM = TypeDef(
    "",
    "",
    {field.name: field for field in map(_field, (*_OBJECT_FIELDS, "spec any", "status any"))},
    is_object=True,
    is_free=True,
)


def type_of(kind: str, api_version: str = "") -> TypeDef:
    """Return the type of a kind; a kind that the table lacks is custom, with free fields."""
    if kind == "Event" and api_version.startswith("events.k8s.io/"):
        kind = "events.Event"
    elif kind == "HorizontalPodAutoscaler" and api_version == "autoscaling/v1":
        kind = "v1.HorizontalPodAutoscaler"
    found = TYPES.get(kind)
    return found if found is not None else _CUSTOM


def unknown_fields(kind: str, obj: Mapping[str, Any]) -> list[str]:
    """Return the paths of the fields that the kind does not have, in the object's order.

    Paths read as the server's warnings do: `spec.template.spec.containers[0].imagee`.
    """
    found: list[str] = []
    _unknown(type_of(kind, _text(obj.get("apiVersion"))), obj, "", found)
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _unknown(type_: TypeDef, obj: Mapping[str, Any], prefix: str, found: list[str]) -> None:
    fields = type_.fields
    for name, value in obj.items():
        field = fields.get(name)
        if field is None:
            if not type_.is_free:
                found.append(prefix + name)
        elif isinstance(value, dict | list) and value:
            _unknown_in(field.shape, value, prefix + name, found)


def _unknown_in(shape: Shape, value: object, path: str, found: list[str]) -> None:
    item = shape.item
    if item is not None and item.form == "scalar":
        return
    match shape.form:
        case "object" if isinstance(value, dict):
            _unknown(TYPES[shape.name], value, path + ".", found)
        case "list" if isinstance(value, list) and item is not None:
            for index, element in enumerate(value):
                _unknown_in(item, element, f"{path}[{index}]", found)
        case "map" if isinstance(value, dict) and item is not None:
            for key, element in value.items():
                _unknown_in(item, element, f"{path}[{key}]", found)
        case _:
            return


def drop_unknown_fields(kind: str, obj: dict[str, Any]) -> None:
    """Remove the fields that the kind does not have, in place: what is stored has none."""
    _drop(type_of(kind, _text(obj.get("apiVersion"))), obj)


def _drop(type_: TypeDef, obj: dict[str, Any]) -> None:
    fields = type_.fields
    if not type_.is_free:
        for name in [name for name in obj if name not in fields]:
            del obj[name]
    for name, value in obj.items():
        if name in fields and isinstance(value, dict | list):
            _drop_in(fields[name].shape, value)


def _drop_in(shape: Shape, value: dict[str, Any] | list[Any]) -> None:
    item = shape.item
    if shape.form == "object" and isinstance(value, dict):
        _drop(TYPES[shape.name], value)
    elif item is not None and item.form != "scalar":
        for element in value.values() if isinstance(value, dict) else value:
            if isinstance(element, dict | list):
                _drop_in(item, element)

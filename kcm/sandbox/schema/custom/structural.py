"""A CustomResourceDefinition's schema, read once into what pruning, defaults and validation walk.

`read_schema` takes `openAPIV3Schema` as it was decoded and checked for JSON types. Guarantees: a
`Schema` never changes; nesting deeper than `DEEPEST` is refused, so that every walk over a schema
is bounded; what a schema says wrongly (a pattern that is none, a type that is none) is left out here
and reported by `check`. Nested schemas under allOf, anyOf, oneOf and not are `Schema`s as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kcm.base.errors import KcmError
from kcm.sandbox.schema.custom.automaton import Automaton, compiled
from kcm.sandbox.schema.custom.expressions import PatternError

Json = dict[str, Any]

DEEPEST = 128


class SchemaTooDeep(KcmError):
    """The schema nests deeper than any that a server should walk."""


class _Unset:
    """No value, where null is one."""


UNSET: Final = _Unset()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a schema says about values beside their structure. None: nothing."""

    enum: tuple[Any, ...] | None = None
    pattern: str = ""
    automaton: Automaton | None = None
    format: str = ""
    minimum: float | None = None
    exclusive_minimum: bool = False
    maximum: float | None = None
    exclusive_maximum: bool = False
    multiple_of: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    min_properties: int | None = None
    max_properties: int | None = None


NO_BOUNDS = Bounds()
_BOUNDING = frozenset(
    (
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
    )
)


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """One node. `type` is "" for any; `additional` True admits keys of any shape."""

    type: str
    properties: Mapping[str, Schema]
    items: Schema | None
    additional: Schema | bool
    required: tuple[str, ...]
    default: Any
    nullable: bool
    preserve: bool
    embedded: bool
    int_or_string: bool
    list_type: str
    map_keys: tuple[str, ...]
    map_type: str
    bounds: Bounds
    all_of: tuple[Schema, ...]
    any_of: tuple[Schema, ...]
    one_of: tuple[Schema, ...]
    negated: Schema | None
    has_defaults: bool


def read_schema(source: Mapping[str, Any], depth: int = 0) -> Schema:
    """Return the schema that `source` describes; SchemaTooDeep when it nests beyond `DEEPEST`."""
    if depth > DEEPEST:
        raise SchemaTooDeep(f"must not nest deeper than {DEEPEST} levels")

    def inner(value: object) -> Schema | None:
        return read_schema(value, depth + 1) if isinstance(value, Mapping) else None

    def several(name: str) -> tuple[Schema, ...]:
        return tuple(read_schema(one, depth + 1) for one in _list(source, name) if isinstance(one, Mapping))

    properties = {
        name: read_schema(value, depth + 1)
        for name, value in (source.get("properties") or {}).items()
        if isinstance(value, Mapping)
    }
    items = inner(source.get("items"))
    given = source.get("additionalProperties")
    additional: Schema | bool = inner(given) or given is True
    default = source.get("default", UNSET)
    children = [*properties.values(), *([items] if items else []), additional]
    return Schema(
        type=_text(source, "type"),
        properties=properties,
        items=items,
        additional=additional,
        required=tuple(one for one in _list(source, "required") if isinstance(one, str)),
        default=UNSET if default is None else default,
        nullable=source.get("nullable") is True,
        preserve=source.get("x-kubernetes-preserve-unknown-fields") is True,
        embedded=source.get("x-kubernetes-embedded-resource") is True,
        int_or_string=source.get("x-kubernetes-int-or-string") is True,
        list_type=_text(source, "x-kubernetes-list-type"),
        map_keys=tuple(one for one in _list(source, "x-kubernetes-list-map-keys") if isinstance(one, str)),
        map_type=_text(source, "x-kubernetes-map-type"),
        bounds=_bounds(source),
        all_of=several("allOf"),
        any_of=several("anyOf"),
        one_of=several("oneOf"),
        negated=inner(source.get("not")),
        has_defaults=default not in (UNSET, None)
        or any(isinstance(child, Schema) and child.has_defaults for child in children),
    )


def _bounds(source: Mapping[str, Any]) -> Bounds:
    # Most nodes of a large schema bound nothing.
    if _BOUNDING.isdisjoint(source):
        return NO_BOUNDS
    enum = source.get("enum")
    pattern = _text(source, "pattern")
    return Bounds(
        enum=tuple(enum) if isinstance(enum, list) and enum else None,
        pattern=pattern,
        automaton=_automaton(pattern),
        format=_text(source, "format"),
        minimum=_number(source, "minimum"),
        exclusive_minimum=source.get("exclusiveMinimum") is True,
        maximum=_number(source, "maximum"),
        exclusive_maximum=source.get("exclusiveMaximum") is True,
        multiple_of=_number(source, "multipleOf"),
        min_length=_whole(source, "minLength"),
        max_length=_whole(source, "maxLength"),
        min_items=_whole(source, "minItems"),
        max_items=_whole(source, "maxItems"),
        min_properties=_whole(source, "minProperties"),
        max_properties=_whole(source, "maxProperties"),
    )


def _automaton(pattern: str) -> Automaton | None:
    try:
        return compiled(pattern) if pattern else None
    except PatternError:
        return None


def _text(source: Mapping[str, Any], name: str) -> str:
    found = source.get(name)
    return found if isinstance(found, str) else ""


def _list(source: Mapping[str, Any], name: str) -> list[Any]:
    found = source.get(name)
    return found if isinstance(found, list) else []


def _number(source: Mapping[str, Any], name: str) -> float | None:
    found = source.get(name)
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def _whole(source: Mapping[str, Any], name: str) -> int | None:
    found = _number(source, name)
    return None if found is None else int(found)

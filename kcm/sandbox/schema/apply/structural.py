"""The kinds of custom resources, from the schemas of their definitions.

`x-kubernetes-list-type`, `-list-map-keys`, `-map-type` and `-preserve-unknown-fields` say how values
merge; without them lists are one value and objects merge field by field. Guarantees: takes any
schema that a definition was accepted with; deeper than `_DEEPEST` everything is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kcm.sandbox.schema.apply.kinds import BOOLEAN, FREE, NUMBER, SCALAR, STRING, Kind, metadata_kind

_SCALARS = {"string": STRING, "integer": NUMBER, "number": NUMBER, "boolean": BOOLEAN}
_DEEPEST = 100

Source = Mapping[str, Any]


def custom(source: Source) -> Kind:
    """Return the kind of a custom resource with this OpenAPI v3 schema; an empty schema leaves all free."""
    kind = _kind(source, 0) if source.get("type") or source.get("properties") else Kind("map", item=FREE)
    if kind.form != "map":
        kind = Kind("map", item=FREE)
    kind.fields |= {"apiVersion": STRING, "kind": STRING, "metadata": metadata_kind()}
    return kind


def _kind(source: Source, depth: int) -> Kind:
    if depth > _DEEPEST:
        return FREE
    if source.get("x-kubernetes-int-or-string"):
        return SCALAR
    type_ = source.get("type")
    if type_ == "array":
        return _list(source, depth)
    if type_ == "object" or source.get("properties"):
        return _map(source, depth)
    if source.get("x-kubernetes-preserve-unknown-fields") or not type_:
        return FREE
    return _SCALARS.get(str(type_), SCALAR)


def _map(source: Source, depth: int) -> Kind:
    kind = Kind("map", atomic=source.get("x-kubernetes-map-type") == "atomic")
    for name, inside in (source.get("properties") or {}).items():
        kind.fields[name] = _kind(inside, depth + 1)
    if source.get("x-kubernetes-embedded-resource"):
        kind.fields |= {"apiVersion": STRING, "kind": STRING, "metadata": metadata_kind()}
    more = source.get("additionalProperties")
    if isinstance(more, dict):
        kind.item = _kind(more, depth + 1)
    elif source.get("x-kubernetes-preserve-unknown-fields") or more is True:
        kind.item = FREE
    return kind


def _list(source: Source, depth: int) -> Kind:
    items = source.get("items") or {}
    item = _kind(items, depth + 1)
    match source.get("x-kubernetes-list-type"):
        case "set":
            return Kind("list", item=item)
        case "map":
            keys = tuple(source.get("x-kubernetes-list-map-keys") or ())
            properties = items.get("properties") or {}
            defaults = {
                name: properties[name]["default"]
                for name in keys
                if "default" in (properties.get(name) or {})
            }
            return Kind("list", item=item, keys=keys, key_defaults=defaults)
    return Kind("list", atomic=True, item=item)

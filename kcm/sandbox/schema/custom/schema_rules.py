"""What a schema of a CustomResourceDefinition may not say: the rules beside being structural.

`check_schema` lists problems in the server's words (reference: apiserver §2, CRD): keywords that are
not supported, list and map types and their keys, where defaults may not be. Whether a schema is
structural is `structure`'s. Guarantees: pure; every inner schema is looked at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from kcm.sandbox.schema.custom.pruning import META_FIELDS
from kcm.sandbox.schema.validation.failures import FieldError, forbidden, invalid, not_supported, required
from kcm.sandbox.schema.validation.parts import Errors

Json = dict[str, Any]

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_REASONS = (
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
)
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_UNIQUE = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
_LIST, _MAP, _KEYS = "x-kubernetes-list-type", "x-kubernetes-map-type", "x-kubernetes-list-map-keys"
_FREE = "x-kubernetes-preserve-unknown-fields"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a schema stands. `no_default` says why it may have none, if so."""

    inside_meta: bool = False
    no_default: str = ""


def check_schema(schema: Json, path: str) -> list[FieldError]:
    """Return what is wrong with a root schema."""
    return list(_check(schema, path, _Place(), is_root=True))


def _check(schema: Json, path: str, place: _Place, *, is_root: bool = False) -> Errors:
    yield from _keywords(schema, path, place)
    if schema.get("uniqueItems") is True:
        yield forbidden(f"{path}.uniqueItems", _UNIQUE)
    yield from _additional(schema, path, place)
    embedded = schema.get("x-kubernetes-embedded-resource") is True
    for name, inner in (schema.get("properties") or {}).items():
        if not isinstance(inner, dict):
            continue
        below = place
        if (is_root or embedded) and name in META_FIELDS:
            below = replace(below, inside_meta=True)
            if is_root:
                below = replace(below, no_default=f"in top-level {name}")
        yield from _check(inner, f"{path}.properties[{name}]", below)
    for where, inner in _junctors(schema):
        yield from _check(inner, f"{path}.{where}", place)
    items = schema.get("items")
    for where, inner in _items(items):
        yield from _check(inner, f"{path}.{where}", place)
    if schema.get(_FREE) is False:
        yield invalid(f"{path}.{_FREE}", False, "must be true or undefined")
    yield from _list_and_map_types(schema, path)
    yield from _rules(schema, path)


def _keywords(schema: Json, path: str, place: _Place) -> Errors:
    kind = schema.get("type") or ""
    if kind and kind not in _TYPES:
        yield not_supported(f"{path}.type", kind, _TYPES)
    if schema.get("default") is not None and place.no_default:
        yield forbidden(f"{path}.default", f"must not be set {place.no_default}")
    for name in _UNSUPPORTED:
        if schema.get(name):
            yield forbidden(f"{path}.{name}", f"{name} is not supported")
    if kind == "null":
        yield forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    if isinstance(schema.get("items"), list) and schema["items"]:
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    if place.inside_meta and schema.get("x-kubernetes-embedded-resource") is True:
        yield forbidden(f"{path}.x-kubernetes-embedded-resource", "must not be used inside of resource meta")


def _additional(schema: Json, path: str, place: _Place) -> Errors:
    additional = schema.get("additionalProperties")
    if additional is None:
        return
    if schema.get("properties") and additional is not True:
        text = "additionalProperties and properties are mutual exclusive"
        yield forbidden(f"{path}.additionalProperties", text)
    if isinstance(additional, dict):
        if place.inside_meta:
            reason = "inside additionalProperties applying to object metadata"
            place = replace(place, no_default=reason)
        yield from _check(additional, f"{path}.additionalProperties", place)


def _junctors(schema: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(schema.get("not"), dict):
        yield "not", schema["not"]
    for name in ("allOf", "oneOf", "anyOf"):
        for index, inner in enumerate(schema.get(name) or ()):
            if isinstance(inner, dict):
                yield f"{name}[{index}]", inner


def _items(items: Any) -> Iterator[tuple[str, Json]]:
    if isinstance(items, dict):
        yield "items", items
    elif isinstance(items, list):
        yield from ((f"items[{index}]", one) for index, one in enumerate(items) if isinstance(one, dict))


def _list_and_map_types(schema: Json, path: str) -> Errors:
    kind = schema.get("type") or ""
    if (map_type := schema.get(_MAP)) is not None:
        if kind != "object":
            yield _wrong_type(path, kind, f"must be object if {_MAP} is specified")
        if map_type not in ("atomic", "granular"):
            yield _unsupported(f"{path}.{_MAP}", map_type, ("atomic", "granular"))
    list_type, keys = schema.get(_LIST), schema.get(_KEYS) or []
    items = schema.get("items")
    if list_type is not None and kind != "array":
        yield _wrong_type(path, kind, f"must be array if {_LIST} is specified")
    elif list_type == "set" and isinstance(items, dict):
        yield from _set_items(items, path)
    if list_type is not None and list_type not in ("atomic", "set", "map"):
        yield _unsupported(f"{path}.{_LIST}", list_type, ("atomic", "set", "map"))
    if keys and list_type is None:
        yield required(f"{path}.{_LIST}", f"must be map if {_KEYS} is non-empty")
    elif keys and list_type != "map":
        yield invalid(f"{path}.{_LIST}", list_type, f"must be map if {_KEYS} is non-empty")
    if list_type == "map":
        yield from _map_items(items, keys, path)
    if list_type in ("set", "map") and isinstance(items, dict):
        yield from _required_keys(items, keys, str(list_type), path)


def _wrong_type(path: str, kind: str, text: str) -> FieldError:
    return invalid(f"{path}.type", kind, text) if kind else required(f"{path}.type", text)


def _unsupported(path: str, value: Any, supported: tuple[str, ...]) -> FieldError:
    shown = ", ".join(f'"{one}"' for one in supported)
    message = f'Unsupported value: "{value}": supported values: {shown}'
    return FieldError("FieldValueNotSupported", path, message)


def _set_items(items: Json, path: str) -> Errors:
    text = f"must be atomic as item of a list with {_LIST}=set"
    if items.get("type") == "array" and items.get(_LIST) not in (None, "atomic"):
        yield invalid(f"{path}.items.{_LIST}", items.get(_LIST), text)
    if items.get("type") == "object" and items.get(_MAP) != "atomic":
        yield invalid(f"{path}.items.{_MAP}", items.get(_LIST), text)


def _map_items(items: Any, keys: list[Any], path: str) -> Errors:
    if not keys:
        yield required(f"{path}.{_KEYS}", f"must not be empty if {_LIST} is map")
    if items is None:
        yield required(f"{path}.items", f"must have a schema if {_LIST} is map")
    if not isinstance(items, dict):
        return
    kind = items.get("type") or ""
    if kind != "object":
        yield invalid(f"{path}.items.type", kind, f"must be object if parent array's {_LIST} is map")
        return
    seen: set[str] = set()
    for key in keys:
        known = (items.get("properties") or {}).get(key)
        if not isinstance(known, dict):
            yield invalid(f"{path}.{_KEYS}", keys, "entries must all be names of item properties")
        elif known.get("type") in ("array", "object"):
            text = f"must be a scalar type if parent array's {_LIST} is map"
            yield invalid(f"{path}.items.properties[{key}].type", kind, text)
        if key in seen:
            yield invalid(f"{path}.{_KEYS}", keys, "must not contain duplicate entries")
        seen.add(key)


def _required_keys(items: Json, keys: list[Any], list_type: str, path: str) -> Errors:
    if items.get("nullable") is True:
        yield forbidden(f"{path}.items.nullable", f"cannot be nullable when {_LIST} is {list_type}")
    if list_type != "map":
        return
    for key in keys:
        known = (items.get("properties") or {}).get(key)
        if not isinstance(known, dict):
            continue
        here, what = f"{path}.items.properties[{key}]", f"this property is in {_KEYS}, so it "
        if key not in (items.get("required") or ()) and known.get("default") is None:
            yield required(f"{here}.default", f"{what}must have a default or be a required property")
        if known.get("nullable") is True:
            yield forbidden(f"{here}.nullable", f"{what}cannot be nullable")


def _rules(schema: Json, path: str) -> Errors:
    """Look at CEL rules from outside: their texts are not read."""
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        here = f"{path}.x-kubernetes-validations[{index}]"
        text, message = str(rule.get("rule") or ""), rule.get("message") or ""
        if not text.strip():
            yield required(f"{here}.rule", "rule is not specified")
        elif message and not message.strip():
            yield invalid(f"{here}.message", message, "must be non-empty if specified")
        elif any(mark in message for mark in "\n\r"):
            yield invalid(f"{here}.message", message, "must not contain line breaks")
        elif any(mark in text.strip() for mark in "\n\r") and not message:
            yield required(f"{here}.message", "message must be specified if rule contains line breaks")
        if rule.get("messageExpression") and not rule["messageExpression"].strip():
            yield required(f"{here}.messageExpression", "messageExpression must be non-empty if specified")
        if rule.get("reason") is not None and rule["reason"] not in _REASONS:
            yield not_supported(f"{here}.reason", rule["reason"], _REASONS)

"""Is a schema structural, and do its defaults hold? Without that nothing could be pruned or filled in.

Every field is described once, outside of allOf, anyOf, oneOf and not, which may only narrow values;
the root is an object whose metadata is known; defaults are values that the schema admits
(reference: apiserver §2, CRD). In the server's words and order: problems sorted by their text.
Guarantees: pure, bounded by the schema.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal

from kcm.sandbox.schema.custom import embedded
from kcm.sandbox.schema.custom.automaton import compiled
from kcm.sandbox.schema.custom.expressions import PatternError
from kcm.sandbox.schema.custom.pruning import META_FIELDS, prune
from kcm.sandbox.schema.custom.structural import read_schema
from kcm.sandbox.schema.custom.values import validate
from kcm.sandbox.schema.validation.failures import FieldError, forbidden, invalid, required
from kcm.sandbox.schema.validation.parts import Errors

Json = dict[str, Any]
_Level = Literal["root", "item", "field"]

_EMBEDDED, _EITHER = "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string"
_FREE = "x-kubernetes-preserve-unknown-fields"
_EITHER_PATTERN = [{"type": "integer"}, {"type": "string"}]
_NO_TYPE: dict[_Level, str] = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
_ONLY_NAMES = (
    "must not specify anything other than name and generateName, but metadata is implicitly specified"
)
# What may stand beside values' own rules below allOf and the like: nothing of these.
_FORBIDDEN_BELOW = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (_FREE, "must be false to be structural"),
    (_EMBEDDED, "must be false to be structural"),
    (_EITHER, "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def check_structure(schema: Json, path: str) -> list[FieldError]:
    """Return why a root schema is not structural."""
    found = [*_invariants(schema, "root", path), *_completeness(schema, schema, path, path)]
    return sorted(found, key=str)


def check_defaults(schema: Json, path: str) -> list[FieldError]:
    """Return which defaults of a structural root schema are no values of their places."""
    return list(_defaults(schema, path, is_root=True))


def _invariants(schema: Json, level: _Level, path: str) -> Errors:
    kind, items = schema.get("type") or "", schema.get("items")
    if kind == "array" and not isinstance(items, dict):
        if not isinstance(items, list):
            yield required(f"{path}.items", "must be specified")
    elif isinstance(items, dict):
        yield from _invariants(items, "item", f"{path}.items")
    for name, inner in _properties(schema):
        yield from _invariants(inner, "field", f"{path}.properties[{name}]")
    additional = schema.get("additionalProperties")
    if additional not in (None, False):
        if level == "root":
            yield forbidden(f"{path}.additionalProperties", "must not be used at the root")
        if isinstance(additional, dict):
            yield from _invariants(additional, "field", f"{path}.additionalProperties")
    for name in (_FREE, _EMBEDDED):
        if schema.get(_EITHER) is True and schema.get(name) is True:
            yield invalid(f"{path}.{name}", True, f"must be false if {_EITHER} is true")
    yield from _narrowing(schema, path, skip_any_of=schema.get("anyOf") == _EITHER_PATTERN)
    yield from _type_of(schema, level, path)
    yield from _meta(schema, level, path)


def _type_of(schema: Json, level: _Level, path: str) -> Errors:
    kind, is_embedded = schema.get("type") or "", schema.get(_EMBEDDED) is True
    if is_embedded and kind != "object":
        text = f"must be object if {_EMBEDDED} is true"
        yield invalid(f"{path}.type", kind, text) if kind else required(f"{path}.type", text)
    elif not kind and schema.get(_EITHER) is not True and schema.get(_FREE) is not True:
        yield required(f"{path}.type", _NO_TYPE[level])
    if is_embedded and schema.get("additionalProperties") not in (None, False):
        yield forbidden(f"{path}.additionalProperties", f"must not be used if {_EMBEDDED} is set")
    if level == "root" and kind and kind != "object":
        yield invalid(f"{path}.type", kind, "must be object at the root")
    if is_embedded and schema.get(_FREE) is not True and not schema.get("properties"):
        text = f"must not be empty if {_EMBEDDED} is true without {_FREE}"
        yield required(f"{path}.properties", text)


def _meta(schema: Json, level: _Level, path: str) -> Errors:
    if level != "root" and schema.get(_EMBEDDED) is not True:
        return
    for name, inner in _properties(schema):
        here, kind = f"{path}.properties[{name}]", inner.get("type") or ""
        if name in ("kind", "apiVersion") and kind != "string":
            yield invalid(f"{here}.type", kind, "must be string")
        if name != "metadata":
            continue
        if kind != "object":
            yield invalid(f"{here}.type", kind, "must be object")
        if level == "root":
            rest = {key for key, value in inner.items() if value and key not in ("type", "default")}
            names = set(inner.get("properties") or {})
            if rest - {"properties"} or not names <= {"name", "generateName"}:
                yield forbidden(here, _ONLY_NAMES)


def _narrowing(schema: Json, path: str, *, skip_any_of: bool = False) -> Errors:
    """Look below allOf, anyOf, oneOf and not; the two forms of int-or-string are let through."""
    for name in ("anyOf", "allOf", "oneOf"):
        if name == "anyOf" and skip_any_of:
            continue
        for index, inner in enumerate(schema.get(name) or ()):
            if not isinstance(inner, dict):
                continue
            skip = name == "allOf" and index == 0 and inner.get("anyOf") == _EITHER_PATTERN
            yield from _narrowed(inner, f"{path}.{name}[{index}]", skip_any_of=skip)
    if isinstance(schema.get("not"), dict):
        yield from _narrowed(schema["not"], f"{path}.not")
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and pattern:
        try:
            compiled(pattern)
        except PatternError as error:
            yield invalid(
                f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: {error}"
            )


def _narrowed(schema: Json, path: str, *, skip_any_of: bool = False) -> Errors:
    yield from _narrowing(schema, path, skip_any_of=skip_any_of)
    if isinstance(schema.get("items"), dict):
        yield from _narrowed(schema["items"], f"{path}.items")
    for name, inner in _properties(schema):
        yield from _narrowed(inner, f"{path}.properties[{name}]")
    for name, text in _FORBIDDEN_BELOW:
        if schema.get(name) not in (None, "", False, []):
            yield forbidden(f"{path}.{name}", text)
    if "metadata" in (schema.get("properties") or {}):
        yield forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")


def _completeness(narrowing: Json, outer: Json, path: str, outer_path: str) -> Errors:
    """What allOf and the like of the root speak of is described outside; the server looks no deeper."""
    for name in ("not", "allOf", "anyOf", "oneOf"):
        found = narrowing.get(name)
        for index, inner in enumerate(found if isinstance(found, list) else [found]):
            if isinstance(inner, dict):
                where = f"{path}.{name}[{index}]" if isinstance(found, list) else f"{path}.{name}"
                yield from _described(inner, outer, where, outer_path)


def _described(inner: Json, outer: Json, path: str, outer_path: str) -> Errors:
    yield from _completeness(inner, outer, path, outer_path)
    described = outer.get("properties") or {}
    places = [(f"properties[{name}]", below, described.get(name)) for name, below in _properties(inner)]
    if isinstance(inner.get("items"), dict):
        places.append(("items", inner["items"], outer.get("items")))
    for here, below, known in places:
        if isinstance(known, dict):
            yield from _described(below, known, f"{path}.{here}", f"{outer_path}.{here}")
        else:
            yield required(f"{outer_path}.{here}", f"because it is defined in {path}.{here}")


def _properties(schema: Json) -> list[tuple[str, Json]]:
    found = schema.get("properties") or {}
    return [(name, inner) for name, inner in found.items() if isinstance(inner, dict)]


def _defaults(schema: Json, path: str, *, is_root: bool = False, inside_meta: bool = False) -> Errors:
    is_resource = is_root or schema.get(_EMBEDDED) is True
    inside_meta = inside_meta and not is_resource
    if schema.get("default") is not None:
        yield from _default_problems(schema, f"{path}.default", is_resource, inside_meta=inside_meta)
    if isinstance(schema.get("items"), dict):
        yield from _defaults(schema["items"], f"{path}.items", inside_meta=inside_meta)
    for name, inner in _properties(schema):
        below = inside_meta or (is_resource and name in META_FIELDS)
        yield from _defaults(inner, f"{path}.properties[{name}]", inside_meta=below)


def _default_problems(schema: Json, path: str, is_resource: bool, *, inside_meta: bool) -> Errors:
    read = read_schema(schema)
    value = deepcopy(schema["default"])
    if isinstance(value, dict) and not inside_meta:
        if prune(value, read, is_root=is_resource):
            yield invalid(path, schema["default"], "must not have unknown fields")
        if is_resource:
            missing = [name for name in ("apiVersion", "kind") if name not in value]
            yield from (required(f"{path}.{name}") for name in missing)
            if missing:
                return
        if problem := embedded.coerce(value, read)[1]:
            yield invalid(path, schema["default"], problem)
    yield from validate(schema["default"], read, path)

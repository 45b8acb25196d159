"""What of an object the schema does not know goes; what it leaves out comes: pruning and defaults.

`prune` removes unknown fields and returns their paths as the server's warnings write them; `fill`
removes nulls that may not be and sets defaults, also nested ones. Guarantees: in place, idempotent,
bounded by the object; never fails, whatever the types of the values are. `apiVersion`, `kind` and
`metadata` of the object itself and of embedded resources stay: their fields are known elsewhere
(`kcm.sandbox.schema.custom.embedded`).
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from kcm.sandbox.schema.custom.structural import UNSET, Schema

META_FIELDS = frozenset(("apiVersion", "kind", "metadata"))


def prune(obj: dict[str, Any], schema: Schema, *, is_root: bool = True) -> list[str]:
    """Remove what the schema does not specify; return the paths of it, sorted."""
    found: list[str] = []
    _prune_object(obj, schema, "", found, is_resource=is_root or schema.embedded)
    return sorted(found)


def _prune(value: Any, schema: Schema | None, path: str, found: list[str]) -> None:
    if isinstance(value, dict):
        _prune_object(value, schema, path, found, is_resource=schema is not None and schema.embedded)
    elif isinstance(value, list):
        # Without a schema of items this is no list to the schema, and will be refused.
        if schema is None or schema.items is None:
            return
        for index, element in enumerate(value):
            if isinstance(element, dict | list):
                _prune(element, schema.items, f"{path}[{index}]", found)


def _prune_object(
    obj: dict[str, Any], schema: Schema | None, path: str, found: list[str], *, is_resource: bool
) -> None:
    unknown: list[str] = []
    for name, value in obj.items():
        if is_resource and name in META_FIELDS:
            continue
        inner = f"{path}.{name}" if path else name
        known = schema.properties.get(name) if schema is not None else None
        if known is not None:
            if isinstance(value, dict | list):
                _prune(value, known, inner, found)
        elif schema is not None and schema.additional is not False:
            if isinstance(schema.additional, Schema) and isinstance(value, dict | list):
                _prune(value, schema.additional, inner, found)
        elif schema is None or not schema.preserve:
            unknown.append(name)
            found.append(inner)
    for name in unknown:
        del obj[name]


def fill(value: Any, schema: Schema) -> None:
    """Drop nulls that are neither allowed nor have a default, then set defaults."""
    _drop_nulls(value, schema)
    if schema.has_defaults:
        _default(value, schema)


def _schema_of(name: str, schema: Schema) -> Schema | None:
    known = schema.properties.get(name)
    if known is not None:
        return known
    return schema.additional if isinstance(schema.additional, Schema) else None


def _drop_nulls(value: Any, schema: Schema) -> None:
    if isinstance(value, dict):
        dropped: list[str] = []
        for name, element in value.items():
            if element is not None and not isinstance(element, dict | list):
                continue
            inner = _schema_of(name, schema)
            if inner is None:
                continue
            if element is not None:
                _drop_nulls(element, inner)
            elif not inner.nullable and inner.default is UNSET:
                dropped.append(name)
        for name in dropped:
            del value[name]
    elif isinstance(value, list) and schema.items is not None:
        for element in value:
            if isinstance(element, dict | list):
                _drop_nulls(element, schema.items)


def _wants_default(value: Any, schema: Schema) -> bool:
    return value is None and not schema.nullable and schema.default is not UNSET


def _default(value: Any, schema: Schema) -> None:
    if isinstance(value, dict):
        for name, inner in schema.properties.items():
            if inner.default is UNSET:
                continue
            if name not in value or _wants_default(value[name], inner):
                value[name] = deepcopy(inner.default)
        for name, element in value.items():
            known = _schema_of(name, schema)
            if known is None or not known.has_defaults:
                continue
            if _wants_default(element, known):
                value[name] = element = deepcopy(known.default)
            if isinstance(element, dict | list):
                _default(element, known)
    elif isinstance(value, list) and schema.items is not None and schema.items.has_defaults:
        for index, element in enumerate(value):
            if _wants_default(element, schema.items):
                value[index] = element = deepcopy(schema.items.default)
            if isinstance(element, dict | list):
                _default(element, schema.items)

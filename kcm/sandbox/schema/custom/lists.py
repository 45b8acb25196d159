"""Lists that are sets or maps hold nothing twice.

`duplicates` looks at every list of a value whose schema calls it a set or a map. Guarantees: pure,
linear in the value; each repeated element is told once, at its second place, as the server does.
"""

from __future__ import annotations

import json
from typing import Any

from kcm.sandbox.schema.custom.structural import Schema
from kcm.sandbox.schema.validation.failures import FieldError, duplicate, invalid


def duplicates(value: Any, schema: Schema, path: str = "") -> list[FieldError]:
    """Return the elements that come twice in lists that are sets or maps."""
    found: list[FieldError] = []
    _walk(value, schema, path, found)
    return found


def _walk(value: Any, schema: Schema, path: str, found: list[FieldError]) -> None:
    if isinstance(value, dict):
        for name, element in value.items():
            if not isinstance(element, dict | list):
                continue
            known = schema.properties.get(name)
            if known is not None:
                _walk(element, known, f"{path}.{name}" if path else name, found)
            elif isinstance(schema.additional, Schema):
                _walk(element, schema.additional, f"{path}[{name}]", found)
    elif isinstance(value, list):
        if schema.list_type == "set":
            for index in _repeated(value):
                found.append(duplicate(f"{path}[{index}]", value[index]))
        elif schema.list_type == "map":
            _check_map(value, schema, path, found)
        if schema.items is not None:
            for index, element in enumerate(value):
                _walk(element, schema.items, f"{path}[{index}]", found)


def _check_map(value: list[Any], schema: Schema, path: str, found: list[FieldError]) -> None:
    for index, element in enumerate(value):
        if element is not None and not isinstance(element, dict):
            found.append(
                invalid(f"{path}[{index}]", element, "must be an object for an array of list-type map")
            )
            return
    keys = [{name: (one or {})[name] for name in schema.map_keys if name in (one or {})} for one in value]
    for index in _repeated(keys):
        found.append(duplicate(f"{path}[{index}]", keys[index]))


def _repeated(values: list[Any]) -> list[int]:
    seen: dict[str, int] = {}
    places: list[int] = []
    for index, value in enumerate(values):
        text = json.dumps(value, sort_keys=True)
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:
            places.append(index)
    return places

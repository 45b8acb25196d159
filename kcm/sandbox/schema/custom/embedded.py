"""Resources inside custom resources: their apiVersion, kind and metadata are known without a schema.

`coerce` is part of decoding: it drops unknown metadata fields and says what cannot be read at all;
`check` is part of validation. Both look at the places that the schema marks as embedded resources.
Guarantees: bounded by the value; `coerce` changes metadata only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kcm.sandbox.schema.custom.structural import Schema
from kcm.sandbox.schema.fields import unknown_fields
from kcm.sandbox.schema.typecheck import type_errors
from kcm.sandbox.schema.validation.failures import FieldError, invalid, required

_LABEL = re.compile("[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
    "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)


def coerce(value: Any, schema: Schema) -> tuple[list[str], str]:
    """Drop unknown fields of embedded metadata; return their paths, and the first thing unreadable."""
    unknown: list[str] = []
    for path, obj in _resources(value, schema, "", is_root=True):
        for name in ("apiVersion", "kind"):
            if name in obj and not isinstance(obj[name], str):
                return unknown, str(invalid(f"{path}.{name}", obj[name], "must be a string"))
        metadata = obj.get("metadata")
        if metadata is None:
            continue
        if not isinstance(metadata, dict):
            return unknown, str(invalid(f"{path}.metadata", metadata, "must be an object"))
        if problems := type_errors("ObjectMeta", metadata):
            return unknown, str(invalid(f"{path}.metadata", metadata, problems[0]))
        unknown += [f"{path}.metadata.{field}" for field in _drop_unknown(metadata)]
    return unknown, ""


def drop_unknown_metadata(metadata: dict[str, Any]) -> list[str]:
    """Remove what metadata does not have; return the paths below it."""
    return _drop_unknown(metadata)


def _drop_unknown(metadata: dict[str, Any]) -> list[str]:
    found = unknown_fields("ObjectMeta", metadata)
    for field in found:
        if "." not in field and "[" not in field:
            metadata.pop(field, None)
    return found


def check(value: Any, schema: Schema, base: str = "") -> list[FieldError]:
    """Return what is wrong with the apiVersion and kind of embedded resources."""
    found: list[FieldError] = []
    for inner, obj in _resources(value, schema, "", is_root=True):
        path = f"{base}.{inner}" if base and inner else base or inner
        for name in ("apiVersion", "kind"):
            if name not in obj:
                found.append(required(f"{path}.{name}"))
            elif obj[name] == "":
                found.append(invalid(f"{path}.{name}", "", "must not be empty"))
        kind = obj.get("kind")
        if isinstance(kind, str) and kind and (len(kind) > 63 or not _LABEL.fullmatch(kind.lower())):
            text = f"may have mixed case, but should otherwise match: {_LABEL_TEXT}"
            found.append(invalid(f"{path}.kind", kind, text))
    return found


def _resources(
    value: Any, schema: Schema, path: str, *, is_root: bool = False
) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        if schema.embedded and not (is_root and not path):
            yield path, value
        for name, element in value.items():
            if not isinstance(element, dict | list):
                continue
            known = schema.properties.get(name)
            if known is not None:
                yield from _resources(element, known, f"{path}.{name}" if path else name)
            elif isinstance(schema.additional, Schema):
                yield from _resources(element, schema.additional, f"{path}[{name}]")
    elif isinstance(value, list) and schema.items is not None:
        for index, element in enumerate(value):
            yield from _resources(element, schema.items, f"{path}[{index}]")

"""Fields by which custom resources may be selected: paths to text, integers and truth values.

Pure; in the server's words.
"""

from __future__ import annotations

from typing import Any

from kcm.sandbox.schema.validation.failures import FieldError, duplicate, invalid, required
from kcm.sandbox.schema.validation.parts import Errors

Json = dict[str, Any]

MOST = 8
_WRONG_TYPE = (
    "must point to a field of type string, boolean or integer. "
    "Enum string fields and strings with formats are allowed."
)


def check_selectable(fields: list[Any], schema: Json, path: str) -> Errors:
    """Return what is wrong with the selectable fields of a version."""
    seen: set[str] = set()
    for index, field in enumerate(fields):
        here = f"{path}[{index}].jsonPath"
        value = field.get("jsonPath") if isinstance(field, dict) else ""
        if not value:
            yield required(here)
            continue
        found = _schema_at(schema, value)
        if found is None:
            yield invalid(here, value, "is an invalid path: does not refer to a valid field")
            continue
        if value.startswith(".metadata."):
            yield invalid(here, value, "must not point to fields in metadata")
        if found.get("type") not in ("string", "boolean", "integer"):
            yield invalid(here, value, _WRONG_TYPE)
        if value in seen:
            yield duplicate(here, value)
        seen.add(value)
    if len(seen) > MOST:
        yield FieldError("FieldValueTooMany", path, f"Too many: {len(seen)}: must have at most {MOST} items")


def _schema_at(schema: Json, path: str) -> Json | None:
    if not path.startswith("."):
        return None
    here: Any = schema
    for name in path[1:].split("."):
        here = (here.get("properties") or {}).get(name) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else None

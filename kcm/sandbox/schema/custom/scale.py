"""Where a custom resource keeps its replicas, and what the scale subresource reads and writes there.

Paths are names joined by dots, as the server takes them: no indices, no filters. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kcm.sandbox.schema.custom.values import type_name
from kcm.sandbox.schema.validation.failures import FieldError, invalid

Json = dict[str, Any]

MOST_REPLICAS = 2**31 - 1
_GO_NAMES = {
    "string": "string",
    "boolean": "bool",
    "number": "float64",
    "integer": "int64",
    "array": "[]interface {}",
    "object": "map[string]interface {}",
    "null": "<nil>",
}


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """The scale subresource of a definition; `selector` may be ""."""

    spec: str
    status: str
    selector: str


def read_number(obj: Json, path: str) -> int | None:
    """Return the whole number at a path; None when there is none."""
    found = _at(obj, path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def read_text(obj: Json, path: str) -> str:
    """Return the text at a path, or ""."""
    found = _at(obj, path) if path else None
    return found if isinstance(found, str) else ""


def write_number(obj: Json, path: str, number: int) -> None:
    """Set the number at a path, making the objects that lead there."""
    names = _names(path)
    here = obj
    for name in names[:-1]:
        inner = here.get(name)
        if not isinstance(inner, dict):
            inner = here[name] = {}
        here = inner
    here[names[-1]] = number


def check(obj: Json, paths: ScalePaths, *, status_only: bool = False) -> list[FieldError]:
    """Return what is wrong with the numbers at the paths, as the server says it."""
    found: list[FieldError] = []
    for path in (paths.status,) if status_only else (paths.spec, paths.status):
        found += _check_number(obj, path)
    if paths.selector and (problem := _access_problem(obj, paths.selector, "string")):
        found.append(invalid(paths.selector, "", problem))
    return found


def _check_number(obj: Json, path: str) -> list[FieldError]:
    if problem := _access_problem(obj, path, "integer"):
        return [invalid(path, 0, problem)]
    number = read_number(obj, path) or 0
    if number < 0:
        return [invalid(path, number, "should be a non-negative integer")]
    if number > MOST_REPLICAS:
        return [invalid(path, number, f"should be less than or equal to {MOST_REPLICAS}")]
    return []


def _names(path: str) -> list[str]:
    return path.removeprefix(".").split(".")


def _at(obj: Json, path: str) -> Any:
    here: Any = obj
    for name in _names(path):
        if not isinstance(here, dict):
            return None
        here = here.get(name)
    return here


def _access_problem(obj: Json, path: str, wanted: str) -> str:
    """Return why a value of that type cannot be read at a path; "" when it can, or nothing is there."""
    here: Any = obj
    names = _names(path)
    for name in names:
        if not isinstance(here, dict):
            if here is None:
                return ""
            return _accessor(names, here, "map[string]interface{}")
        if name not in here:
            return ""
        here = here[name]
    if type_name(here) == wanted:
        return ""
    return _accessor(names, here, _GO_NAMES[wanted])


def _accessor(names: list[str], value: Any, wanted: str) -> str:
    found = _GO_NAMES[type_name(value)]
    return f".{'.'.join(names)} accessor error: {_printed(value)} is of the type {found}, expected {wanted}"


def _printed(value: Any) -> str:
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e21:
            return str(int(value))
    return str(value)

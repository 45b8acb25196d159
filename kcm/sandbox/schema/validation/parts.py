"""Reading an object of uncertain shape, and the checks on single values that all kinds share.

Reading never fails: a part that is absent or of the wrong type reads as empty, because types
are `kcm.sandbox.schema.typecheck`'s business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from kcm.sandbox.schema.validation.failures import FieldError, invalid, not_supported, required

Json = dict[str, Any]
Errors = Iterator[FieldError]

AT_LEAST_ZERO = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"


def part(obj: Json, name: str) -> Json:
    """Return the object at `name`, or an empty one."""
    found = obj.get(name)
    return found if isinstance(found, dict) else {}


def items(obj: Json, name: str) -> list[Json]:
    """Return the objects in the list at `name`."""
    found = obj.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def values(obj: Json, name: str) -> list[Any]:
    """Return the list at `name`, or an empty one."""
    found = obj.get(name)
    return found if isinstance(found, list) else []


def text(obj: Json, name: str) -> str:
    """Return the text at `name`, or ""."""
    found = obj.get(name)
    return found if isinstance(found, str) else ""


def number(obj: Json, name: str) -> int | None:
    """Return the integer at `name`, if there is one."""
    found = obj.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def not_negative(obj: Json, path: str, *names: str) -> Errors:
    """Each of these integers must be at least 0."""
    for name in names:
        value = number(obj, name)
        if value is not None and value < 0:
            yield invalid(f"{path}.{name}", value, AT_LEAST_ZERO)


def one_of(obj: Json, path: str, name: str, supported: Collection[str], *, must: bool = False) -> Errors:
    """The text at `name`, if any, must be one of those; with `must`, it must be there."""
    value = text(obj, name)
    if not value and must:
        yield required(f"{path}.{name}")
    elif value and value not in supported:
        yield not_supported(f"{path}.{name}", value, supported)


def port_number(value: int | None, path: str) -> Errors:
    """A port must be 1 to 65535."""
    if value is not None and not 0 < value < 65536:
        yield invalid(path, value, "must be between 1 and 65535, inclusive")


def unchanged(new: Json, old: Json, path: str, *names: str) -> Errors:
    """These fields may not change."""
    for name in names:
        if new.get(name) != old.get(name):
            yield invalid(f"{path}.{name}", new.get(name), IMMUTABLE)

"""Access to parts of an object that may be absent, for defaulters."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def part(obj: Json, name: str) -> Json:
    """Return the object at `name`, put there empty if absent; a detached one if it is no object."""
    found = obj.setdefault(name, {})
    return found if isinstance(found, dict) else {}


def present(obj: Json, name: str) -> Json | None:
    """Return the object at `name` if there is one."""
    found = obj.get(name)
    return found if isinstance(found, dict) else None


def items(obj: Json, name: str) -> list[Json]:
    """Return the objects in the list at `name`."""
    found = obj.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []

"""Columns, and the small things that cells are made of: ages, counts, joined lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kcm.base.timestamps import parse_time

Json = dict[str, Any]
Cells = Callable[[Json, datetime], list[object]]

UNKNOWN = "<unknown>"
NONE = "<none>"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. Priority 0 is always shown, higher ones only when wide."""

    name: str
    type: str
    format: str
    priority: int


@dataclass(frozen=True, slots=True)
class Printer:
    """The columns of a kind and the function that fills them."""

    columns: tuple[Column, ...]
    cells: Cells


def column(name: str, type: str = "string", *, format: str = "", priority: int = 0) -> Column:
    """Return a column of text unless another type is given."""
    return Column(name, type, format, priority)


NAME = column("Name", format="name")
AGE = column("Age")


def wide(name: str) -> Column:
    """Return a column of text that only a wide table shows."""
    return column(name, priority=1)


def part(obj: Json, *path: str) -> Json:
    """Return the object at a path, or an empty one."""
    here: Any = obj
    for name in path:
        here = here.get(name) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else {}


def items(obj: Json, name: str) -> list[Json]:
    """Return the objects in the list at `name`."""
    found = obj.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def texts(obj: Json, name: str) -> list[str]:
    """Return the texts in the list at `name`."""
    found = obj.get(name)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def text(obj: Json, name: str) -> str:
    """Return the text at `name`, or ""."""
    found = obj.get(name)
    return found if isinstance(found, str) else ""


def count(obj: Json, name: str) -> int:
    """Return the integer at `name`, or 0."""
    found = obj.get(name)
    return found if isinstance(found, int) else 0


def name_of(obj: Json) -> str:
    """Return the object's name."""
    return text(part(obj, "metadata"), "name")


def age_of(obj: Json, now: datetime) -> str:
    """Return the object's age."""
    return since(text(part(obj, "metadata"), "creationTimestamp"), now)


def since(moment: str, now: datetime) -> str:
    """Return the time since `moment` as a human reads it; `<unknown>` for no time."""
    if not moment:
        return UNKNOWN
    try:
        return duration(int((now - parse_time(moment)).total_seconds()))
    except ValueError:
        return UNKNOWN


def duration(seconds: int) -> str:
    """Return seconds in at most two units: 95s, 3m20s, 47h, 8d, 2y30d.

    Worked example: 200 → "3m20s", 7,500 → "125m", 90,000 → "25h".
    """
    if seconds < -1:
        return "<invalid>"
    seconds = max(0, seconds)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _pair(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _pair(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _pair(days // 365, "y", days % 365, "d") if days < 2920 else f"{days // 365}y"


def _pair(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels as a selector, or `<none>`."""
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) or NONE


def selector_text(selector: Json) -> str:
    """Return a LabelSelector as query text, or `<none>`."""
    parts = [f"{key}={value}" for key, value in sorted(part(selector, "matchLabels").items())]
    for expression in items(selector, "matchExpressions"):
        key, chosen = text(expression, "key"), ",".join(sorted(texts(expression, "values")))
        match text(expression, "operator"):
            case "In":
                parts.append(f"{key} in ({chosen})")
            case "NotIn":
                parts.append(f"{key} notin ({chosen})")
            case "Exists":
                parts.append(key)
            case _:
                parts.append(f"!{key}")
    return ",".join(parts) or NONE


def joined(values: Iterable[str]) -> str:
    """Return the values with commas, or `<none>`."""
    return ",".join(values) or NONE


def containers_cells(template: Json) -> list[object]:
    """Return the cells Containers and Images of a pod template."""
    containers = items(part(template, "spec"), "containers")
    return [
        ",".join(text(container, "name") for container in containers),
        ",".join(text(container, "image") for container in containers),
    ]

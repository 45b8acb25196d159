"""The tables of custom resources: name, and the printer columns of the definition, or the age.

`printer_of` makes the same kind of `Printer` that built-in kinds have. Cells follow the server: text
columns print any value, other types only values of theirs; a date is shown as an age; what is missing
is null. Guarantees: as many cells as columns; never fails on any object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from kcm.base.timestamps import parse_time
from kcm.sandbox.schema.custom.jsonpath import Path, PathError, parse_path
from kcm.sandbox.schema.tables.columns import AGE, NAME, Cells, Column, Json, Printer, name_of, since

_AGE_PATH = ".metadata.creationTimestamp"


def printer_of(columns: Sequence[Mapping[str, Any]]) -> Printer:
    """Return the printer of `additionalPrinterColumns`; a path that cannot be read ends the columns."""
    if not columns:
        return Printer((NAME, AGE), _cells(((parse_path(_AGE_PATH), "date"),)))
    shown: list[Column] = [NAME]
    read: list[tuple[Path, str]] = []
    for one in columns:
        try:
            path = parse_path(str(one.get("jsonPath", "")))
        except PathError:
            break
        kind = str(one.get("type", "string"))
        priority = one.get("priority") or 0
        shown.append(Column(str(one.get("name", "")), kind, str(one.get("format") or ""), int(priority)))
        read.append((path, kind))
    return Printer(tuple(shown), _cells(tuple(read)))


def _cells(columns: tuple[tuple[Path, str], ...]) -> Cells:
    def cells(obj: Json, now: datetime) -> list[object]:
        return [name_of(obj), *(_cell(path, kind, obj, now) for path, kind in columns)]

    return cells


def _cell(path: Path, kind: str, obj: Json, now: datetime) -> object:
    found = path.find(obj)
    if not found:
        return None
    value = found[0]
    match kind:
        case "string":
            return _text(value)
        case "integer" if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value)
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        case "boolean" if isinstance(value, bool):
            return value
        case "date" if isinstance(value, str):
            return _age(value, now)
    return None


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return str(value)


def _age(text: str, now: datetime) -> str:
    try:
        parse_time(text)
    except (ValueError, OverflowError):
        return "<invalid>"
    return since(text, now)

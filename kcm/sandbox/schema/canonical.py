"""The one spelling of an object: what a server's decode and encode do to it.

JSON null, empty lists and empty maps vanish; quantities and times get the server's text.
Without this a no-op write would look like a change (reference: apiserver §9, trap 9).
Guarantees: in place, idempotent, never fails: what has the wrong type is left for
`kcm.sandbox.schema.typecheck` to report. Empty objects stay: `emptyDir: {}` has meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kcm.base.timestamps import format_micro_time, format_time, parse_time
from kcm.sandbox.schema.fields import ANY, TYPES, Shape, TypeDef
from kcm.sandbox.schema.quantities import canonical


def canonicalize(type_: TypeDef, obj: dict[str, Any]) -> None:
    """Rewrite `obj`, which should be of that type, in place."""
    vanished: list[str] | None = None
    fields = type_.fields
    for name, value in obj.items():
        field = fields.get(name)
        shape = field.shape if field is not None else ANY
        if value is None or (not value and shape.form in _VANISH_EMPTY and isinstance(value, dict | list)):
            vanished = [*vanished, name] if vanished else [name]
        elif isinstance(value, dict | list):
            _descend(shape, value)
        elif shape.name in _SPELLING:
            obj[name] = _spell(shape.name, value)
    for name in vanished or ():
        del obj[name]


_VANISH_EMPTY = frozenset(("list", "map"))


def _descend(shape: Shape, value: dict[str, Any] | list[Any]) -> None:
    item = shape.item
    match shape.form:
        case "object" if isinstance(value, dict):
            canonicalize(TYPES[shape.name], value)
        case "list" if isinstance(value, list) and item is not None and item.form == "object":
            inner = TYPES[item.name]
            for element in value:
                if isinstance(element, dict):
                    canonicalize(inner, element)
        case "map" if isinstance(value, dict) and item is not None and item.name in _SPELLING:
            for key, element in value.items():
                value[key] = _spell(item.name, element)
        case _:
            return


def _spell(name: str, value: object) -> object:
    if name == "quantity" and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return value
    try:
        return _SPELLING[name](value)
    except (ValueError, OverflowError):
        return value


def _time(text: str) -> str:
    return text if len(text) == 20 and text[-1] == "Z" else format_time(parse_time(text))


def _micro_time(text: str) -> str:
    return text if len(text) == 27 and text[-1] == "Z" else format_micro_time(parse_time(text))


_SPELLING: Mapping[str, Callable[[str], str]] = {
    "quantity": canonical,
    "time": _time,
    "microTime": _micro_time,
}

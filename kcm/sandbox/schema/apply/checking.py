"""Does a configuration fit its kind? What an applier is told before anything is merged.

Beside types this finds what only server-side apply refuses: fields that the kind does not have,
and elements of a list that share their keys. Text follows the real server's (reference: apiserver
§4). Pure, bounded by the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kcm.sandbox.schema.apply.compare import KindError, element_of
from kcm.sandbox.schema.apply.fieldsets import show
from kcm.sandbox.schema.apply.kinds import FREE, Kind

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "numeric": (int, float),
}
_DEEPEST = 200


def problems(kind: Kind, config: dict[str, Any]) -> list[str]:
    """Return what is wrong with a configuration, in its order; empty when nothing is."""
    return list(_check(kind, config, "", 0))


def _check(kind: Kind, value: Any, path: str, depth: int) -> Iterator[str]:
    if value is None:
        return
    if depth > _DEEPEST:
        yield f"{path}: nested too deeply"
    elif kind.form == "scalar":
        yield from _check_scalar(kind, value, path)
    elif kind.form == "list":
        if isinstance(value, list):
            yield from _check_items(kind, value, path, depth)
        else:
            yield f"{path}: expected list, got &{{{_shown(value)}}}"
    elif kind.form == "map" and not isinstance(value, dict):
        yield f"{path}: expected map, got &{{{_shown(value)}}}"
    elif kind.form == "map":
        for name, inside in value.items():
            expected = kind.of(name)
            if expected is None:
                yield f"{path}.{name}: field not declared in schema"
                return
            yield from _check(expected, inside, f"{path}.{name}", depth + 1)


def _check_scalar(kind: Kind, value: Any, path: str) -> Iterator[str]:
    expected = _TYPES.get(kind.scalar)
    if expected is None:
        return
    if isinstance(value, expected) and (kind.scalar == "boolean") == isinstance(value, bool):
        return
    match kind.scalar:
        case "numeric":
            yield f"{path}: expected numeric (int or float), got {_type_name(value)}"
        case "boolean":
            yield f"{path}: expected boolean, got &{{{_shown(value)}}}"
        case _:
            yield f"{path}: expected string, got &value.valueUnstructured{{Value:{_shown(value)}}}"


def _check_items(kind: Kind, values: list[Any], path: str, depth: int) -> Iterator[str]:
    item = kind.item or FREE
    seen: set[str] = set()
    for index, value in enumerate(values):
        if kind.atomic:
            yield from _check(item, value, f"{path}[{index}]", depth + 1)
            continue
        try:
            element = element_of(kind, value)
        except KindError as error:
            yield f"{path}: element {index}: {error}"
            continue
        if element in seen:
            yield f"{path}: duplicate entries for key {show((element,))}"
        seen.add(element)
        yield from _check(item, value, path + show((element,)), depth + 1)


def _type_name(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case dict():
            return "map[string]interface {}"
    return "[]interface {}"


def _shown(value: Any) -> str:
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case dict():
            return f"map[{' '.join(f'{name}:{_shown(value[name])}' for name in sorted(value))}]"
        case list():
            return f"[{' '.join(map(_shown, value))}]"
    return str(value)

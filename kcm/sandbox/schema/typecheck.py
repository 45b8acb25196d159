"""Does every field hold JSON of its type? What a server finds when it decodes a body.

Run before defaults and validation, which take types for granted. Guarantees: never fails,
bounded by the body; all problems are listed, the server names only the first. Text follows
the decoder's, since clients show it as it is. As in the decoder, an element of a list or a map
that is null becomes the empty value of its type: behind this point no such element is null.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from kcm.base.timestamps import parse_time
from kcm.sandbox.schema.fields import TYPES, Shape, TypeDef, type_of
from kcm.sandbox.schema.quantities import canonical

_GO_TYPES = {
    "string": "string",
    "int": "int32",
    "long": "int64",
    "float": "float64",
    "bool": "bool",
    "bytes": "[]uint8",
    "quantity": "resource.Quantity",
    # A number or a text is both right, so what else there is was read as a number.
    "intOrString": "int32",
    "time": "v1.Time",
    "microTime": "v1.MicroTime",
}
_PLAIN = {"string": str, "bool": bool}
_BITS = {"int": 31, "long": 63, "intOrString": 31}


def type_errors(kind: str, obj: Mapping[str, Any]) -> list[str]:
    """Return the decoder's complaints about an object of that kind; empty when it decodes."""
    api_version = obj.get("apiVersion")
    found: list[str] = []
    _check(type_of(kind, api_version if isinstance(api_version, str) else ""), obj, "", found)
    return found


def _check(type_: TypeDef, obj: Mapping[str, Any], prefix: str, found: list[str]) -> None:
    fields = type_.fields
    for name, value in obj.items():
        field = fields.get(name)
        if field is None or value is None:
            continue
        shape = field.shape
        # Nearly every value passes by its type alone: a pod is checked at each of its writes.
        if type(value) is not _PLAIN.get(shape.name):
            _check_value(type_, shape, value, prefix + name, found)


def _check_value(type_: TypeDef, shape: Shape, value: Any, path: str, found: list[str]) -> None:
    item = shape.item
    match shape.form:
        case "any":
            return
        case "object" if isinstance(value, dict):
            _check(TYPES[shape.name], value, path + ".", found)
        case "list" if isinstance(value, list) and item is not None:
            if _check_all(type_, item, value, path, found):
                value[:] = [_empty(item) if each is None else each for each in value]
        case "map" if isinstance(value, dict) and item is not None:
            if _check_all(type_, item, value.values(), path, found):
                value.update({name: _empty(item) for name, each in value.items() if each is None})
        case "scalar":
            if (problem := _scalar_problem(shape.name, value)) is not None:
                found.append(_mismatch(type_, path, shape, value) if problem == "" else problem)
        case _:
            found.append(_mismatch(type_, path, shape, value))


def _check_all(type_: TypeDef, item: Shape, values: Iterable[Any], path: str, found: list[str]) -> bool:
    """Check the elements of a list or map; say whether any of them is null."""
    plain, some_null = _PLAIN.get(item.name), False
    for value in values:
        if value is None:
            some_null = True
        elif type(value) is not plain:
            _check_value(type_, item, value, path, found)
    return some_null


_EMPTY: Mapping[str, Any] = {
    "string": "",
    "bool": False,
    "int": 0,
    "long": 0,
    "float": 0,
    "bytes": "",
    "quantity": "0",
    "intOrString": 0,
}


def _empty(item: Shape) -> Any:
    """Return what the decoder makes of null where something of that shape belongs."""
    match item.form:
        case "object" | "map":
            return {}
        case "list":
            return []
        case _:
            return _EMPTY.get(item.name)


def _scalar_problem(name: str, value: Any) -> str | None:
    """Return None when the value fits, "" for the wrong JSON type, else the problem's own text."""
    match name:
        case "string":
            return None if isinstance(value, str) else ""
        case "bool":
            return None if isinstance(value, bool) else ""
        case "int" | "long":
            return None if _is_integer(value, _BITS[name]) else ""
        case "float":
            return None if isinstance(value, int | float) and not isinstance(value, bool) else ""
        case "intOrString":
            return None if isinstance(value, str) or _is_integer(value, 31) else ""
        case _:
            return _text_problem(name, value)


def _is_integer(value: Any, bits: int) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, float):
        return value.is_integer() and abs(value) < 2**bits
    return isinstance(value, int) and -(2**bits) <= value < 2**bits


def _text_problem(name: str, value: Any) -> str | None:
    if name == "quantity" and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return ""
    try:
        if name == "quantity":
            canonical(value)
        elif name == "bytes":
            base64.b64decode(value.encode(), validate=True)
        elif value:
            if name == "microTime" and not _MICROSECONDS.search(value):
                raise ValueError("a time without six digits of a second")
            _read_time(value)
    except binascii.Error:
        return "illegal base64 data"
    except (ValueError, OverflowError) as problem:
        return str(problem) if name == "quantity" else _unreadable_time(name, value)
    return None


_MICROSECONDS = re.compile(r"\.[0-9]{6}(Z|[+-][0-9]{2}:[0-9]{2})$")
_SECONDS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_LAYOUTS = {"time": "2006-01-02T15:04:05Z07:00", "microTime": "2006-01-02T15:04:05.000000Z07:00"}


def _unreadable_time(name: str, value: str) -> str:
    """Return what the decoder says of a time that is not in its layout."""
    found = _SECONDS.match(value)
    left, wanted = (value[found.end() :], ".000000") if found else (value, "2006")
    shown = f'"{value[:64]}" as "{_LAYOUTS[name]}"'
    return f'parsing time {shown}: cannot parse "{left[:64]}" as "{wanted}"'


@lru_cache(maxsize=1024)
def _read_time(value: str) -> None:
    """Raise ValueError for a time that cannot be read. The times of one status are mostly the same."""
    parse_time(value)


def _mismatch(type_: TypeDef, path: str, shape: Shape, value: Any) -> str:
    # A whole number that does not fit is shown; one of the wrong type is not.
    large = type(value) is int and shape.name in _BITS
    return (
        f"json: cannot unmarshal {f'number {value}' if large else json_type(value)} into Go struct field "
        f"{type_.name.rpartition('.')[2]}.{path} of type {_go_type(shape)}"
    )


def json_type(value: Any) -> str:
    """Return the name that the decoder's complaints have for a JSON value."""
    match value:
        case bool():
            return "bool"
        case float():
            return f"number {value}"
        case int():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _go_type(shape: Shape) -> str:
    match shape.form:
        case "list" if shape.item is not None:
            return "[]" + _go_type(shape.item)
        case "map" if shape.item is not None:
            return "map[string]" + _go_type(shape.item)
        case "object":
            return "v1." + shape.name.rpartition(".")[2]
        case _:
            return _GO_TYPES.get(shape.name, "object")

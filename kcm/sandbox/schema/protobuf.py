"""Protobuf request bodies, read into the dicts that the same objects have as JSON.

kubectl and other Go clients send them for kinds that they know (reference: apiserver §1); the
field numbers stand in the table of types. Guarantees: bounded by the body's size, by depth and
by a count of fields, and whatever is not such a message is a `ProtobufError`; fields without a
number in the table are skipped, so a client newer than the table is understood as far as it can
be. A scalar at zero is dropped unless the type says that zero differs from absent, because
these clients always send all of them. Reads only. Owns the plans it makes of types, for good.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from kcm.base.timestamps import format_micro_time, format_time
from kcm.sandbox.schema.custom.schema_message import read_schema_message
from kcm.sandbox.schema.fields import TYPES, Field, Shape, TypeDef, type_of
from kcm.sandbox.schema.wire import LENGTH, VARINT, ProtobufError, fields_of, signed, text, varint

__all__ = ["MAGIC", "ProtobufError", "decode_object"]

Json = dict[str, Any]

MAGIC = b"k8s\0"
MOST_DEPTH = 40
MOST_FIELDS = 250_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZERO: dict[str, Any] = {"int": 0, "long": 0, "bool": False, "float": 0.0, "string": "", "bytes": ""}


def decode_object(body: bytes) -> Json:
    """Return the object that a body in the Kubernetes protobuf envelope holds; ProtobufError if none."""
    if not body.startswith(MAGIC):
        raise ProtobufError("the body does not begin with the Kubernetes protobuf prefix")
    api_version = kind = ""
    raw = memoryview(b"")
    for number, wire, value in fields_of(memoryview(body)[len(MAGIC) :]):
        if number == 1 and wire == LENGTH:
            api_version, kind = _type_meta(value)
        elif number == 2 and wire == LENGTH:
            raw = value
    type_ = type_of(kind, api_version)
    if type_.is_free or not (type_.is_object or kind == "DeleteOptions"):
        raise ProtobufError(f'no kind "{kind[:80]}" of "{api_version[:80]}" is registered')
    obj: Json = {"kind": kind, "apiVersion": api_version}
    _Reader().read(_plan(type_.name), raw, obj, MOST_DEPTH)
    return obj


def _type_meta(data: memoryview) -> tuple[str, str]:
    found = {number: text(value) for number, wire, value in fields_of(data) if wire == LENGTH}
    return found.get(1, ""), found.get(2, "")


@dataclass(slots=True)
class _Plan:
    """What the numbers of a message mean; `inlined` numbers are messages shown as part of this one."""

    fields: dict[int, Field] = field(default_factory=dict)
    inlined: dict[int, _Plan] = field(default_factory=dict)


@cache
def _plan(name: str) -> _Plan:
    type_: TypeDef = TYPES[name]
    plan = _Plan()
    for each in type_.fields.values():
        if not each.numbers:
            continue
        inner = plan
        for number in each.numbers[:-1]:
            inner = inner.inlined.setdefault(number, _Plan())
        inner.fields[each.numbers[-1]] = each
    return plan


class _Reader:
    """Reads one body; counts what it reads."""

    def __init__(self) -> None:
        self._left = MOST_FIELDS

    def read(self, plan: _Plan, data: memoryview, into: Json, depth: int) -> None:
        """Add the fields of a message to `into`."""
        if depth <= 0:
            raise ProtobufError("messages are nested too deeply")
        for number, wire, value in self._counted(data):
            known = plan.fields.get(number)
            if known is not None:
                self._take(known, wire, value, into, depth)
            elif (inner := plan.inlined.get(number)) is not None:
                self.read(inner, _message(wire, value), into, depth - 1)

    def _counted(self, data: memoryview) -> Iterator[tuple[int, int, Any]]:
        for entry in fields_of(data):
            self._left -= 1
            if self._left < 0:
                raise ProtobufError("the object has too many fields")
            yield entry

    def _take(self, known: Field, wire: int, value: Any, into: Json, depth: int) -> None:
        name, shape = known.name, known.shape
        match shape.form:
            case "object":
                inner = into.setdefault(name, {})
                self.read(_plan(shape.name), _message(wire, value), inner, depth - 1)
            case "list" if shape.item is not None:
                into.setdefault(name, []).extend(self._elements(shape.item, wire, value, depth))
            case "map" if shape.item is not None:
                key, element = self._entry(shape.item, _message(wire, value), depth)
                into.setdefault(name, {})[key] = element
            case "any" if name == "openAPIV3Schema":
                into[name] = read_schema_message(_message(wire, value))
            case "scalar":
                found = _scalar(shape.name, wire, value)
                if found is not None and (found or known.nullable or known.required):
                    into[name] = found

    def _elements(self, shape: Shape, wire: int, value: Any, depth: int) -> Iterator[Any]:
        if shape.form == "scalar" and wire == LENGTH and shape.name in ("int", "long", "bool"):
            for number in _packed(value):
                yield _scalar(shape.name, VARINT, number)
        else:
            yield self._element(shape, wire, value, depth)

    def _element(self, shape: Shape, wire: int, value: Any, depth: int) -> Any:
        if shape.form == "object":
            inner: Json = {}
            self.read(_plan(shape.name), _message(wire, value), inner, depth - 1)
            return inner
        if shape.form == "list" and shape.item is not None:
            # A list that a map holds is a message of its own, whose one field is the list.
            return [
                self._element(shape.item, *one[1:], depth - 1) for one in self._counted(_message(wire, value))
            ]
        return _scalar(shape.name, wire, value)

    def _entry(self, shape: Shape, data: memoryview, depth: int) -> tuple[str, Any]:
        key, element = "", _ZERO.get(shape.name)
        for number, wire, value in self._counted(data):
            if number == 1:
                key = text(_message(wire, value))
            elif number == 2:
                element = self._element(shape, wire, value, depth)
        return key, element


def _message(wire: int, value: Any) -> memoryview:
    if wire != LENGTH:
        raise ProtobufError("a message or text was expected")
    found: memoryview = value
    return found


def _packed(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        number, at = varint(data, at)
        yield number


def _scalar(name: str, wire: int, value: Any) -> Any:
    """Return a scalar as JSON has it; None for a time that is not set."""
    match name:
        case "string":
            return text(_message(wire, value))
        case "int" | "long":
            return signed(_number(wire, value))
        case "bool":
            return _number(wire, value) != 0
        case "bytes":
            return base64.b64encode(_message(wire, value)).decode()
        case "quantity":
            return _quantity(_message(wire, value))
        case "intOrString":
            return _int_or_string(_message(wire, value))
        case "time" | "microTime":
            return _time(_message(wire, value), micro=name == "microTime")
    return None


def _number(wire: int, value: Any) -> int:
    if wire != VARINT:
        raise ProtobufError("a number was expected")
    found: int = value
    return found


def _quantity(data: memoryview) -> str:
    written = "0"
    for number, wire, value in fields_of(data):
        if number == 1:
            written = text(_message(wire, value))
    return written


def _int_or_string(data: memoryview) -> int | str:
    is_text, number_value, text_value = False, 0, ""
    for number, wire, value in fields_of(data):
        if number == 1:
            is_text = _number(wire, value) == 1
        elif number == 2:
            number_value = signed(_number(wire, value))
        elif number == 3:
            text_value = text(_message(wire, value))
    return text_value if is_text else number_value


def _time(data: memoryview, *, micro: bool) -> str | None:
    if not len(data):
        return None
    seconds = nanoseconds = 0
    for number, wire, value in fields_of(data):
        if number == 1:
            seconds = signed(_number(wire, value))
        elif number == 2:
            nanoseconds = signed(_number(wire, value))
    try:
        moment = _EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
    except OverflowError:
        raise ProtobufError("a time is out of range") from None
    return format_micro_time(moment) if micro else format_time(moment)

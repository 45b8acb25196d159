"""A schema in protobuf, read into the JSON that it has in a definition.

Go clients of apiextensions send definitions so. Field numbers are facts of the API. Guarantees: at
most `MOST_FIELDS` fields and `DEEPEST` levels; whatever is no such message is a `ProtobufError`; zeros
that such a client always sends are left out, those that it sends only when they are meant are kept.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import msgspec

from kcm.sandbox.schema.custom.structural import DEEPEST
from kcm.sandbox.schema.wire import FIXED64, LENGTH, VARINT, ProtobufError, fields_of, signed, text

Json = dict[str, Any]

MOST_FIELDS = 250_000

# Number: name in JSON, and kind. A `?` marks what is sent only when it is meant.
_SCHEMA: Mapping[int, tuple[str, str]] = {
    1: ("id", "string"),
    2: ("$schema", "string"),
    3: ("$ref", "string?"),
    4: ("description", "string"),
    5: ("type", "string"),
    6: ("format", "string"),
    7: ("title", "string"),
    8: ("default", "json"),
    9: ("maximum", "double?"),
    10: ("exclusiveMaximum", "bool"),
    11: ("minimum", "double?"),
    12: ("exclusiveMinimum", "bool"),
    13: ("maxLength", "int?"),
    14: ("minLength", "int?"),
    15: ("pattern", "string"),
    16: ("maxItems", "int?"),
    17: ("minItems", "int?"),
    18: ("uniqueItems", "bool"),
    19: ("multipleOf", "double?"),
    20: ("enum", "[json]"),
    21: ("maxProperties", "int?"),
    22: ("minProperties", "int?"),
    23: ("required", "[string]"),
    24: ("items", "either"),
    25: ("allOf", "[schema]"),
    26: ("oneOf", "[schema]"),
    27: ("anyOf", "[schema]"),
    28: ("not", "schema"),
    29: ("properties", "{schema}"),
    30: ("additionalProperties", "or bool"),
    31: ("patternProperties", "{schema}"),
    32: ("dependencies", "{either}"),
    33: ("additionalItems", "or bool"),
    34: ("definitions", "{schema}"),
    35: ("externalDocs", "docs"),
    36: ("example", "json"),
    37: ("nullable", "bool"),
    38: ("x-kubernetes-preserve-unknown-fields", "bool?"),
    39: ("x-kubernetes-embedded-resource", "bool"),
    40: ("x-kubernetes-int-or-string", "bool"),
    41: ("x-kubernetes-list-map-keys", "[string]"),
    42: ("x-kubernetes-list-type", "string?"),
    43: ("x-kubernetes-map-type", "string?"),
    44: ("x-kubernetes-validations", "[rule]"),
}
_RULE: Mapping[int, tuple[str, str]] = {
    1: ("rule", "string"),
    2: ("message", "string"),
    3: ("messageExpression", "string"),
    4: ("reason", "string?"),
    5: ("fieldPath", "string"),
    6: ("optionalOldSelf", "bool?"),
}
_DOCS: Mapping[int, tuple[str, str]] = {1: ("description", "string"), 2: ("url", "string")}


def read_schema_message(data: memoryview) -> Json:
    """Return the schema that a message holds; ProtobufError when it is none."""
    return _Reader().fields(_SCHEMA, data, 0)


class _Reader:
    def __init__(self) -> None:
        self._left = MOST_FIELDS

    def fields(self, names: Mapping[int, tuple[str, str]], data: memoryview, depth: int) -> Json:
        if depth > DEEPEST:
            raise ProtobufError("the schema is nested too deeply")
        found: Json = {}
        for number, wire, value in fields_of(data):
            self._left -= 1
            if self._left < 0:
                raise ProtobufError("the schema has too many fields")
            if number not in names:
                continue
            name, kind = names[number]
            if kind.startswith("["):
                found.setdefault(name, []).append(self._one(kind[1:-1], wire, value, depth))
            elif kind.startswith("{"):
                key, inner = self._entry(kind[1:-1], _bytes(wire, value), depth)
                found.setdefault(name, {})[key] = inner
            else:
                one = self._one(kind.removesuffix("?"), wire, value, depth)
                if one or kind.endswith("?") or kind not in ("string", "bool"):
                    found[name] = one
        return found

    def _one(self, kind: str, wire: int, value: Any, depth: int) -> Any:
        match kind:
            case "bool" | "int":
                if wire != VARINT:
                    raise ProtobufError("a number was expected")
                return bool(value) if kind == "bool" else signed(value)
            case "double":
                return _double(wire, value)
            case "string":
                return text(_bytes(wire, value))
            case "json":
                return _json(_bytes(wire, value))
            case "rule":
                return self.fields(_RULE, _bytes(wire, value), depth + 1)
            case "docs":
                return self.fields(_DOCS, _bytes(wire, value), depth + 1)
            case "schema":
                return self.fields(_SCHEMA, _bytes(wire, value), depth + 1)
        return self._either(kind, _bytes(wire, value), depth)

    def _either(self, kind: str, data: memoryview, depth: int) -> Any:
        """Read a schema or a list, or ("or bool") a truth value and perhaps a schema."""
        schema: Json | None = None
        others: list[Any] = []
        allowed = False
        for number, wire, value in fields_of(data):
            if kind == "or bool" and number == 1:
                allowed = bool(self._one("bool", wire, value, depth))
            elif number == 1 or kind == "or bool":
                schema = self.fields(_SCHEMA, _bytes(wire, value), depth + 1)
            elif number == 2:
                # Schemas of items, or the names of a dependency.
                others.append(_bytes(wire, value))
        if schema is not None:
            return schema
        if kind == "or bool":
            return allowed
        # Neither is supported in a definition: that they are there is what the rules look for.
        return [{} for _ in others]

    def _entry(self, kind: str, data: memoryview, depth: int) -> tuple[str, Any]:
        key, found = "", {}
        for number, wire, value in fields_of(data):
            if number == 1:
                key = text(_bytes(wire, value))
            elif number == 2:
                found = self._one(kind, wire, value, depth)
        return key, found


def _bytes(wire: int, value: Any) -> memoryview:
    if wire != LENGTH:
        raise ProtobufError("a message or text was expected")
    found: memoryview = value
    return found


def _double(wire: int, value: Any) -> float:
    if wire != FIXED64:
        raise ProtobufError("a number of eight bytes was expected")
    number: float = struct.unpack("<d", value)[0]
    if number != number or number in (float("inf"), float("-inf")):
        raise ProtobufError("a number is out of range")
    # JSON writes a whole number without a point, and so does the server.
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _json(data: memoryview) -> Any:
    for number, wire, value in fields_of(data):
        if number == 1:
            try:
                return msgspec.json.decode(_bytes(wire, value))
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                raise ProtobufError("a value inside the schema is not JSON") from None
    return None

"""Schemas of custom resources that come as protobuf."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcm.sandbox.schema.custom.schema_message import read_schema_message
from kcm.sandbox.schema.custom.structural import DEEPEST
from kcm.sandbox.schema.wire import ProtobufError

LIST = "x-kubernetes-list-type"
TEXT = {"type": "string"}
NUMBER = {"type": "integer"}


def obj(**properties):
    return {"type": "object", "properties": properties}


def varint(number):
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def message(number, content):
    """Return a field: a text, bytes of a message, a truth value, a whole number or one with a point."""
    if isinstance(content, bool | int):
        return varint(number << 3) + varint(int(content))
    if isinstance(content, float):
        return varint(number << 3 | 1) + struct.pack("<d", content)
    inside = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(inside)) + inside


def test_a_schema_that_comes_as_protobuf_is_the_same():
    size = b"".join(
        (
            message(5, "integer"),
            message(9, 10.0),
            message(11, 0.0),
            message(8, message(1, "3")),
            message(37, False),
        )
    )
    tags = b"".join(
        (
            message(5, "array"),
            message(16, 0),
            message(24, message(1, message(5, "string"))),
            message(42, "set"),
            message(20, message(1, '["a"]')),
        )
    )
    loose = message(5, "object") + message(30, message(1, True))
    kept = message(5, "object") + message(30, message(1, False) + message(2, message(5, "string")))
    properties = {"size": size, "tags": tags, "loose": loose, "kept": kept}
    root = message(5, "object") + message(18, False) + message(38, False) + message(23, "size")
    root += message(44, message(1, "true")) + message(4, "")
    for name, schema in properties.items():
        root += message(29, message(1, name) + message(2, schema))
    assert read_schema_message(memoryview(root)) == {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": False,
        "required": ["size"],
        "x-kubernetes-validations": [{"rule": "true"}],
        "properties": {
            "size": {"type": "integer", "maximum": 10, "minimum": 0, "default": 3},
            "tags": {"type": "array", "maxItems": 0, "items": TEXT, LIST: "set", "enum": [["a"]]},
            "loose": {"type": "object", "additionalProperties": True},
            "kept": {"type": "object", "additionalProperties": TEXT},
        },
    }


def test_a_schema_that_comes_as_protobuf_may_not_nest_without_end():
    schema = message(5, "string")
    for _ in range(DEEPEST + 2):
        schema = message(28, schema)
    with pytest.raises(ProtobufError):
        read_schema_message(memoryview(schema))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_schema_are_refused(data):
    with contextlib.suppress(ProtobufError):
        read_schema_message(memoryview(data))

"""The wire format of protobuf: numbered fields of varints, fixed words and lengths of bytes.

Pure. Guarantees: reads nothing outside the given view, copies nothing, and answers anything that
is not a message with `ProtobufError`. Groups, which proto3 dropped, are not read. Knows nothing
of what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kcm.base.errors import KcmError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_WORDS = {FIXED64: 8, FIXED32: 4}


class ProtobufError(KcmError):
    """The bytes are not a message of the expected kind."""


def fields_of(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Yield number, wire type and value (int, or a view of bytes) of each field."""
    at, end = 0, len(data)
    while at < end:
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not number:
            raise ProtobufError("field number 0")
        if wire == VARINT:
            value, at = varint(data, at)
            yield number, wire, value
            continue
        if wire == LENGTH:
            size, at = varint(data, at)
        elif wire in _WORDS:
            size = _WORDS[wire]
        else:
            raise ProtobufError(f"wire type {wire} is not served")
        if size > end - at:
            raise ProtobufError("the message is cut short")
        yield number, wire, data[at : at + size]
        at += size


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number at `at` and the place after it."""
    found = shift = 0
    for place in range(at, min(at + _LONGEST_VARINT, len(data))):
        byte = data[place]
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found & 0xFFFF_FFFF_FFFF_FFFF, place + 1
        shift += 7
    raise ProtobufError("a number is cut short or too long")


def signed(number: int) -> int:
    """Return a varint as the signed 64-bit number that it stands for."""
    return number - (1 << 64) if number >> 63 else number


def text(data: memoryview) -> str:
    """Return bytes as text; ProtobufError when they are not UTF-8."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise ProtobufError("text is not UTF-8") from None

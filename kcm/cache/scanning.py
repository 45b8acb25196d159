"""Finding parts of JSON that is nested too deeply to decode.

msgspec refuses JSON of more than about a thousand levels, while the API server accepts ten
thousand; the key of such an object, and the items around it, can still be found by counting
brackets. Guarantees: linear in the size of the text, no recursion. Does not check the JSON
beyond that: what it returns is decoded, and so checked, by its caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)


def find_object(text: bytes, name: bytes, level: int) -> bytes:
    """Return the JSON object that is the value of `name` at a nesting level (1: the outermost object).

    ValueError when there is none.
    """
    for begin, end, opened, label in _values(text, level):
        if opened == b"{" and label == b'"' + name + b'"':
            return text[begin:end]
    raise ValueError(f"no {name.decode()}")


def split_items(text: bytes) -> list[bytes]:
    """Return the texts of the objects in the `items` of a list; empty when there are none."""
    for begin, end, opened, label in _values(text, 1):
        if opened == b"[" and label == b'"items"':
            items = text[begin:end]
            return [items[first:last] for first, last, opened, _ in _values(items, 1) if opened == b"{"]
    return []


def _values(text: bytes, level: int) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Yield (begin, end, bracket, label) of every object and list that lies `level` brackets deep."""
    depth = 0
    begin = 0
    opened = label = previous = b""
    for token in _TOKEN.finditer(text):
        value = token.group()
        if value in (b"{", b"["):
            if depth == level:
                begin, opened, label = token.start(), value, previous
            depth += 1
        elif value in (b"}", b"]"):
            depth -= 1
            if depth == level:
                yield begin, token.end(), opened, label
        previous = value

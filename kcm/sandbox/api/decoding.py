"""JSON as the API server reads it: the same complaints, fields given twice, bytes that are no text.

`read_json` is as fast as its decoder for a good document; only a bad one, or one in which a field
may stand twice, is looked at a second time. Guarantees: `MalformedJson` says what the server
would say; nesting is bounded, so that no body can exhaust the stack. Owns no state.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec

from kcm.base.errors import KcmError
from kcm.sandbox.api.records import decode, encode

_DEEPEST = 10_000
_END = "unexpected end of JSON input"
_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS = {"t": "true", "f": "false", "n": "null"}


class MalformedJson(KcmError):
    """A body that is not JSON. Its text is the server's."""


def read_json(body: bytes) -> Any:
    """Return what a body says; MalformedJson when it says nothing."""
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        problem = syntax_problem(body)
    if problem:
        raise MalformedJson(problem)
    try:
        # Correct but for its bytes: what is no text becomes the replacement character.
        return _without_halves(json.loads(body.decode(errors="replace")))
    except RecursionError:
        # The real server goes ten times as deep; what it means by it, nobody knows.
        letter = "[" if body.count(b"[") > body.count(b"{") else "{"
        raise MalformedJson(f"invalid character '{letter}' exceeded max depth") from None
    except ValueError as error:
        raise MalformedJson(str(error)) from None


def _without_halves(value: Any) -> Any:
    """Return a value with the replacement character for each half of a surrogate pair, as the server does."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def repeated_fields(body: bytes, value: Any) -> tuple[str, ...]:
    """Return the paths of fields that a body gives more than once, as they come; `value` is its content."""
    size = len(encode(value))
    try:
        # What was said twice is missing in the value, which is shorter then than the body without blanks.
        if size == len(body) or size == len(msgspec.json.format(body, indent=-1)):
            return ()
    except msgspec.DecodeError:
        # A body that was mended when it was read has to be gone through.
        pass
    try:
        document = json.loads(body, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return ()
    found: list[str] = []
    _repeated(document, "", found)
    return tuple(dict.fromkeys(found))


class _Pairs(list[tuple[str, Any]]):
    """The fields of an object, in order."""


def _repeated(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for name, inside in value:
            inner = f"{path}.{name}" if path else name
            if name in seen:
                found.append(inner)
            seen.add(name)
            _repeated(inside, inner, found)
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            _repeated(inside, f"{path}[{index}]", found)


def syntax_problem(body: bytes) -> str:
    """Return what is wrong with a body's syntax in the server's words, "" when nothing is."""
    return _Scanner(body.decode("latin-1")).problem()


class _Scanner:
    """Reads JSON without keeping anything of it, up to the first mistake."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._next: Callable[[], str] = self._value
        # Open objects and arrays, by the bracket that closes them.
        self._open: list[str] = []

    def problem(self) -> str:
        # Each step says what has to come next: depth costs no stack.
        while not (problem := self._next()):
            if self._next == self._after_value and not self._open:
                break
        if problem:
            return problem
        left = self._peek()
        return _unexpected(left, "after top-level value") if left else ""

    def _peek(self) -> str:
        """Return the next character that is not blank, "" at the end."""
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]

    def _value(self) -> str:
        letter = self._peek()
        self._next = self._after_value
        if letter in ("{", "["):
            return self._enter(letter)
        if letter == '"':
            return self._string()
        if letter in _WORDS:
            return self._word(_WORDS[letter])
        if letter == "-" or letter.isdigit():
            return self._number()
        return _unexpected(letter, "looking for beginning of value")

    def _enter(self, letter: str) -> str:
        self._at += 1
        close = "}" if letter == "{" else "]"
        if self._peek() == close:
            self._at += 1
            return ""
        if len(self._open) == _DEEPEST:
            return f"invalid character '{letter}' exceeded max depth"
        self._open.append(close)
        self._next = self._key if letter == "{" else self._value
        return ""

    def _after_value(self) -> str:
        letter = self._peek()
        close = self._open[-1]
        if letter == close:
            self._at += 1
            self._open.pop()
            return ""
        if letter != ",":
            where = "after object key:value pair" if close == "}" else "after array element"
            return _unexpected(letter, where)
        self._at += 1
        self._next = self._key if close == "}" else self._value
        return ""

    def _key(self) -> str:
        letter = self._peek()
        if letter != '"':
            return _unexpected(letter, "looking for beginning of object key string")
        if problem := self._string():
            return problem
        letter = self._peek()
        if letter != ":":
            return _unexpected(letter, "after object key")
        self._at += 1
        self._next = self._value
        return ""

    def _string(self) -> str:
        found = _STRING.match(self._text, self._at)
        self._at = found.end() if found else self._at
        letter = self._text[self._at : self._at + 1]
        if letter == '"':
            self._at += 1
            return ""
        if letter != "\\":
            return _unexpected(letter, "in string literal")
        after = self._text[self._at + 1 : self._at + 6]
        if not after.startswith("u"):
            return _unexpected(after[:1], "in string escape code")
        wrong = next((one for one in after[1:] if one not in "0123456789abcdefABCDEF"), "")
        return _unexpected(wrong, "in \\u hexadecimal character escape")

    def _word(self, word: str) -> str:
        for letter in word:
            present = self._text[self._at : self._at + 1]
            if present != letter:
                return _unexpected(present, f"in literal {word} (expecting '{letter}')")
            self._at += 1
        return ""

    def _number(self) -> str:
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            return _unexpected(self._text[self._at + 1 : self._at + 2], "in numeric literal")
        self._at = found.end()
        letter, after = self._text[self._at : self._at + 1], self._text[self._at + 1 : self._at + 2]
        if letter == ".":
            return _unexpected(after, "after decimal point in numeric literal")
        if letter in ("e", "E"):
            return _unexpected(after, "in exponent of numeric literal")
        return ""


def _unexpected(letter: str, where: str) -> str:
    if not letter:
        return _END
    shown = "\\'" if letter == "'" else '"' if letter == '"' else json.dumps(letter, ensure_ascii=False)[1:-1]
    return f"invalid character '{shown}' {where}"

"""`labelSelector` as the server reads it, and as it refuses it.

`parse_labels` returns the selector, or raises `BadSelector` with the server's words (reference:
apiserver §3). Words end at blanks and at `=!(),<>`; inside `in (...)` no value at all is the empty
one. Guarantees: bounded by the text. Owns no state.
"""

from __future__ import annotations

import re
from functools import lru_cache

from kcm.base.errors import KcmError
from kcm.objects.selectors import Operator, Requirement, Selector
from kcm.sandbox.api.errors import go_quote
from kcm.sandbox.schema.validation.names import label_value, qualified

_TOKENS = re.compile(r"==|!=|[=!(),<>]|[^=!(),<>\s]+")
_SPECIAL = frozenset(("==", "!=", "=", "!", "(", ")", ",", "<", ">"))
_WORDS = frozenset(("in", "notin"))
_BINARY: dict[str, Operator] = {
    "=": "in",
    "==": "in",
    "!=": "notin",
    "in": "in",
    "notin": "notin",
    ">": "gt",
    "<": "lt",
}
_START = "!, identifier, or 'end of string'"
_OPERATORS = "in, notin, =, ==, !=, gt, lt"
_LARGEST = 2**63


class BadSelector(KcmError):
    """A selector that the server refuses, in its words."""


@lru_cache(maxsize=256)
def parse_labels(text: str) -> Selector:
    """Return the selector that the text describes; BadSelector when it describes none."""
    return Selector(tuple(_Parser(text).requirements()))


class _Parser:
    """Reads tokens; "" is the end, which is read again and again."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKENS.findall(text)
        self._at = 0

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while (token := self._peek()) != "":
            if token != "!" and token in _SPECIAL:
                raise BadSelector(f"found '{token}', expected: {_START}")
            try:
                found.append(self._requirement())
            except BadSelector as problem:
                raise BadSelector(f"unable to parse requirement: {problem}") from None
            after = self._next()
            if after == "":
                break
            if after != ",":
                raise BadSelector(f"found '{after}', expected: ',' or 'end of string'")
            token = self._peek()
            if token == "" or (token != "!" and token in _SPECIAL):
                raise BadSelector(f"found '{token}', expected: identifier after ','")
        return found

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _requirement(self) -> Requirement:
        key = self._next()
        absent = key == "!"
        if absent:
            key = self._next()
        if key == "" or key in _SPECIAL:
            raise BadSelector(f"found '{key}', expected: identifier")
        if problems := qualified(key):
            raise BadSelector(
                f"<nil>: Invalid value: {go_quote(key)}: {'; '.join(problems)}".replace(
                    ": a qualified name must", ": a valid label key must"
                )
            )
        if self._peek() in ("", ",") or absent:
            return Requirement(key, "absent" if absent else "exists")
        word = self._next()
        operator = _BINARY.get(word)
        if operator is None:
            raise BadSelector(f"found '{word}', expected: {_OPERATORS}")
        values = self._set() if word in _WORDS else [self._single()]
        _check_values(key, operator, sorted(set(values)))
        return Requirement(key, operator, frozenset(values))

    def _single(self) -> str:
        token = self._peek()
        if token in ("", ","):
            return ""
        self._at += 1
        if token in _SPECIAL:
            raise BadSelector(f"found '{token}', expected: identifier")
        return token

    def _set(self) -> list[str]:
        if (token := self._next()) != "(":
            raise BadSelector(f"found '{token}' expected: '('")
        token = self._peek()
        if token == ")":
            self._at += 1
            return [""]
        if token == "" or (token != "," and token in _SPECIAL):
            raise BadSelector(f"found '{token}', expected: ',', ')' or identifier")
        values: list[str] = []
        wanted = True
        while (token := self._next()) != ")":
            if token == ",":
                if wanted:
                    values.append("")
                wanted = True
            elif token == "" or token in _SPECIAL:
                expected = "',', or identifier" if wanted else "',' or ')'"
                raise BadSelector(f"found '{token}', expected: {expected}")
            elif not wanted:
                raise BadSelector(f"found '{token}', expected: ',' or ')'")
            else:
                values.append(token)
                wanted = False
        return [*values, ""] if wanted else values


def _check_values(key: str, operator: Operator, values: list[str]) -> None:
    problems: list[str] = []
    for index, value in enumerate(values):
        shown = go_quote(value)
        if operator in ("gt", "lt") and not _is_number(value):
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            problems.append(f"values[{index}]: Invalid value: {shown}: {why}")
        if found := label_value(value):
            problems.append(f"values[{index}][{key}]: Invalid value: {shown}: {'; '.join(found)}")
    if problems:
        raise BadSelector(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")


def _is_number(text: str) -> bool:
    digits = text[1:] if text.startswith(("-", "+")) else text
    return text.isascii() and digits.isdigit() and len(text) <= 20 and abs(int(text)) < _LARGEST

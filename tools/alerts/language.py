"""The part of PromQL that deploy/ uses, as a tree. ValueError for anything else.

Numbers, selectors with matchers, ranges, the functions and aggregations named below, arithmetic,
comparisons that filter, `or`, and `and on (…)`. Precedence as in Prometheus.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

FUNCTIONS = frozenset(("rate", "increase", "min_over_time", "max_over_time", "absent", "histogram_quantile"))
AGGREGATIONS = frozenset(("sum", "max", "min", "count"))
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)(?![\w:])|(?P<name>[a-zA-Z_:][\w:]*)|(?P<text>\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<mark>=~|!~|!=|==|>=|<=|[-+*/<>=(){},\[\]])|(?P<range>\d+[smhd]))"
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LEVELS = (("or",), ("and",), (">", "<", ">=", "<=", "==", "!="), ("+", "-"), ("*", "/"))


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Selector:
    """Series by name and matchers (label, operator, text); with `seconds`, their samples of so long."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Call:
    """A function of expressions."""

    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class Aggregation:
    """All series with the same values of the labels `by`, as one."""

    kind: str
    by: tuple[str, ...]
    inner: Expression


@dataclass(frozen=True)
class Binary:
    """Two expressions and an operator; `on` names the labels that have to agree."""

    operator: str
    left: Expression
    right: Expression
    on: tuple[str, ...] | None = None


Expression = Number | Selector | Call | Aggregation | Binary


def parse(text: str) -> Expression:
    """Return the expression; ValueError says what cannot be read."""
    return _Parser(text).whole()


def selectors(expression: Expression) -> list[Selector]:
    """Return all selectors in an expression."""
    match expression:
        case Selector():
            return [expression]
        case Call(arguments=inner):
            return [each for part in inner for each in selectors(part)]
        case Aggregation(inner=part):
            return selectors(part)
        case Binary(left=left, right=right):
            return selectors(left) + selectors(right)
    return []


def labels_named(expression: Expression) -> list[tuple[str, Selector]]:
    """Return each label that is grouped by, with each selector that it is meant for."""
    match expression:
        case Aggregation(by=by, inner=inner):
            own = [(label, each) for label in by for each in selectors(inner)]
            return own + labels_named(inner)
        case Call(arguments=parts):
            return [each for part in parts for each in labels_named(part)]
        case Binary(left=left, right=right, on=on):
            own = [(label, each) for label in on or () for each in selectors(left) + selectors(right)]
            return own + labels_named(left) + labels_named(right)
    return []


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise ValueError(f"{text!r}: cannot be read from {text[at:].strip()[:20]!r} on")
            self._tokens.append((found.lastgroup or "", found[found.lastgroup or 0]))
            at = found.end()
        self._at = 0

    def whole(self) -> Expression:
        found = self._binary(0)
        if self._at < len(self._tokens):
            self._fail("its end was expected")
        return found

    def _binary(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._single()
        left = self._binary(level + 1)
        while self._peek() in _LEVELS[level]:
            operator = self._take()
            on = self._labels() if self._accept("on") else None
            left = Binary(operator, left, self._binary(level + 1), on)
        return left

    def _single(self) -> Expression:
        if self._accept("("):
            inner = self._binary(0)
            self._expect(")")
            return inner
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        if kind == "number":
            return Number(float(self._take()))
        if kind != "name":
            self._fail("a value was expected")
        self._take()
        if text in AGGREGATIONS:
            return self._aggregation(text)
        if text in FUNCTIONS:
            return self._call(text)
        if self._peek() == "(":
            self._fail(f"{text} is not known here")
        return self._selector(text)

    def _aggregation(self, kind: str) -> Aggregation:
        by = self._labels() if self._accept("by") else ()
        self._expect("(")
        inner = self._binary(0)
        self._expect(")")
        return Aggregation(kind, by, inner)

    def _call(self, function: str) -> Call:
        self._expect("(")
        arguments = [self._binary(0)]
        while self._accept(","):
            arguments.append(self._binary(0))
        self._expect(")")
        return Call(function, tuple(arguments))

    def _selector(self, name: str) -> Selector:
        matchers = []
        if self._accept("{"):
            while not self._accept("}"):
                label, operator, text = self._take(), self._take(), self._take()
                if operator not in ("=", "!=", "=~", "!~") or not text.startswith('"'):
                    self._fail("a matcher was expected")
                matchers.append((label, operator, text[1:-1]))
                self._accept(",")
        seconds = 0.0
        if self._accept("["):
            text = self._take()
            if not re.fullmatch(r"\d+[smhd]", text):
                self._fail("a range was expected")
            seconds = float(text[:-1]) * _UNITS[text[-1]]
            self._expect("]")
        return Selector(name, tuple(matchers), seconds)

    def _labels(self) -> tuple[str, ...]:
        self._expect("(")
        labels = []
        while not self._accept(")"):
            labels.append(self._take())
            self._accept(",")
        return tuple(labels)

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        self._at += 1
        return (
            self._tokens[self._at - 1][1] if self._at <= len(self._tokens) else self._fail("it ends too soon")
        )

    def _accept(self, text: str) -> bool:
        if self._peek() != text:
            return False
        self._at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            self._fail(f"{text} was expected")

    def _fail(self, why: str) -> NoReturn:
        rest = " ".join(text for _, text in self._tokens[self._at :])
        raise ValueError(f"{self._text!r}: {why} at {rest[:40]!r}")

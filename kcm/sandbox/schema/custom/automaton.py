"""Does a text match a pattern? Answered in time that grows with the text alone, whatever the pattern.

A pattern becomes a list of steps, and the sets of steps that a text can be at become states, made
when they are first reached and kept: a known state costs one look-up a character. Nothing
backtracks, so that no pattern of a CustomResourceDefinition can hold the server up. A search, as the
real server does: an unanchored pattern may match anywhere. Guarantees: a compiled pattern has at
most `MOST_NODES` steps and keeps at most `_MOST_STATES` states, after which it forgets them.
"""

from __future__ import annotations

from functools import lru_cache

from kcm.sandbox.schema.custom.classes import Test
from kcm.sandbox.schema.custom.expressions import (
    MOST_NODES,
    Assertion,
    Char,
    Choice,
    Node,
    PatternError,
    Repeat,
    Sequence,
    parse,
)

_MOST_STATES = 2_000
_PATTERNS_KEPT = 1_024

# What a character is to an assertion; a text is between two ends.
_END, _LINE, _WORD, _OTHER = range(4)

_Step = tuple[Test | str | None, tuple[int, ...]]
_State = tuple[frozenset[int], int]


class Automaton:
    """A compiled pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._steps: list[_Step] = []
        self._last = self._add(None, ())
        self._first = self._build(parse(pattern), self._last)
        self._known: dict[tuple[_State, str], _State | None] = {}

    def matches(self, text: str) -> bool:
        """Say whether the pattern matches somewhere in the text."""
        state: _State = (frozenset((self._first,)), _END)
        for char in text:
            key = (state, char)
            if key in self._known:
                following = self._known[key]
            else:
                following = self._follow(state, char)
                if len(self._known) >= _MOST_STATES:
                    self._known.clear()
                self._known[key] = following
            if following is None:
                return True
            state = following
        return self._last in self._reach(state[0], state[1], _END)

    def _follow(self, state: _State, char: str) -> _State | None:
        """Return the state after a character; None when the pattern has matched before it."""
        kind = _kind(char)
        reached = self._reach(state[0], state[1], kind)
        if self._last in reached:
            return None
        ahead = {self._first}
        for index in reached:
            test, targets = self._steps[index]
            if test is not None and not isinstance(test, str) and test(char):
                ahead.update(targets)
        return frozenset(ahead), kind

    def _reach(self, begin: frozenset[int], before: int, after: int) -> set[int]:
        """Return the steps that can be reached between two characters without taking one."""
        reached: set[int] = set()
        waiting = list(begin)
        while waiting:
            index = waiting.pop()
            if index in reached:
                continue
            reached.add(index)
            test, targets = self._steps[index]
            if test is None or (isinstance(test, str) and _holds(test, before, after)):
                waiting.extend(targets)
        return reached

    def _add(self, test: Test | str | None, targets: tuple[int, ...]) -> int:
        if len(self._steps) >= MOST_NODES:
            raise PatternError("expression too large", self.pattern[:100])
        self._steps.append((test, targets))
        return len(self._steps) - 1

    def _build(self, node: Node, following: int) -> int:
        """Add the steps of a node that goes on to `following`; return where it begins."""
        match node:
            case Char(test):
                return self._add(test, (following,))
            case Assertion(kind):
                return self._add(kind, (following,))
            case Sequence(parts):
                for part in reversed(parts):
                    following = self._build(part, following)
                return following
            case Choice(options):
                return self._add(None, tuple(self._build(option, following) for option in options))
            case Repeat(inner, least, most):
                return self._repeat(inner, least, most, following)

    def _repeat(self, inner: Node, least: int, most: int | None, following: int) -> int:
        if most is None:
            loop = self._add(None, ())
            body = self._build(inner, loop)
            self._steps[loop] = (None, (body, following))
            following = loop
        else:
            after = following
            for _ in range(most - least):
                following = self._add(None, (self._build(inner, following), after))
        for _ in range(least):
            following = self._build(inner, following)
        return following


def _kind(char: str) -> int:
    if char == "\n":
        return _LINE
    return _WORD if char == "_" or (char.isascii() and char.isalnum()) else _OTHER


def _holds(assertion: str, before: int, after: int) -> bool:
    match assertion:
        case "^":
            return before == _END
        case "$":
            return after == _END
        case "(":
            return before in (_END, _LINE)
        case ")":
            return after in (_END, _LINE)
        case "b":
            return (before == _WORD) != (after == _WORD)
    return (before == _WORD) == (after == _WORD)


@lru_cache(maxsize=_PATTERNS_KEPT)
def compiled(pattern: str) -> Automaton:
    """Return the automaton of a pattern; PatternError when it is none."""
    return Automaton(pattern)

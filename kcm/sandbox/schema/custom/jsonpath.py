"""JSON paths of printer columns: `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`.

`parse_path` reads a path once, `Path.find` returns the values it leads to, missing ones left out.
Takes what kubectl's paths take: names, quoted names, `\\.`, indices, slices, `*`, `..name` and filters
with one comparison or none. Guarantees: bounded: `LONGEST` characters, and at most `MOST_FOUND`
values at any step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from kcm.base.errors import KcmError

LONGEST = 1024
MOST_FOUND = 1000

_Step = Callable[[Any], Iterable[Any]]

_NAME = re.compile(r"\.((?:[^.\[\]\\*{}]|\\.)+)")
_NAME_TEXT = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_QUOTED = re.compile(rf"\[\s*(?P<names>{_NAME_TEXT}(?:\s*,\s*{_NAME_TEXT})*)\s*\]")
_INDEX = re.compile(r"\[\s*(-?\d{1,9})\s*\]")
_SLICE = re.compile(r"\[\s*(-?\d{1,9})?\s*:\s*(-?\d{1,9})?\s*\]")
_FILTER = re.compile(
    r"\[\?\(\s*(?P<left>[^=!<>)]+?)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<right>.+?)\s*)?\)\]"
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
}


class PathError(KcmError):
    """The text is no JSON path."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path that was read."""

    steps: tuple[_Step, ...]

    def find(self, obj: Any) -> list[Any]:
        """Return the values at the path, in order."""
        found = [obj]
        for step in self.steps:
            found = [value for one in found for value in step(one)][:MOST_FOUND]
        return found


def parse_path(text: str) -> Path:
    """Return the path of a text like `.spec.replicas`; PathError when it cannot be read."""
    if len(text) > LONGEST:
        raise PathError(f"a JSON path may not be longer than {LONGEST} characters")
    steps: list[_Step] = []
    at = 0
    while at < len(text):
        step, at = _read_step(text, at)
        if step is not None:
            steps.append(step)
    return Path(tuple(steps))


def _read_step(text: str, at: int) -> tuple[_Step | None, int]:
    if text.startswith("..", at):
        found = _NAME.match(text, at + 1)
        if found is None:
            raise PathError(f"a name must follow .. in {text!r}")
        return _anywhere(_plain(found[1])), found.end()
    if text.startswith((".*", "[*]"), at):
        return _all, at + (2 if text[at] == "." else 3)
    if (found := _NAME.match(text, at)) is not None:
        return _named((_plain(found[1]),)), found.end()
    if (found := _QUOTED.match(text, at)) is not None:
        pieces = re.findall(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", found["names"])
        return _named(tuple(_plain(single or double) for single, double in pieces)), found.end()
    if (found := _INDEX.match(text, at)) is not None:
        return _indexed(int(found[1])), found.end()
    if (found := _SLICE.match(text, at)) is not None:
        return _sliced(*(int(number) if number else None for number in found.groups())), found.end()
    if (found := _FILTER.match(text, at)) is not None:
        return _filtered(found["left"], found["operator"], found["right"]), found.end()
    if text[at] == "." and (at + 1 == len(text) or text[at + 1] == "["):
        return None, at + 1
    raise PathError(f"cannot read {text[at : at + 40]!r} in {text!r}")


def _plain(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _named(names: tuple[str, ...]) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield from (value[name] for name in names if name in value)

    return step


def _all(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _indexed(index: int) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _sliced(first: int | None, last: int | None) -> _Step:
    return lambda value: value[first:last] if isinstance(value, list) else ()


def _anywhere(name: str) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        waiting, seen = [value], 0
        while waiting and seen < MOST_FOUND:
            seen += 1
            one = waiting.pop(0)
            if isinstance(one, dict):
                if name in one:
                    yield one[name]
                waiting.extend(one.values())
            elif isinstance(one, list):
                waiting.extend(one)

    return step


def _filtered(left: str, operator: str | None, right: str | None) -> _Step:
    read_left = _operand(left)
    read_right = _operand(right) if right else None
    compare = _COMPARISONS.get(operator or "")

    def passes(element: Any) -> bool:
        values = read_left(element)
        if compare is None or read_right is None:
            return bool(values)
        others = read_right(element)
        try:
            return bool(values) and bool(others) and compare(values[0], others[0])
        except TypeError:
            return False

    return lambda value: [one for one in _all(value) if passes(one)]


def _operand(text: str) -> Callable[[Any], list[Any]]:
    """Return what reads one side of a comparison: a path of the element, or a constant."""
    text = text.strip()
    if text.startswith("@"):
        return parse_path(text[1:]).find
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        constant: Any = _plain(text[1:-1])
    else:
        try:
            constant = json.loads(text)
        except ValueError:
            raise PathError(f"cannot compare with {text!r}") from None
    return lambda _: [constant]

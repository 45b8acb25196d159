"""Label selectors: the API's struct, the query text, and what they match.

A `Selector` is a conjunction of requirements. `!=` and `notin` also match objects without the
label (reference: apiserver §3). Guarantees: `Selector.parse` and `compile_selector` accept
what the API server accepts and raise ValueError with a reason for the rest; matching never fails.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import msgspec

from kcm.objects.metadata import Spec

Operator = Literal["in", "notin", "exists", "absent", "gt", "lt"]

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_OPERATORS: Mapping[str, Operator] = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "absent",
}


class SelectorRequirement(Spec, frozen=True):
    """`metav1.LabelSelectorRequirement`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(Spec, frozen=True):
    """`metav1.LabelSelector`."""

    match_labels: Mapping[str, str] = {}
    match_expressions: tuple[SelectorRequirement, ...] = ()


class Requirement(msgspec.Struct, frozen=True):
    """One test on one label."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "absent":
                return value is None
            case "gt" | "lt":
                return _compares(value, self.operator, next(iter(self.values)))


class Selector(msgspec.Struct, frozen=True):
    """All requirements must hold; none at all matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether all requirements hold for an object's labels."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    @staticmethod
    def parse(text: str) -> Selector:
        """Return the selector that a `labelSelector` query parameter describes."""
        return Selector(tuple(_parse_requirement(part) for part in _split(text)))


def compile_selector(selector: LabelSelector) -> Selector:
    """Return the matcher of an API selector; ValueError for one that the API would refuse."""
    requirements = [
        Requirement(key, "in", frozenset((value,))) for key, value in sorted(selector.match_labels.items())
    ]
    for expression in selector.match_expressions:
        operator = _OPERATORS.get(expression.operator)
        if operator is None:
            raise ValueError(f"{expression.operator!r} is not a valid label selector operator")
        if (operator in ("in", "notin")) != bool(expression.values):
            raise ValueError(f"operator {expression.operator} on {expression.key!r}: wrong number of values")
        requirements.append(Requirement(expression.key, operator, frozenset(expression.values)))
    for requirement in requirements:
        check_label_key(requirement.key)
        for value in requirement.values:
            check_label_value(value)
    return Selector(tuple(requirements))


def check_label_key(key: str) -> None:
    """Raise ValueError unless `key` is a qualified name."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        raise ValueError(f"label key {key[:80]!r}: prefix is not a DNS subdomain")
    if not _NAME.fullmatch(name):
        raise ValueError(f"label key {key[:80]!r} is not a qualified name")


def check_label_value(value: str) -> None:
    """Raise ValueError unless `value` is a label value (possibly empty)."""
    if value and not _NAME.fullmatch(value):
        raise ValueError(f"label value {value[:80]!r} is not valid")


def _compares(value: str | None, operator: str, bound: str) -> bool:
    if value is None or len(value) > 19:
        return False
    try:
        return int(value) > int(bound) if operator == "gt" else int(value) < int(bound)
    except ValueError:
        return False


def _split(text: str) -> list[str]:
    """Split at commas outside parentheses."""
    parts = re.findall(r"(?:[^,(]|\([^)]*\))+", text)
    return [part.strip() for part in parts if part.strip()]


_SET = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^)]*)\)")
_EQUALS = re.compile(r"(?P<key>[^=!<>\s]+)\s*(?P<operator>==|=|!=|>|<)\s*(?P<value>\S*)")
_EXISTS = re.compile(r"(?P<absent>!?)\s*(?P<key>[^=!<>\s()]+)")


@lru_cache(maxsize=1024)
def _parse_requirement(text: str) -> Requirement:
    requirement = _read_requirement(text)
    check_label_key(requirement.key)
    for value in requirement.values:
        check_label_value(value)
    return requirement


def _read_requirement(text: str) -> Requirement:
    if found := _SET.fullmatch(text):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], "in" if found["operator"] == "in" else "notin", values)
    if found := _EQUALS.fullmatch(text):
        value = frozenset((found["value"],))
        match found["operator"]:
            case "!=":
                return Requirement(found["key"], "notin", value)
            case ">":
                return Requirement(found["key"], "gt", value)
            case "<":
                return Requirement(found["key"], "lt", value)
            case _:
                return Requirement(found["key"], "in", value)
    if found := _EXISTS.fullmatch(text):
        return Requirement(found["key"], "absent" if found["absent"] else "exists")
    raise ValueError(f"unable to parse requirement: {text[:80]!r}")

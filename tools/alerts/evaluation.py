"""Expressions over samples of /metrics, and rules over time.

`Samples` holds what was scraped; `evaluate` gives an expression's series at a moment; `firing`
says which alerts have held for as long as they say. Rates are not extrapolated: what a range
does not hold is not guessed, so an alert that fires here fires on Prometheus at the latest one
scrape after.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tools.alerts.language import Aggregation, Binary, Call, Expression, Number, Selector, parse

Labels = frozenset[tuple[str, str]]
Series = dict[Labels, float]

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_REDUCE: Mapping[str, Callable[[Sequence[float]], float]] = {"sum": sum, "max": max, "min": min, "count": len}


@dataclass
class Samples:
    """What was scraped: for each name, for each label set, moments and values in order."""

    series: dict[str, dict[Labels, list[tuple[float, float]]]] = field(default_factory=dict)
    moments: list[float] = field(default_factory=list)
    _found: dict[Selector, list[tuple[Labels, list[tuple[float, float]]]]] = field(default_factory=dict)

    def add(self, now: float, name: str, labels: Mapping[str, str], value: float) -> None:
        """Take one sample; moments must rise."""
        if not self.moments or self.moments[-1] != now:
            self.moments.append(now)
        self.series.setdefault(name, {}).setdefault(frozenset(labels.items()), []).append((now, value))
        self._found.clear()

    def chosen(self, selector: Selector) -> list[tuple[Labels, list[tuple[float, float]]]]:
        """Return the series that a selector finds."""
        if selector not in self._found:
            self._found[selector] = [
                (labels, samples)
                for labels, samples in self.series.get(selector.name, {}).items()
                if _chooses(selector, dict(labels))
            ]
        return self._found[selector]


def within(values: list[tuple[float, float]], begin: float, end: float) -> list[float]:
    """Return the values of these moments, both included."""
    low, high = bisect_left(values, (begin, -math.inf)), bisect_right(values, (end, math.inf))
    return [value for _, value in values[low:high]]


def _chooses(selector: Selector, labels: Mapping[str, str]) -> bool:
    return all(_matches(labels.get(label, ""), how, text) for label, how, text in selector.matchers)


def _matches(value: str, how: str, text: str) -> bool:
    if how in ("=", "!="):
        return (value == text) == (how == "=")
    return (re.fullmatch(text, value) is not None) == (how == "=~")


def evaluate(expression: Expression, samples: Samples, now: float) -> Series:
    """Return an expression's series at a moment; a constant is the series without labels."""
    match expression:
        case Number(value=constant):
            return {frozenset(): constant}
        case Selector():
            # A series that the last scrape did not show has ended.
            at = bisect_right(samples.moments, now)
            last = samples.moments[at - 1] if at else -math.inf
            fresh = {labels: within(values, last, last) for labels, values in samples.chosen(expression)}
            return {labels: values[0] for labels, values in fresh.items() if values}
        case Aggregation(kind=kind, by=by, inner=inner):
            groups: dict[Labels, list[float]] = {}
            for labels, value in evaluate(inner, samples, now).items():
                groups.setdefault(_only(labels, by), []).append(value)
            return {labels: float(_REDUCE[kind](values)) for labels, values in groups.items()}
        case Call():
            return _call(expression, samples, now)
        case Binary():
            return _binary(expression, samples, now)


def _call(call: Call, samples: Samples, now: float) -> Series:
    if call.function == "absent":
        return {} if evaluate(call.arguments[0], samples, now) else {frozenset(): 1.0}
    if call.function == "histogram_quantile":
        quantile, buckets = (evaluate(each, samples, now) for each in call.arguments)
        return _quantiles(next(iter(quantile.values())), buckets)
    (selector,) = call.arguments
    if not isinstance(selector, Selector) or not selector.seconds:
        raise ValueError(f"{call.function} takes a range")
    found: Series = {}
    for labels, values in samples.chosen(selector):
        inside = within(values, now - selector.seconds, now)
        match call.function:
            case "min_over_time" if inside:
                found[labels] = min(inside)
            case "max_over_time" if inside:
                found[labels] = max(inside)
            case "increase" | "rate" if len(inside) > 1:
                rise = sum(_rise(*pair) for pair in itertools.pairwise(inside))
                found[labels] = rise if call.function == "increase" else rise / selector.seconds
    return found


def _rise(before: float, after: float) -> float:
    return after - before if after >= before else after


def _quantiles(quantile: float, buckets: Series) -> Series:
    groups: dict[Labels, list[tuple[float, float]]] = {}
    for labels, count in buckets.items():
        bound = float(dict(labels)["le"])
        groups.setdefault(frozenset(each for each in labels if each[0] != "le"), []).append((bound, count))
    return {
        labels: _quantile(quantile, sorted(bounds)) for labels, bounds in groups.items() if max(bounds)[1]
    }


def _quantile(quantile: float, bounds: list[tuple[float, float]]) -> float:
    rank = quantile * bounds[-1][1]
    low, below = 0.0, 0.0
    for bound, count in bounds:
        if count >= rank:
            share = (rank - below) / (count - below) if count > below else 1.0
            return low if math.isinf(bound) else low + (bound - low) * share
        low, below = bound, count
    return math.nan


def _binary(expression: Binary, samples: Samples, now: float) -> Series:
    left = evaluate(expression.left, samples, now)
    right = evaluate(expression.right, samples, now)
    if expression.operator == "or":
        return {**right, **left}
    if expression.operator == "and":
        there = {_only(labels, expression.on) for labels in right}
        return {labels: value for labels, value in left.items() if _only(labels, expression.on) in there}
    found: Series = {}
    constant = right.get(frozenset()) if isinstance(expression.right, Number) else None
    for labels, value in left.items():
        other = constant if constant is not None else right.get(labels)
        if other is not None:
            result = _apply(expression.operator, value, other)
            if result is not None:
                found[labels] = result
    return found


def _apply(sign: str, left: float, right: float) -> float | None:
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right if right else math.nan
    return left if _COMPARE[sign](left, right) else None


def _only(labels: Labels, names: Iterable[str] | None) -> Labels:
    if names is None:
        return labels
    wanted = frozenset(names)
    return frozenset(each for each in labels if each[0] in wanted)


@dataclass(frozen=True)
class Rule:
    """One alert: its name, its expression, for how many seconds it has to hold."""

    name: str
    expression: Expression
    holds: float = 0.0

    @staticmethod
    def read(rule: Mapping[str, str]) -> Rule:
        """Return a rule of a PrometheusRule."""
        holds = parse(f"x[{rule['for']}]") if rule.get("for") else Selector("x")
        assert isinstance(holds, Selector)
        return Rule(rule["alert"], parse(rule["expr"]), holds.seconds)


def firing(rules: Iterable[Rule], samples: Samples) -> set[str]:
    """Return the alerts that fired at any of the moments of the scrapes."""
    fired = set()
    for rule in rules:
        since: dict[Labels, float] = {}
        for now in samples.moments:
            holding = evaluate(rule.expression, samples, now)
            since = {labels: since.get(labels, now) for labels in holding}
            if any(now - begun >= rule.holds for begun in since.values()):
                fired.add(rule.name)
                break
    return fired

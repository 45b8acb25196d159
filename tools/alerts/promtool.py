"""Alerts and what was scraped, in the words of `promtool test rules`: so that the real engine judges them.

`unit_test` plays the series that some rules name and says which alerts must have fired by the end, and
that no other of those rules has; `query_test`, that each query finds something. A scrape goes to the
nearest place of an even grid, which is enough for scrapes that are never closer than its interval. Runs
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tools.alerts.evaluation import Labels, Rule, Samples, evaluate
from tools.alerts.language import Expression, parse, selectors


def rule_file(rules: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return what Prometheus reads, of the rules of a PrometheusRule."""
    return {"groups": [{"name": "kcm", "rules": list(rules)}]}


def unit_test(
    name: str, rules: Sequence[Rule], samples: Samples, fires: set[str], interval: int
) -> dict[str, Any]:
    """Return one test: by the end of the samples, these alerts have fired and the other rules' have not."""
    end = max(_slots(samples, interval).values()) * interval
    expected = [
        {
            "expr": f'max(max_over_time(ALERTS{{alertname="{rule.name}",alertstate="firing"}}[{end + 1}s]))',
            "eval_time": f"{end}s",
            "exp_samples": [{"labels": "{}", "value": 1}] if rule.name in fires else [],
        }
        for rule in rules
    ]
    return _test(name, [rule.expression for rule in rules], samples, expected, interval)


def query_test(name: str, queries: Iterable[str], samples: Samples, interval: int) -> dict[str, Any]:
    """Return one test: each query finds something where, last of all scrapes, it does so here."""
    slots = _slots(samples, interval)
    expressions = {query: parse(query) for query in queries}
    expected = []
    for query, expression in expressions.items():
        found = (moment for moment in reversed(samples.moments) if evaluate(expression, samples, moment))
        at = slots[next(found, samples.moments[-1])] * interval
        something = {"labels": "{}", "value": 1}
        expected.append(
            {"expr": f"count({query}) > bool 0", "eval_time": f"{at}s", "exp_samples": [something]}
        )
    return _test(name, list(expressions.values()), samples, expected, interval)


def _test(
    name: str,
    expressions: Iterable[Expression],
    samples: Samples,
    expected: list[dict[str, Any]],
    interval: int,
) -> dict[str, Any]:
    slots = _slots(samples, interval)
    series = [
        {"series": _series(metric, labels), "values": _values(values, slots)}
        for metric in sorted({each.name for expression in expressions for each in selectors(expression)})
        for labels, values in samples.series.get(metric, {}).items()
    ]
    return {"name": name, "interval": f"{interval}s", "input_series": series, "promql_expr_test": expected}


def _slots(samples: Samples, interval: int) -> dict[float, int]:
    """Return the place of each scrape on an even grid."""
    return {moment: round((moment - samples.moments[0]) / interval) for moment in samples.moments}


def _values(values: Iterable[tuple[float, float]], slots: Mapping[float, int]) -> str:
    """Return a series as promtool wants it: `stale` where a scrape shows it no more, `_`: no scrape."""
    words = ["_"] * (max(slots.values()) + 1)
    shown = {slots[moment]: value for moment, value in values}
    scraped = set(slots.values())
    there = False
    for slot in range(len(words)):
        if slot in shown:
            words[slot], there = repr(shown[slot]), True
        elif slot in scraped and there:
            words[slot], there = "stale", False
    return " ".join(words)


def _series(name: str, labels: Labels) -> str:
    inner = ",".join(f"{label}={json.dumps(text)}" for label, text in sorted(labels))
    return f"{name}{{{inner}}}"

"""Alerts and what was scraped, in the words of `promtool test rules`: so that the real engine judges them.

`unit_test` plays the series that some rules name and says which alerts must have fired by the end, and
that no other of those rules has. A scrape goes to the nearest place of an even grid, which is enough for
scrapes that are never closer than its interval. Runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tools.alerts.evaluation import Labels, Rule, Samples
from tools.alerts.language import selectors


def rule_file(rules: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return what Prometheus reads, of the rules of a PrometheusRule."""
    return {"groups": [{"name": "kcm", "rules": list(rules)}]}


def unit_test(
    name: str, rules: Sequence[Rule], samples: Samples, fires: set[str], interval: int
) -> dict[str, Any]:
    """Return one test: by the end of the samples, these alerts have fired and the other rules' have not."""
    names = {each.name for rule in rules for each in selectors(rule.expression)}
    slots = {moment: round((moment - samples.moments[0]) / interval) for moment in samples.moments}
    end = max(slots.values()) * interval
    series = [
        {"series": _series(metric, labels), "values": _values(values, slots)}
        for metric in sorted(names)
        for labels, values in samples.series.get(metric, {}).items()
    ]
    expected = [
        {
            "expr": f'max(max_over_time(ALERTS{{alertname="{rule.name}",alertstate="firing"}}[{end + 1}s]))',
            "eval_time": f"{end}s",
            "exp_samples": [{"labels": "{}", "value": 1}] if rule.name in fires else [],
        }
        for rule in rules
    ]
    return {"name": name, "interval": f"{interval}s", "input_series": series, "promql_expr_test": expected}


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

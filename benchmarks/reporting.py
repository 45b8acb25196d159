"""What a benchmark found: a table for people and one line of JSON for machines."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

Number = float | int


@dataclass(frozen=True, slots=True)
class Row:
    """One number. `spread` is what the repetitions gave; `most`/`least` is the target."""

    key: str
    text: str
    value: Number
    unit: str = ""
    most: Number | None = None
    least: Number | None = None
    spread: tuple[Number, ...] = ()

    @property
    def verdict(self) -> str:
        """Return the target and whether it was met; "" without one."""
        if self.most is not None:
            return f"<= {self.most:g}: {'met' if self.value <= self.most else 'MISSED'}"
        if self.least is not None:
            return f">= {self.least:g}: {'met' if self.value >= self.least else 'MISSED'}"
        return ""


@dataclass(slots=True)
class Report:
    """All rows of one benchmark, in order; `facts` are the circumstances."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)

    def add(
        self,
        key: str,
        text: str,
        values: Number | Sequence[Number],
        unit: str = "",
        *,
        most: Number | None = None,
        least: Number | None = None,
    ) -> None:
        """Add a number, or the median of several."""
        if isinstance(values, (int, float)):
            self.rows.append(Row(key, text, values, unit, most, least))
            return
        spread = tuple(values) if len(values) > 1 else ()
        self.rows.append(Row(key, text, statistics.median(values), unit, most, least, spread))

    def table(self) -> str:
        """Return the table."""
        facts = ", ".join(f"{name} {_short(value)}" for name, value in self.facts.items())
        lines = [f"\n{self.title}" + (f" ({facts})" if facts else "")]
        for row in self.rows:
            spread = f"[{' '.join(_short(value) for value in row.spread)}]" if row.spread else ""
            lines.append(
                f"  {row.text:<62}{_short(row.value):>10} {row.unit:<8} {row.verdict:<18} {spread}".rstrip()
            )
        return "\n".join(lines)

    def line(self) -> str:
        """Return the line of JSON."""
        numbers = {row.key: _rounded(row.value) for row in self.rows}
        missed = [row.key for row in self.rows if row.verdict.endswith("MISSED")]
        spread = {row.key: [_rounded(value) for value in row.spread] for row in self.rows if row.spread}
        whole = {"benchmark": self.name, **self.facts, **numbers, "missed": missed, "spread": spread}
        return json.dumps(whole)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the values lie, by nearest rank."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def _rounded(value: Number) -> Number:
    return value if isinstance(value, int) else float(f"{value:.4g}")


def _short(value: object) -> str:
    match value:
        case float() if abs(value) >= 1000:
            return f"{value:.0f}"
        case float():
            return f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"
        case _:
            return str(value)

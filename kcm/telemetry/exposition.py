"""All processes' metrics as one Prometheus page.

The manager gives its own `Metrics` and the snapshots that hosts send. Guarantees: counters and
histograms are summed over processes and never go back, however often a host is restarted (what
a dead epoch had counted is kept); gauges of a dead host are gone; a snapshot that is malformed,
too large or contradicts a known type is a ValueError and changes nothing.

The label `process` is added to families whose name begins with `kcm_process_`, which describe a
process and mean nothing summed, and to a gauge that two live processes report with equal
labels: adding up gauges blindly would show a number that nobody measured. All other families
have the labels that their instrument declared. The exposition owns the merged state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric

from kcm.telemetry.families import Family, Labels, Sample, decode_families
from kcm.telemetry.metrics import Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PER_PROCESS = "kcm_process_"
MOST_PROCESSES = 256
MOST_KEPT = 50_000

Series = tuple[str, Labels]
_LOST = "kcm_metrics_series_lost"


class _Sum:
    """One family's values, summed over whatever was added."""

    __slots__ = ("help", "kind", "values")

    def __init__(self, kind: str, help: str, values: Mapping[Series, float] | None = None) -> None:
        self.kind = kind
        self.help = help
        self.values: dict[Series, float] = dict(values or {})


class Exposition:
    """Merges and renders."""

    def __init__(self) -> None:
        self._own: tuple[str, Metrics] | None = None
        self._epochs: dict[str, int] = {}
        self._live: dict[str, dict[str, Family]] = {}
        self._kept: dict[str, _Sum] = {}
        self._kept_count = 0
        self._lost = 0

    def own(self, metrics: Metrics, process: str = "manager") -> None:
        """Read this process's instruments whenever the page is rendered."""
        self._own = (process, metrics)

    def update(self, process: str, epoch: int, snapshot: bytes) -> None:
        """Take a host's snapshot; ValueError when it is none. One from a past epoch is ignored.

        A higher epoch than before means that the host was restarted and counts from zero.
        """
        known = self._epochs.get(process, epoch)
        if epoch < known:
            return
        if process not in self._epochs and len(self._epochs) >= MOST_PROCESSES:
            raise ValueError(f"more than {MOST_PROCESSES} processes report metrics")
        families = {family.name: family for family in decode_families(snapshot)}
        self._check_kinds(process, families)
        same_epoch = families if epoch == known else {}
        self._retire(process, self._live.get(process, {}), same_epoch)
        self._epochs[process] = epoch
        self._live[process] = families

    def drop(self, process: str) -> None:
        """Forget a dead host's gauges and keep what it had counted; its late snapshots are ignored."""
        if process in self._epochs:
            self._epochs[process] += 1
        self._retire(process, self._live.pop(process, {}), {})

    def render(self, prefix: str = "") -> bytes:
        """Return the page, families in the order of their names; with `prefix`, those so called."""
        sums = {name: each for name, each in self._merged().items() if name.startswith(prefix)}
        if self._lost and not prefix:
            text = "Series of ended processes that there was no room to keep."
            sums[_LOST] = _Sum("gauge", text, {(_LOST, ()): float(self._lost)})
        return generate_latest(_Page(sums))

    def _merged(self) -> dict[str, _Sum]:
        current = [(process, tuple(families.values())) for process, families in self._live.items()]
        if self._own is not None:
            process, metrics = self._own
            current.insert(0, (process, metrics.read()))
        clashing = _clashing_gauges(current)
        sums = {name: _Sum(kept.kind, kept.help, kept.values) for name, kept in self._kept.items()}
        for process, families in current:
            for family in families:
                into = sums.setdefault(family.name, _Sum(family.kind, family.help))
                # Another kind can only come from an instrument of ours that is younger than a host's.
                if into.kind == family.kind:
                    for series, value in _series(process, family, family.name in clashing):
                        into.values[series] = into.values.get(series, 0.0) + value
        return sums

    def _check_kinds(self, process: str, families: Mapping[str, Family]) -> None:
        known = self._own[1].kinds() if self._own else {}
        known.update((name, kept.kind) for name, kept in self._kept.items())
        for other, reported in self._live.items():
            if other != process:
                known.update((name, family.kind) for name, family in reported.items())
        for name, family in families.items():
            if known.get(name, family.kind) != family.kind:
                raise ValueError(f"metric {name} is a {family.kind} here and a {known[name]} elsewhere")

    def _retire(self, process: str, before: Mapping[str, Family], now: Mapping[str, Family]) -> None:
        """Keep what `before` had counted and `now` no longer holds."""
        for name, family in before.items():
            if family.kind == "gauge":
                continue
            kept = self._kept.get(name) or _Sum(family.kind, family.help)
            for series, value in _series(process, _ended(family, now.get(name)), False):
                if series not in kept.values:
                    if self._kept_count >= MOST_KEPT:
                        self._lost += 1
                        continue
                    self._kept_count += 1
                kept.values[series] = kept.values.get(series, 0.0) + value
            if kept.values:
                self._kept[name] = kept


def _ended(before: Family, now: Family | None) -> Family:
    """Return the samples of `before` that were reset: fell, or are gone. All, if `now` is None."""
    if now is None:
        return before
    values = {(sample.name, sample.labels): sample.value for sample in now.samples}

    def fell(sample: Sample) -> bool:
        # A sum may fall when something negative is observed; its count tells whether it was reset.
        judge = f"{before.name}_count" if sample.name == f"{before.name}_sum" else sample.name
        if judge == sample.name:
            return values.get((judge, sample.labels), -1.0) < sample.value
        return values.get((judge, sample.labels), -1.0) < counts.get(sample.labels, 0.0)

    counts = {sample.labels: sample.value for sample in before.samples if sample.name.endswith("_count")}
    return Family(before.name, before.kind, before.help, tuple(filter(fell, before.samples)))


def _series(process: str, family: Family, clashing: bool) -> Iterator[tuple[Series, float]]:
    added = (("process", process),) if clashing or family.name.startswith(PER_PROCESS) else ()
    for name, labels, value in family.samples:
        # An instrument that has a label of that name has already said whose number it is.
        named = added and not any(label == "process" for label, _ in labels)
        yield (name, labels + added if named else labels), value


def _clashing_gauges(current: Iterable[tuple[str, tuple[Family, ...]]]) -> set[str]:
    """Return the gauges of which two processes report the same series."""
    seen: set[Series] = set()
    clashing: set[str] = set()
    for _, families in current:
        for family in families:
            if family.kind == "gauge":
                series = {(sample.name, sample.labels) for sample in family.samples}
                if not seen.isdisjoint(series):
                    clashing.add(family.name)
                seen |= series
    return clashing


class _Page:
    """What prometheus_client renders: the merged families as its own."""

    def __init__(self, sums: Mapping[str, _Sum]) -> None:
        self._sums = sums

    def collect(self) -> Iterator[Metric]:
        for name in sorted(self._sums):
            family = self._sums[name]
            metric = Metric(
                name.removesuffix("_total") if family.kind == "counter" else name, family.help, family.kind
            )
            for (sample, labels), value in family.values.items():
                metric.add_sample(sample, dict(labels), value)
            yield metric

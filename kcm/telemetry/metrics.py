"""One process's instruments, and what they read now as a bounded value.

`Metrics` hands out prometheus_client counters, gauges and histograms on a registry of its own;
`read` lists their samples as `Family` values and `snapshot` as the JSON that a host sends to
the manager (prometheus_client's own multi-process mode is not used; reference: peers 4).
Guarantees: asking twice for a name gives the same instrument; a snapshot is bounded, samples
over the bound are counted in kcm_metrics_samples_dropped, not silently lost; the CPU time and
memory of the process are always in it. Does not merge processes: see
`kcm.telemetry.exposition`. The registry owns the values.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Iterator, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kcm.telemetry import logging
from kcm.telemetry.families import (
    MOST_FAMILIES,
    MOST_HELP,
    MOST_LABEL_TEXT,
    MOST_SAMPLES,
    Family,
    Sample,
    encode_families,
)

# Wide enough for an API call and for a reconcile that waits on several. Seconds.
DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_DROPPED = "kcm_metrics_samples_dropped"
_PAGE = resource.getpagesize()

T = TypeVar("T", bound=MetricWrapperBase)


class Metrics:
    """The instruments of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._known: dict[str, tuple[MetricWrapperBase, tuple[str, ...]]] = {}
        self._registry.register(_ProcessCollector())

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """Return the counter `name`; it is shown with "_total" at its end, added where missing."""
        return self._same(Counter, name, labels) or self._keep(
            name, labels, Counter(name, help, labels, registry=self._registry)
        )

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Gauge:
        """Return the gauge `name`. Whether it gets a process label: see `kcm.telemetry.exposition`."""
        return self._same(Gauge, name, labels) or self._keep(
            name, labels, Gauge(name, help, labels, registry=self._registry)
        )

    def histogram(
        self, name: str, help: str, labels: Sequence[str] = (), buckets: Sequence[float] = DEFAULT_BUCKETS
    ) -> Histogram:
        """Return the histogram `name`; `buckets` are upper bounds, +Inf is added."""
        return self._same(Histogram, name, labels) or self._keep(
            name, labels, Histogram(name, help, labels, registry=self._registry, buckets=buckets)
        )

    def read(self) -> tuple[Family, ...]:
        """Return every sample as it is now, bounded as `kcm.telemetry.families` demands."""
        families: list[Family] = []
        dropped = 0
        room = MOST_SAMPLES - 1
        for metric in self._registry.collect():
            samples = tuple(_samples_of(metric))
            kept = samples[:room] if len(families) < MOST_FAMILIES - 1 else ()
            dropped += len(samples) - len(kept)
            room -= len(kept)
            if kept:
                families.append(
                    Family(_shown_name(metric), metric.type, metric.documentation[:MOST_HELP], kept)
                )
        if dropped:
            sample = Sample(_DROPPED, (), float(dropped))
            families.append(Family(_DROPPED, "gauge", "Samples over the bound of a snapshot.", (sample,)))
        return tuple(families)

    def kinds(self) -> dict[str, str]:
        """Return the type of each instrument, by the name that it is shown with."""
        return {
            _shown_name(metric): metric.type
            for instrument, _ in self._known.values()
            for metric in instrument.describe()
        }

    def snapshot(self) -> bytes:
        """Return `read()` as JSON for `Exposition.update`."""
        return encode_families(self.read())

    def _same(self, kind: type[T], name: str, labels: Sequence[str]) -> T | None:
        if name not in self._known:
            return None
        instrument, declared = self._known[name]
        if not isinstance(instrument, kind) or declared != tuple(labels):
            raise ValueError(f"metric {name} exists already with another type or other labels")
        return instrument

    def _keep(self, name: str, labels: Sequence[str], instrument: T) -> T:
        self._known[name] = (instrument, tuple(labels))
        return instrument


class _ProcessCollector(Collector):
    """What this process costs, read when asked."""

    def collect(self) -> Iterator[Metric]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        yield CounterMetricFamily(
            "kcm_process_cpu_seconds", "CPU time used, user and system.", value=used.ru_utime + used.ru_stime
        )
        yield GaugeMetricFamily(
            "kcm_process_resident_memory_bytes",
            "Memory in RAM, pages shared with other processes included.",
            value=_resident_bytes(used.ru_maxrss),
        )
        yield CounterMetricFamily(
            "kcm_log_lines_dropped",
            "Log lines that were given up because nobody reads them or the disk is full.",
            value=logging.dropped(),
        )


def _resident_bytes(peak_kib: int) -> float:
    try:
        with open("/proc/self/statm", "rb") as statm:
            return float(int(statm.read(256).split()[1]) * _PAGE)
    except (OSError, ValueError, IndexError):
        # No /proc: the peak is the nearest thing that the machine tells.
        return float(peak_kib * 1024)


def _shown_name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _samples_of(metric: Metric) -> Iterator[Sample]:
    for sample in metric.samples:
        # _created series would double the number of series for a time that nobody reads.
        if sample.name.endswith("_created") and sample.name != metric.name:
            continue
        if not math.isfinite(sample.value):
            continue
        labels = tuple((name, _label_text(value)) for name, value in sample.labels.items())
        yield Sample(sample.name, labels, sample.value)


def _label_text(value: str) -> str:
    # A lone surrogate cannot be written as UTF-8; one such label would cost the whole snapshot.
    plain = value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    return plain[:MOST_LABEL_TEXT]

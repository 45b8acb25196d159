"""One process's instruments, and what they read now as a bounded value.

`Metrics` hands out counters, gauges and histograms; `read` lists their samples as `Family`
values and `snapshot` as the JSON that a host sends to the manager. Guarantees: asking twice for
a name gives the same instrument; a snapshot is bounded, samples over the bound are counted in
kcm_metrics_samples_dropped, not silently lost; the CPU time and memory of the process are always
in it. Does not merge processes: see `kcm.telemetry.exposition`. `Metrics` owns the instruments.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Sequence
from typing import TypeVar

from kcm.telemetry.families import (
    MOST_FAMILIES,
    MOST_HELP,
    MOST_SAMPLES,
    Family,
    Sample,
    encode_families,
)
from kcm.telemetry.instruments import Counter, Gauge, Histogram, Instrument

__all__ = ["DEFAULT_BUCKETS", "Counter", "Gauge", "Histogram", "Metrics"]

# Wide enough for an API call and for a reconcile that waits on several. Seconds.
DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_DROPPED = "kcm_metrics_samples_dropped"
_PAGE = resource.getpagesize()

T = TypeVar("T", bound=Instrument)


class Metrics:
    """The instruments of one process."""

    def __init__(self) -> None:
        self._known: dict[str, Instrument] = {}

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """Return the counter `name`; it is shown with "_total" at its end, added where missing."""
        return self._same(Counter, name, labels) or self._keep(name, Counter(name, help, labels))

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Gauge:
        """Return the gauge `name`. Whether it gets a process label: see `kcm.telemetry.exposition`."""
        return self._same(Gauge, name, labels) or self._keep(name, Gauge(name, help, labels))

    def histogram(
        self, name: str, help: str, labels: Sequence[str] = (), buckets: Sequence[float] = DEFAULT_BUCKETS
    ) -> Histogram:
        """Return the histogram `name`; `buckets` are upper bounds, +Inf is added."""
        return self._same(Histogram, name, labels) or self._keep(name, Histogram(name, help, labels, buckets))

    def read(self) -> tuple[Family, ...]:
        """Return every sample as it is now, bounded as `kcm.telemetry.families` demands."""
        families = list(_process_families())
        room = MOST_SAMPLES - len(families) - 1
        dropped = 0
        for instrument in self._known.values():
            samples = tuple(sample for sample in instrument.samples() if math.isfinite(sample.value))
            kept = samples[:room] if len(families) < MOST_FAMILIES - 1 else ()
            dropped += len(samples) - len(kept)
            room -= len(kept)
            if kept:
                families.append(Family(instrument.name, instrument.kind, instrument.help[:MOST_HELP], kept))
        if dropped:
            sample = Sample(_DROPPED, (), float(dropped))
            families.append(Family(_DROPPED, "gauge", "Samples over the bound of a snapshot.", (sample,)))
        return tuple(families)

    def kinds(self) -> dict[str, str]:
        """Return the type of each instrument, by the name that it is shown with."""
        return {instrument.name: instrument.kind for instrument in self._known.values()}

    def snapshot(self) -> bytes:
        """Return `read()` as JSON for `Exposition.update`."""
        return encode_families(self.read())

    def _same(self, kind: type[T], name: str, labels: Sequence[str]) -> T | None:
        known = self._known.get(name)
        if known is None:
            return None
        if not isinstance(known, kind) or known.label_names != tuple(labels):
            raise ValueError(f"metric {name} exists already with another type or other labels")
        return known

    def _keep(self, name: str, instrument: T) -> T:
        if instrument.name in self.kinds():
            raise ValueError(f"metric {instrument.name} exists already under another spelling")
        self._known[name] = instrument
        return instrument


def _process_families() -> tuple[Family, ...]:
    """Return what this process costs now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = Sample("kcm_process_cpu_seconds_total", (), used.ru_utime + used.ru_stime)
    memory = Sample("kcm_process_resident_memory_bytes", (), _resident_bytes(used.ru_maxrss))
    return (
        Family(cpu.name, "counter", "CPU time used, user and system.", (cpu,)),
        Family(memory.name, "gauge", "Memory in RAM, pages shared with other processes included.", (memory,)),
    )


def _resident_bytes(peak_kib: int) -> float:
    try:
        with open("/proc/self/statm", "rb") as statm:
            return float(int(statm.read(256).split()[1]) * _PAGE)
    except (OSError, ValueError, IndexError):
        # No /proc: the peak is the nearest thing that the machine tells.
        return float(peak_kib * 1024)

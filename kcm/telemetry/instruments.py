"""Counters, gauges and histograms.

They are used as prometheus_client's are (`labels`, `inc`, `dec`, `set`, `observe`) but are our
own: importing that package loads an HTTP server and a WSGI stack, 3.7 MiB in every process, and
reading its registry costs five times as much. Guarantees: an update is a dictionary look-up at
most; the number of series of an instrument is bounded, values over the bound are counted under
the label value `exceeded_cardinality_limit`, so that sums stay right. Made for one thread, the
event loop's. Each instrument owns its values.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TypeVar

from kcm.telemetry.families import MOST_LABEL_TEXT, MOST_LABELS, Labels, Sample, possible_label, possible_name

MOST_CHILDREN = 1000
OVERFLOW = "exceeded_cardinality_limit"

T = TypeVar("T", bound="Instrument")


class Instrument:
    """What the three have in common: a name, label names, and one child for each label values."""

    kind = ""

    def __init__(self, name: str, help: str, labels: Sequence[str] = ()) -> None:
        """ValueError for names that Prometheus does not take."""
        if not possible_name(name):
            raise ValueError(f"{name!r} is no name for a metric")
        if len(labels) > MOST_LABELS or len(set(labels)) != len(labels):
            raise ValueError(f"metric {name} has too many labels, or one twice")
        for label in labels:
            if not possible_label(label):
                raise ValueError(f"metric {name} cannot have the label {label!r}")
        self.name = name
        self.help = help
        self.label_names = tuple(labels)
        self._children: dict[tuple[str, ...], Instrument] = {}

    def labels(self: T, *values: object, **named: object) -> T:
        """Return the child for these label values; ValueError when their number or names do not fit."""
        if named:
            if values or named.keys() != set(self.label_names):
                raise ValueError(f"metric {self.name} has the labels {', '.join(self.label_names)}")
            values = tuple(named[name] for name in self.label_names)
        if len(values) != len(self.label_names) or not values:
            raise ValueError(f"metric {self.name} has {len(self.label_names)} labels, not {len(values)}")
        key = tuple(_label_text(value) for value in values)
        child = self._children.get(key)
        if child is None:
            if len(self._children) >= MOST_CHILDREN:
                key = (OVERFLOW,) * len(key)
            child = self._children.get(key) or self._new_child()
            self._children[key] = child
        return child  # type: ignore[return-value]  # _new_child makes children of the own class

    def samples(self) -> Iterator[Sample]:
        """Return the values as they are now, in the order in which the children were made."""
        if not self.label_names:
            yield from self._read(())
        for values, child in self._children.items():
            yield from child._read(tuple(zip(self.label_names, values, strict=True)))

    def _new_child(self) -> Instrument:
        child = type(self).__new__(type(self))
        child.__dict__.update(self.__dict__, label_names=(), _children={})
        child._reset()
        return child

    def _reset(self) -> None:
        raise NotImplementedError

    def _read(self, labels: Labels) -> Iterator[Sample]:
        raise NotImplementedError

    def _check_alone(self) -> None:
        if self.label_names:
            raise ValueError(f"metric {self.name} has labels: use labels(...) first")


class Counter(Instrument):
    """A number that only rises. Its name ends in "_total"; that is added where it is missing."""

    kind = "counter"

    def __init__(self, name: str, help: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name if name.endswith("_total") else f"{name}_total", help, labels)
        self._reset()

    def inc(self, amount: float = 1.0) -> None:
        """Add; ValueError for a negative amount."""
        if amount < 0 or self.label_names:
            self._check_alone()
            raise ValueError(f"metric {self.name} only rises")
        self._value += amount

    def _reset(self) -> None:
        self._value = 0.0

    def _read(self, labels: Labels) -> Iterator[Sample]:
        yield Sample(self.name, labels, self._value)


class Gauge(Instrument):
    """A number that goes up and down."""

    kind = "gauge"

    def __init__(self, name: str, help: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, help, labels)
        self._reset()

    def set(self, value: float) -> None:
        """Make it `value`."""
        if self.label_names:
            self._check_alone()
        self._value = float(value)

    def inc(self, amount: float = 1.0) -> None:
        """Add."""
        self.set(self._value + amount)

    def dec(self, amount: float = 1.0) -> None:
        """Subtract."""
        self.set(self._value - amount)

    def _reset(self) -> None:
        self._value = 0.0

    def _read(self, labels: Labels) -> Iterator[Sample]:
        yield Sample(self.name, labels, self._value)


class Histogram(Instrument):
    """How often what was observed was how large."""

    kind = "histogram"

    def __init__(self, name: str, help: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        """`buckets` are rising upper bounds; +Inf is added."""
        super().__init__(name, help, labels)
        self.bounds = tuple(float(bound) for bound in buckets if bound != float("inf"))
        if not self.bounds or any(a >= b for a, b in zip(self.bounds, self.bounds[1:], strict=False)):
            raise ValueError(f"metric {name} needs rising buckets")
        self._names = (*(str(bound) for bound in self.bounds), "+Inf")
        self._reset()

    def observe(self, value: float) -> None:
        """Count `value` in its bucket."""
        if self.label_names:
            self._check_alone()
        self._counts[bisect_left(self.bounds, value)] += 1
        self._sum += value

    def _reset(self) -> None:
        self._counts = [0] * (len(self.bounds) + 1)
        self._sum = 0.0

    def _read(self, labels: Labels) -> Iterator[Sample]:
        so_far = 0
        for name, count in zip(self._names, self._counts, strict=True):
            so_far += count
            yield Sample(f"{self.name}_bucket", (*labels, ("le", name)), float(so_far))
        yield Sample(f"{self.name}_count", labels, float(so_far))
        yield Sample(f"{self.name}_sum", labels, self._sum)


def _label_text(value: object) -> str:
    text = value if type(value) is str else str(value)
    if not text.isascii():
        # A lone surrogate cannot be written as UTF-8; one such label would cost the whole snapshot.
        text = text.encode("utf-8", "backslashreplace").decode()
    return text[:MOST_LABEL_TEXT]

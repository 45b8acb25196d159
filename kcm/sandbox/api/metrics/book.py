"""Values that somebody set: custom metrics of objects, external metrics, loads of workloads.

The `Book` is filled over the admin path (`admin.py`) and from a file (`document.py`), each of
which owns its own page: replacing the file's values leaves those set by hand, which win.
Guarantees: bounded (`MOST` values a page); a value knows when it was set, from which its
shape counts. Owns the values; annotations on objects are read where they stand, by `custom.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kcm.base.clock import Clock
from kcm.base.errors import KcmError
from kcm.sandbox.api.metrics.shapes import Shape

MOST = 10_000

Source = Literal["admin", "file", "annotation"]


@dataclass(frozen=True, slots=True)
class ExternalKey:
    """An external series. `namespace` "" means every namespace; `labels` are sorted pairs."""

    name: str
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CustomKey:
    """A series about one object, or (`name` "*") about each object of that resource.

    `resource` is written as in the API's paths: "pods", "deployments.apps". `namespace` "" is for
    what belongs to none.
    """

    resource: str
    namespace: str
    name: str
    metric: str
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LoadKey:
    """What a workload has to carry: `resource` is its plural, `metric` is cpu, memory or any name."""

    resource: str
    namespace: str
    name: str
    metric: str


Key = ExternalKey | CustomKey | LoadKey


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and since when it counts (monotonic seconds)."""

    shape: Shape
    since: float


class BookFull(KcmError):
    """No more values are kept."""


@dataclass(slots=True)
class Book:
    """All values by source. `changed` counts changes, so that a reader can tell."""

    clock: Clock
    speed: float = 1.0
    changed: int = 0
    _pages: dict[Source, dict[Key, Entry]] = field(
        default_factory=lambda: {"annotation": {}, "file": {}, "admin": {}}
    )

    def put(self, source: Source, key: Key, shape: Shape) -> None:
        """Set a value; the same shape set again goes on. BookFull when there are too many."""
        page = self._pages[source]
        old = page.get(key)
        if old is not None and old.shape == shape:
            return
        if old is None and len(page) >= MOST:
            raise BookFull(f"more than {MOST} values: take some away first")
        page[key] = Entry(shape, self.clock.monotonic())
        self.changed += 1

    def drop(self, source: Source, key: Key) -> bool:
        """Take a value away; say whether it was there."""
        if self._pages[source].pop(key, None) is None:
            return False
        self.changed += 1
        return True

    def replace(self, source: Source, values: Mapping[Key, Shape]) -> None:
        """Make these the values of a source; those that stay the same go on."""
        for key in [key for key in self._pages[source] if key not in values]:
            self.drop(source, key)
        for key, shape in values.items():
            self.put(source, key, shape)

    def page(self, source: Source) -> Mapping[Key, Entry]:
        """Return what a source has set."""
        return self._pages[source]

    def entries(self) -> Iterator[tuple[Key, Entry]]:
        """Yield every value; what was set by hand wins over the file, and that over annotations."""
        merged: dict[Key, Entry] = {}
        for page in self._pages.values():
            merged |= page
        yield from merged.items()

    def value(self, entry: Entry) -> float:
        """Return what an entry is worth now."""
        return entry.shape.at((self.clock.monotonic() - entry.since) * self.speed)


def sorted_labels(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return labels as part of a key."""
    return tuple(sorted(labels.items()))

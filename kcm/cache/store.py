"""The manager's copy of one watch: compact objects by key, and how far they are current.

The reflector is its only writer. Guarantees: `version` (the position: every change up to it is
in the store) never goes back, except by a Replace that says the server itself went back; an
event that is not newer than the position is dropped and counted; sinks hear of every change in
order, and a new sink is first given all there is. A bad object keeps its last readable state
until it can be read again or is gone. Objects are bytes: nothing here decodes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from kcm.base.clock import Clock
from kcm.cache.changes import BAD, DELETE, SET, BadItem, Change
from kcm.objects.versions import newer

_decode_bad = msgspec.json.Decoder(BadItem).decode


class Sink(Protocol):
    """One reader of a store. Called in order, from the reflector; must not wait."""

    def replaced(self, store: Store, rolled_back: bool) -> None:
        """Everything is new: look into the store. `rolled_back`: the server's state went back in time."""
        ...

    def changed(self, changes: Sequence[Change], version: str) -> None:
        """These changes came, in this order; the position is `version` now."""
        ...

    def progressed(self, version: str) -> None:
        """Nothing changed up to `version`."""
        ...


class StoreCounts(msgspec.Struct, frozen=True, rename="camel"):
    """What /statusz shows of a store. `age` is seconds since anything was heard, None before."""

    objects: int
    bad: int
    stale_dropped: int
    version: str
    age: float | None


class Store:
    """Compact objects by key text ("namespace/name")."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bodies: dict[str, bytes] = {}
        self._bad: dict[str, bytes] = {}
        self._version = ""
        self._epoch = 0
        self._stale = 0
        self._heard: float | None = None
        self._sinks: list[Sink] = []
        self._unfed: list[Sink] = []
        self._outdated = True

    @property
    def version(self) -> str:
        """Return the position; "" until the first Replace."""
        return self._version

    @property
    def epoch(self) -> int:
        """Return how often the server went back in time: positions of different epochs do not compare."""
        return self._epoch

    @property
    def synced(self) -> bool:
        """Say whether the store was filled once."""
        return self._version != ""

    @property
    def bodies(self) -> Mapping[str, bytes]:
        """Return the compact objects by key; read-only, changes under the reader."""
        return self._bodies

    @property
    def bad(self) -> Mapping[str, bytes]:
        """Return the encoded `BadItem` of every key that cannot be read now."""
        return self._bad

    @property
    def age(self) -> float | None:
        """Return for how many seconds nothing was heard, None before anything was."""
        return None if self._heard is None else self._clock.monotonic() - self._heard

    def counts(self) -> StoreCounts:
        """Return sizes and ages for people."""
        return StoreCounts(len(self._bodies), len(self._bad), self._stale, self._version, self.age)

    def subscribe(self, sink: Sink) -> None:
        """Add a reader; it is given everything at once if the store is filled, else when it is."""
        if self._outdated:
            self._unfed.append(sink)
            return
        self._sinks.append(sink)
        sink.replaced(self, False)

    def unsubscribe(self, sink: Sink) -> None:
        """Remove a reader. Harmless when it is not one."""
        self._sinks = [other for other in self._sinks if other is not sink]
        self._unfed = [other for other in self._unfed if other is not sink]

    def outdate(self) -> None:
        """Let new readers wait for the next Replace: what is stored lacks fields that they need."""
        self._outdated = True

    def replace(self, changes: Iterable[Change], version: str, rolled_back: bool = False) -> None:
        """Swap everything for a complete list as of `version`.

        A list older than the position is dropped, unless the server itself went back.
        """
        self._heard = self._clock.monotonic()
        if newer(self._version, version) and not rolled_back:
            self._stale += 1
            return
        bodies: dict[str, bytes] = {}
        bad: dict[str, bytes] = {}
        for change in changes:
            if change.kind == SET:
                bodies[change.key] = change.body
            elif change.kind == BAD:
                bad[change.key] = change.body
        for key in bad.keys() - bodies.keys():
            if self._is_same(key, bad[key]):
                bodies[key] = self._bodies[key]
        self._bodies, self._bad, self._version = bodies, bad, version
        self._epoch += rolled_back
        self._sinks, self._unfed, self._outdated = self._sinks + self._unfed, [], False
        for sink in self._sinks:
            sink.replaced(self, rolled_back)

    def apply(self, changes: Sequence[Change]) -> None:
        """Take watch events in order; what is not newer than the position is dropped and counted."""
        self._heard = self._clock.monotonic()
        bodies, bad, position = self._bodies, self._bad, self._version
        taken: list[Change] = []
        for change in changes:
            version = change.version
            # newer(), written out: this runs once for every event of the cluster.
            if (len(version), version) <= (len(position), position) and version:
                self._stale += 1
                continue
            position = version or position
            taken.append(change)
            match change.kind:
                case "s":
                    bodies[change.key] = change.body
                    bad.pop(change.key, None)
                case "d":
                    bodies.pop(change.key, None)
                    bad.pop(change.key, None)
                case _:
                    bad[change.key] = change.body
        self._version = position
        if taken:
            for sink in self._sinks:
                sink.changed(taken, position)

    def progress(self, version: str) -> None:
        """Note that nothing else changed up to `version`."""
        self._heard = self._clock.monotonic()
        if self.synced and newer(version, self._version):
            self._version = version
            for sink in self._sinks:
                sink.progressed(version)

    def _is_same(self, key: str, item: bytes) -> bool:
        """Say whether the stored object is an earlier state of a bad one, not of a namesake."""
        uid = _decode_bad(item).uid
        body = self._bodies.get(key)
        return body is not None and bool(uid) and f'"uid":"{uid}"'.encode() in body


__all__ = ["BAD", "DELETE", "SET", "Change", "Sink", "Store", "StoreCounts"]

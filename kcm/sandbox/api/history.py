"""What happened to one resource, in order, for as long as watches may ask.

Events are kept for at least 75 seconds and at most `LIMIT` entries; what is older than the
floor is compacted and answered with 410. Guarantees: versions rise strictly; a position stays
valid while events are dropped in front of it. `Collection` is the only writer.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from kcm.sandbox.api.records import Record, encode, with_owners

ADDED = "ADDED"
MODIFIED = "MODIFIED"
DELETED = "DELETED"

LIMIT = 100_000
LIMIT_BYTES = 256 * 1024 * 1024
KEPT_SECONDS = 300.0


class Cause(NamedTuple):
    """Who made a change, and by which verb: what an audit record says beside the objects."""

    verb: str
    agent: str
    subresource: str = ""
    user: str = ""


class Event:
    """One change. `new` of a deletion is the last state with the version of the deletion."""

    __slots__ = ("_left", "_line", "cause", "kind", "new", "old", "version", "when")

    def __init__(self, kind: str, new: Record, old: Record | None, when: float, cause: Cause) -> None:
        self.kind = kind
        self.cause = cause
        self.new = new
        self.old = old
        self.version = new.version
        self.when = when
        self._line: bytes | None = None
        self._left: bytes | None = None

    def line(self) -> bytes:
        """Return the watch line, encoded once for all watchers that see the event as it is."""
        if self._line is None:
            self._line = watch_line(self.kind, self.new.raw)
        return self._line

    def left(self) -> bytes:
        """Return the old object at the new version: what a watcher sees leave its selector."""
        if self._left is None:
            left = self.old or self.new
            obj = left.copy()
            obj["metadata"]["resourceVersion"] = str(self.version)
            self._left = with_owners(encode(obj), left.managed)
        return self._left


def watch_line(kind: str, raw: bytes) -> bytes:
    """Return one watch event as a line."""
    return b'{"type":"' + kind.encode() + b'","object":' + raw + b"}\n"


class History:
    """The events of one resource behind `floor`, the newest version that is no longer covered."""

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self.base = 0
        self.events: list[Event] = []
        self._bytes = 0

    @property
    def end(self) -> int:
        """Return the position after the newest event."""
        return self.base + len(self.events)

    def append(self, event: Event) -> None:
        """Add the newest event; drop old ones in blocks, so that the cost stays constant."""
        self.events.append(event)
        self._bytes += len(event.new.bare)
        if len(self.events) > LIMIT or self._bytes > LIMIT_BYTES:
            self._drop(max(1, len(self.events) // 8))
        elif len(self.events) & 1023 == 0:
            self.forget_before(event.when - KEPT_SECONDS)

    def position_after(self, version: int) -> int:
        """Return the position of the first event newer than `version`."""
        return self.base + bisect_right(self.events, version, key=lambda event: event.version)

    def version_at(self, moment: float) -> int:
        """Return the newest version at a moment (monotonic seconds), or the oldest that is covered."""
        count = bisect_right(self.events, moment, key=lambda event: event.when)
        return self.events[count - 1].version if count else self.floor

    def since(self, position: int, most: int) -> list[Event]:
        """Return up to `most` events from `position` on."""
        first = position - self.base
        return self.events[first : first + most]

    def forget_before(self, moment: float) -> None:
        """Drop events from before `moment` (monotonic seconds)."""
        self._drop(bisect_right(self.events, moment, key=lambda event: event.when))

    def compact(self, version: int) -> None:
        """Forget everything up to now: every version before `version` answers 410."""
        self._drop(len(self.events))
        self.floor = max(self.floor, version)

    def _drop(self, count: int) -> None:
        if not count:
            return
        self.floor = max(self.floor, self.events[count - 1].version)
        self._bytes -= sum(len(event.new.bare) for event in self.events[:count])
        del self.events[:count]
        self.base += count

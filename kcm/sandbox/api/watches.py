"""WATCH: a reader of one resource's history.

A watch holds a position in the history and reads on from there whenever it is woken; it keeps
no queue of its own, so a thousand watches cost a thousand positions. Guarantees (reference:
apiserver §3): events in version order, none missing, none twice; an object that enters or
leaves the selection is ADDED or DELETED; a reader too slow for the history is cut off with an
in-stream 410. Ends by itself after its time-out. Waits on the loop's clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import expired, invalid_option, version_too_large
from kcm.sandbox.api.history import DELETED, MODIFIED, Event, watch_line
from kcm.sandbox.api.lists import FUTURE_WAIT, parse_version
from kcm.sandbox.api.records import Record, encode
from kcm.sandbox.api.rendering import Renderer
from kcm.sandbox.api.selection import Selection
from kcm.sandbox.api.store import Collection, Store

BOOKMARK_SECONDS = 60.0
LAST_BOOKMARK = 2.0
SHORTEST_DEFAULT = 1800.0
_BATCH = 512


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How a watch begins and ends. `version` None: from now, after the present state."""

    version: int | None
    initial_events: bool
    bookmarks: bool
    seconds: float


def read_watch_options(call: Call, default_seconds: float) -> WatchOptions:
    """Return the options of a watch; 422 for a combination that the real server refuses."""
    match = call.options.get("resourceVersionMatch", "")
    given = call.options.get("sendInitialEvents")
    kind = "ListOptions"
    if given is not None and match != "NotOlderThan":
        raise invalid_option(
            kind,
            "resourceVersionMatch",
            "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )
    if given is None and match:
        raise invalid_option(
            kind,
            "resourceVersionMatch",
            "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        )
    initial = call.flag("sendInitialEvents")
    bookmarks = call.flag("allowWatchBookmarks")
    if initial and not bookmarks:
        raise invalid_option(
            kind,
            "allowWatchBookmarks",
            "Forbidden: sendInitialEvents requires setting allowWatchBookmarks to true",
        )
    asked = parse_version(call.options.get("resourceVersion", ""))
    from_now = initial or (given is None and asked == 0)
    seconds = call.number("timeoutSeconds")
    return WatchOptions(
        version=None if from_now else asked,
        initial_events=initial,
        bookmarks=bookmarks,
        seconds=float(seconds) if seconds > 0 else default_seconds,
    )


async def check_future(store: Store, call: Call) -> None:
    """A watch that begins with the state must not be older than asked: wait 3 s, then 504."""
    asked = parse_version(call.options.get("resourceVersion", ""))
    if asked > store.version and not await store.reach(asked, FUTURE_WAIT):
        raise version_too_large(asked, store.version)


class Watch:
    """One running watch."""

    def __init__(
        self,
        store: Store,
        collection: Collection,
        selection: Selection,
        renderer: Renderer,
        options: WatchOptions,
    ) -> None:
        self._store = store
        self._collection = collection
        self._selection = selection
        self._renderer = renderer
        self._options = options
        self._position = collection.history.end
        # A resume from 0 or an unknown past is refused in the stream, so position stays unused.
        self._seen = store.version if options.version is None else options.version

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Yield chunks of complete lines until the watch ends."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._options.seconds
        bookmark = self._next_bookmark(loop.time(), ends)
        refusal, initial = self._begin()
        if refusal is not None:
            yield refusal
            return
        begun = self._store.version
        for first in range(0, len(initial), _BATCH):
            batch = initial[first : first + _BATCH]
            yield b"".join([self._renderer.event("ADDED", record.raw) for record in batch])
        if self._options.initial_events:
            yield self._renderer.bookmark(begun, initial_end=True)
        while True:
            chunk, cut = self._read()
            if chunk:
                yield chunk
            if cut:
                return
            if self._position < self._collection.history.end:
                continue
            now = loop.time()
            if now >= ends:
                return
            if now >= bookmark:
                yield self._renderer.bookmark(self._store.version, initial_end=False)
                bookmark = self._next_bookmark(now, ends)
                continue
            await self._wait(min(bookmark, ends))

    def _begin(self) -> tuple[bytes | None, list[Record]]:
        """Return a refusal, or the records that come before live events; set the position."""
        history, version = self._collection.history, self._options.version
        if version is not None:
            if version < history.floor:
                return self._expired(version), []
            self._position = history.position_after(version)
            return None, []
        self._position = history.end
        self._seen = self._store.version
        return None, [record for record in self._collection.ordered() if self._selection.matches(record)]

    def _expired(self, version: int) -> bytes:
        failure = expired(f"too old resource version: {version} ({self._collection.history.floor})")
        return watch_line("ERROR", encode(failure.status()))

    def _read(self) -> tuple[bytes, bool]:
        """Return the next lines, and whether the watch must end because it fell behind."""
        history = self._collection.history
        if self._position < history.base:
            return self._expired(self._seen), True
        events = history.since(self._position, _BATCH)
        if not events:
            return b"", False
        self._position += len(events)
        self._seen = events[-1].version
        return b"".join([line for event in events if (line := self._translate(event))]), False

    def _translate(self, event: Event) -> bytes:
        """Return the line that this watch sees of an event, empty when it sees nothing."""
        matches = self._selection.matches
        now = matches(event.new)
        if event.kind != MODIFIED or event.old is None:
            if event.kind == DELETED and event.old is not None:
                # What the last write changed does not matter: a reader must learn what it knew is gone.
                now = matches(event.old)
            return self._line(event) if now else b""
        before = matches(event.old)
        if now and before:
            return self._line(event)
        if now:
            return self._renderer.event("ADDED", event.new.raw)
        return self._renderer.event(DELETED, event.left()) if before else b""

    def _line(self, event: Event) -> bytes:
        if self._renderer.verbatim:
            return event.line()
        return self._renderer.event(event.kind, event.new.raw)

    def _next_bookmark(self, now: float, ends: float) -> float:
        """Return when to send the next bookmark: each minute, and shortly before the end."""
        if not self._options.bookmarks:
            return float("inf")
        last = ends - LAST_BOOKMARK
        regular = now + BOOKMARK_SECONDS
        return min(regular, last) if now < last else regular

    async def _wait(self, until: float) -> None:
        """Wait for an event of the collection, at most until `until` (loop time)."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        timer = loop.call_at(until, wake)
        self._collection.waiting.append(wake)
        try:
            await woken
        finally:
            timer.cancel()
            # Only a timer or a reader that went away leaves the entry behind.
            if wake in self._collection.waiting:
                self._collection.waiting = [other for other in self._collection.waiting if other is not wake]

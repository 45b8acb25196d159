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
from kcm.sandbox.api.errors import ApiFailure, Json, cause, expired, go_quote, invalid_option
from kcm.sandbox.api.history import DELETED, MODIFIED, Event, watch_line
from kcm.sandbox.api.lists import BadVersion, parse_version, reach
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
    """How a watch begins and ends. `version` 0 without initial events means from now on."""

    version: int
    initial_events: bool
    bookmarks: bool
    seconds: float


def read_watch_options(call: Call, default_seconds: float) -> WatchOptions:
    """Return the options of a watch; 422 for a combination that the real server refuses."""
    options = call.options
    match, version = options.get("resourceVersionMatch", ""), options.get("resourceVersion", "")
    given = options.get("sendInitialEvents")
    # A watch from nowhere has always begun with the present state; now it also says where that ends.
    legacy = given is None and not match and version in ("", "0")
    problems: list[Json] = []
    if given is None and not legacy and match:
        problems.append(
            _unfit("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
        )
    elif given is not None and match != "NotOlderThan":
        problems.append(_unfit("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
        if match:
            message = f'Unsupported value: {go_quote(match)}: supported values: "NotOlderThan"'
            problems.append(cause("resourceVersionMatch", message, "FieldValueNotSupported"))
    if (legacy or given is not None) and options.get("continue"):
        problems.append(_unfit("resourceVersionMatch is forbidden when continue is provided"))
    if problems:
        raise invalid_option("ListOptions", *problems)
    try:
        asked = parse_version(version)
    except BadVersion as problem:
        raise ApiFailure(500, "", str(problem)) from None
    seconds = call.number("timeoutSeconds")
    return WatchOptions(
        version=asked,
        initial_events=legacy or call.flag("sendInitialEvents"),
        bookmarks=call.flag("allowWatchBookmarks"),
        seconds=float(seconds) if seconds else default_seconds,
    )


def _unfit(why: str) -> Json:
    return cause("resourceVersionMatch", f"Forbidden: {why}")


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
        self._epoch = collection.epoch
        self._position = collection.history.end
        # What is not newer than this was seen by the reader, or is in the state that it is shown first.
        self._start = options.version or store.version
        self._seen = self._start

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Yield chunks of complete lines until the watch ends."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._options.seconds
        if self._options.seconds < 0:
            return
        if self._options.initial_events:
            try:
                await reach(self._store, self._options.version)
            except ApiFailure as failure:
                yield watch_line("ERROR", encode(failure.status()))
                return
        bookmark = self._next_bookmark(loop.time(), ends)
        refusal, initial = self._begin()
        if refusal is not None:
            yield refusal
            return
        for first in range(0, len(initial), _BATCH):
            batch = initial[first : first + _BATCH]
            yield b"".join([self._renderer.event("ADDED", record.raw) for record in batch])
        if self._options.initial_events and self._options.bookmarks:
            yield self._renderer.bookmark(self._start, initial_end=True)
        while True:
            chunk, cut = self._read()
            if chunk:
                yield chunk
            if cut:
                return
            if self._position < self._collection.history.end:
                continue
            now = loop.time()
            if now >= ends or self._epoch != self._collection.epoch:
                return
            if now >= bookmark:
                # A bookmark at the version that the reader began with would tell it nothing.
                if self._store.version > self._start:
                    yield self._renderer.bookmark(self._store.version, initial_end=False)
                bookmark = self._next_bookmark(now, ends)
                continue
            await self._wait(min(bookmark, ends))

    def _begin(self) -> tuple[bytes | None, list[Record]]:
        """Return a refusal, or the records that come before live events; set the position."""
        history, version = self._collection.history, self._options.version
        if version and not self._options.initial_events:
            if version < history.floor:
                return self._expired(version), []
            self._position = history.position_after(version)
            return None, []
        self._position = history.end
        self._start = self._seen = self._store.version
        if not self._options.initial_events:
            return None, []
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
        start = self._start
        return b"".join(
            [line for event in events if event.version > start and (line := self._translate(event))]
        ), False

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

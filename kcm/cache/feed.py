"""The feed: what the manager tells a host about a watch, and how a store is turned into it.

Messages are tagged Structs in JSON; objects ride in them as raw JSON, so that the manager only
joins bytes and the host decodes each object once, into its own type. `watch` is the number
that the host gave the watch when it declared it. Guarantees: everything of one watch arrives in
order; a Replace is Begin, Items (in pieces far below a frame's limit), End; a host that is
behind is not buffered for without limit: its changes are skipped and it gets one new Replace
when it has caught up, which is counted. The sink holds references into the store, no copies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias

import msgspec

from kcm.cache.changes import BadItem, Change
from kcm.cache.channel import LARGEST_FRAME, FeedError, FrameChannel, Unpacker, pack
from kcm.cache.store import Store

PIECE = 256 * 1024
MOST_QUEUED = 16 * 1024 * 1024


class ReplaceBegin(msgspec.Struct, frozen=True, tag="replaceBegin"):
    """A complete list follows; what was begun before and not ended is void."""

    watch: int


class ReplaceItems(msgspec.Struct, frozen=True, tag="replaceItems"):
    """Some objects of the list, and some that cannot be read."""

    watch: int
    objects: tuple[msgspec.Raw, ...] = ()
    bad: tuple[BadItem, ...] = ()


class ReplaceEnd(msgspec.Struct, frozen=True, tag="replaceEnd"):
    """The list is complete as of `version`. `rolled_back`: the server itself went back in time."""

    watch: int
    version: str
    rolled_back: bool = False


class Changes(msgspec.Struct, frozen=True, tag="changes"):
    """Watch events in order: one letter of `kinds` for each object ("s", "d", "b").

    Of a deleted object only the identity counts; a bad one is a `BadItem`.
    """

    watch: int
    version: str
    kinds: str
    objects: tuple[msgspec.Raw, ...]


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """Nothing changed up to `version`."""

    watch: int
    version: str


FeedData: TypeAlias = ReplaceBegin | ReplaceItems | ReplaceEnd | Changes | Progress


class Outlet(Protocol):
    """Where frames go: a `FrameChannel`, or a test's."""

    @property
    def congested(self) -> bool: ...

    def send(self, payload: bytes) -> None: ...

    def when_clear(self, callback: Callable[[], None]) -> None: ...


class FeedSink:
    """Feeds one watch of one host. Implements `kcm.cache.store.Sink`.

    `on_skip` is called when the host was so far behind that it gets a new Replace instead.
    """

    def __init__(self, watch: int, outlet: Outlet, on_skip: Callable[[], None] = lambda: None) -> None:
        self._watch = watch
        self._outlet = outlet
        self._store: Store | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._again = False
        self._rolled_back = False
        self._queue: list[Change] = []
        self._queued = 0
        self._version = ""
        self._waiting = False
        self._on_skip = on_skip

    def replaced(self, store: Store, rolled_back: bool) -> None:
        self._store = store
        self._rolled_back |= rolled_back
        self._start_over()

    def changed(self, changes: Sequence[Change], version: str) -> None:
        if not self._waiting and not self._outlet.congested:
            for payload in encode_changes(self._watch, changes, version):
                self._outlet.send(payload)
            return
        if not self._again:
            self._queue.extend(changes)
            self._queued += sum(len(change.body) for change in changes)
            self._version = version
            if self._queued > MOST_QUEUED:
                self._on_skip()
                self._start_over()
        self._pump()

    def progressed(self, version: str) -> None:
        self._version = version
        self._pump()

    @property
    def behind(self) -> bool:
        """Say whether something waits because the host does not read."""
        return self._waiting

    async def delivered(self) -> None:
        """Return when all that the store has told so far has been handed to the outlet, in order."""
        while self._waiting:
            clear = asyncio.Event()
            self._outlet.when_clear(clear.set)
            await clear.wait()

    def _start_over(self) -> None:
        self._again = True
        self._pieces = iter(())
        self._queue, self._queued, self._version = [], 0, ""
        self._pump()

    def _pump(self) -> None:
        """Send while the host reads; go on when it has caught up."""
        if self._waiting:
            return
        while not self._outlet.congested:
            payload = next(self._pieces, None)
            if payload is None:
                if not self._refill():
                    return
                continue
            self._outlet.send(payload)
        self._waiting = True
        self._outlet.when_clear(self._resume)

    def _resume(self) -> None:
        self._waiting = False
        self._pump()

    def _refill(self) -> bool:
        """Find the next thing to send; False when the host has everything."""
        if self._again and self._store is not None:
            self._again = False
            self._version = ""
            self._pieces = self._replace(self._store)
        elif self._queue:
            self._pieces = iter(list(encode_changes(self._watch, self._queue, self._version)))
            self._queue, self._queued, self._version = [], 0, ""
        elif self._version:
            self._pieces = iter((msgspec.json.encode(Progress(self._watch, self._version)),))
            self._version = ""
        else:
            return False
        return True

    def _replace(self, store: Store) -> Iterator[bytes]:
        # References, taken at once: what the store changes later comes as changes.
        bodies, bad, version = list(store.bodies.values()), list(store.bad.values()), store.version
        return self._replace_pieces(bodies, bad, version)

    def _replace_pieces(self, bodies: list[bytes], bad: list[bytes], version: str) -> Iterator[bytes]:
        watch = self._watch
        yield msgspec.json.encode(ReplaceBegin(watch))
        for name, items in (("objects", bodies), ("bad", bad)):
            head = f'{{"type":"replaceItems","watch":{watch},"{name}":['.encode()
            for begin, end in _slices(items):
                yield head + b",".join(items[begin:end]) + b"]}"
        rolled_back, self._rolled_back = self._rolled_back, False
        yield msgspec.json.encode(ReplaceEnd(watch, version, rolled_back))


def encode_changes(watch: int, changes: Sequence[Change], version: str) -> Iterator[bytes]:
    """Yield the `Changes` messages for a batch; the last one carries `version`."""
    bodies = [change.body for change in changes]
    for begin, end in _slices(bodies):
        reached = version if end == len(bodies) else changes[end - 1].version
        kinds = "".join([change.kind for change in changes[begin:end]])
        head = f'{{"type":"changes","watch":{watch},"version":"{reached}","kinds":"{kinds}","objects":['
        yield head.encode() + b",".join(bodies[begin:end]) + b"]}"


def _slices(bodies: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield ranges of about `PIECE` bytes, at least one body each."""
    begin = size = 0
    for number, body in enumerate(bodies):
        size += len(body) + 1
        if size >= PIECE:
            yield begin, number + 1
            begin, size = number + 1, 0
    if begin < len(bodies):
        yield begin, len(bodies)


__all__ = [
    "LARGEST_FRAME",
    "PIECE",
    "Changes",
    "FeedData",
    "FeedError",
    "FeedSink",
    "FrameChannel",
    "Outlet",
    "Progress",
    "ReplaceBegin",
    "ReplaceEnd",
    "ReplaceItems",
    "Unpacker",
    "encode_changes",
    "pack",
]

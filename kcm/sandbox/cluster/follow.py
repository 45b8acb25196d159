"""List and watch, for components inside the sandbox.

`follow` keeps one sink told of one resource: first a LIST, then changes in order, each
once. Guarantees: an interrupted watch goes on where it stopped; when history is gone (410) it
lists again and tells the sink of what was deleted meanwhile; an object that cannot be decoded
is logged and skipped. The sink is called synchronously and owns what it keeps; the follower
keeps the last view of every object.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

import msgspec

from kcm.base.clock import Clock
from kcm.sandbox.cluster.calls import Api, Refused
from kcm.serving.http import ConnectionLost
from kcm.telemetry.logging import logger

log = logger("sandbox.follow")

_SHORTEST = 1.0
_WATCH_SECONDS = "300"


class Meta(Protocol):
    """What `follow` reads of an object's metadata."""

    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


class Viewed(Protocol):
    """A view of an API object."""

    @property
    def metadata(self) -> Meta: ...


V = TypeVar("V", bound=Viewed)


@dataclass(frozen=True, slots=True)
class Change(Generic[V]):
    """One change: `old` is the view before it. `initial` marks what a LIST found."""

    kind: Literal["added", "modified", "deleted"]
    new: V
    old: V | None = None
    initial: bool = False


Sink = Callable[[Change[V]], None]


class _Line(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str


class _List(msgspec.Struct, frozen=True):
    metadata: _ListMeta
    items: list[msgspec.Raw] = []


class _Bookmark(msgspec.Struct, frozen=True):
    metadata: _ListMeta


class _Gone(Exception):
    """The server no longer has the history: list again."""


class Follower(Generic[V]):
    """Follows one collection and remembers the last view of each object by uid.

    `listed` is set once the sinks know the present state.
    """

    def __init__(self, api: Api, path: str, view: type[V], clock: Clock) -> None:
        self._api = api
        self._path = path
        self._clock = clock
        self._views: dict[str, V] = {}
        self._version = ""
        self._sinks: list[Sink[V]] = []
        self.listed = asyncio.Event()
        self._read = msgspec.json.Decoder(view).decode
        self._read_line = msgspec.json.Decoder(_Line).decode

    @property
    def followed(self) -> bool:
        """Say whether anybody wants to be told."""
        return bool(self._sinks)

    def tell(self, sink: Sink[V]) -> None:
        """Add a sink. To be called before `run`."""
        self._sinks.append(sink)

    async def run(self) -> None:
        """Follow until cancelled."""
        listed = False
        while True:
            begun = self._clock.monotonic()
            try:
                if not listed:
                    await self._list()
                    listed = True
                await self._watch()
            except _Gone:
                listed = False
            except Refused as error:
                listed = listed and error.code != 410
                log.warning("cannot follow", path=self._path, error=str(error))
            if self._clock.monotonic() - begun < _SHORTEST:
                # A server that ends every watch at once must not be asked in a hot loop.
                await self._clock.sleep(_SHORTEST)

    async def _list(self) -> None:
        listed = msgspec.json.decode(await self._api.get(self._path), type=_List)
        found = [view for raw in listed.items if (view := self._decode(raw)) is not None]
        living = {view.metadata.uid for view in found}
        for gone in [view for uid, view in self._views.items() if uid not in living]:
            self._apply("DELETED", gone, initial=False)
        for view in found:
            self._apply("ADDED", view, initial=True)
        self._version = listed.metadata.resource_version
        self.listed.set()

    async def _watch(self) -> None:
        stream = await self._api.watch(self._path, resourceVersion=self._version, allowWatchBookmarks="true")
        try:
            async with aclosing(stream), aclosing(_lines(stream)) as lines:
                async for line in lines:
                    self._receive(self._read_line(line))
        except ConnectionLost:
            log.debug("watch cut", path=self._path)

    def _receive(self, line: _Line) -> None:
        if line.type == "ERROR":
            raise _Gone
        if line.type == "BOOKMARK":
            bookmark = msgspec.json.decode(line.object, type=_Bookmark)
            self._version = bookmark.metadata.resource_version
            return
        view = self._decode(line.object)
        if view is not None:
            self._version = view.metadata.resource_version
            self._apply(line.type, view, initial=False)

    def _apply(self, type_: str, view: V, *, initial: bool) -> None:
        uid = view.metadata.uid
        if type_ == "DELETED":
            change = Change("deleted", view, self._views.pop(uid, None))
        else:
            old = self._views.get(uid)
            self._views[uid] = view
            change = Change("modified" if old else "added", view, old, initial)
        for sink in self._sinks:
            sink(change)

    def _decode(self, raw: msgspec.Raw) -> V | None:
        try:
            return self._read(raw)
        except msgspec.MsgspecError as error:
            log.warning("object skipped", path=self._path, error=str(error))
            return None


async def _lines(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line

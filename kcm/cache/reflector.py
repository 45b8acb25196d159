"""Keeps a store current: drives the list-watch machine against the server.

One reflector per watch, the only writer of its store. Guarantees: no failure of the server or
the network ends it; the store is swapped only for complete lists; lines are handled in the
batches in which they arrived, one feed frame each; a change of trouble is logged once, not
each attempt. `barrier` and `reached` are described in `kcm.cache.freshness`. The decisions are
the machine's (`kcm.cache.listwatch`); this module only does what it says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

import msgspec

from kcm.base.clock import Clock
from kcm.base.rng import Rng
from kcm.cache.changes import DELETE, Bookmark, Change, StreamError
from kcm.cache.compaction import Compactor
from kcm.cache.freshness import Freshness
from kcm.cache.instruments import ReflectorInstruments
from kcm.cache.listwatch import deadline, step
from kcm.cache.phases import (
    Arrived,
    Begin,
    Commit,
    Elapsed,
    Ended,
    GetPage,
    Idle,
    Input,
    Memory,
    Opened,
    OpenWatch,
    Output,
    Paged,
    Priming,
    Proved,
    Refresh,
    Refused,
    State,
    Trouble,
    Watching,
)
from kcm.cache.projection import Projection
from kcm.cache.source import ClientSource, Lines, failure_of, refusal_of
from kcm.cache.store import Store
from kcm.cache.watchspec import WatchSpec
from kcm.client.api import ApiClient
from kcm.client.errors import ApiError
from kcm.client.transport import TransportError
from kcm.telemetry.logging import Logger
from kcm.telemetry.metrics import Metrics

T = TypeVar("T")


class Health(msgspec.Struct, frozen=True):
    """How a watch is doing, for /readyz and /statusz. `trouble` is a line for people, "" when none."""

    synced: bool
    phase: str
    version: str
    trouble: str


class Reflector:
    """One watch of the server, into one store."""

    def __init__(
        self,
        spec: WatchSpec,
        projection: Projection,
        client: ApiClient,
        store: Store,
        clock: Clock,
        rng: Rng,
        metrics: Metrics,
        log: Logger,
    ) -> None:
        """Take over the store. New readers of a filled store wait for this reflector's first list."""
        self.spec = spec
        self._source = ClientSource(client)
        self._store = store
        self._clock = clock
        self._rng = rng
        self._log = log.bind(watch=str(spec))
        self._compactor = Compactor(projection)
        self._instruments = ReflectorInstruments(metrics, spec)
        self._instruments.follow(store)
        self._state: State = Idle(Memory(version=store.version, unavailable=store.synced))
        self._next: Output | None = None
        self._limit: asyncio.Timeout | None = None
        self._staged: dict[str, Change] = {}
        self._freshness = Freshness(
            spec, self._source, store, self, self._compactor, clock, self._instruments
        )
        store.outdate()

    async def run(self) -> None:
        """List and watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._freshness.run())
            self._tell(Begin())
            while True:
                await self._act()

    async def barrier(self) -> str:
        """See `Freshness.barrier`."""
        return await self._freshness.barrier()

    async def reached(self, version: str) -> None:
        """See `Freshness.reached`."""
        await self._freshness.reached(version)

    def health(self) -> Health:
        """Return how the watch is doing."""
        memory = self._state.memory
        phase = type(self._state).__name__.lower()
        return Health(memory.synced, phase, self._store.version, self._describe(memory.trouble))

    def retire(self) -> None:
        """Show no age any more: nobody reads this watch, and nobody keeps it current."""
        self._instruments.follow(None)

    @property
    def following(self) -> bool:
        return self._state.memory.synced and isinstance(self._state, Watching)

    def proved(self, version: str) -> None:
        self._store.progress(version)
        self._tell(Proved(version))
        self._freshness.moved()

    def refresh(self) -> None:
        self._log.info("listing anew: the watch does not tell that it is current")
        self._tell(Refresh())
        if self._next is not None and self._limit is not None:
            # The activity under way is to be left: let its time-out strike now.
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def _act(self) -> None:
        """Do what the machine asked for last, until it asks for something else."""
        wanted, self._next = self._next, None
        try:
            match wanted:
                case OpenWatch():
                    await self._watch(wanted)
                case GetPage():
                    await self._get_page(wanted)
                case _:
                    await self._within(asyncio.get_running_loop().create_future())
        except (ApiError, TransportError) as error:
            if self._next is None:
                self._tell(refusal_of(error))

    async def _watch(self, wanted: OpenWatch) -> None:
        self._instruments.watches.inc()
        if wanted.initial:
            self._staged = {}
        async with self._source.watch(self.spec, wanted.version, wanted.timeout, wanted.initial) as stream:
            self._tell(Opened())
            while self._next is None:
                await self._read(stream)

    async def _read(self, stream: Lines) -> None:
        lines = await self._within(stream.batch())
        if lines is None:
            return
        if not lines:
            self._tell(Ended())
            return
        self._instruments.events.inc(len(lines))
        changes: list[Change] = []
        for event in self._compactor.events(lines):
            match event:
                case Change():
                    changes.append(event)
                case Bookmark():
                    self._take(changes, event)
                    changes = []
                    if self._next is not None:
                        # The list was not accepted: what follows on its stream is not either.
                        return
                case StreamError():
                    self._take(changes, None)
                    self._tell(self._refused(event))
                    return
                case _:
                    self._instruments.unreadable.inc()
                    self._log.warning("an event cannot be read", reason=event.reason)
        self._take(changes, None)

    async def _get_page(self, wanted: GetPage) -> None:
        self._instruments.lists.inc()
        if not wanted.next_page:
            self._staged = {}
        body = await self._within(
            self._source.list_page(self.spec, wanted.version, wanted.match, wanted.limit, wanted.next_page)
        )
        if body is None:
            return
        try:
            page = self._compactor.page(body)
        except ValueError as error:
            self._tell(Refused("undecodable", str(error)[:256]))
            return
        self._instruments.unreadable.inc(page.unreadable)
        self._stage(page.changes)
        self._tell(Paged(page.version, page.next_page))

    def _take(self, changes: list[Change], bookmark: Bookmark | None) -> None:
        """Bring events to where they belong, then tell the machine."""
        ends = bookmark is not None and bookmark.ends_initial
        if isinstance(self._state, Priming):
            self._stage(changes)
            if changes or ends:
                version = bookmark.version if bookmark is not None else ""
                self._tell(Arrived(len(changes), version, 0, ends))
            return
        if changes:
            self._store.apply(changes)
        if bookmark is not None:
            self._store.progress(bookmark.version)
        if changes or bookmark is not None:
            self._tell(Arrived(len(changes), self._store.version, int(bookmark is not None)))
            self._instruments.show(self._store)
            self._freshness.moved()

    def _stage(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.kind == DELETE:
                self._staged.pop(change.key, None)
            else:
                self._staged[change.key] = change

    def _tell(self, what: Input) -> None:
        """Step the machine, swap the store if it says so, and note what it wants next."""
        before = self._state.memory.trouble
        if isinstance(what, Refused):
            self._instruments.failures.inc()
        if isinstance(what, Elapsed) and isinstance(self._state, Watching):
            self._instruments.silent.inc()
            self._log.debug("watch is silent", for_=self._clock.monotonic() - self._state.heard)
            self._freshness.doubt()
        self._state, outputs = step(self._state, what, self._clock.monotonic(), self._rng)
        self._log_trouble(before, self._state.memory.trouble)
        for output in outputs:
            if isinstance(output, Commit):
                self._commit(output)
            else:
                self._next = output

    def _commit(self, commit: Commit) -> None:
        staged, self._staged = self._staged, {}
        self._store.replace(staged.values(), commit.version, commit.rolled_back)
        self._instruments.fills.inc()
        self._instruments.rollbacks.inc(int(commit.rolled_back))
        self._instruments.show(self._store)
        if not self.spec.metadata_only:
            self._log.info("filled", objects=len(self._store.bodies), version=commit.version)
        self._freshness.moved()

    async def _within(self, awaited: Awaitable[T]) -> T | None:
        """Wait until the machine's deadline; None when it has passed or something else is wanted now."""
        due = deadline(self._state)
        delay = None if due is None else max(0.0, due - self._clock.monotonic())
        try:
            async with asyncio.timeout(delay) as self._limit:
                return await awaited
        except TimeoutError:
            if self._next is None:
                self._tell(Elapsed())
            return None
        finally:
            self._limit = None

    def _refused(self, event: StreamError) -> Refused:
        if event.code == 0:
            return Refused("undecodable", event.message)
        return refusal_of(failure_of(self.spec, event))

    def _log_trouble(self, before: Trouble | None, after: Trouble | None) -> None:
        if after is None and before is not None:
            self._log.info("watch works again")
        elif after is not None and (before is None or before.cause != after.cause):
            self._log.warning("watch in trouble", cause=after.cause, reason=self._describe(after))

    def _describe(self, trouble: Trouble | None) -> str:
        match trouble:
            case None:
                return ""
            case Trouble("forbidden", verb, text):
                return f"{self.spec}: not allowed to {verb}; grant list and watch: {text}"
            case Trouble("unauthorized", _, text):
                return f"{self.spec}: the credentials are not accepted: {text}"
            case Trouble("missing", _, text):
                known = f"{self.spec}: the server does not know this resource (yet)"
                return f"{known}; if it is a custom one, install its definition: {text}"
            case Trouble(cause, verb, text):
                return f"{self.spec}: cannot {verb} ({cause}): {text}"

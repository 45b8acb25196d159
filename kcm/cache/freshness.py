"""Proof that a store has caught up with the server.

`barrier` reads the resourceVersion of a consistent LIST of one item and waits until the
store's position has reached it. On a quiet resource no event carries it there, so after
`PATIENCE` seconds it is hurried by a probe: a second, short watch from the current position.
Such a watch sends a bookmark two seconds before it ends (runtime §1): everything that
happened up to the bookmark came before it in the probe, so once the main stream has passed the
probe's last event, the store is current as of the bookmark. Where bookmarks do not come, a
consistent list is asked for. `doubt` does the same for a watch that has been silent: on a quiet
resource that is no fault, and a real server sends no bookmark before its own position moves,
which such a LIST makes it do. Guarantees: a call shares only a LIST that started after it; a
call ends when the server answers, or with the error of its LIST. Owns the waiting calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from kcm.base.clock import Clock
from kcm.base.errors import KcmError
from kcm.cache.changes import Bookmark, Change, StreamError
from kcm.cache.compaction import Compactor, list_version
from kcm.cache.instruments import ReflectorInstruments
from kcm.cache.source import Source, failure_of
from kcm.cache.store import Store
from kcm.cache.watchspec import WatchSpec
from kcm.client.errors import ApiError
from kcm.client.transport import TransportError
from kcm.objects.versions import at_least, newer

PATIENCE = 0.1
PROBE_TIMEOUT = 3
# The probe ends by itself after its time-out; this is for a server that does not keep it.
PROBE_LIMIT = 6.0
MOST_MISSES = 2


class ReflectorStopped(KcmError):
    """The reflector ended while someone waited for it."""


class Stream(Protocol):
    """The main stream, as far as freshness concerns it."""

    @property
    def following(self) -> bool:
        """Say whether the store is filled by this reflector and a watch is open."""
        ...

    def proved(self, version: str) -> None:
        """Note that the store is current as of `version`."""
        ...

    def refresh(self) -> None:
        """Start a new cycle with a consistent list."""
        ...


class Freshness:
    """Barriers of one reflector. `run` must be running for calls to end."""

    def __init__(
        self,
        spec: WatchSpec,
        source: Source,
        store: Store,
        stream: Stream,
        compactor: Compactor,
        clock: Clock,
        instruments: ReflectorInstruments,
    ) -> None:
        self._spec = spec
        self._source = source
        self._store = store
        self._stream = stream
        self._compactor = compactor
        self._clock = clock
        self._instruments = instruments
        self._askers: list[asyncio.Future[str]] = []
        self._asked = asyncio.Event()
        self._waiting: list[tuple[str, asyncio.Future[bool]]] = []
        self._awaited = asyncio.Event()
        self._doubted = asyncio.Event()
        self._epoch = store.epoch
        self._filled = False
        self._stopped = False

    async def barrier(self) -> str:
        """Return when the store holds everything that the server had at the call; what version that was.

        Raises the ApiError or TransportError of the LIST, or `ReflectorStopped`.
        """
        while True:
            self._check_running()
            asker: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            self._askers.append(asker)
            self._asked.set()
            version = await asker
            if await self._reach(version):
                return version

    async def reached(self, version: str) -> None:
        """Return when the store's position is at `version` or after it. `ReflectorStopped` when it cannot be.

        If the server goes back in time meanwhile, no position means anything any more: then a
        barrier is waited for instead.
        """
        if not await self._reach(version):
            await self.barrier()

    def doubt(self) -> None:
        """Find out whether the watch has missed something, and list anew if it has."""
        self._doubted.set()

    def moved(self) -> None:
        """The position has changed, or the store was filled: let go whoever waited for that."""
        self._filled = True
        if not self._waiting:
            return
        if self._epoch != self._store.epoch:
            self._epoch = self._store.epoch
            self._release([(waiter, False) for _, waiter in self._waiting])
            self._waiting = []
            return
        position = self._store.version
        self._release([(waiter, True) for version, waiter in self._waiting if at_least(position, version)])
        self._waiting = [waiting for waiting in self._waiting if newer(waiting[0], position)]

    async def run(self) -> None:
        """Serve barriers until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._list())
                tasks.create_task(self._hurry())
                tasks.create_task(self._verify())
        finally:
            self._stopped = True
            stopped = ReflectorStopped(f"{self._spec}: the watch was stopped")
            self._fail(self._askers, stopped)
            self._fail([waiter for _, waiter in self._waiting], stopped)
            self._askers, self._waiting = [], []

    async def _reach(self, version: str) -> bool:
        """Wait for the position; False when the server went back in time and it means nothing."""
        self._check_running()
        if self._filled and at_least(self._store.version, version):
            return True
        if not self._waiting:
            self._epoch = self._store.epoch
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((version, waiter))
        self._awaited.set()
        return await waiter

    async def _list(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            # Whoever asks from here on has to wait for the next LIST: this one may be answered already.
            askers, self._askers = self._askers, []
            try:
                version = list_version(await self._source.list_page(self._spec, limit=1))
            except asyncio.CancelledError:
                # `run` tells everybody who still waits; who waits for this LIST would be forgotten.
                self._askers = [*askers, *self._askers]
                raise
            except (ApiError, TransportError) as error:
                self._fail(askers, error)
            except ValueError as error:
                self._fail(askers, KcmError(f"{self._spec}: {error}"))
            else:
                for asker in askers:
                    if not asker.done():
                        asker.set_result(version)

    async def _verify(self) -> None:
        while True:
            await self._doubted.wait()
            self._doubted.clear()
            before = self._store.version
            try:
                version = list_version(await self._source.list_page(self._spec, limit=1))
            except (ApiError, TransportError, ValueError):
                # The watch meets the same trouble and tells it.
                continue
            if newer(before, version):
                # Our position lies in the server's future: no watch from there brings anything.
                self._stream.refresh()
            else:
                await self._reach(version)

    async def _hurry(self) -> None:
        misses = 0
        while True:
            await self._awaited.wait()
            await self._clock.sleep(PATIENCE)
            self._waiting = [(version, waiter) for version, waiter in self._waiting if not waiter.done()]
            if not self._waiting:
                self._awaited.clear()
                misses = 0
            elif self._stream.following:
                misses = 0 if await self._probe() else misses + 1
                if misses >= MOST_MISSES and self._waiting:
                    misses = 0
                    self._stream.refresh()

    async def _probe(self) -> bool:
        """Advance the position by a short watch; False when that did not bring it to all that is awaited."""
        self._instruments.probes.inc()
        epoch = self._store.epoch
        try:
            async with asyncio.timeout(PROBE_LIMIT):
                last, bookmark = await self._look_ahead(self._store.version)
                if not await self._reach(last):
                    return False
        except (TimeoutError, ApiError, TransportError):
            return False
        if epoch == self._store.epoch and self._stream.following:
            self._stream.proved(bookmark)
        return not self._waiting

    async def _look_ahead(self, position: str) -> tuple[str, str]:
        """Return the versions of the last event and of the first bookmark after `position`."""
        last = position
        async with self._source.watch(self._spec, position, PROBE_TIMEOUT) as stream:
            while lines := await stream.batch():
                for event in self._compactor.events(lines):
                    match event:
                        case Change(version=version):
                            last = version if newer(version, last) else last
                        case Bookmark(version=version):
                            return last, version
                        case StreamError():
                            raise failure_of(self._spec, event)
        raise TimeoutError

    def _check_running(self) -> None:
        if self._stopped:
            raise ReflectorStopped(f"{self._spec}: the watch was stopped")

    @staticmethod
    def _fail(waiting: Sequence[asyncio.Future[Any]], error: Exception) -> None:
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(error)

    @staticmethod
    def _release(waiters: list[tuple[asyncio.Future[bool], bool]]) -> None:
        for waiter, reached in waiters:
            if not waiter.done():
                waiter.set_result(reached)

"""A store that outlives its process.

`Durability` fills a store from a data directory, and keeps the directory behind it. Guarantees:
no answer and no watch event leaves (through `guard`) before everything it may show is on the
disk, so kill -9 takes nothing back that anybody was told; versions go on rising; history from
before the start is compacted, so that an old watch gets 410 and lists again; an Event expires
when it would have. What works inside (scheduler, kubelets, collector) need not wait: what it
does goes to the disk behind what it saw, in the same order. Owns the journal.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import msgspec

from kcm.base.clock import Clock
from kcm.sandbox.api.history import DELETED, Event
from kcm.sandbox.api.records import decode
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.storage.journal import Journal
from kcm.sandbox.storage.lock import refused
from kcm.sandbox.storage.vault import FILE, Row, StorageFailed, Vault
from kcm.serving.http import ConnectionLost, Handler, Request, Response


class Durability:
    """One data directory behind one store. Made on the loop that serves the store."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        """Open it; ConfigurationError with one line when it cannot be used."""
        self._directory = directory
        self._clock = clock
        self._vault = Vault(directory)
        self._journal: Journal | None = None
        self._store: Store | None = None

    def attach(self, store: Store) -> None:
        """Fill the store, then keep what it commits. Listeners must have been added before.

        ConfigurationError when what is in the directory cannot be read, StorageFailed when it cannot
        be written.
        """
        try:
            self._restore(store)
            # Lists show the version from which we go on: were it not kept, a clock that was set
            # back could bring it again. And a disk that takes nothing is found out here.
            self._vault.write((), (), store.version)
        except BaseException:
            self._vault.close()
            raise
        self._store = store
        self._journal = Journal(self._vault, store.version)
        store.listeners.append(self._heard)

    def guard(self, handler: Handler) -> Handler:
        """Return a handler whose answers wait for the disk."""
        store, journal = self._store, self._journal
        if store is None or journal is None:
            raise RuntimeError("attach a store first")

        async def settle() -> None:
            if store.version <= journal.durable:
                return
            try:
                await journal.settled(store.version)
            except StorageFailed as error:
                # What was done is not safe, and was not undone either: the client must not be told.
                raise ConnectionLost("the disk failed") from error

        async def settled(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
            async with aclosing(chunks) as whole:
                async for chunk in whole:
                    await settle()
                    yield chunk

        async def serve(request: Request) -> Response:
            response = await handler(request)
            await settle()
            if isinstance(response.body, bytes):
                return response
            return replace(response, body=settled(response.body))

        return serve

    async def run(self) -> None:
        """Wait for the disk to fail: StorageFailed, with which the server must end."""
        if self._journal is not None:
            await self._journal.failed()

    async def close(self) -> None:
        """Write the rest and let the directory go."""
        if self._journal is not None:
            await self._journal.close()

    async def flushed(self) -> None:
        """Wait until all that was committed so far is on the disk; StorageFailed when it cannot be."""
        if self._journal is not None and self._store is not None:
            await self._journal.settled(self._store.version)

    def _restore(self, store: Store) -> None:
        rows, version = self._vault.load()
        # Ages survive as differences: the monotonic clock of the process that wrote them is gone.
        offset = self._clock.monotonic() - self._clock.wall().timestamp()
        for row in rows:
            group, _, plural = row.resource.partition("/")
            try:
                collection = store.collection(group, plural)
                store.restore(collection, decode(row.body), row.version, row.written + offset)
            except (msgspec.MsgspecError, LookupError, TypeError, AttributeError) as error:
                place = f"{row.resource} {row.key}"
                raise refused(self._directory, f"{FILE} is damaged: {place}: {error!r}") from error
        store.resume(version)

    def _heard(self, collection: Collection, event: Event) -> None:
        if self._journal is None:
            return
        record = event.new
        resource = f"{collection.group}/{collection.plural}"
        row = None
        if event.kind != DELETED:
            row = Row(resource, record.key, record.version, self._clock.wall().timestamp(), record.raw)
        self._journal.note(resource, record.key, event.version, row)

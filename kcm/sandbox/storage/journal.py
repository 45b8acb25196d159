"""Between the loop and the disk: batches of writes, one thread, and who waits for them.

`note` collects what was committed in memory; at the end of the loop's turn all of it goes to the
thread as one transaction, and what comes meanwhile is the next one. Guarantees: batches are
written in order, each a later state of the whole; `settled` returns when everything up to a
version is on the disk; after a write that failed nothing more is written, and everybody who waits
is told. Owns the vault while it runs.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque

from kcm.sandbox.storage.vault import Row, StorageFailed, Vault

_Batch = tuple[list[Row], list[tuple[str, str]], int]


class Journal:
    """Makes durable what it is told of. Made on the loop that tells it."""

    def __init__(self, vault: Vault, version: int) -> None:
        """Take over a vault whose last version is `version`."""
        self.durable = version
        self._vault = vault
        self._loop = asyncio.get_running_loop()
        self._noted = version
        # The last state of each object since the last batch; None: it is gone.
        self._changed: dict[tuple[str, str], Row | None] = {}
        self._called = self._busy = False
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._failure: StorageFailed | None = None
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="sandbox storage", daemon=True)
        self._thread.start()

    def note(self, resource: str, key: str, version: int, row: Row | None) -> None:
        """Take in one committed write; None: the object is gone."""
        self._changed[(resource, key)] = row
        self._noted = version
        if not self._called and not self._busy:
            self._called = True
            self._loop.call_soon(self._hand_over)

    async def settled(self, version: int) -> None:
        """Wait until everything up to `version` is on the disk; StorageFailed when it never will be."""
        if self._failure is not None:
            raise self._failure
        if version <= self.durable:
            return
        waiting = self._loop.create_future()
        self._waiting.append((version, waiting))
        await waiting

    async def failed(self) -> None:
        """Wait for ever, or raise StorageFailed when a write fails."""
        await self.settled(2**63)

    async def close(self) -> None:
        """Write what is left, end the thread, close the vault. A failure was told to those who waited."""
        try:
            if self._failure is None:
                await self.settled(self._noted)
        except StorageFailed:
            pass
        finally:
            self._batches.put(None)
            await self._loop.run_in_executor(None, self._thread.join)
            self._vault.close()

    def _hand_over(self) -> None:
        self._called = False
        if self._busy or not self._changed or self._failure is not None:
            return
        changed, self._changed = self._changed, {}
        rows = [row for row in changed.values() if row is not None]
        gone = [place for place, row in changed.items() if row is None]
        self._busy = True
        self._batches.put((rows, gone, self._noted))

    def _write(self) -> None:
        """Write batch after batch, in the thread."""
        while (batch := self._batches.get()) is not None:
            failure: StorageFailed | None = None
            try:
                self._vault.write(*batch)
            except StorageFailed as error:
                failure = error
            try:
                self._loop.call_soon_threadsafe(self._written, batch[2], failure)
            except RuntimeError:
                # The loop was closed without us: nobody waits any more.
                return

    def _written(self, version: int, failure: StorageFailed | None) -> None:
        self._busy = False
        if failure is not None:
            self._failure = failure
            self._changed.clear()
            while self._waiting:
                _, waiting = self._waiting.popleft()
                if not waiting.done():
                    waiting.set_exception(failure)
            return
        self.durable = version
        self._hand_over()
        # `failed` waits for a version that never comes, so the queue is not in order: look at all.
        kept: deque[tuple[int, asyncio.Future[None]]] = deque()
        for wanted, waiting in self._waiting:
            if wanted > version:
                kept.append((wanted, waiting))
            elif not waiting.done():
                waiting.set_result(None)
        self._waiting = kept

"""Kubelets that take no time: a pod that is created runs and is ready with the next request.

They watch the benchmark's pods and answer each new one with one status write, so that what a
rollout takes is what its controllers take. Pods are bound to no node; the server removes them
at once when they are deleted. Owns nothing on the server but those statuses.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.cluster import Cluster
from benchmarks.objects import running_status

AT_ONCE = 16


class Kubelets:
    """Makes pods ready. `failed` counts status writes that the server refused."""

    def __init__(self, server: Cluster) -> None:
        self.ready = self.failed = 0
        self._server = server
        self._waiting: asyncio.Queue[str] = asyncio.Queue()

    def note(self, kind: str, line: bytes) -> None:
        """Take one event of the watch."""
        if kind == "ADDED":
            begin = line.find(b'"name":"', line.find(b'"metadata":')) + 8
            self._waiting.put_nowait(line[begin : line.find(b'"', begin)].decode())

    async def work(self) -> None:
        """Make one pod after another ready, until cancelled."""
        while True:
            name = await self._waiting.get()
            status: dict[str, Any] = {"status": running_status(self.ready)}
            body = json.dumps(status, separators=(",", ":")).encode()
            answer = await self._server.send("PATCH", f"{self._server.pods}/{name}/status", body)
            # A pod may be gone before it runs.
            self.ready, self.failed = self.ready + 1, self.failed + (answer.status not in (200, 404))


@asynccontextmanager
async def instant_kubelets(server: Cluster) -> AsyncIterator[Kubelets]:
    """Let pods that are created from now on run at once."""
    kubelets = Kubelets(server)
    async with server.watching(server.pods, kubelets.note), asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(kubelets.work()) for _ in range(AT_ONCE)]
        try:
            yield kubelets
        finally:
            for worker in workers:
                worker.cancel()

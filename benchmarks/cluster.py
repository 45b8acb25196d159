"""The API server that is measured against: a sandbox of our own, or any cluster.

The sandbox is a process of its own with no nodes (no scheduler, no kubelet) and garbage
collection on. Everything a benchmark makes lives in one namespace, which is deleted at the end.
Requests go through kcm's bare transport, so that the server's ceiling is measured with the
leanest client there is. On a real cluster the ReplicaSet controller of its
kube-controller-manager must be off, or two controllers fight.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.processes import cpu_seconds
from kcm.base.clock import SystemClock
from kcm.client.exec_plugin import ExecPolicy
from kcm.client.http import HttpTransport
from kcm.client.sources import find_credentials
from kcm.client.transport import Request, Response

PATIENCE = 60.0
WHOLE_LIST = 1024 * 1024 * 1024

_SANDBOX = """
import sys
from pathlib import Path
from kcm.sandbox.cluster import ClusterSettings
from kcm.sandbox.process import SandboxSettings, main
cluster = ClusterSettings(nodes=0)
data = Path(sys.argv[2]) if len(sys.argv) > 2 else None
out = Path(sys.argv[1])
sys.exit(main(SandboxSettings(cluster=cluster, kubeconfig_out=out, narrate=False, data_dir=data)))
"""

_HEADERS = (("User-Agent", "kcm-benchmark"), ("Accept", "application/json"))
_JSON = (*_HEADERS, ("Content-Type", "application/json"))
_MERGE = (*_HEADERS, ("Content-Type", "application/merge-patch+json"))


class Refused(Exception):
    """The server did not do what a benchmark needs."""


class Cluster:
    """One API server and the benchmark's namespace on it. `server_pid` is 0 where it is not ours."""

    def __init__(self, kubeconfig: Path, transport: HttpTransport, server_pid: int) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = f"kcm-bench-{secrets.token_hex(4)}"
        self.transport = transport
        self.server_pid = server_pid

    @property
    def pods(self) -> str:
        """Return the path of the namespace's pods."""
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @property
    def replica_sets(self) -> str:
        """Return the path of the namespace's replica sets."""
        return f"/apis/apps/v1/namespaces/{self.namespace}/replicasets"

    def server_cpu(self) -> float:
        """Return the server's CPU seconds, 0.0 for one that is not ours."""
        return cpu_seconds(self.server_pid) if self.server_pid else 0.0

    async def send(self, method: str, path: str, body: bytes = b"", timeout: float = PATIENCE) -> Response:
        """Send one request, whatever comes of it."""
        headers = _MERGE if method == "PATCH" else _JSON
        return await self.transport.send(Request(method, path, headers, body, timeout, None, WHOLE_LIST))

    async def ask(self, method: str, path: str, value: object = None) -> Any:
        """Send one request with a JSON body; return the decoded answer. `Refused` unless it is 2xx."""
        body = b"" if value is None else json.dumps(value).encode()
        answer = await self.send(method, path, body)
        if not 200 <= answer.status < 300:
            raise Refused(f"{method} {path}: {answer.status} {answer.body[:300].decode(errors='replace')}")
        return json.loads(answer.body)

    async def prepare(self) -> None:
        """Make the namespace and wait until pods may be created in it."""
        await self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        probe = {
            "metadata": {"name": "probe"},
            "spec": {"schedulerName": "nobody", "containers": [{"name": "main", "image": "none"}]},
        }
        body = json.dumps(probe).encode()
        async with asyncio.timeout(PATIENCE):
            while (answer := await self.send("POST", self.pods, body)).status != 201:
                if answer.status not in (403, 404, 429, 500, 503):
                    raise Refused(f"POST {self.pods}: {answer.status} {answer.body[:300]!r}")
                await asyncio.sleep(0.1)
        await self.send("DELETE", f"{self.pods}/probe", b'{"gracePeriodSeconds":0}')

    async def clean(self) -> None:
        """Delete the namespace."""
        await self.send("DELETE", f"/api/v1/namespaces/{self.namespace}")

    async def many(self, requests: list[tuple[str, str, bytes]], concurrency: int = 32) -> list[Response]:
        """Send (method, path, body) with so many at a time; return the answers in the same order."""
        answers: list[Response | None] = [None] * len(requests)
        queue = iter(enumerate(requests))

        async def work() -> None:
            for number, (method, path, body) in queue:
                answers[number] = await self.send(method, path, body)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(concurrency):
                tasks.create_task(work())
        whole = [answer for answer in answers if answer is not None]
        if bad := next((answer for answer in whole if answer.status >= 300), None):
            raise Refused(f"{bad.status} {bad.body[:300].decode(errors='replace')}")
        return whole

    @asynccontextmanager
    async def watching(self, path: str, on_event: Callable[[str, bytes], None]) -> AsyncIterator[None]:
        """Watch from now on; `on_event` is given the type and the line of each event, as it arrives."""
        version = (await self.ask("GET", f"{path}?limit=1"))["metadata"]["resourceVersion"]
        target = f"{path}?watch=true&resourceVersion={version}&timeoutSeconds=3600"
        opened = asyncio.Event()

        async def follow() -> None:
            async with self.transport.open(Request("GET", target, _HEADERS)) as stream:
                if stream.status != 200:
                    raise Refused(f"GET {target}: {stream.status}")
                opened.set()
                rest = b""
                async for piece in stream:
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        on_event(line[9 : line.find(b'"', 9)].decode(), line)

        async with asyncio.TaskGroup() as tasks:
            follower = tasks.create_task(follow())
            await opened.wait()
            try:
                yield
            finally:
                follower.cancel()


class Tally:
    """Counts the events of a watch and lets one wait for a number of them."""

    def __init__(self) -> None:
        self.counts = {"ADDED": 0, "MODIFIED": 0, "DELETED": 0}
        self._goal: tuple[str, int] | None = None
        self._reached: asyncio.Future[float] | None = None

    def note(self, kind: str, line: bytes) -> None:
        """Take one event."""
        self.counts[kind] = count = self.counts.get(kind, 0) + 1
        if self._goal == (kind, count) and self._reached is not None:
            self._reached.set_result(time.perf_counter())

    async def expect(self, kind: str, more: int, within: float = 600.0) -> float:
        """Return when (time.perf_counter) so many more events of a kind have been seen."""
        self._goal = (kind, self.counts[kind] + more)
        self._reached = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(within):
            return await self._reached


@asynccontextmanager
async def cluster(kubeconfig: str = "", *, durable: bool = False) -> AsyncIterator[Cluster]:
    """Connect to the cluster of a kubeconfig, or start a sandbox; leave nothing behind.

    A `durable` sandbox keeps everything in a data directory.
    """
    with tempfile.TemporaryDirectory(prefix="kcm-bench-") as directory:
        path = Path(kubeconfig) if kubeconfig else Path(directory) / "kubeconfig"
        data = Path(directory) / "data" if durable else None
        server = None if kubeconfig else _start_sandbox(path, data)
        try:
            source = await find_credentials(
                SystemClock(), {}, kubeconfig=str(path), policy=ExecPolicy(), allow_insecure=True
            )
            transport = HttpTransport(source, connections=64)
            try:
                found = Cluster(path, transport, server.pid if server else 0)
                await found.prepare()
                try:
                    yield found
                finally:
                    if server is None:
                        await found.clean()
            finally:
                await transport.close()
        finally:
            if server is not None:
                server.terminate()
                server.wait()


def environment() -> dict[str, str]:
    """Return the environment for processes that are measured.

    Byte code may be written, or each start would compile anew what any installation has compiled
    already; nobody's kubeconfig leaks in.
    """
    left_out = ("KUBECONFIG", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in left_out}


def _start_sandbox(kubeconfig: Path, data: Path | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _SANDBOX, str(kubeconfig), *([str(data)] if data else [])]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment())
    assert server.stdout is not None
    if b"ready" not in server.stdout.readline():
        raise Refused("the sandbox did not start")
    return server

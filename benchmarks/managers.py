"""kcm itself as the measured process: started exactly as a user starts it.

A `ManagerProcess` is `kcm run` with its children. Guarantees: it has ended, and its children
with it, when its context is left. Its log is kept and can be asked when a record was written.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.cluster import Cluster, environment
from benchmarks.processes import Tree
from kcm.client.credentials import Credentials, FixedCredentials
from kcm.client.http import HttpTransport
from kcm.client.transport import Request, TransportError

POLL = 0.02


class ManagerProcess:
    """One running `kcm run`. `started` is time.perf_counter, `started_at` the time of day."""

    def __init__(self, command: list[str], port: int, log: Path) -> None:
        self.started, self.started_at = time.perf_counter(), time.time()
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment())
        self.tree = Tree(self.process.pid)
        self._log = log
        self._pages = HttpTransport(FixedCredentials(Credentials(server=f"http://127.0.0.1:{port}")))

    async def ready(self, within: float = 120.0) -> float:
        """Return the seconds from the start until /readyz said ok."""
        return await self._poll("/readyz", lambda status, body: status == 200, within)

    async def leading(self, within: float = 120.0) -> float:
        """Return the seconds from the start until all hosts lead."""

        def leads(status: int, body: bytes) -> bool:
            hosts = json.loads(body)["hosts"] if status == 200 else []
            return bool(hosts) and all(host["state"] == "leading" for host in hosts)

        return await self._poll("/statusz?format=json", leads, within)

    async def status(self) -> Any:
        """Return /statusz."""
        answer = await self._pages.send(Request("GET", "/statusz?format=json"))
        return json.loads(answer.body)

    async def metrics(self) -> str:
        """Return /metrics."""
        return (await self._pages.send(Request("GET", "/metrics"))).body.decode()

    def logged(self, message: str) -> datetime | None:
        """Return when a record with that message was first written."""
        for line in self._log.read_text().splitlines():
            if f'"message":"{message}"' in line:
                return datetime.fromisoformat(json.loads(line)["time"])
        return None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the manager; harmless when it has ended."""
        self.process.send_signal(number)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the manager and all its children."""
        for pid in self.tree.members():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def ended(self) -> None:
        """Wait until the manager has ended."""
        while self.process.poll() is None:
            await asyncio.sleep(POLL)

    async def close(self) -> None:
        """End it, at the latest by force."""
        if self.process.poll() is None:
            # One that is paused hears nothing else.
            self.signal_all(signal.SIGCONT)
        self.stop()
        try:
            async with asyncio.timeout(15.0):
                await self.ended()
        except TimeoutError:
            self.process.kill()
            await self.ended()
        await self._pages.close()

    async def _poll(self, page: str, holds: Any, within: float) -> float:
        async with asyncio.timeout(within):
            while True:
                try:
                    answer = await self._pages.send(Request("GET", page))
                    if holds(answer.status, answer.body):
                        return time.perf_counter() - self.started
                except TransportError:
                    pass
                if self.process.poll() is not None:
                    raise RuntimeError(f"kcm ended: {self._log.read_text()[-2000:]}")
                await asyncio.sleep(POLL)


@asynccontextmanager
async def manager(
    cluster: Cluster,
    configuration: str = "",
    *,
    controllers: str = "replicaset,eventrecorder",
    master: str = "",
) -> AsyncIterator[ManagerProcess]:
    """Start `kcm run` without a rate limit; `configuration` is YAML for --config.

    `master` is where it finds the server, in place of the cluster's kubeconfig.
    """
    with tempfile.TemporaryDirectory(prefix="kcm-bench-") as directory:
        log = Path(directory) / "log"
        port = _free_port()
        server = ["--master", master] if master else ["--kubeconfig", str(cluster.kubeconfig)]
        command = [sys.executable, "-m", "kcm", "run", *server]
        command += ["--controllers", controllers, "--port", str(port), "--log-format", "json"]
        command += ["--kube-api-qps", "0"]
        if configuration:
            (Path(directory) / "kcm.yaml").write_text(configuration)
            command += ["--config", str(Path(directory) / "kcm.yaml")]
        running = ManagerProcess(command, port, log)
        try:
            yield running
        finally:
            await running.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

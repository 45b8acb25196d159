"""Two managers: how long nothing is written after the leader is asked to stop, or is killed.

Pods are deleted all the time, so that there is always something to write. Measured at watches
of the benchmark: from the signal to the first pod that is created after the Lease names the
standby. What the old leader still writes in its grace does not count. The timings of the Lease
are kcm's defaults (15 s) at full size and short ones at a reduced size.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.cluster import Cluster, cluster
from benchmarks.managers import ManagerProcess, manager
from benchmarks.objects import replica_set
from benchmarks.options import Options
from benchmarks.react import name_in
from benchmarks.reporting import Report

REPLICAS = 50
BETWEEN_DELETIONS = 0.02

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
LEASE = "kcm-benchmark"
_CONFIGURATION = """\
apiVersion: kcm.dev/v1alpha1
kind: ManagerConfiguration
client: {{writeTimeout: {write}s}}
hosts: {{stopTime: {stop}s}}
leaderElection:
  resourceName: {name}
  leaseDuration: {lease}s
  renewDeadline: {renew}s
  retryPeriod: {retry}s
"""
_DEFAULT = {"lease": 15, "renew": 10, "retry": 2, "write": 3, "stop": 1}
_SHORT = {"lease": 2, "renew": 1, "retry": 0.3, "write": 0.4, "stop": 0.3}


class Succession:
    """Sees who holds the Lease and when pods are created."""

    def __init__(self) -> None:
        self.holder = ""
        self.alive: dict[str, None] = {}
        self._after: str | None = None
        self._first: asyncio.Future[float] | None = None

    def lease(self, kind: str, line: bytes) -> None:
        """Take an event of the Leases."""
        changed = json.loads(line)["object"]
        if changed["metadata"]["name"] == LEASE:
            self.holder = changed["spec"].get("holderIdentity") or ""

    def pod(self, kind: str, line: bytes) -> None:
        """Take an event of the pods."""
        if kind == "DELETED":
            self.alive.pop(name_in(line), None)
        if kind != "ADDED":
            return
        self.alive[name_in(line)] = None
        if self._first is not None and not self._first.done() and self.holder not in ("", self._after):
            self._first.set_result(time.perf_counter())

    def next_write(self) -> asyncio.Future[float]:
        """Return when (time.perf_counter) a successor of the present holder creates its first pod."""
        self._after = self.holder
        self._first = asyncio.get_running_loop().create_future()
        return self._first


async def run(options: Options) -> Report:
    """Stop and kill leaders in turn."""
    timings = _DEFAULT if options.size >= 1 else _SHORT
    lease = float(timings["lease"])
    report = Report("failover", "failover: signal → first write of the standby")
    report.facts = {"leaseSeconds": lease, "repetitions": options.repeat}
    configuration = _CONFIGURATION.format(name=LEASE, **timings)
    async with cluster(options.kubeconfig) as server, AsyncExitStack() as stack:
        await server.ask("POST", server.replica_sets, replica_set("kept", REPLICAS))
        seen = Succession()
        await stack.enter_async_context(server.watching(LEASES, seen.lease))
        await stack.enter_async_context(server.watching(server.pods, seen.pod))
        leader = await stack.enter_async_context(manager(server, configuration))
        await leader.leading()
        stopped: list[float] = []
        killed: list[float] = []
        for number, spans in (signal.SIGTERM, stopped), (signal.SIGKILL, killed):
            for _ in range(options.repeat):
                standby = await stack.enter_async_context(manager(server, configuration))
                await standby.ready()
                await _full(seen)
                spans.append(await _succeed(server, seen, leader, number))
                await leader.ended()
                leader = standby
    report.add("sigterm_s", "SIGTERM → first write", stopped, "s", most=1.0)
    report.add("sigterm_max_s", "SIGTERM → first write, longest", max(stopped), "s", most=1.0)
    report.add("sigkill_s", "SIGKILL → first write", killed, "s", most=lease + 2)
    report.add("sigkill_max_s", "SIGKILL → first write, longest", max(killed), "s", most=lease + 2)
    return report


async def _full(seen: Succession) -> None:
    async with asyncio.timeout(60):
        while len(seen.alive) < REPLICAS:
            await asyncio.sleep(0.05)
    # A standby has to have seen the Lease for a while, as it would have.
    await asyncio.sleep(1.0)


async def _succeed(
    server: Cluster, seen: Succession, leader: ManagerProcess, number: signal.Signals
) -> float:
    async with _deleting(server, seen):
        await asyncio.sleep(0.2)
        first = seen.next_write()
        began = time.perf_counter()
        leader.stop(number)
        async with asyncio.timeout(120):
            return await first - began


@asynccontextmanager
async def _deleting(server: Cluster, seen: Succession) -> AsyncIterator[None]:
    """Delete pods all the time, as long as some are left."""

    async def delete() -> None:
        while True:
            await asyncio.sleep(BETWEEN_DELETIONS)
            if len(seen.alive) > REPLICAS // 10:
                name = next(iter(seen.alive))
                await server.send("DELETE", f"{server.pods}/{name}", b'{"gracePeriodSeconds":0}')

    async with asyncio.TaskGroup() as tasks:
        deleting = tasks.create_task(delete())
        try:
            yield
        finally:
            deleting.cancel()

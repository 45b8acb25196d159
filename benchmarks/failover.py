"""Two managers: how long nothing is written when the leader stops, dies, hangs, is paused or cut off.

Each has its own way to the server, a relay that can go silent and sees who writes what. Pods are deleted
all the time, so that there is always something to write. Measured: from the trouble to the first write of
the successor that the server accepts. Counted: writes of the old leader that were accepted after its own
deadline (its last renewal that it knows of, plus renewDeadline), after the successor's first, and pods
beyond the wanted number, at any moment of one watch. At last the leader's caches are made to list many
pods anew, and the longest time between two renewals is measured. The timings of the Lease are kcm's
defaults at full size and short ones, and fewer troubles, at a small size.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.cluster import PATIENCE, Cluster, cluster
from benchmarks.managers import ManagerProcess, manager
from benchmarks.objects import replica_set, template
from benchmarks.options import Options
from benchmarks.react import name_in
from benchmarks.relay import Dial
from benchmarks.reporting import Report
from benchmarks.witness import Exchange, Witness
from kcm.base.clock import SystemClock
from kcm.client.credentials import address_of, ssl_context
from kcm.client.exec_plugin import ExecPolicy
from kcm.client.sources import find_credentials

REPLICAS = 50
OTHER_PODS = 30_000
RELISTS = 3
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
  leaseDuration: {lease:g}s
  renewDeadline: {renew}s
  retryPeriod: {retry}s
"""
_DEFAULT = {"lease": 15.0, "renew": 10.0, "retry": 2.0, "write": 3.0, "stop": 1.0}
_SHORT = {"lease": 3.0, "renew": 1.5, "retry": 0.3, "write": 0.6, "stop": 0.3}


@dataclass(frozen=True, slots=True)
class Replica:
    """A manager and the way to its server."""

    manager: ManagerProcess
    witness: Witness


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls a leader. `heal` makes it well again after it was succeeded; None: it has ended."""

    key: str
    text: str
    strike: Callable[[Replica], object]
    heal: Callable[[Replica], object] | None = None
    quick: bool = False


TROUBLES = (
    Trouble("sigterm_s", "asked to stop", lambda r: r.manager.stop(), quick=True),
    Trouble("sigkill_s", "killed", lambda r: r.manager.stop(signal.SIGKILL)),
    Trouble(
        "hang_s",
        "manager hangs, its hosts do not",
        lambda r: r.manager.stop(signal.SIGSTOP),
        lambda r: r.manager.stop(signal.SIGCONT),
    ),
    Trouble(
        "pause_s",
        "all its processes are paused, and go on later",
        lambda r: r.manager.signal_all(signal.SIGSTOP),
        lambda r: r.manager.signal_all(signal.SIGCONT),
    ),
    Trouble(
        "partition_s",
        "cut off from the server",
        lambda r: r.witness.relay.silence(),
        lambda r: r.witness.relay.speak(),
        quick=True,
    ),
    Trouble(
        "unheard_s",
        "its requests do not arrive",
        lambda r: r.witness.relay.silence(to_client=False),
        lambda r: r.witness.relay.speak(),
    ),
    Trouble(
        "unanswered_s",
        "answers to it do not arrive",
        lambda r: r.witness.relay.silence(to_server=False),
        lambda r: r.witness.relay.speak(),
    ),
)


class Pods:
    """Which pods there are, and how many there have been at once."""

    def __init__(self) -> None:
        self.alive: dict[str, None] = {}
        self.most = 0

    def note(self, kind: str, line: bytes) -> None:
        """Take an event of the pods."""
        name = name_in(line)
        if not name.startswith("kept-"):
            return
        if kind == "DELETED" or b'"deletionTimestamp"' in line:
            self.alive.pop(name, None)
        else:
            self.alive[name] = None
            self.most = max(self.most, len(self.alive))


@dataclass(slots=True)
class Wrongs:
    """Accepted writes that should not have been."""

    late: int = 0
    beside: int = 0


async def run(options: Options) -> Report:
    """Strike leaders in turn."""
    timings = _DEFAULT if options.size >= 1 else _SHORT
    report = Report("failover", "failover: trouble of the leader → first write of the standby")
    report.facts = {"leaseSeconds": timings["lease"], "repetitions": options.repeat}
    spans: dict[str, list[float]] = {}
    wrongs = Wrongs()
    async with Stage.open(options.kubeconfig, timings) as stage:
        # Those that end a manager, so that another has to be started, come last.
        for trouble in reversed(TROUBLES):
            for _ in range(options.repeat if trouble.quick or options.size >= 0.1 else 0):
                spans.setdefault(trouble.key, []).append(await stage.suffer(trouble, wrongs))
        gaps = await stage.relist(options.scaled(OTHER_PODS, 20), options.pause)
        most = stage.pods.most
    patience = timings["lease"] + 2
    for trouble in TROUBLES:
        if found := spans.get(trouble.key):
            target = 1.0 if trouble.key == "sigterm_s" else patience
            if trouble.key == "unanswered_s":
                # Its next renewal still counts, though it does not know.
                target += timings["retry"]
            report.add(trouble.key, trouble.text, found, "s", most=target)
            report.add(f"{trouble.key[:-2]}_max_s", "    longest", max(found), "s", most=target)
    report.add("late", "writes of an old leader after its deadline, accepted", wrongs.late, most=0)
    report.add("beside", "writes of an old leader after its successor's first", wrongs.beside, most=0)
    report.add("surplus", "pods beyond the wanted number, at most", most - REPLICAS, most=0)
    text = f"{options.scaled(OTHER_PODS, 20)} pods listed anew: longest between renewals"
    report.add("renewals_s", text, max(gaps), "s", most=timings["renew"])
    return report


class Stage:
    """A leader and its standby on one cluster."""

    def __init__(self, server: Cluster, timings: dict[str, float], stack: AsyncExitStack) -> None:
        self.pods = Pods()
        self._server = server
        self._timings = timings
        self._stack = stack
        self._replicas: list[Replica] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, kubeconfig: str, timings: dict[str, float]) -> AsyncIterator[Stage]:
        """Make a namespace with a replica set, and start two managers."""
        async with cluster(kubeconfig) as server, AsyncExitStack() as stack:
            stage = cls(server, timings, stack)
            await server.ask("POST", server.replica_sets, replica_set("kept", REPLICAS))
            await stack.enter_async_context(server.watching(server.pods, stage.pods.note))
            await stage._complete(2)
            yield stage

    async def suffer(self, trouble: Trouble, wrongs: Wrongs) -> float:
        """Strike the leader; return how long nothing was written. Afterwards there are two again."""
        leader, standby = await self._complete(2)
        async with self._deleting():
            await asyncio.sleep(0.2)
            struck = time.perf_counter()
            trouble.strike(leader)
            first: Exchange = await self._until(lambda: next(standby.witness.work(struck), None))
            if trouble.heal is not None:
                # Long enough for what the old one wanted to write to arrive, and be seen.
                await asyncio.sleep(self._timings["renew"] / 2)
                trouble.heal(leader)
                await asyncio.sleep(self._timings["renew"] / 2)
        deadline = leader.witness.deadline(self._timings["renew"])
        work = list(leader.witness.work(struck))
        wrongs.late += sum(each.sent > deadline for each in work)
        wrongs.beside += sum(each.answered > first.answered for each in work)
        if trouble.heal is None:
            await leader.manager.ended()
            self._replicas.remove(leader)
        return first.answered - struck

    async def relist(self, count: int, pause: float) -> list[float]:
        """Let the leader list many pods anew; return the times between its renewals meanwhile."""
        leader, *_ = await self._complete(1)
        other = template("other")
        bodies = [
            json.dumps({"metadata": {**other["metadata"], "name": f"other-{number}"}, "spec": other["spec"]})
            for number in range(count)
        ]
        await self._server.many([("POST", self._server.pods, body.encode()) for body in bodies])
        began = time.perf_counter()
        for _ in range(RELISTS):
            if self._server.server_pid:
                # What it has seen is forgotten, so that it cannot go on from there.
                await self._server.send("DELETE", "/sandbox/history")
            leader.witness.relay.reset()
            await asyncio.sleep(self._timings["retry"] + 3 * pause)
        renewals = leader.witness.renewals(began - self._timings["retry"])
        gaps = [later - earlier for earlier, later in pairwise(renewals)]
        return gaps or [float("inf")]

    async def _complete(self, count: int) -> list[Replica]:
        """Return at least so many managers, the leader first, all of them well and all pods there."""
        while len(self._replicas) < count:
            self._replicas.append(await self._start())
            await self._replicas[0].manager.leading()
        for each in self._replicas:
            await each.manager.ready()
        await self._until(lambda: len(self.pods.alive) == REPLICAS)
        # A standby has to have seen the Lease for a while, as it would have.
        await asyncio.sleep(2 * self._timings["retry"])
        async with asyncio.timeout(PATIENCE):
            while True:
                leads = [(await each.manager.status())["election"]["leading"] for each in self._replicas]
                if leads.count(True) == 1:
                    break
                # On a machine that stood still the Lease may be between two holders.
                await asyncio.sleep(0.1)
        if not leads[0]:
            self._replicas.reverse()
        await self._replicas[0].manager.leading()
        return self._replicas[:]

    async def _start(self) -> Replica:
        dial, prefix, authorization = await _way_to(self._server)
        witness = Witness(dial, prefix, authorization)
        relay = await self._stack.enter_async_context(witness.relay.serving())
        configuration = _CONFIGURATION.format(name=LEASE, **self._timings)
        master = f"http://127.0.0.1:{relay.port}"
        started = manager(self._server, configuration, master=master)
        return Replica(await self._stack.enter_async_context(started), witness)

    async def _until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(2 * PATIENCE):
            while not (found := condition()):
                await asyncio.sleep(0.01)
            return found

    @asynccontextmanager
    async def _deleting(self) -> AsyncIterator[None]:
        """Delete pods all the time, as long as some are left."""

        async def delete() -> None:
            while True:
                await asyncio.sleep(BETWEEN_DELETIONS)
                if len(self.pods.alive) > REPLICAS // 10:
                    name = next(iter(self.pods.alive))
                    path = f"{self._server.pods}/{name}"
                    await self._server.send("DELETE", path, b'{"gracePeriodSeconds":0}')

        async with asyncio.TaskGroup() as tasks:
            deleting = tasks.create_task(delete())
            try:
                yield
            finally:
                deleting.cancel()


async def _way_to(server: Cluster) -> tuple[Dial, str, str]:
    """Return how to reach the server, what its paths begin with, and what to show it."""
    source = await find_credentials(
        SystemClock(), {}, kubeconfig=str(server.kubeconfig), policy=ExecPolicy(), allow_insecure=True
    )
    credentials = await source.current()
    address = address_of(credentials.server)
    context = ssl_context(credentials) if address.tls else None
    name = (credentials.tls_server_name or address.host) if context else None

    def dial() -> Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        return asyncio.open_connection(address.host, address.port, ssl=context, server_hostname=name)

    return dial, address.prefix, credentials.authorization

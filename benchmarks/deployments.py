"""Deployments: a burst of new ones, rolling updates, and what a quiet cluster of them costs.

Burst: 300 Deployments of 4, sent 32 at a time, no kubelets. From the first POST to the last pod
seen, and from there until every Deployment's status counts its pods. Go's manager, measured on
2 cores against a real API server: 5.7 s, and 1.90 s of CPU.

Rolling updates: one Deployment of 500, then 100 of 10, with kubelets that take no time, from the
`rollout restart` of all to the last `NewReplicaSetAvailable` for the new generation. Requests are counted
by kcm's own metrics, per pod replaced; a 409 is a conflict of our own making, as nobody else writes.

Quiet: 1,000 Deployments of 10 which have all come up; percent of one core over a minute.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.cluster import Cluster, Tally, cluster
from benchmarks.kubelets import instant_kubelets
from benchmarks.managers import ManagerProcess, manager
from benchmarks.objects import template
from benchmarks.options import Options
from benchmarks.reporting import Report

BURST, BURST_SIZE = 300, 4
LARGE = 500
MANY, MANY_SIZE = 100, 10
QUIET, QUIET_SIZE, QUIET_SECONDS = 1000, 10, 60.0
# Hosts report their metrics with every fifth heartbeat.
OFTEN = "apiVersion: kcm.dev/v1alpha1\nkind: ManagerConfiguration\nhosts: {heartbeatPeriod: 200ms}\n"
REPORTING = 1.3
GO_BURST_SECONDS, GO_BURST_CPU = 5.7, 1.9
CONTROLLERS = "replicaset,deployment,eventrecorder"


class Statuses:
    """Follows the Deployments' statuses by a watch; wakes whoever waits for all of them."""

    def __init__(self, replicas: int, *, complete: bool) -> None:
        self.done: set[str] = set()
        self._replicas = replicas
        self._complete = complete
        self._changed = asyncio.Event()

    def note(self, kind: str, line: bytes) -> None:
        """Take one event of the watch."""
        if kind not in ("ADDED", "MODIFIED"):
            return
        found = json.loads(line)["object"]
        name = found["metadata"]["name"]
        if self._is_right(found):
            self.done.add(name)
            self._changed.set()
        else:
            self.done.discard(name)

    def _is_right(self, found: dict[str, Any]) -> bool:
        status = found.get("status", {})
        counted = all(status.get(name) == self._replicas for name in ("replicas", "updatedReplicas"))
        if not counted or status.get("observedGeneration") != found["metadata"]["generation"]:
            return False
        if not self._complete:
            return bool(status.get("unavailableReplicas") == self._replicas)
        reasons = {each.get("reason") for each in status.get("conditions", ())}
        return status.get("availableReplicas") == self._replicas and "NewReplicaSetAvailable" in reasons

    async def all(self, count: int, within: float = 600.0) -> float:
        """Return when (time.perf_counter) so many were right at the same time."""
        async with asyncio.timeout(within):
            while len(self.done) < count:
                self._changed.clear()
                await self._changed.wait()
        return time.perf_counter()


async def run(options: Options) -> Report:
    """Measure all three."""
    report = Report("deployments", "deployments: burst, rolling updates, rest")
    report.facts = {
        "burst": f"{options.scaled(BURST, 2)}x{BURST_SIZE}",
        "large": options.scaled(LARGE, 4),
        "many": f"{options.scaled(MANY, 2)}x{MANY_SIZE}",
        "quiet": f"{options.scaled(QUIET, 2)}x{QUIET_SIZE}",
    }
    bursts = [await _burst(options) for _ in range(options.repeat)]
    _report_burst(report, bursts)
    for key, count, size in (
        ("large", 1, options.scaled(LARGE, 4)),
        ("many", options.scaled(MANY, 2), MANY_SIZE),
    ):
        rolls = [await _roll(options, count, size) for _ in range(options.repeat)]
        _report_roll(report, key, f"rolling update {count} x {size}", rolls)
    report.add("quiet_percent", "quiet cluster: CPU of one core", await _rest(options), "%", most=0.5)
    return report


def _report_burst(report: Report, runs: Sequence[dict[str, float]]) -> None:
    def each(name: str) -> list[float]:
        return [run[name] for run in runs]

    report.add("burst_s", "burst: first POST -> last pod", each("pods_s"), "s", most=GO_BURST_SECONDS / 2)
    report.add("burst_status_s", "burst: last pod -> every status right", each("status_s"), "s", most=0.3)
    report.add("burst_cpu_s", "burst: CPU of all kcm processes", each("cpu_s"), "s", most=GO_BURST_CPU)
    report.add("burst_manager_cpu_s", "burst: CPU of the manager", each("manager_s"), "s")
    report.add("burst_server_cpu_s", "burst: CPU of the server", each("server_s"), "s")
    report.add("burst_writes", "burst: writes per pod", each("writes"))
    report.add("burst_conflicts", "burst: answers 409", each("conflicts"), most=0)


def _report_roll(report: Report, key: str, text: str, runs: Sequence[dict[str, float]]) -> None:
    report.add(f"{key}_s", f"{text}: time", [run["seconds"] for run in runs], "s")
    report.add(f"{key}_cpu_s", f"{text}: CPU of all kcm processes", [run["cpu_s"] for run in runs], "s")
    report.add(f"{key}_server_cpu_s", f"{text}: CPU of the server", [run["server_s"] for run in runs], "s")
    report.add(f"{key}_writes", f"{text}: writes per pod replaced", [run["writes"] for run in runs])
    report.add(f"{key}_conflicts", f"{text}: answers 409", [run["conflicts"] for run in runs], most=0)


async def _burst(options: Options) -> dict[str, float]:
    count = options.scaled(BURST, 2)
    async with (
        cluster(options.kubeconfig) as server,
        manager(server, OFTEN, controllers=CONTROLLERS) as kcm,
    ):
        await kcm.leading()
        await kcm.tree.quiet(options.pause)
        pods, statuses = Tally(), Statuses(BURST_SIZE, complete=False)
        watching = (
            server.watching(server.pods, pods.note),
            server.watching(deployments(server), statuses.note),
        )
        async with watching[0], watching[1]:
            before = await _Cost.so_far(server, kcm)
            began = time.perf_counter()
            last_pod = asyncio.ensure_future(pods.expect("ADDED", count * BURST_SIZE))
            await _create(server, count, BURST_SIZE)
            shown = await last_pod
            right = await statuses.all(count)
            await kcm.tree.quiet(options.pause)
            cost = await _Cost.so_far(server, kcm)
    return {
        "pods_s": shown - began,
        "status_s": max(0.0, right - shown),
        **cost.since(before, count * BURST_SIZE),
    }


async def _roll(options: Options, count: int, size: int) -> dict[str, float]:
    async with (
        cluster(options.kubeconfig) as server,
        manager(server, OFTEN, controllers=CONTROLLERS) as kcm,
        instant_kubelets(server),
    ):
        await kcm.leading()
        before_it, after_it = Statuses(size, complete=True), Statuses(size, complete=True)
        async with server.watching(deployments(server), before_it.note):
            await _create(server, count, size)
            await before_it.all(count)
        await kcm.tree.quiet(options.pause)
        async with server.watching(deployments(server), after_it.note):
            before = await _Cost.so_far(server, kcm)
            began = time.perf_counter()
            await server.many([("PATCH", path, _restart()) for path in _paths(server, count)])
            ended = await after_it.all(count)
            await kcm.tree.quiet(options.pause)
            cost = await _Cost.so_far(server, kcm)
    return {"seconds": ended - began, **cost.since(before, count * size)}


async def _rest(options: Options) -> float:
    count, seconds = options.scaled(QUIET, 2), max(2.0, QUIET_SECONDS * min(1.0, options.size))
    async with (
        cluster(options.kubeconfig) as server,
        manager(server, controllers=CONTROLLERS) as kcm,
        instant_kubelets(server),
    ):
        await kcm.leading()
        statuses = Statuses(QUIET_SIZE, complete=True)
        async with server.watching(deployments(server), statuses.note):
            await _create(server, count, QUIET_SIZE)
            await statuses.all(count)
        await kcm.tree.quiet(options.pause, within=300.0)
        before, began = kcm.tree.cpu(), time.perf_counter()
        await asyncio.sleep(seconds)
        return (kcm.tree.cpu() - before) / (time.perf_counter() - began) * 100


class _Cost:
    """What kcm and the server have spent so far."""

    def __init__(self, cpu: float, manager: float, server: float, writes: float, conflicts: float) -> None:
        self.cpu, self.manager, self.server = cpu, manager, server
        self.writes, self.conflicts = writes, conflicts

    @classmethod
    async def so_far(cls, server: Cluster, kcm: ManagerProcess) -> _Cost:
        """Read processes and metrics; hosts report theirs every second (`OFTEN`)."""
        await asyncio.sleep(REPORTING)
        cpu, roles = kcm.tree.cpu(), kcm.tree.by_role()
        writes, conflicts = await _writes(kcm)
        return cls(cpu, roles["manager"][0], server.server_cpu(), writes, conflicts)

    def since(self, before: _Cost, pods: int) -> dict[str, float]:
        """Return what was spent since then, writes per pod."""
        return {
            "cpu_s": self.cpu - before.cpu,
            "manager_s": self.manager - before.manager,
            "server_s": self.server - before.server,
            "writes": (self.writes - before.writes) / pods,
            "conflicts": self.conflicts - before.conflicts,
        }


async def _writes(kcm: ManagerProcess) -> tuple[float, float]:
    """Return how many writes were sent, events and the Lease's included, and how many met a 409."""
    writes = conflicts = 0.0
    for line in (await kcm.metrics()).splitlines():
        if not line.startswith("rest_client_requests_total{"):
            continue
        labels, _, value = line.rpartition(" ")
        if any(f'method="{method}"' in labels for method in ("POST", "PATCH", "PUT", "DELETE")):
            writes += float(value)
            conflicts += float(value) * ('code="409"' in labels)
    return writes, conflicts


def deployments(server: Cluster) -> str:
    """Return the path of the namespace's Deployments."""
    return f"/apis/apps/v1/namespaces/{server.namespace}/deployments"


def _paths(server: Cluster, count: int) -> list[str]:
    return [f"{deployments(server)}/web-{number}" for number in range(count)]


async def _create(server: Cluster, count: int, size: int) -> None:
    bodies = (json.dumps(_deployment(f"web-{number}", size)).encode() for number in range(count))
    await server.many([("POST", deployments(server), body) for body in bodies])


def _deployment(name: str, replicas: int) -> dict[str, Any]:
    pod = template(name)
    pod["metadata"] = {"labels": {"app": name}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def _restart() -> bytes:
    """Return what `kubectl rollout restart` changes."""
    notes = {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}
    return json.dumps({"spec": {"template": {"metadata": notes}}}).encode()

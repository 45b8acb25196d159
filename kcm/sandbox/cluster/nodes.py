"""Simulated nodes: registered once, then kept alive.

Each node has a Lease (kube-node-lease/<node>, 40 s, renewed every 10 s) and reports its
conditions every 5 minutes (reference: apiserver 6). The annotation `sandbox.kcm.dev/fault` on a node
makes it `lost` (no sign of life until it is taken away) or `not-ready`. Guarantees: an existing
node of the same name is taken over, a deleted one stays deleted until somebody creates it again;
heartbeats of all nodes share one task, spread over the interval. Nodes are large on purpose, so
that thousands of pods fit on two: 1,000 cores, 4 TiB, 20,000 pods each, unless the settings say
otherwise.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import Any

import msgspec

from kcm.base.clock import Clock
from kcm.base.timestamps import format_micro_time, format_time
from kcm.sandbox.cluster.calls import MERGE, Api, Refused
from kcm.sandbox.cluster.fleet import Fleet, SimulatedNode
from kcm.sandbox.cluster.follow import Change
from kcm.sandbox.cluster.taints import NOT_READY, written
from kcm.sandbox.cluster.views import NodeView
from kcm.telemetry.logging import logger

log = logger("sandbox.nodes")

_read_node = msgspec.json.Decoder(NodeView).decode

LEASE_SECONDS, RENEW_EVERY, REPORT_EVERY = 40, 10.0, 300.0
_RETRY = 1.0
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
KUBELET_VERSION = "v1.36.0"
CONDITIONS = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")


class Heartbeats:
    """Registers nodes and keeps them alive."""

    def __init__(self, api: Api, fleet: Fleet, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._by_name = fleet.nodes
        self._beating = set(fleet.nodes)
        self._beats: list[tuple[float, str, bool]] = []
        self._faults: dict[str, str] = {}
        self._since: dict[tuple[str, str], tuple[str, str]] = {}
        self._news: dict[str, bool] = {}
        self._told = asyncio.Event()

    def node_changed(self, change: Change[NodeView]) -> None:
        """Take in what ails a node, and whether it has to report from the beginning."""
        name = change.new.metadata.name
        if name not in self._by_name or change.kind == "deleted":
            return
        fault = change.new.fault
        joined = name not in self._beating
        if joined:
            self._join(name)
        again = joined or (change.kind == "added" and not change.initial)
        if self._faults.get(name, "") != fault or again:
            self._faults[name] = fault
            self._news[name] = again or self._news.get(name, False)
            self._told.set()

    def _join(self, name: str) -> None:
        now = self._clock.monotonic()
        self._beating.add(name)
        heapq.heappush(self._beats, (now + RENEW_EVERY, name, False))
        heapq.heappush(self._beats, (now + REPORT_EVERY, name, True))

    async def register(self) -> None:
        """Create the nodes and their leases; Refused when the server will not have them."""
        for node in self._by_name.values():
            await self._ensure("/api/v1/nodes", self._node(node))
            path = f"/api/v1/nodes/{node.name}"
            told = await self._api.patch(f"{path}/status", {"status": self._status(node)})
            await self._untaint(path, _read_node(told))
            await self._ensure(_LEASES, self._lease(node))

    async def _untaint(self, path: str, node: NodeView) -> None:
        """Take off what a new node is created with, so that it takes pods as soon as it is there."""
        kept = [each for each in node.spec.taints if each.key != NOT_READY]
        if len(kept) < len(node.spec.taints) and not node.fault:
            await self._api.patch(path, {"spec": {"taints": [written(each) for each in kept] or None}}, MERGE)

    async def run(self) -> None:
        """Renew leases and report conditions until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat_on())
            group.create_task(self._tell_news())

    async def _tell_news(self) -> None:
        """Report at once what has changed about a node."""
        while True:
            await self._told.wait()
            self._told.clear()
            while self._news:
                name, whole = self._news.popitem()
                node = self._by_name.get(name)
                if node is not None and not await (self._settle(node) if whole else self._beat(node, True)):
                    self._news[name] = whole or self._news.get(name, False)
                    await self._clock.sleep(_RETRY)

    async def _settle(self, node: SimulatedNode) -> bool:
        """Report everything about a node that somebody has created; say whether that is done."""
        try:
            await self._api.patch(f"/api/v1/nodes/{node.name}/status", {"status": self._status(node)})
            await self._ensure(_LEASES, self._lease(node))
        except Refused as error:
            log.debug("node not reported", node=node.name, error=str(error))
            return error.code == 404
        return True

    async def _beat_on(self) -> None:
        start = self._clock.monotonic()
        share = RENEW_EVERY / max(1, len(self._by_name))
        for index, name in enumerate(self._by_name):
            # Whether a beat is a report is told by its third part: each kind keeps its own rhythm.
            self._beats.append((start + RENEW_EVERY + index * share, name, False))
            self._beats.append((start + REPORT_EVERY + index * share, name, True))
        heapq.heapify(self._beats)
        while self._beats:
            at, name, report = self._beats[0]
            await self._clock.sleep(at - self._clock.monotonic())
            at, name, report = heapq.heappop(self._beats)
            node = self._by_name.get(name)
            if node is None:
                # A user's node that is gone. Its other rhythm ends in the same way.
                self._beating.discard(name)
                continue
            await self._beat(node, report)
            # Counted from now, not from `at`: after a suspension one beat is enough.
            following = self._clock.monotonic() + (REPORT_EVERY if report else RENEW_EVERY)
            heapq.heappush(self._beats, (following, name, report))

    async def _beat(self, node: SimulatedNode, report: bool) -> bool:
        """Report a node's conditions or renew its lease; say whether that is done."""
        if self._faults.get(node.name) == "lost":
            return True
        try:
            if report:
                path = f"/api/v1/nodes/{node.name}/status"
                await self._api.patch(path, {"status": {"conditions": self._conditions(node)}})
            else:
                renewed = {"spec": {"renewTime": format_micro_time(self._clock.wall())}}
                await self._api.patch(f"{_LEASES}/{node.name}", renewed, MERGE)
        except Refused as error:
            if error.code == 404:
                return True
            log.warning("heartbeat refused", node=node.name, error=str(error))
            return False
        return True

    async def _ensure(self, path: str, body: dict[str, Any]) -> None:
        try:
            await self._api.create(path, body)
        except Refused as error:
            if error.reason != "AlreadyExists":
                raise

    def _node(self, node: SimulatedNode) -> dict[str, Any]:
        labels = {
            "kubernetes.io/hostname": node.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": "amd64",
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name, "labels": labels},
            "spec": {"providerID": f"sandbox://{node.name}"},
        }

    def _status(self, node: SimulatedNode) -> dict[str, Any]:
        amounts = {
            "cpu": node.shape.cpu,
            "memory": node.shape.memory,
            "pods": str(node.shape.pods),
            "ephemeral-storage": "1Ti",
        }
        return {
            "capacity": amounts,
            "allocatable": amounts,
            "addresses": [
                {"type": "InternalIP", "address": node.address},
                {"type": "Hostname", "address": node.name},
            ],
            "conditions": self._conditions(node),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "machineID": node.name,
                "systemUUID": node.name,
                "bootID": node.name,
                "kernelVersion": "6.12.0-sandbox",
                "osImage": "kcm sandbox (simulated)",
                "containerRuntimeVersion": "simulated://1.0",
                "kubeletVersion": KUBELET_VERSION,
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        }

    def _conditions(self, node: SimulatedNode) -> list[dict[str, str]]:
        now = format_time(self._clock.wall())
        pressures = (
            ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        )
        verdicts = [(name, "False", reason, text) for name, reason, text in pressures]
        if self._faults.get(node.name) == "not-ready":
            verdicts.append(("Ready", "False", "KubeletNotReady", "a fault that somebody ordered"))
        else:
            verdicts.append(("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
        return [
            {
                "type": name,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": now,
                "lastTransitionTime": self._since_when(node, name, status, now),
            }
            for name, status, reason, message in verdicts
        ]

    def _since_when(self, node: SimulatedNode, type_: str, status: str, now: str) -> str:
        """Return since when a condition has its status: it moves when the status does."""
        before, since = self._since.get((node.name, type_), ("", ""))
        if before != status:
            since = now
            self._since[(node.name, type_)] = (status, now)
        return since

    def _lease(self, node: SimulatedNode) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": node.name, "namespace": "kube-node-lease"},
            "spec": {
                "holderIdentity": node.name,
                "leaseDurationSeconds": LEASE_SECONDS,
                "renewTime": format_micro_time(self._clock.wall()),
            },
        }

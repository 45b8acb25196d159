"""What becomes of nodes that fall silent, are cordoned or deleted, and of the pods on them.

A built-in of the sandbox in place of three controllers of a real manager (reference: apiserver 6):

* a node that has not been heard of for 40 s becomes Ready Unknown, and its pods not ready;
* conditions and `spec.unschedulable` become taints, and taints go when their cause is gone;
* a pod under a NoExecute taint is deleted when its tolerations have run out;
* pods of a node that is no more are failed and deleted after 40 s.

All these times, `tolerationSeconds` too, are divided by the speed. Guarantees: one task; work
follows from changes, so a quiet cluster costs nothing; an update that fails is made again.
Only simulated nodes can fall silent: others have no kubelet here, and are believed.
Owns the pods by node and what is due.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Container
from typing import Any

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time
from kcm.sandbox.cluster.behaviour import Pace
from kcm.sandbox.cluster.calls import MERGE, Api, Refused
from kcm.sandbox.cluster.eventlog import EventLog
from kcm.sandbox.cluster.follow import Change
from kcm.sandbox.cluster.nodes import CONDITIONS
from kcm.sandbox.cluster.taints import evict_after, wanted_taints, written
from kcm.sandbox.cluster.views import NodeView, PodView
from kcm.telemetry.logging import logger

log = logger("sandbox.lifecycle")

# A real controller waits 50 s from the last heartbeat, which is up to 10 s old when a node is lost.
GRACE, QUARANTINE = 40.0, 40.0
_RETRY = 1.0
_CONTROLLER, _EVICTION = "node-controller", "taint-eviction-controller"

# What is due: a node to be judged, a node's absence to be believed, a pod to be evicted.
Due = tuple[str, str]


class NodeLifecycle:
    """Keeps nodes' taints true, and takes pods off nodes that cannot have them."""

    def __init__(
        self, api: Api, simulated: Container[str], pace: Pace, events: EventLog, clock: Clock
    ) -> None:
        self._api = api
        self._simulated = simulated
        self._pace = pace
        self._events = events
        self._clock = clock
        self._nodes: dict[str, NodeView] = {}
        self._pods: defaultdict[str, dict[str, PodView]] = defaultdict(dict)
        self._hosts: dict[str, str] = {}
        self._due: dict[Due, float] = {}
        self._heap: list[tuple[float, Due]] = []
        self._wake = asyncio.Event()

    def node_changed(self, change: Change[NodeView]) -> None:
        """Take in a node's state."""
        node = change.new
        name = node.metadata.name
        before = self._nodes.get(name)
        if change.kind == "deleted":
            self._nodes.pop(name, None)
            self._cancel(("judge", name))
            if self._pods.get(name):
                self._plan(("absent", name), QUARANTINE)
            return
        self._nodes[name] = node
        self._cancel(("absent", name))
        if node.fault == "lost" and name in self._simulated:
            if ("judge", name) not in self._due and node.verdict("Ready") != "Unknown":
                self._plan(("judge", name), GRACE)
        else:
            self._cancel(("judge", name))
        if wanted_taints(node, "") != node.spec.taints:
            self._plan(("taint", name), 0.0)
        if before is None or before.spec.taints != node.spec.taints:
            for pod in self._pods.get(name, {}).values():
                self._consider(pod, node)

    def pod_changed(self, change: Change[PodView]) -> None:
        """Take in where a pod is."""
        pod, uid, host = change.new, change.new.metadata.uid, change.new.spec.node_name
        if change.kind == "deleted":
            self._pods.get(self._hosts.pop(uid, ""), {}).pop(uid, None)
            self._cancel(("evict", uid))
            return
        if not host:
            return
        known = uid in self._hosts
        self._hosts[uid] = host
        self._pods[host][uid] = pod
        if known:
            return
        node = self._nodes.get(host)
        if node is not None:
            self._consider(pod, node)
        elif ("absent", host) not in self._due:
            self._plan(("absent", host), QUARANTINE)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._rest()
            while self._heap and self._heap[0][0] <= self._clock.monotonic():
                at, due = heapq.heappop(self._heap)
                if self._due.get(due) != at:
                    continue
                del self._due[due]
                try:
                    await self._do(*due)
                except Refused as error:
                    if error.code != 404:
                        log.debug("node lifecycle refused", what=due[0], error=str(error))
                        self._plan(due, _RETRY * self._pace.speed)

    async def _rest(self) -> None:
        wait = max(0.0, self._heap[0][0] - self._clock.monotonic()) if self._heap else None
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _plan(self, due: Due, seconds: float) -> None:
        at = self._clock.monotonic() + self._pace.scaled(seconds)
        self._due[due] = at
        heapq.heappush(self._heap, (at, due))
        self._wake.set()

    def _cancel(self, due: Due) -> None:
        self._due.pop(due, None)

    async def _do(self, what: str, key: str) -> None:
        match what:
            case "judge":
                await self._give_up(key)
            case "taint":
                await self._taint(key)
            case "absent":
                await self._collect(key)
            case "evict":
                await self._evict(key)

    def _consider(self, pod: PodView, node: NodeView) -> None:
        """Decide when, if ever, a pod has to leave its node."""
        due = ("evict", pod.metadata.uid)
        taints = [each for each in node.spec.taints if each.effect == "NoExecute"]
        seconds = evict_after(pod.spec.tolerations, taints)
        if not taints or seconds is None:
            if due in self._due:
                self._cancel(due)
                self._tell(pod, f"Cancelling deletion of Pod {pod.label}")
        elif due not in self._due or seconds == 0.0:
            self._plan(due, seconds)

    async def _give_up(self, name: str) -> None:
        """Write that nothing is known of a node, and that its pods are not ready."""
        node = self._nodes.get(name)
        if node is None:
            return
        stamp = format_time(self._clock.wall())
        unknown = [
            {
                "type": type_,
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": stamp,
            }
            for type_ in CONDITIONS
        ]
        await self._api.patch(f"/api/v1/nodes/{name}/status", {"status": {"conditions": unknown}})
        text = f"Node {name} status is now: NodeNotReady"
        self._events.record(node, _CONTROLLER, "NodeNotReady", text)
        for pod in list(self._pods.get(name, {}).values()):
            if pod.status.holds("Ready"):
                await self._unready(pod, stamp)

    async def _unready(self, pod: PodView, stamp: str) -> None:
        condition = {"type": "Ready", "status": "False", "lastTransitionTime": stamp}
        try:
            await self._patch_status(pod, {"conditions": [condition]})
        except Refused as error:
            if error.code != 404:
                raise
            return
        self._events.record(pod, _CONTROLLER, "NodeNotReady", "Node is not ready", warning=True)

    async def _taint(self, name: str) -> None:
        node = self._nodes.get(name)
        if node is None:
            return
        taints = wanted_taints(node, format_time(self._clock.wall()))
        if taints == node.spec.taints:
            return
        metadata = {"resourceVersion": node.metadata.resource_version}
        patch = {"metadata": metadata, "spec": {"taints": [written(each) for each in taints] or None}}
        try:
            await self._api.patch(f"/api/v1/nodes/{name}", patch, MERGE)
        except Refused as error:
            # Changed meanwhile: the watch brings the node as it is, and with it the next try.
            if error.code != 409:
                raise

    async def _evict(self, uid: str) -> None:
        pod = self._pods.get(self._hosts.get(uid, ""), {}).get(uid)
        if pod is None or pod.metadata.deletion_timestamp:
            return
        self._tell(pod, f"Marking for deletion Pod {pod.label}")
        why = self._disruption("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
        await self._patch_status(pod, {"conditions": [why]})
        await self._delete(pod, {})

    async def _collect(self, name: str) -> None:
        """Delete the pods of a node that is no more."""
        if name in self._nodes:
            return
        why = self._disruption("DeletionByPodGC", "PodGC: node no longer exists")
        for pod in list(self._pods.get(name, {}).values()):
            status: dict[str, Any] = {"conditions": [why]}
            if not pod.ended:
                status["phase"] = "Failed"
            try:
                await self._patch_status(pod, status)
                await self._delete(pod, {"gracePeriodSeconds": 0})
            except Refused as error:
                if error.code != 404:
                    raise

    async def _patch_status(self, pod: PodView, status: dict[str, Any]) -> None:
        patch = {"metadata": {"uid": pod.metadata.uid}, "status": status}
        await self._api.patch(f"{_path(pod)}/status", patch)

    async def _delete(self, pod: PodView, options: dict[str, Any]) -> None:
        preconditions = {"preconditions": {"uid": pod.metadata.uid}}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options, **preconditions}
        await self._api.delete(_path(pod), body)

    def _disruption(self, reason: str, message: str) -> dict[str, str]:
        condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
        return {**condition, "lastTransitionTime": format_time(self._clock.wall())}

    def _tell(self, pod: PodView, message: str) -> None:
        self._events.record(pod, _EVICTION, "TaintManagerEviction", message)


def _path(pod: PodView) -> str:
    return f"/api/v1/namespaces/{pod.metadata.namespace}/pods/{pod.metadata.name}"

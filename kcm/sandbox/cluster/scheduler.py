"""The simulated scheduler: one driver around `choose_node`.

Told of pods and nodes by their followers, it binds every unbound pod that is meant for it, or
says on the pod why it cannot (reference: apiserver 6). Guarantees: a pod is counted on its
node from the moment it is chosen, so no node is filled twice; pods that fit nowhere are tried
again when a node changes or room appears, at most once a second. Owns the ledger of what is
taken on each node.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, replace

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time
from kcm.sandbox.cluster.calls import Api, Refused
from kcm.sandbox.cluster.eventlog import EventLog
from kcm.sandbox.cluster.follow import Change
from kcm.sandbox.cluster.placement import Chosen, Room, Unschedulable, choose_node
from kcm.sandbox.cluster.quantities import Amount, capacity_of, requested_by
from kcm.sandbox.cluster.views import NodeView, PodView
from kcm.telemetry.logging import logger

log = logger("sandbox.scheduler")

NAME = "default-scheduler"
_PAUSE = 1.0
_TURN = 0.002


@dataclass(frozen=True, slots=True)
class _Place:
    """What a pod takes on a node; `seen` once the API has said that it is there."""

    node: str
    wanted: Amount
    seen: bool


class Scheduler:
    """Binds pods to nodes."""

    def __init__(self, api: Api, events: EventLog, clock: Clock) -> None:
        self._api = api
        self._events = events
        self._clock = clock
        self._rooms: dict[str, Room] = {}
        self._placed: dict[str, _Place] = {}
        self._pending: dict[str, PodView] = {}
        self._order: list[tuple[int, int, str]] = []
        self._arrivals = 0
        self._parked: dict[str, tuple[PodView, str]] = {}
        self._reconsider_at: float | None = None
        self._wake = asyncio.Event()

    def node_changed(self, change: Change[NodeView]) -> None:
        """Take in what a node has to give."""
        node = change.new
        name = node.metadata.name
        if change.kind == "deleted":
            self._rooms.pop(name, None)
            return
        try:
            capacity = capacity_of(node.status.allocatable)
        except ValueError as error:
            log.warning("node ignored", node=name, error=str(error))
            return
        before = self._rooms.get(name)
        self._rooms[name] = Room(node, capacity, before.used if before else self._used_on(name))
        same = before and replace(before, node=node) == self._rooms[name] and before.node.spec == node.spec
        if not same or (before and before.node.metadata.labels != node.metadata.labels):
            self._reconsider()

    def pod_changed(self, change: Change[PodView]) -> None:
        """Take in that a pod is there, placed, or gone."""
        pod, uid = change.new, change.new.metadata.uid
        if change.kind == "deleted" or pod.ended:
            self._forget(uid)
            return
        if pod.spec.node_name:
            self._pending.pop(uid, None)
            self._parked.pop(uid, None)
            self._count(pod, pod.spec.node_name, seen=True)
            return
        if not _is_ours(pod):
            self._pending.pop(uid, None)
            return
        parked = self._parked.get(uid)
        if parked is not None and parked[0].intent == pod.intent:
            return
        self._wait(uid, pod)
        self._wake.set()

    async def run(self) -> None:
        """Place pods until cancelled."""
        while True:
            await self._rest()
            turn = self._clock.monotonic()
            while (pod := self._next()) is not None:
                await self._place(pod)
                if self._clock.monotonic() - turn >= _TURN:
                    await self._clock.sleep(0)
                    turn = self._clock.monotonic()

    def _wait(self, uid: str, pod: PodView) -> None:
        if uid not in self._pending:
            self._arrivals += 1
            heapq.heappush(self._order, (-pod.spec.priority, self._arrivals, uid))
        self._pending[uid] = pod

    def _next(self) -> PodView | None:
        """Take the pod to place next: of the highest priority, and of those the one that waits longest."""
        while self._order:
            pod = self._pending.pop(heapq.heappop(self._order)[2], None)
            if pod is not None:
                return pod
        return None

    async def _rest(self) -> None:
        wait = None
        if self._reconsider_at is not None and self._parked:
            wait = max(0.0, self._reconsider_at - self._clock.monotonic())
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            self._reconsider_at = None
            for uid, (pod, _) in self._parked.items():
                self._wait(uid, pod)
        self._wake.clear()

    async def _place(self, pod: PodView) -> None:
        if place := self._placed.get(pod.metadata.uid):
            # Tried before without a clear answer: once more to the same node, where it is counted.
            await self._bind(pod, place.node)
            return
        try:
            wanted = requested_by(pod.spec)
        except ValueError as error:
            log.warning("pod ignored", pod=pod.label, error=str(error))
            return
        match choose_node(pod.spec, wanted, self._rooms.values()):
            case Chosen(node):
                await self._bind(pod, node)
            case Unschedulable(message):
                await self._park(pod, message)

    async def _bind(self, pod: PodView, node: str) -> None:
        meta = pod.metadata
        self._count(pod, node, seen=False)
        self._parked.pop(meta.uid, None)
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._api.create(f"/api/v1/namespaces/{meta.namespace}/pods/{meta.name}/binding", body)
        except Refused as error:
            self._not_bound(pod, error)
            return
        self._events.record(pod, NAME, "Scheduled", f"Successfully assigned {pod.label} to {node}")

    def _not_bound(self, pod: PodView, error: Refused) -> None:
        uid = pod.metadata.uid
        place = self._placed.get(uid)
        if place is None or place.seen:
            # Gone, or only the answer was lost: the watch has said what counts.
            return
        if error.code == 404:
            self._forget(uid)
            return
        if error.code not in (0, 409):
            # Certainly not bound. After a lost answer or a conflict it may be, so it stays counted.
            self._forget(uid)
        log.debug("binding refused", pod=pod.label, error=str(error))
        self._parked[uid] = (pod, "")
        self._reconsider()

    async def _park(self, pod: PodView, message: str) -> None:
        meta = pod.metadata
        told = self._parked.get(meta.uid)
        self._parked[meta.uid] = (pod, message)
        if told is not None and told[1] == message:
            return
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "observedGeneration": meta.generation or None,
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": format_time(self._clock.wall()),
        }
        self._events.record(pod, NAME, "FailedScheduling", message, warning=True)
        try:
            path = f"/api/v1/namespaces/{meta.namespace}/pods/{meta.name}/status"
            await self._api.patch(
                path, {"metadata": {"uid": meta.uid}, "status": {"conditions": [condition]}}
            )
        except Refused as error:
            log.debug("condition not written", pod=pod.label, error=str(error))

    def _count(self, pod: PodView, node: str, *, seen: bool) -> None:
        uid = pod.metadata.uid
        place = self._placed.get(uid)
        if place is not None and place.node == node:
            self._placed[uid] = replace(place, seen=seen or place.seen)
            return
        self._forget(uid)
        try:
            wanted = requested_by(pod.spec)
        except ValueError:
            wanted = Amount(pods=1)
        self._placed[uid] = _Place(node, wanted, seen)
        if room := self._rooms.get(node):
            self._rooms[node] = room.with_pod(wanted)

    def _forget(self, uid: str) -> None:
        self._pending.pop(uid, None)
        self._parked.pop(uid, None)
        place = self._placed.pop(uid, None)
        if place is None:
            return
        if room := self._rooms.get(place.node):
            self._rooms[place.node] = room.without_pod(place.wanted)
        self._reconsider()

    def _used_on(self, node: str) -> Amount:
        used = Amount()
        for place in self._placed.values():
            if place.node == node:
                used += place.wanted
        return used

    def _reconsider(self) -> None:
        if self._parked and self._reconsider_at is None:
            self._reconsider_at = self._clock.monotonic() + _PAUSE
            self._wake.set()


def _is_ours(pod: PodView) -> bool:
    return (
        pod.spec.scheduler_name in ("", NAME)
        and not pod.spec.scheduling_gates
        and pod.metadata.deletion_timestamp is None
    )

"""The simulated kubelet of all nodes: one driver around the pure life of a pod.

Told of pods by a follower, it moves each pod's life when it is due and tells the API what
changed: strategic patches of status that carry the uid, and at the end of a graceful deletion
first the final phase, then DELETE with grace 0 and the uid (reference: apiserver 6).
Guarantees: one task and one heap however many pods; nothing is written when nothing changed;
other tasks get their turn every few milliseconds; a write that fails is made again; running pods of
an earlier process are taken over little by little, one that is spoken to at once. Owns every
pod's life and address.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from kcm.base.clock import Clock
from kcm.base.rng import Rng
from kcm.sandbox.cluster.addresses import AddressPool
from kcm.sandbox.cluster.adoption import KeptPod, life_of, placed_of
from kcm.sandbox.cluster.behaviour import Behaviour, Pace, behaviour_of
from kcm.sandbox.cluster.calls import Api, Refused
from kcm.sandbox.cluster.containers import Now
from kcm.sandbox.cluster.eventlog import EventLog
from kcm.sandbox.cluster.fleet import SimulatedNode
from kcm.sandbox.cluster.follow import Change
from kcm.sandbox.cluster.life import Arrived, Ended, Life, due, step
from kcm.sandbox.cluster.report import Placed, status_of, told
from kcm.sandbox.cluster.views import NodeView, PodView
from kcm.telemetry.logging import logger

log = logger("sandbox.kubelet")

_RETRY = 1.0
_TURN = 0.002
_SOONEST = 0.001
_JITTER = 0.25
# Running pods of an earlier process are taken over at this pace (pods a second): all at once, fifty
# thousand of them would keep the server from answering for half a minute. They run on meanwhile.
_TAKEN_OVER = 500.0

_read_kept = msgspec.json.Decoder(KeptPod).decode


@dataclass(slots=True)
class _Track:
    """One pod on one node."""

    pod: PodView
    node: SimulatedNode
    behaviour: Behaviour
    placed: Placed
    life: Life = field(default_factory=Arrived)
    due: float = 0.0
    sent: int = 0
    confirmed: bool = False
    kept: bool = False


class Kubelet:
    """Runs the pods of all simulated nodes."""

    def __init__(
        self,
        api: Api,
        nodes: Mapping[str, SimulatedNode],
        pace: Pace,
        events: EventLog,
        clock: Clock,
        rng: Rng,
    ) -> None:
        self._api = api
        self._nodes = nodes
        self._pace = pace
        self._events = events
        self._clock = clock
        self._rng = rng
        self._addresses = AddressPool()
        self._tracks: dict[str, _Track] = {}
        self._heap: list[tuple[float, str]] = []
        self._lost: set[str] = set()
        self._strays: dict[str, PodView] = {}
        self._wake = asyncio.Event()
        self._next_kept = 0.0

    def pod_changed(self, change: Change[PodView]) -> None:
        """Take in what others want of a pod; this kubelet's own writes are told apart and cost nothing."""
        pod, uid = change.new, change.new.metadata.uid
        track = self._tracks.get(uid)
        if change.kind == "deleted":
            self._forget(uid)
            self._strays.pop(uid, None)
        elif track is None:
            self._accept(pod)
        elif track.pod.intent != pod.intent:
            track.pod = pod
            track.behaviour = self._jittered(pod)
            if pod.ended and not isinstance(track.life, Ended):
                # Somebody else ended it (an eviction, a test): a final phase is final.
                track.life, track.sent = _ended(pod), 0
            self._schedule(track, self._clock.monotonic())

    def node_changed(self, change: Change[NodeView]) -> None:
        """Take in nodes. The pods of a lost one live on, but nothing is heard of them."""
        name = change.new.metadata.name
        if change.kind != "deleted" and name in self._nodes:
            for pod in [pod for pod in self._strays.values() if pod.spec.node_name == name]:
                del self._strays[pod.metadata.uid]
                self._accept(pod)
        if change.kind != "deleted" and change.new.fault == "lost":
            self._lost.add(name)
        elif name in self._lost:
            self._lost.discard(name)
            for track in list(self._tracks.values()):
                if track.node.name == name:
                    # Others have written about its pods meanwhile.
                    track.sent = 0
                    self._schedule(track, self._clock.monotonic())

    async def run(self) -> None:
        """Run pods until cancelled."""
        while True:
            await self._rest()
            turn = now = self._clock.monotonic()
            while self._heap and self._heap[0][0] <= now:
                at, uid = heapq.heappop(self._heap)
                track = self._tracks.get(uid)
                if track is None or track.due != at:
                    continue
                await self._advance(track)
                now = self._clock.monotonic()
                if now - turn >= _TURN:
                    await self._clock.sleep(0)
                    turn = now = self._clock.monotonic()

    async def _rest(self) -> None:
        wait = max(_SOONEST, self._heap[0][0] - self._clock.monotonic()) if self._heap else None
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _advance(self, track: _Track) -> None:
        if track.node.name in self._lost:
            return
        if track.kept and not await self._take_over(track):
            return
        if not track.placed.pod_ip:
            # Not before: pods that this cluster has kept from an earlier run claim theirs first.
            track.placed = replace(track.placed, pod_ip=self._addresses.take())
        now = Now(self._clock.monotonic(), self._clock.wall())
        pod = track.pod
        moved = step(track.life, pod, track.behaviour, now)
        track.life = moved.life
        at = due(track.life, pod, track.behaviour, now)
        if at is not None:
            self._schedule(track, at)
        for note in moved.notes:
            self._events.record(
                pod, "kubelet", note.reason, note.message, warning=note.warning, host=track.node.name
            )
        try:
            await self._tell(track, pod, now)
        except Refused as error:
            if error.code == 404:
                # Gone: the watch will say so.
                return
            if error.code != 409:
                log.warning("status refused", pod=pod.label, error=str(error))
            self._schedule(track, now.seconds + _RETRY)

    async def _tell(self, track: _Track, pod: PodView, now: Now) -> None:
        path = f"/api/v1/namespaces/{pod.metadata.namespace}/pods/{pod.metadata.name}"
        uid = pod.metadata.uid
        ended = isinstance(track.life, Ended)
        if not (ended and pod.ended):
            status = status_of(track.life, pod, track.behaviour, track.placed, now)
            digest = hash(msgspec.json.encode(status))
            if digest != track.sent:
                await self._api.patch(f"{path}/status", {"metadata": {"uid": uid}, "status": status})
                track.sent = digest
                track.placed = told(track.placed, status)
        if ended and pod.metadata.deletion_timestamp and not track.confirmed:
            await self._api.delete(path, _confirmation(uid))
            track.confirmed = True

    def _accept(self, pod: PodView) -> None:
        node = self._nodes.get(pod.spec.node_name)
        if node is None:
            if pod.spec.node_name:
                # Perhaps bound to a node that is about to join.
                self._strays[pod.metadata.uid] = pod
            return
        address = node.address if pod.spec.host_network else pod.status.pod_ip
        if address and not pod.spec.host_network:
            self._addresses.claim(address)
        placed = Placed(self._clock.wall(), node.address, address, {})
        track = _Track(pod, node, self._jittered(pod), placed)
        if pod.ended:
            track.life = _ended(pod)
        track.kept = pod.status.phase == "Running"
        self._tracks[pod.metadata.uid] = track
        now = self._clock.monotonic()
        if track.kept:
            self._next_kept = max(now, self._next_kept) + 1.0 / _TAKEN_OVER
        self._schedule(track, self._next_kept if track.kept and not pod.metadata.deletion_timestamp else now)

    def _jittered(self, pod: PodView) -> Behaviour:
        """Spread starts and stops a little, as machines do."""
        behaviour = behaviour_of(pod, self._pace)
        stretch = 1.0 + _JITTER * self._rng.uniform(-1.0, 1.0)
        return replace(
            behaviour,
            start_delay=behaviour.start_delay * stretch,
            stop_delay=behaviour.stop_delay * stretch,
        )

    async def _take_over(self, track: _Track) -> bool:
        """Read a pod's life back from its status; False when that has to be tried again."""
        meta = track.pod.metadata
        try:
            body = await self._api.get(f"/api/v1/namespaces/{meta.namespace}/pods/{meta.name}")
            kept = _read_kept(body)
        except Refused as error:
            if error.code != 404:
                self._schedule(track, self._clock.monotonic() + _RETRY)
            return False
        except msgspec.MsgspecError as error:
            log.warning("pod starts anew", pod=track.pod.label, error=str(error))
            track.kept = False
            return True
        track.placed = placed_of(kept, track.placed)
        track.life = life_of(
            kept, track.pod, track.behaviour, Now(self._clock.monotonic(), self._clock.wall())
        )
        track.kept = False
        return True

    def _release(self, track: _Track) -> None:
        if track.placed.pod_ip not in ("", track.node.address):
            self._addresses.give_back(track.placed.pod_ip)

    def _forget(self, uid: str) -> None:
        track = self._tracks.pop(uid, None)
        if track is not None:
            self._release(track)

    def _schedule(self, track: _Track, at: float) -> None:
        if not self._heap or at < self._heap[0][0]:
            self._wake.set()
        track.due = at
        heapq.heappush(self._heap, (at, track.pod.metadata.uid))


def _ended(pod: PodView) -> Ended:
    return Ended("Succeeded" if pod.status.phase == "Succeeded" else "Failed")


def _confirmation(uid: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": uid},
    }

"""The simulated cluster: nodes, scheduler and kubelet on one API server.

`Cluster` wires them: one follower of pods and one of nodes tell everybody. Guarantees: talks
to the API server only through its handler, in process; runs in virtual time; with no nodes
there is no scheduler and no kubelet at all, and nothing is followed unless it is narrated.
For development and tests only.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

from kcm.base.clock import Clock
from kcm.base.errors import ConfigurationError
from kcm.base.rng import Rng
from kcm.sandbox.cluster.behaviour import Pace
from kcm.sandbox.cluster.calls import Api
from kcm.sandbox.cluster.eventlog import EventLog
from kcm.sandbox.cluster.fleet import Fleet, NodeShape, SimulatedNode
from kcm.sandbox.cluster.follow import Follower
from kcm.sandbox.cluster.kubelet import Kubelet
from kcm.sandbox.cluster.lifecycle import NodeLifecycle
from kcm.sandbox.cluster.narrator import Narrator, WorkloadView
from kcm.sandbox.cluster.nodes import Heartbeats
from kcm.sandbox.cluster.scheduler import Scheduler
from kcm.sandbox.cluster.views import NodeView, PodView
from kcm.sandbox.schema.quantities import parse
from kcm.serving.http import Handler

MOST_NODES = 1000
MOST_PODS = 1_000_000
SPEEDS = (0.01, 1000.0)


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How many nodes, how large, how fast. 0 nodes: neither scheduler nor kubelet.

    `lifecycle` False leaves silent nodes, taints and evictions to a real controller manager.
    """

    nodes: int = 2
    shape: NodeShape = field(default_factory=NodeShape)
    pace: Pace = field(default_factory=Pace)
    lifecycle: bool = True


class Cluster:
    """Simulated nodes with their scheduler and kubelet."""

    def __init__(self, handler: Handler, settings: ClusterSettings, clock: Clock, rng: Rng) -> None:
        """ConfigurationError when the settings are out of bounds."""
        _check(settings)
        self.nodes = tuple(SimulatedNode(index, settings.shape) for index in range(settings.nodes))
        self._clock = clock
        self._api = Api(handler, "kubelet")
        scheduler_api = Api(handler, "kube-scheduler")
        self.events = EventLog(self._api, clock)
        fleet = Fleet(self.nodes, settings.shape)
        self._heartbeats = Heartbeats(self._api, fleet, clock)
        self._pods = Follower(self._api, "/api/v1/pods", PodView, clock)
        self._node_views = Follower(scheduler_api, "/api/v1/nodes", NodeView, clock)
        self._workloads: list[Follower[WorkloadView]] = []
        self._scheduler = Scheduler(scheduler_api, self.events, clock)
        self._kubelet = Kubelet(self._api, fleet.nodes, settings.pace, self.events, clock, rng)
        lifecycle_api = Api(handler, "node-controller")
        self._lifecycle = NodeLifecycle(lifecycle_api, fleet.nodes, settings.pace, self.events, clock)
        self._runs_lifecycle = bool(self.nodes) and settings.lifecycle
        if self.nodes:
            # First of all: the others look into the fleet.
            self._node_views.tell(fleet.node_changed)
            self._node_views.tell(self._scheduler.node_changed)
            self._node_views.tell(self._kubelet.node_changed)
            self._node_views.tell(self._heartbeats.node_changed)
            self._pods.tell(self._scheduler.pod_changed)
            self._pods.tell(self._kubelet.pod_changed)
        if self._runs_lifecycle:
            self._node_views.tell(self._lifecycle.node_changed)
            self._pods.tell(self._lifecycle.pod_changed)

    def narrate(self, narrator: Narrator) -> None:
        """Let the narrator see what happens. To be called before `run`."""
        self._pods.tell(narrator.pod_changed)
        self._node_views.tell(narrator.node_changed)
        for kind in ("replicaset", "deployment"):
            follower = Follower(self._api, f"/apis/apps/v1/{kind}s", WorkloadView, self._clock)
            follower.tell(partial(narrator.workload_changed, kind))
            self._workloads.append(follower)

    async def register(self) -> None:
        """Create the nodes; the cluster can be used when this returns."""
        if self.nodes:
            await self._heartbeats.register()

    async def settled(self) -> None:
        """Wait until `run` knows the present state; what happens from now on is narrated."""
        if self._pods.followed:
            await self._node_views.listed.wait()
            await self._pods.listed.wait()
        for follower in self._workloads:
            await follower.listed.wait()

    async def run(self) -> None:
        """Run until cancelled, or return at once when there is nothing to do. `register` comes first."""
        async with asyncio.TaskGroup() as group:
            if self._pods.followed:
                group.create_task(self._node_views.run())
                group.create_task(self._pods.run())
            for follower in self._workloads:
                group.create_task(follower.run())
            if self.nodes:
                group.create_task(self._scheduler.run())
                group.create_task(self._kubelet.run())
                group.create_task(self._heartbeats.run())
                group.create_task(self.events.run())
            if self._runs_lifecycle:
                group.create_task(self._lifecycle.run())


def _check(settings: ClusterSettings) -> None:
    if not 0 <= settings.nodes <= MOST_NODES:
        raise ConfigurationError("--nodes", "", f"{settings.nodes} is not between 0 and {MOST_NODES}")
    slowest, fastest = SPEEDS
    if not slowest <= settings.pace.speed <= fastest:
        reason = f"{settings.pace.speed} is not between {slowest} and {fastest}"
        raise ConfigurationError("--speed", "", reason)
    for flag, given in (("--node-cpu", settings.shape.cpu), ("--node-memory", settings.shape.memory)):
        try:
            enough = parse(given) >= 0
        except ValueError as error:
            raise ConfigurationError(flag, "", f"{given[:80]!r}: {error}") from None
        if not enough:
            raise ConfigurationError(flag, "", f"{given[:80]!r} is negative")
    if not 0 <= settings.shape.pods <= MOST_PODS:
        raise ConfigurationError("--node-pods", "", f"{settings.shape.pods} is not between 0 and {MOST_PODS}")

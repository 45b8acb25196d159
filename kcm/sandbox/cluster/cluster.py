"""The simulated cluster: nodes, scheduler and kubelet on one API server.

`Cluster` wires them: one follower of pods and one of nodes tell everybody. Guarantees: talks
to the API server only through its handler, in process; runs in virtual time; with no nodes
there is no scheduler and no kubelet at all. For development and tests only.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from kcm.base.clock import Clock
from kcm.base.rng import Rng
from kcm.sandbox.cluster.behaviour import Pace
from kcm.sandbox.cluster.calls import Api
from kcm.sandbox.cluster.eventlog import EventLog
from kcm.sandbox.cluster.follow import Follower, Sink
from kcm.sandbox.cluster.kubelet import Kubelet
from kcm.sandbox.cluster.nodes import Heartbeats, NodeShape, SimulatedNode
from kcm.sandbox.cluster.scheduler import Scheduler
from kcm.sandbox.cluster.views import NodeView, PodView
from kcm.serving.http import Handler

MOST_NODES = 1000


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How many nodes, how large, how fast. 0 nodes: neither scheduler nor kubelet."""

    nodes: int = 2
    shape: NodeShape = field(default_factory=NodeShape)
    pace: Pace = field(default_factory=Pace)


class Cluster:
    """Simulated nodes with their scheduler and kubelet."""

    def __init__(self, handler: Handler, settings: ClusterSettings, clock: Clock, rng: Rng) -> None:
        if not 0 <= settings.nodes <= MOST_NODES:
            raise ValueError(f"nodes: {settings.nodes} is not between 0 and {MOST_NODES}")
        self.nodes = tuple(SimulatedNode(index, settings.shape) for index in range(settings.nodes))
        self._clock = clock
        self._kubelet_api = Api(handler, "kubelet")
        scheduler_api = Api(handler, "kube-scheduler")
        self.events = EventLog(self._kubelet_api, clock, rng)
        self._heartbeats = Heartbeats(self._kubelet_api, self.nodes, clock)
        self._pods = Follower(self._kubelet_api, "/api/v1/pods", PodView, clock)
        self._node_views = Follower(scheduler_api, "/api/v1/nodes", NodeView, clock)
        self._scheduler = Scheduler(scheduler_api, self.events, clock)
        by_name = {node.name: node for node in self.nodes}
        self._kubelet = Kubelet(self._kubelet_api, by_name, settings.pace, self.events, clock, rng)
        self._node_views.tell(self._scheduler.node_changed)
        self._pods.tell(self._scheduler.pod_changed)
        self._pods.tell(self._kubelet.pod_changed)

    def tell_pods(self, sink: Sink[PodView]) -> None:
        """Let somebody else see every change of a pod too. To be called before `run`."""
        self._pods.tell(sink)

    async def register(self) -> None:
        """Create the nodes; the cluster can be used when this returns."""
        if self.nodes:
            await self._heartbeats.register()

    async def run(self) -> None:
        """Run until cancelled. `register` comes first."""
        if not self.nodes:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._node_views.run())
            group.create_task(self._pods.run())
            group.create_task(self._scheduler.run())
            group.create_task(self._kubelet.run())
            group.create_task(self._heartbeats.run())
            group.create_task(self.events.run())

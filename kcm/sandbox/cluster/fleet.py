"""Which nodes are simulated: those that the settings order, and those that users make.

A Node that somebody creates with the annotation `kwok.x-k8s.io/node` (any value) or
`sandbox.kcm.dev/node: simulated` gets a simulated kubelet, as large as its own `status.capacity`
says, or as the others. Guarantees: `nodes` is the one live map that all parts of the cluster look
into; a node that a user made leaves it when it is deleted. Owns that map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kcm.sandbox.cluster.addresses import node_address
from kcm.sandbox.cluster.follow import Change
from kcm.sandbox.cluster.views import NodeView
from kcm.sandbox.schema.quantities import parse

_KWOK, _OWN = "kwok.x-k8s.io/node", "sandbox.kcm.dev/node"


@dataclass(frozen=True, slots=True)
class NodeShape:
    """What each node has to give, as quantities."""

    cpu: str = "1000"
    memory: str = "4Ti"
    pods: int = 20_000


@dataclass(frozen=True, slots=True)
class SimulatedNode:
    """A node's fixed facts; `given` is the name that a user chose."""

    index: int
    shape: NodeShape
    given: str = ""

    @property
    def name(self) -> str:
        return self.given or f"sandbox-node-{self.index + 1}"

    @property
    def address(self) -> str:
        return node_address(self.index)


class Fleet:
    """All simulated nodes by name."""

    def __init__(self, nodes: Iterable[SimulatedNode], shape: NodeShape) -> None:
        self.nodes = {node.name: node for node in nodes}
        self._shape = shape
        self._next = len(self.nodes)

    def node_changed(self, change: Change[NodeView]) -> None:
        """Take nodes in, and let those of users go."""
        name = change.new.metadata.name
        known = self.nodes.get(name)
        if change.kind == "deleted":
            if known is not None and known.given:
                del self.nodes[name]
        elif known is None and _wanted(change.new):
            self.nodes[name] = SimulatedNode(self._next, self._shape_of(change.new), name)
            self._next += 1

    def _shape_of(self, node: NodeView) -> NodeShape:
        own = node.status.capacity
        cpu, memory = str(own.get("cpu", self._shape.cpu)), str(own.get("memory", self._shape.memory))
        try:
            return NodeShape(cpu, memory, int(parse(str(own.get("pods", self._shape.pods)))))
        except ValueError:
            return self._shape


def _wanted(node: NodeView) -> bool:
    notes = node.metadata.annotations
    return _KWOK in notes or notes.get(_OWN) == "simulated"

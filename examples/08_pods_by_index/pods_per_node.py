"""Reacting to pods by index: every Node says how many pods run on it.

The index `node` answers "which pods are on this node?" without looking at all pods: it is kept as pods
come and go, in the controller's own process. The pods are read with two fields; the rest of them never
arrives, which is why thirty thousand of them fit into some tens of megabytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from kcm import Cache, Context, Controller, Done, Key, Plan, Result, primary, watches, writes
from kcm.objects import ObjectMeta, Resource, Spec

COUNT = "example.kcm.dev/pods"


class Node(Resource[Spec], frozen=True, kw_only=True):
    """A node's metadata; nothing else of it is read."""

    api, kind, plural = "v1", "Node", "nodes"
    namespaced = False

    metadata: ObjectMeta
    spec: Spec = Spec()


class PlacedSpec(Spec, frozen=True):
    """Where it is."""

    node_name: str = ""


class PlacedStatus(Spec, frozen=True):
    """How far along it is."""

    phase: str = ""


class PlacedPod(Resource[PlacedSpec], frozen=True, kw_only=True):
    """A pod's place and phase."""

    api, kind, plural = "v1", "Pod", "pods"

    spec: PlacedSpec = PlacedSpec()
    status: PlacedStatus = PlacedStatus()


def node_of(pod: PlacedPod) -> Iterable[str]:
    """Return under what the index has a pod: its node, if it runs on one."""
    return (pod.spec.node_name,) if pod.status.phase == "Running" and pod.spec.node_name else ()


def nodes_touched(pod: PlacedPod) -> Iterable[Key]:
    """Return the key to look at when a pod changes; it is asked about the old and the new state."""
    return (Key("", name) for name in node_of(pod))


class PodsPerNode(Controller[Node, tuple[Node, int]]):
    """Writes the number of running pods into an annotation of their node."""

    name = "pods-per-node"
    watches = (primary(Node), watches(PlacedPod, to=nodes_touched, indexes={"node": node_of}))
    writes = (writes(Node, "patch"),)

    def observe(self, cache: Cache, key: Key) -> tuple[Node, int] | None:
        node = cache.get(Node, key)
        return (node, len(cache.by_index(PlacedPod, "node", key.name))) if node else None

    async def reconcile(self, ctx: Context, seen: tuple[Node, int]) -> Result:
        node, count = seen
        if node.metadata.annotations.get(COUNT) != str(count):
            changes = {"metadata": {"annotations": {COUNT: str(count)}}}
            (await ctx.apply(Plan.patch(node, changes, because=f"{count} pods"))).raise_failure()
        return Done()

"""The replicas of resources that the manager discovers, as types come and go.

One `ObjectGraph` for each declared discovery; the manager opens and closes its watches under
feed numbers of its own choice. Guarantees: frames of a watch that was closed meanwhile are
ignored, those of one that never was are an IndexError; nothing counts as filled before the
manager has told what there is. Owned by the host's replicas.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kcm.cache.graph import ObjectGraph
from kcm.cache.projection import encode, projection_of
from kcm.cache.replica import Replica
from kcm.cache.watchspec import WatchSpec
from kcm.client.discovery import ResourceFilter
from kcm.host.messages import (
    DiscoveryDeclaration,
    KindsFound,
    WatchClosed,
    WatchExcused,
    WatchOpened,
)
from kcm.objects.partials import PartialObject, partial
from kcm.objects.resource import ResourceType

Discovered = KindsFound | WatchOpened | WatchClosed | WatchExcused


class FoundReplicas:
    """Replicas by feed number, graphs by what was asked for."""

    def __init__(self, wanted: tuple[ResourceFilter, ...], first: int) -> None:
        """`first` is the lowest feed number that the manager may use."""
        self._graphs = {each: ObjectGraph() for each in wanted}
        self._opened: dict[int, tuple[ObjectGraph, Replica[PartialObject]]] = {}
        self._next = first

    def __iter__(self) -> Iterator[Replica[PartialObject]]:
        return (replica for _, replica in self._opened.values())

    def declarations(self) -> tuple[DiscoveryDeclaration, ...]:
        """Return what the manager has to discover; the place of each is its number."""
        projection = msgspec.Raw(encode(projection_of(PartialObject)))
        return tuple(DiscoveryDeclaration(each, projection) for each in self._graphs)

    def graph(self, wanted: ResourceFilter) -> ObjectGraph:
        """Return the graph of one discovery."""
        return self._graphs[wanted]

    def numbered(self, watch: int) -> tuple[Replica[PartialObject], ...]:
        """Return the replica behind a feed number; none if it was closed, IndexError if never opened."""
        found = self._opened.get(watch)
        if found is None and watch >= self._next:
            raise IndexError(f"watch {watch} was never opened")
        return (found[1],) if found is not None else ()

    def of(self, resource: ResourceType) -> Iterator[Replica[PartialObject]]:
        """Yield the replicas of a resource."""
        return (replica for replica in self if replica.spec.resource == resource)

    def take(self, message: Discovered) -> None:
        """Do what the manager says. IndexError when it makes no sense."""
        match message:
            case KindsFound(kinds):
                for graph in self._graphs.values():
                    graph.learn(kinds)
            case WatchOpened(watch, discovery, spec):
                self._open(watch, tuple(self._graphs.values())[discovery], spec)
            case WatchClosed(watch):
                graph, replica = self._found(watch)
                del self._opened[watch]
                graph.close(replica.spec.resource)
            case WatchExcused(watch, reason):
                graph, replica = self._found(watch)
                graph.excuse(replica.spec.resource, reason)

    @property
    def synced(self) -> bool:
        """Say whether every graph is complete."""
        return all(graph.complete for graph in self._graphs.values())

    def _open(self, watch: int, graph: ObjectGraph, spec: WatchSpec) -> None:
        if watch < self._next:
            raise IndexError(f"watch {watch} was opened before")
        self._next = watch + 1
        replica = Replica(spec, partial(spec.resource))
        self._opened[watch] = (graph, replica)
        graph.open(spec.resource, replica)

    def _found(self, watch: int) -> tuple[ObjectGraph, Replica[PartialObject]]:
        try:
            return self._opened[watch]
        except KeyError:
            raise IndexError(f"watch {watch} is not open") from None

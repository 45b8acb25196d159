"""All replicas of one host, and the write-through into them.

The host's only way from a feed number to a replica and from a written resource to every
replica that holds it. Also remembers the newest resourceVersion written per resource, which
travels to the Lease so that a successor can wait for it. Owned by the agent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from kcm.cache.graph import ObjectGraph
from kcm.cache.projection import encode, projection_of, union
from kcm.cache.replica import Cache, Replica, Unreadable
from kcm.cache.watchspec import WatchSpec
from kcm.host.found import Discovered, FoundReplicas
from kcm.host.messages import DiscoveryDeclaration, WatchDeclaration
from kcm.objects.resource import Key, Resource, ResourceType
from kcm.objects.versions import newer, well_formed
from kcm.runtime.watches import Watch
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics

log = logger("host.replicas")


class Replicas:
    """Replicas by watch; several types may read one watch, each into a replica of its own."""

    def __init__(self, watches: Iterable[Watch], view: Callable[..., Cache] = Cache) -> None:
        """`view` makes the caches that controllers get, as `Cache` does."""
        self._view = view
        self._by_watch: dict[WatchSpec, dict[type[Resource[Any]], Replica[Any]]] = {}
        wanted = []
        for watch in watches:
            if watch.discovers is not None:
                wanted.append(watch.discovers)
                continue
            readers = self._by_watch.setdefault(spec_of(watch), {})
            if watch.type not in readers:
                readers[watch.type] = Replica(spec_of(watch), watch.type)
            for name, index in watch.indexes.items():
                readers[watch.type].add_index(name, index)
        self._numbered = [tuple(readers.values()) for readers in self._by_watch.values()]
        self._found = FoundReplicas(tuple(wanted), len(self._numbered))
        self._last_writes: dict[ResourceType, str] = {}
        self._unshown = False

    def declarations(self) -> tuple[WatchDeclaration, ...]:
        """Return what the manager has to feed, in the order of the feed's numbers."""
        declared = []
        for spec, readers in self._by_watch.items():
            projections = [projection_of(type_) for type_ in readers]
            whole = projections[0]
            for projection in projections[1:]:
                whole = union(whole, projection)
            declared.append(WatchDeclaration(spec, msgspec.Raw(encode(whole))))
        return tuple(declared)

    def numbered(self, watch: int) -> tuple[Replica[Any], ...]:
        """Return the replicas behind a feed number; IndexError for a number never declared."""
        return self._numbered[watch] if watch < len(self._numbered) else self._found.numbered(watch)

    def discoveries(self) -> tuple[DiscoveryDeclaration, ...]:
        """Return what the manager has to discover."""
        return self._found.declarations()

    def found(self, message: Discovered) -> None:
        """Take what the manager has discovered. IndexError when it makes no sense."""
        self._found.take(message)

    def replica(self, watch: Watch) -> Replica[Any]:
        """Return the replica that serves one declared watch."""
        return self._by_watch[spec_of(watch)][watch.type]

    def cache(self, watches: Iterable[Watch]) -> Cache:
        """Return the read-only view over the replicas of some watches."""
        watches = tuple(watches)
        named = {watch.type: self.replica(watch) for watch in watches if watch.discovers is None}
        graphs = [self.graph(watch) for watch in watches if watch.discovers is not None]
        return self._view(named, graphs[0] if graphs else None)

    def graph(self, watch: Watch) -> ObjectGraph:
        """Return the graph of a watch that discovers."""
        assert watch.discovers is not None, "only a watch that discovers has a graph"
        return self._found.graph(watch.discovers)

    @property
    def synced(self) -> bool:
        """Say whether every replica has been filled once."""
        return self._found.synced and all(replica.synced for readers in self._numbered for replica in readers)

    @property
    def unfilled(self) -> tuple[str, ...]:
        """Return what has never been filled, as people know it."""
        waiting = [
            spec for spec, readers in self._by_watch.items() if not all(r.synced for r in readers.values())
        ]
        return (*map(str, waiting), *(() if self._found.synced else ("what was discovered",)))

    @property
    def last_writes(self) -> Mapping[str, str]:
        """Return the newest resourceVersion written by this host, by resource."""
        return {str(resource): version for resource, version in self._last_writes.items()}

    @property
    def unconfirmed(self) -> bool:
        """Say whether something was done that `last_writes` does not tell: a deletion of unknown
        version that the feed has not brought yet, or a write whose answer could not be read."""
        return self._unshown or any(replica.unconfirmed for replica in self._all())

    def show(self, metrics: Metrics) -> None:
        """Set the gauges that tell what the replicas hold, cannot read and had to drop."""
        label = ("resource",)
        objects = metrics.gauge("kcm_replica_objects", "Objects in the replica.", label)
        bad = metrics.gauge("kcm_replica_unreadable_objects", "Objects that cannot be read now.", label)
        faults = metrics.gauge("kcm_replica_faults", "Objects and index functions that failed so far.", label)
        stale = metrics.gauge("kcm_replica_stale_events", "Events that came too late so far.", label)
        for replica in self._all():
            name = str(replica.spec)
            objects.labels(name).set(len(replica.objects))
            bad.labels(name).set(len(replica.bad))
            faults.labels(name).set(replica.faults)
            stale.labels(name).set(replica.stale)

    def wrote(self, resource: ResourceType, answer: bytes) -> Resource[Any] | None:
        """Take an answer into every replica of the resource; return it as the first of them reads it.

        `Unreadable` when one cannot: the write happened, but not every reader sees it yet.
        """
        first: Resource[Any] | None = None
        unreadable: Unreadable | None = None
        for replica in self._of(resource):
            try:
                written = replica.wrote(answer)
            except Unreadable as error:
                log.warning("answer to a write cannot be read", resource=str(resource), error=str(error))
                unreadable = error
                continue
            first = first if first is not None else written
        if first is not None:
            self._note(resource, first.metadata.resource_version)
        if unreadable is not None:
            self._unshown = True
            raise unreadable
        return first

    def deleted(self, resource: ResourceType, key: Key, uid: str, version: str = "") -> None:
        """Take an object out of every replica; `version` is that of its deletion, if known."""
        version = version if well_formed(version) else ""
        self._note(resource, version)
        for replica in self._of(resource):
            replica.deleted(key, uid, version)

    def _all(self) -> Iterator[Replica[Any]]:
        for readers in self._numbered:
            yield from readers
        yield from self._found

    def _of(self, resource: ResourceType) -> Iterator[Replica[Any]]:
        for spec, readers in self._by_watch.items():
            if spec.resource == resource:
                yield from readers.values()
        yield from self._found.of(resource)

    def _note(self, resource: ResourceType, version: str) -> None:
        if version and newer(version, self._last_writes.get(resource, "")):
            self._last_writes[resource] = version


def spec_of(watch: Watch) -> WatchSpec:
    """Return the part of a declared watch that the manager needs: what to list and watch."""
    return WatchSpec(
        resource=watch.type.resource_type(),
        namespace=watch.namespace,
        label_selector=watch.label_selector,
        field_selector=watch.field_selector,
        metadata_only=watch.metadata_only,
    )

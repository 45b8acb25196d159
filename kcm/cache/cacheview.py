"""What a controller sees of the replicas: read-only, cheap, synchronous.

A `Cache` maps each type to the replica that holds it; what it returns is shared and frozen.
Guarantees: reads never wait and never fail for a declared type; asking for a type that was not
declared is a KeyError that says so. Owns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from kcm.cache.graph import ObjectGraph
from kcm.cache.indexer import Indexer
from kcm.objects.resource import Key, Resource
from kcm.objects.selectors import Selector

R = TypeVar("R", bound=Resource[Any])


class Readable(Protocol):
    """What a cache needs of a replica."""

    @property
    def objects(self) -> Indexer[Any]: ...

    @property
    def version(self) -> str: ...

    @property
    def synced(self) -> bool: ...

    @property
    def bad(self) -> Mapping[Key, str]: ...

    @property
    def unseen(self) -> Mapping[Key, str]: ...


class Cache:
    """The objects that one controller may read. The first type is its primary."""

    def __init__(
        self, replicas: Mapping[type[Resource[Any]], Readable], graph: ObjectGraph | None = None
    ) -> None:
        self._graph = graph
        self._replicas = dict(replicas)
        self._primary = next(iter(self._replicas.values()), None)

    def get(self, type_: type[R], key: Key) -> R | None:
        """Return one object, or None."""
        found: R | None = self._of(type_).objects.get(key.namespace, key.name)
        return found

    def list(self, type_: type[R], namespace: str = "", selector: Selector | None = None) -> tuple[R, ...]:
        """Return all objects, or those of a namespace, that the selector matches; in no order."""
        objects: Indexer[R] = self._of(type_).objects
        found = objects.in_namespace(namespace) if namespace else objects.everything()
        if selector is None:
            return found
        matches = selector.matches
        return tuple(present for present in found if matches(present.metadata.labels))

    def controlled_by(self, type_: type[R], uid: str) -> tuple[R, ...]:
        """Return the objects whose controller has that uid, in no order."""
        found: tuple[R, ...] = self._of(type_).objects.controlled_by(uid)
        return found

    def orphans(self, type_: type[R], namespace: str) -> tuple[R, ...]:
        """Return the objects of a namespace that have no controller, in no order."""
        found: tuple[R, ...] = self._of(type_).objects.orphans(namespace)
        return found

    def by_index(self, type_: type[R], index: str, value: str) -> tuple[R, ...]:
        """Return the objects that a declared index has under a value; KeyError for an unknown index."""
        found: tuple[R, ...] = self._of(type_).objects.by_index(index, value)
        return found

    def version(self, type_: type[Resource[Any]]) -> str:
        """Return the resourceVersion up to which the type's objects are current; "" before the first fill."""
        return self._of(type_).version

    @property
    def graph(self) -> ObjectGraph:
        """Return the objects of all discovered types; KeyError for one who does not declare `discovers`."""
        if self._graph is None:
            raise KeyError("this controller does not declare `discovers` among its watches")
        return self._graph

    @property
    def synced(self) -> bool:
        """Say whether every type was filled once."""
        return all(replica.synced for replica in self._replicas.values())

    def bad(self, type_: type[Resource[Any]]) -> Mapping[Key, str]:
        """Return the keys of a type whose objects cannot be read now, and why."""
        return self._of(type_).bad

    def obstacle(self, key: Key) -> str:
        """Return why nothing may be decided about the primary object of that key, "" when it may.

        It cannot be read itself, or something that it controls cannot and no state of it is known:
        whoever counts would count too few.
        """
        if self._primary is None:
            return ""
        if reason := self._primary.bad.get(key):
            return reason
        present = self._primary.objects.get(key.namespace, key.name)
        uid = present.metadata.uid if present is not None else ""
        for replica in self._replicas.values():
            for unseen, owner in replica.unseen.items():
                if owner == uid:
                    return f"{unseen}, which it controls, cannot be read: {replica.bad[unseen]}"
        return ""

    def _of(self, type_: type[Resource[Any]]) -> Readable:
        try:
            return self._replicas[type_]
        except KeyError:
            raise KeyError(
                f"{type_.__name__} is not among the watches that this controller declares"
            ) from None

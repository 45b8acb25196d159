"""Who owns whom, over the objects of all types that were discovered.

An `ObjectGraph` unites replicas that hold metadata only, one for each resource, which are opened
and closed while it lives. Guarantees: objects are found by uid and by the uid of any owner, own
writes included, because the replicas have them; handlers hear of each change after the graph
has it; closing a resource is told as the end of its objects. `complete` says whether everything
that can be read is in here: one who concludes from absence has to ask. Does not guarantee that
an owner is here that lives: its type may be unreadable, or its event on the way. One task uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from kcm.cache.indexer import Indexer
from kcm.cache.notifying import Handler
from kcm.objects.partials import PartialObject
from kcm.objects.resource import Key, ResourceType

GraphHandler = Callable[["PartialObject | None", "PartialObject | None", bool], None]

_NOBODY: Mapping[str, PartialObject] = {}


class Member(Protocol):
    """What a graph needs of a replica."""

    @property
    def objects(self) -> Indexer[PartialObject]: ...

    @property
    def synced(self) -> bool: ...

    def subscribe(self, handler: Handler[PartialObject]) -> Any: ...


class ObjectGraph:
    """The objects of all discovered types, by uid and by owner."""

    def __init__(self) -> None:
        self._replicas: dict[ResourceType, Member] = {}
        self._excused: dict[ResourceType, str] = {}
        self._kinds: dict[tuple[str, str], ResourceType] = {}
        self._discovered = False
        self._by_uid: dict[str, PartialObject] = {}
        self._by_owner: dict[str, dict[str, PartialObject]] = {}
        self._handlers: list[GraphHandler] = []

    def __iter__(self) -> Iterator[PartialObject]:
        return iter(tuple(self._by_uid.values()))

    def __len__(self) -> int:
        return len(self._by_uid)

    def get(self, uid: str) -> PartialObject | None:
        """Return the object with that uid, if it is known."""
        return self._by_uid.get(uid)

    def find(self, resource: ResourceType, key: Key) -> PartialObject | None:
        """Return the object of that name; None also for a resource that is not in the graph."""
        replica = self._replicas.get(resource)
        return replica.objects.get(key.namespace, key.name) if replica is not None else None

    def dependents(self, uid: str) -> tuple[PartialObject, ...]:
        """Return the objects that name that uid among their owners, wherever they are; in no order."""
        return tuple(self._by_owner.get(uid, _NOBODY).values())

    def resource_of(self, api_version: str, kind: str) -> ResourceType | None:
        """Return the resource that the server has for a kind, readable here or not; None: it has none."""
        return self._kinds.get((api_version, kind))

    @property
    def complete(self) -> bool:
        """Say whether all types are known and each was filled once, or is known to be unreadable."""
        return self._discovered and all(
            replica.synced or resource in self._excused for resource, replica in self._replicas.items()
        )

    @property
    def unreadable(self) -> Mapping[ResourceType, str]:
        """Return the resources that cannot be listed, and why."""
        return {
            resource: reason
            for resource, reason in self._excused.items()
            if resource in self._replicas and not self._replicas[resource].synced
        }

    @property
    def resources(self) -> tuple[ResourceType, ...]:
        """Return the resources whose objects are in here."""
        return tuple(resource for resource, replica in self._replicas.items() if replica.synced)

    def subscribe(self, handler: GraphHandler) -> None:
        """Add a handler (old, new, initial); it hears of what is there at once."""
        for present in self:
            handler(None, present, True)
        self._handlers.append(handler)

    def learn(self, kinds: Iterable[ResourceType]) -> None:
        """Take over what the server has, all of it; of two with one kind the first counts."""
        self._discovered = True
        self._kinds = {}
        for resource in kinds:
            self._kinds.setdefault((resource.api, resource.kind), resource)

    def open(self, resource: ResourceType, replica: Member) -> None:
        """Take in a resource that was not there before."""
        self._replicas[resource] = replica
        replica.subscribe(self._changed)

    def close(self, resource: ResourceType) -> None:
        """Forget a resource, and its objects."""
        replica = self._replicas.pop(resource, None)
        self._excused.pop(resource, None)
        for old in replica.objects if replica is not None else ():
            self._changed(old, None, False)

    def excuse(self, resource: ResourceType, reason: str) -> None:
        """Do without a resource that cannot be read. It is back as soon as it can be."""
        self._excused[resource] = reason

    def _changed(self, old: PartialObject | None, new: PartialObject | None, initial: bool) -> None:
        if new is None:
            self._forget(old)
        else:
            self._place(old, new)
        for handler in self._handlers:
            handler(old, new, initial)

    def _place(self, old: PartialObject | None, new: PartialObject) -> None:
        uid = new.metadata.uid
        self._by_uid[uid] = new
        references = new.metadata.owner_references
        if old is not None and old.metadata.owner_references != references:
            self._unlink(old)
        for reference in references:
            held = self._by_owner.get(reference.uid)
            if held is None:
                held = self._by_owner[reference.uid] = {}
            held[uid] = new

    def _forget(self, old: PartialObject | None) -> None:
        if old is None:
            return
        present = self._by_uid.get(old.metadata.uid)
        if present is None or type(present) is not type(old):
            # The same object in another group's view: that one is still there.
            return
        del self._by_uid[old.metadata.uid]
        self._unlink(old)

    def _unlink(self, old: PartialObject) -> None:
        for reference in old.metadata.owner_references:
            held = self._by_owner.get(reference.uid)
            if held is not None:
                held.pop(old.metadata.uid, None)
                if not held:
                    del self._by_owner[reference.uid]

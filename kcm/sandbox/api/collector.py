"""The built-in garbage collector: dependents go when their owners do.

Stands in for the garbagecollector controller and can be switched off in its favour. Background:
a dependent whose owners are all absent is deleted; Foreground: an owner waits until the
dependents that block it are gone; Orphan: references to the owner are taken out first
(reference: apiserver §2, GC). How owners stand is `kinship`'s; in doubt nothing is deleted. Reads
the store's uid indexes; writes through `Writer` and `Deleter`.
"""

from __future__ import annotations

from collections.abc import Callable

from kcm.base.clock import Clock
from kcm.sandbox.api.background import Pending
from kcm.sandbox.api.calls import Call, DeleteOptions
from kcm.sandbox.api.deletion import FOREGROUND, ORPHAN, Deleter
from kcm.sandbox.api.errors import ApiFailure, Json, unknown_route
from kcm.sandbox.api.history import DELETED, Event
from kcm.sandbox.api.kinship import Kinship, Standing, references_of, waits
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.api.writes import Writer
from kcm.sandbox.schema.registry import Registry
from kcm.sandbox.schema.resources import ResourceInfo

AGENT = "kcm-sandbox/garbage-collector"
_BATCH = 64

_Key = tuple[Collection, str]


class GarbageCollector:
    """Deletes what nobody owns any more."""

    def __init__(
        self, store: Store, registry: Registry, writer: Writer, deleter: Deleter, clock: Clock
    ) -> None:
        self._store = store
        self._registry = registry
        self._writer = writer
        self._deleter = deleter
        self._clock = clock
        self._kinship = Kinship(store, registry)
        self._pending: Pending[_Key] = Pending()
        store.listeners.append(self._heard)

    async def run(self) -> None:
        """Work until cancelled, letting requests through between batches."""
        while True:
            for _ in range(_BATCH):
                collection, key = await self._pending.take()
                record = collection.records.get(key)
                if record is None:
                    continue
                try:
                    self._visit(collection, record)
                except ApiFailure:
                    # Gone or changed since it was noted: its next event brings it back.
                    continue
            await self._clock.sleep(0)

    def _heard(self, collection: Collection, event: Event) -> None:
        record = event.new
        if event.kind == DELETED:
            self._note_dependents(record.uid)
            self._note_owners(record)
            return
        if record.owners and (event.old is None or event.old.owners != record.owners or record.deleting):
            self._pending.add((collection, record.key))
        if event.old is not None and event.old.owners != record.owners:
            # A dependent that is let go no longer blocks its former owner.
            self._note_owners(event.old)
        if record.deleting:
            self._pending.add((collection, record.key))

    def _note_dependents(self, uid: str) -> None:
        for (_, key), collection in self._store.dependents.get(uid, {}).items():
            self._pending.add((collection, key))

    def _note_owners(self, record: Record) -> None:
        for uid in record.owners:
            owner = self._store.by_uid.get(uid)
            if owner is not None:
                self._pending.add(owner)

    def _visit(self, collection: Collection, record: Record) -> None:
        if record.deleting:
            self._let_go(collection, record)
        elif record.owners:
            self._check_owners(collection, record)

    def _let_go(self, collection: Collection, record: Record) -> None:
        """Do what the finalizers of an object that is being deleted ask for."""
        obj = record.copy()
        finalizers: list[str] = obj["metadata"].get("finalizers") or []
        if ORPHAN in finalizers:
            self._orphan(record)
            self._finish(collection, record, ORPHAN)
        elif FOREGROUND in finalizers and not self._blocked(record):
            self._finish(collection, record, FOREGROUND)

    def _dependents(self, uid: str) -> list[tuple[Collection, Record]]:
        inside = self._store.dependents.get(uid, {})
        return [(collection, collection.records[key]) for (_, key), collection in inside.items()]

    def _orphan(self, owner: Record) -> None:
        for collection, record in self._dependents(owner.uid):
            self._drop_references(collection, record, lambda uid: uid == owner.uid)

    def _blocked(self, owner: Record) -> bool:
        """Say whether a dependent blocks the owner still; have each looked at that may be to go."""
        blocked = False
        for collection, record, blocks in self._kinship.children(owner):
            if not record.deleting:
                self._pending.add((collection, record.key))
            blocked = blocked or blocks
        return blocked

    def _check_owners(self, collection: Collection, record: Record) -> None:
        """Delete an object that nobody keeps, and take out references to owners that end without it."""
        standings = [(each, self._kinship.standing(record, each)) for each in references_of(record)]
        solid, absent, waiting, doubtful = (
            {reference["uid"] for reference, standing in standings if standing is one}
            for one in (Standing.SOLID, Standing.ABSENT, Standing.WAITING, Standing.DOUBTFUL)
        )
        if doubtful:
            # The absent are left for when the doubt has ended; who waits for this one would wait for ever.
            held_up = {each["uid"] for each, _ in standings if each.get("blockOwnerDeletion")} & waiting
            self._forget_owners(collection, record, held_up - solid - doubtful)
        elif solid:
            self._forget_owners(collection, record, (absent | waiting) - solid)
        elif waiting and (children := self._kinship.children(record)):
            if any(waits(child) for _, child, _ in children):
                self._unblock(collection, record)
            self._delete(collection, record, "Foreground")
        elif absent or waiting:
            finalizers = record.copy()["metadata"].get("finalizers") or ()
            kept = "Foreground" if FOREGROUND in finalizers else ""
            self._delete(collection, record, "Orphan" if ORPHAN in finalizers else kept)

    def _forget_owners(self, collection: Collection, record: Record, uids: set[str]) -> None:
        if uids:
            self._drop_references(collection, record, uids.__contains__)

    def _unblock(self, collection: Collection, record: Record) -> None:
        """Break a circle: who waits for this one ends before it."""

        def change(obj: Json) -> Json:
            for one in obj["metadata"].get("ownerReferences") or ():
                one["blockOwnerDeletion"] = False
            return obj

        self._writer.replace(self._call(collection, record, "patch"), change)
        self._note_owners(record)

    def _drop_references(
        self, collection: Collection, record: Record, unwanted: Callable[[str], bool]
    ) -> None:
        def change(obj: Json) -> Json:
            references = obj["metadata"].get("ownerReferences") or ()
            obj["metadata"]["ownerReferences"] = [
                one for one in references if not unwanted(one.get("uid", ""))
            ]
            return obj

        self._writer.replace(self._call(collection, record, "patch"), change)

    def _finish(self, collection: Collection, record: Record, finalizer: str) -> None:
        def change(obj: Json) -> Json:
            finalizers = obj["metadata"].get("finalizers") or ()
            obj["metadata"]["finalizers"] = [one for one in finalizers if one != finalizer]
            return obj

        self._writer.replace(self._call(collection, record, "patch"), change)

    def _delete(self, collection: Collection, record: Record, propagation: str) -> None:
        options = DeleteOptions(uid=record.uid, propagation=propagation)
        self._deleter.delete(self._call(collection, record, "delete"), options)

    def _call(self, collection: Collection, record: Record, verb: str) -> Call:
        resource = stored_resource(self._registry, collection)
        return Call(resource, verb, record.namespace, record.name, agent=AGENT, validation="Ignore")


def stored_resource(registry: Registry, collection: Collection) -> ResourceInfo:
    """Return the resource whose objects a collection holds; 404 when it is served no more."""
    resource = registry.stored(collection.group, collection.plural)
    if resource is None:
        raise unknown_route()
    return resource

"""How the owners of an object stand to it, from the store only.

An owner counts when a reference calls it what it is (uid, group, kind, name; not version) and it
is cluster-scoped or lives in the dependent's namespace (reference: apiserver §2, GC). Pure
reading of the store, which in one process is never behind. Holds nothing.
"""

from __future__ import annotations

from enum import Enum

from kcm.sandbox.api.deletion import FOREGROUND
from kcm.sandbox.api.errors import Json
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.schema.registry import Registry


class Standing(Enum):
    """SOLID is there. WAITING ends when its dependents have. ABSENT is gone. DOUBTFUL: nobody can say."""

    SOLID = "solid"
    WAITING = "waiting"
    ABSENT = "absent"
    DOUBTFUL = "doubtful"


def references_of(record: Record) -> list[Json]:
    """Return the owner references of an object."""
    found: list[Json] = record.copy()["metadata"].get("ownerReferences") or []
    return found


def waits(record: Record) -> bool:
    """Say whether an object is being deleted in the foreground."""
    return record.deleting and FOREGROUND in (record.copy()["metadata"].get("finalizers") or ())


class Kinship:
    """Answers from one store."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def standing(self, dependent: Record, reference: Json) -> Standing:
        """Return how the owner that a reference names stands."""
        kind = self._registry.find_kind(reference.get("apiVersion", ""), reference.get("kind", ""))
        if kind is None or (kind.namespaced and not dependent.namespace):
            # Not served, or no owner for anything that is cluster-scoped.
            return Standing.DOUBTFUL
        found = self._store.by_uid.get(reference.get("uid", ""))
        if found is None:
            return Standing.ABSENT
        collection, key = found
        owner = collection.records[key]
        if not self._names(reference, collection, owner) or not _can_own(owner, dependent):
            return Standing.ABSENT
        return Standing.WAITING if waits(owner) else Standing.SOLID

    def children(self, owner: Record) -> list[tuple[Collection, Record, bool]]:
        """Return the objects that an object owns, itself not among them, and whether each blocks its end."""
        found: list[tuple[Collection, Record, bool]] = []
        place = self._store.by_uid.get(owner.uid)
        if place is None:
            return found
        for (_, key), collection in self._store.dependents.get(owner.uid, {}).items():
            record = collection.records[key]
            if record.uid == owner.uid or not _can_own(owner, record):
                continue
            references = [each for each in references_of(record) if self._names(each, place[0], owner)]
            if references:
                blocks = any(each.get("blockOwnerDeletion") for each in references)
                found.append((collection, record, blocks))
        return found

    def _names(self, reference: Json, collection: Collection, owner: Record) -> bool:
        """Say whether a reference names an object rightly, be it in another version of its group."""
        resource = self._registry.stored(collection.group, collection.plural)
        group, _, _ = reference.get("apiVersion", "").rpartition("/")
        return (
            resource is not None
            and reference.get("uid") == owner.uid
            and reference.get("name") == owner.name
            and (group, reference.get("kind")) == (resource.group, resource.kind)
        )


def _can_own(owner: Record, dependent: Record) -> bool:
    return owner.namespace in ("", dependent.namespace)

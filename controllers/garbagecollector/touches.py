"""Which objects have to be looked at when one changes.

Pure, and cheap: it runs for every event of the cluster, and nearly all of them (statuses,
labels, leases) touch nothing. Looked at are: an object whose owners or deletion changed; the
dependents of one that is gone or now waits for them; the owners that wait for one that is gone
or has been let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from controllers.garbagecollector.references import (
    FOREGROUND,
    ORPHAN,
    is_deleting,
    waits_for_dependents,
)
from kcm.objects import ObjectKey, OwnerReference, PartialObject, object_key

if TYPE_CHECKING:
    from kcm import ObjectGraph

_Marks = tuple[tuple[OwnerReference, ...], bool, bool, bool]


def touched(graph: ObjectGraph, old: PartialObject | None, new: PartialObject | None) -> Iterator[ObjectKey]:
    """Yield the keys that a change of one object touches."""
    if new is None:
        if old is not None:
            yield from map(object_key, graph.dependents(old.metadata.uid))
            yield from _waiting_owners(graph, old.metadata.owner_references)
        return
    marks = _marks(new)
    before = _marks(old) if old is not None else None
    if marks == before:
        return
    references, deleting, _, _ = marks
    if references or deleting:
        yield object_key(new)
    if waits_for_dependents(new) and not (old is not None and waits_for_dependents(old)):
        yield from map(object_key, graph.dependents(new.metadata.uid))
    if old is not None and old.metadata.owner_references != references:
        yield from _waiting_owners(graph, old.metadata.owner_references)


def _marks(present: PartialObject) -> _Marks:
    metadata = present.metadata
    finalizers = metadata.finalizers
    return metadata.owner_references, is_deleting(present), ORPHAN in finalizers, FOREGROUND in finalizers


def _waiting_owners(graph: ObjectGraph, references: Iterable[OwnerReference]) -> Iterator[ObjectKey]:
    for reference in references:
        owner = graph.get(reference.uid)
        if owner is not None and waits_for_dependents(owner):
            yield object_key(owner)

"""Which updates of an object are worth a reconcile.

A predicate is a function of the old and the new state of one object; `watches(..., when=p)` lets
an update pass only if it says so. It is asked about updates alone: what appears, what is gone, and
the first sight of a deletionTimestamp always pass, and a resync looks at every key whatever
predicates say (so that a change that one of them overlooked is late, not lost). A predicate never
keeps anything out of the cache. Pure values, no state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Predicate = Callable[[Any, Any], bool]


def generation_changed(old: Any, new: Any) -> bool:
    """Pass when the spec changed: not for status, nor for labels and annotations.

    The API server counts `metadata.generation` for custom resources and workloads; an object that
    has none (ConfigMap, Pod in old versions) passes always, because nothing can be told from it.
    """
    generation: int = new.metadata.generation
    return generation == 0 or generation != old.metadata.generation


def labels_changed(old: Any, new: Any) -> bool:
    """Pass when a label changed."""
    return bool(old.metadata.labels != new.metadata.labels)


def annotations_changed(old: Any, new: Any) -> bool:
    """Pass when an annotation changed; the type's metadata must be an `ObjectMeta`, which has them."""
    return bool(old.metadata.annotations != new.metadata.annotations)


def resource_version_changed(old: Any, new: Any) -> bool:
    """Pass when anything at all changed, also what the type does not read."""
    return bool(old.metadata.resource_version != new.metadata.resource_version)


def any_of(*predicates: Predicate) -> Predicate:
    """Pass what one of the predicates passes."""
    return lambda old, new: any(predicate(old, new) for predicate in predicates)


def all_of(*predicates: Predicate) -> Predicate:
    """Pass what all of the predicates pass."""
    return lambda old, new: all(predicate(old, new) for predicate in predicates)


def not_(predicate: Predicate) -> Predicate:
    """Pass the updates that the predicate does not pass."""
    return lambda old, new: not predicate(old, new)


def passes(when: Predicate | None, old: Any, new: Any) -> bool:
    """Say whether a change is worth a reconcile under a watch's predicate."""
    if when is None or old is None or new is None:
        return True
    if old.metadata.uid != new.metadata.uid:
        return True
    begins_to_end = new.metadata.deletion_timestamp is not None and old.metadata.deletion_timestamp is None
    return begins_to_end or when(old, new)

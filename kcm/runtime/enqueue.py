"""From a change in a replica to the keys it touches.

Pure: (watch, old object, new object, cache) in, keys out. Both the old and the new object
count, so that an object that changes hands wakes both owners (reference: workloads 1.1). A key
too many costs one reconcile that finds nothing to do; a key too few would be a lost change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kcm.base.faults import place_of_function, said
from kcm.cache.replica import Cache
from kcm.objects.owners import controller_of
from kcm.objects.resource import Key, Resource
from kcm.runtime.predicates import passes
from kcm.runtime.watches import Watch, places_of

Change = Callable[["Resource[Any] | None", "Resource[Any] | None"], Iterable[Key]]


def keys_of(watch: Watch, primary: type[Resource[Any]] | None, cache: Cache) -> Change:
    """Return the function that names the keys that a change of one of the watch's objects touches."""
    change = _keys_of(watch, primary, cache)
    if watch.when is None:
        return change
    return lambda old, new: change(old, new) if passes(watch.when, old, new) else ()


def _keys_of(watch: Watch, primary: type[Resource[Any]] | None, cache: Cache) -> Change:
    match watch.role:
        case "primary":
            return _own_key
        case "discovered":
            return lambda old, new: _touched(watch, cache, old, new)
        case "owned" if primary is not None:
            return lambda old, new: set(_owners(watch, primary, cache, old, new))
        case _:
            to = _mapper(watch, cache)
            return lambda old, new: set(_mapped(watch, to, old, new))


def _own_key(old: Resource[Any] | None, new: Resource[Any] | None) -> Iterable[Key]:
    present = new if new is not None else old
    return (present.key,) if present is not None else ()


def _touched(watch: Watch, cache: Cache, old: Any, new: Any) -> Iterable[Key]:
    return watch.touches(cache.graph, old, new) if watch.touches is not None else ()


def _mapper(watch: Watch, cache: Cache) -> Callable[[Resource[Any]], Iterable[Any]]:
    """Return the watch's mapping as a function of the object alone."""
    to: Any = watch.to
    if to is None:
        return lambda state: ()
    return (lambda state: to(state, cache)) if places_of(to) == 2 else to


def _mapped(
    watch: Watch,
    to: Callable[[Resource[Any]], Iterable[Any]],
    old: Resource[Any] | None,
    new: Resource[Any] | None,
) -> Iterator[Key]:
    for state in (old, new):
        if state is None:
            continue
        found: Any = to(state)
        # A Key is a tuple itself: one that was returned alone would come as two strings.
        if isinstance(found, str | Key) or not isinstance(found, Iterable):
            raise TypeError(f"{_named(watch)} returned {said(found)[:100]}: expected keys, as [Key(…)]")
        for key in found:
            if not isinstance(key, Key):
                raise TypeError(f"{_named(watch)} gave {said(key)[:100]}: expected a Key")
            yield key


def _named(watch: Watch) -> str:
    return f"watches({watch.type.__name__}, to={place_of_function(watch.to)})"


def _owners(
    watch: Watch,
    primary: type[Resource[Any]],
    cache: Cache,
    old: Resource[Any] | None,
    new: Resource[Any] | None,
) -> Iterator[Key]:
    for state in (old, new):
        owner = controller_of(state.metadata) if state is not None else None
        if state is not None and owner is not None and owner.kind == primary.kind:
            yield Key(state.metadata.namespace if primary.namespaced else "", owner.name)
    if watch.adopts is not None and new is not None and controller_of(new.metadata) is None:
        yield from _suitors(watch.adopts, primary, cache, old, new)


def _suitors(
    adopts: Callable[[Any], Any],
    primary: type[Resource[Any]],
    cache: Cache,
    old: Resource[Any] | None,
    new: Resource[Any],
) -> Iterator[Key]:
    """Yield the primaries that would adopt an orphan; an orphan that stayed the same woke them before."""
    if old is not None and controller_of(old.metadata) is None and old.metadata.labels == new.metadata.labels:
        return
    for candidate in cache.list(primary, namespace=new.metadata.namespace):
        selector = adopts(candidate)
        if selector is not None and selector.matches(new.metadata.labels):
            yield candidate.key

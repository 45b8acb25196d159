"""Typed objects by key, and by whatever else somebody asks for.

Objects are held by namespace and name; indexes map a value to the objects that have it. Two are
built in: the uid of the controller, and the namespace of an object without one (an orphan).
Guarantees: an update moves an object from the values of the stored old object to those of the
new one; a value that nothing has any more is forgotten; an index function that fails leaves its
object out of that index and is reported, nothing else. Reads cost no more than the tuple they
return. Knows nothing of versions: the replica decides what is put in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

from kcm.base.faults import told
from kcm.objects.resource import Key, Resource

R = TypeVar("R", bound=Resource[Any])

IndexFunction: TypeAlias = Callable[[Any], Iterable[str]]
OnFault: TypeAlias = Callable[[Key, str], None]

MOST_VALUES = 1024


class _Index:
    """One custom index: objects by value, and where each was placed."""

    def __init__(self, function: IndexFunction) -> None:
        self.function = function
        self.by_value: dict[str, dict[str, Any]] = {}
        # Kept, so that a function that answers differently for the same object cannot leak entries.
        self.placed: dict[str, tuple[str, ...]] = {}


class Indexer(Generic[R]):
    """One resource type's objects. `on_fault` hears of index functions that fail."""

    def __init__(self, on_fault: OnFault) -> None:
        self._on_fault = on_fault
        self._objects: dict[str, dict[str, R]] = {}
        self._controlled: dict[str, dict[str, R]] = {}
        self._orphans: dict[str, dict[str, R]] = {}
        self._indexes: dict[str, _Index] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[R]:
        for names in self._objects.values():
            yield from names.values()

    def get(self, namespace: str, name: str) -> R | None:
        """Return the object of that key."""
        names = self._objects.get(namespace)
        return names.get(name) if names is not None else None

    def in_namespace(self, namespace: str) -> tuple[R, ...]:
        """Return the objects of one namespace ("" holds the cluster-scoped ones), in no order."""
        return tuple(self._objects.get(namespace, _NOTHING).values())

    def everything(self) -> tuple[R, ...]:
        """Return all objects, in no order."""
        return tuple(self)

    def controlled_by(self, uid: str) -> tuple[R, ...]:
        """Return the objects whose controller has that uid."""
        return tuple(self._controlled.get(uid, _NOTHING).values())

    def orphans(self, namespace: str) -> tuple[R, ...]:
        """Return the objects of a namespace that have no controller."""
        return tuple(self._orphans.get(namespace, _NOTHING).values())

    def by_index(self, index: str, value: str) -> tuple[R, ...]:
        """Return the objects that a custom index has under a value; KeyError for an unknown index."""
        return tuple(self._indexes[index].by_value.get(value, _NOTHING).values())

    def sizes(self) -> Mapping[str, int]:
        """Return how many distinct values each index holds."""
        sizes = {name: len(index.by_value) for name, index in self._indexes.items()}
        return {
            **sizes,
            "namespace": len(self._objects),
            "controller": len(self._controlled),
            "orphans": len(self._orphans),
        }

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Add a custom index and fill it. ValueError when the name has another function already."""
        if name in self._indexes:
            if self._indexes[name].function is not function:
                raise ValueError(f"index {name!r} exists already with another function")
            return
        index = self._indexes[name] = _Index(function)
        for present in self:
            self._place(name, index, present)

    def put(self, new: R) -> None:
        """Store an object in place of the one with its key."""
        metadata = new.metadata
        names = self._objects.get(metadata.namespace)
        if names is None:
            names = self._objects[metadata.namespace] = {}
        old = names.get(metadata.name)
        names[metadata.name] = new
        if old is None:
            self._size += 1
            self._link(new)
        elif _position(old) == _position(new):
            # Same place in the built-in indexes: only the object itself is exchanged.
            built_in, value = self._place_of(new)
            built_in[value][metadata.uid] = new
        else:
            self._unlink(old)
            self._link(new)
        for name, index in self._indexes.items():
            if old is not None and old.metadata.uid != metadata.uid:
                _displace(index, old.metadata.uid)
            self._place(name, index, new)

    def remove(self, namespace: str, name: str) -> R | None:
        """Remove and return the object of that key."""
        names = self._objects.get(namespace)
        old = names.pop(name, None) if names is not None else None
        if old is None or names is None:
            return None
        if not names:
            del self._objects[namespace]
        self._size -= 1
        self._unlink(old)
        for index in self._indexes.values():
            _displace(index, old.metadata.uid)
        return old

    def _place_of(self, present: R) -> tuple[dict[str, dict[str, R]], str]:
        controller = _controller_uid(present)
        return (self._controlled, controller) if controller else (self._orphans, present.metadata.namespace)

    def _link(self, new: R) -> None:
        built_in, value = self._place_of(new)
        held = built_in.get(value)
        if held is None:
            held = built_in[value] = {}
        held[new.metadata.uid] = new

    def _unlink(self, old: R) -> None:
        built_in, value = self._place_of(old)
        held = built_in.get(value)
        if held is None:
            return
        held.pop(old.metadata.uid, None)
        if not held:
            del built_in[value]

    def _place(self, name: str, index: _Index, new: R) -> None:
        uid = new.metadata.uid
        values = self._values(name, index, new)
        before = index.placed.get(uid)
        if before is not None and before != values:
            _displace(index, uid)
        if values:
            index.placed[uid] = values
        for value in values:
            index.by_value.setdefault(value, {})[uid] = new

    def _values(self, name: str, index: _Index, present: R) -> tuple[str, ...]:
        try:
            values = tuple(dict.fromkeys(index.function(present)))
            if len(values) > MOST_VALUES or not all(isinstance(value, str) for value in values):
                raise TypeError(f"not up to {MOST_VALUES} texts")
        except Exception as error:  # noqa: BLE001 - a controller's own function: its fault is this object's only
            self._on_fault(present.key, f"index {name}: {told(error)}")
            return ()
        return values


_NOTHING: Mapping[str, Any] = {}


def _displace(index: _Index, uid: str) -> None:
    for value in index.placed.pop(uid, ()):
        held = index.by_value[value]
        held.pop(uid, None)
        if not held:
            del index.by_value[value]


def _controller_uid(present: Resource[Any]) -> str:
    for reference in present.metadata.owner_references:
        if reference.controller:
            return reference.uid
    return ""


def _position(present: Resource[Any]) -> tuple[str, str]:
    return present.metadata.uid, _controller_uid(present)

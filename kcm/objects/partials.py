"""Objects of any type, known by their metadata only.

`partial(resource)` is the type under which objects of that resource are read when nobody cares
what is inside them: the same class for the same resource, each time. `ObjectKey` names one such
object among those of all types. Values; no state but the classes made so far, which are bounded.
"""

from __future__ import annotations

from functools import lru_cache
from types import new_class
from typing import Any, cast

from kcm.objects.metadata import Metadata, Spec
from kcm.objects.resource import Key, Resource, ResourceType

MOST_TYPES = 8192


class PartialMetadata(Metadata, frozen=True, kw_only=True):
    """`Metadata` with the finalizers that hold the object."""

    finalizers: tuple[str, ...] = ()


class Unread(Spec, frozen=True):
    """What is in an object, for those who do not look."""


class PartialObject(Resource[Unread], frozen=True, kw_only=True):
    """One object of some resource; `resource_type()` says which. Made by `partial` only."""

    api, kind, plural = "", "", ""

    metadata: PartialMetadata
    spec: Unread = Unread()


@lru_cache(maxsize=MOST_TYPES)
def partial(resource: ResourceType) -> type[PartialObject]:
    """Return the type that reads the metadata of a resource's objects."""
    names = {
        "api": resource.api,
        "kind": resource.kind,
        "plural": resource.plural,
        "namespaced": resource.namespaced,
    }
    settings: dict[str, Any] = {"frozen": True, "kw_only": True}
    made = new_class(
        f"Partial{resource.kind}", (PartialObject,), settings, lambda namespace: namespace.update(names)
    )
    return cast("type[PartialObject]", made)


class ObjectKey(Key):
    """Names one object of one resource, and no later one of its name. A `Key`, and compared as a whole."""

    __slots__ = ()

    def __new__(cls, resource: ResourceType, namespace: str, name: str, uid: str) -> ObjectKey:
        # A longer tuple under the same two names, so that hashing and comparing stay C's.
        return tuple.__new__(cls, (namespace, name, resource, uid))

    def __getnewargs__(self) -> Any:
        return self.resource, self.namespace, self.name, self.uid

    @property
    def resource(self) -> ResourceType:
        """Return the type of the object."""
        return cast("ResourceType", tuple.__getitem__(self, 2))

    @property
    def uid(self) -> str:
        """Return what tells the object from a later one of its name."""
        uid: str = tuple.__getitem__(self, 3)
        return uid

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.resource} {where}"


def object_key(present: PartialObject) -> ObjectKey:
    """Return the key of an object."""
    metadata = present.metadata
    return ObjectKey(present.resource_type(), metadata.namespace, metadata.name, metadata.uid)

"""One copy of what many objects have in common.

The pods of one ReplicaSet have equal labels and owner references; as separate values they are
a third of what a pod costs. Guarantees: an object's value does not change, only which copy of
it is kept; the pools are bounded. Works on objects that nobody else has seen yet. Owned by one
replica.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import force_setattr

from kcm.objects.metadata import Metadata, OwnerReference

MOST_SHARED = 16384


class Interner:
    """Namespaces, labels and owner references by value."""

    def __init__(self) -> None:
        self._namespaces: dict[str, str] = {}
        self._labels: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        self._owners: dict[tuple[OwnerReference, ...], tuple[OwnerReference, ...]] = {}

    def share(self, metadata: Metadata) -> None:
        """Exchange the parts of fresh metadata for equal ones that other objects have."""
        namespace, labels, owners = metadata.namespace, metadata.labels, metadata.owner_references
        force_setattr(metadata, "namespace", self._namespaces.setdefault(namespace, namespace))
        if labels:
            force_setattr(metadata, "labels", self._labels.setdefault(tuple(labels.items()), labels))
        if owners:
            force_setattr(metadata, "owner_references", self._owners.setdefault(owners, owners))
        if len(self._labels) > MOST_SHARED or len(self._owners) > MOST_SHARED:
            # Sharing starts anew; what is shared already stays shared.
            self._labels.clear()
            self._owners.clear()
            self._namespaces.clear()

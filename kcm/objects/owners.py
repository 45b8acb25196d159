"""Owner references: who controls an object, and how a new object says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kcm.objects.metadata import Metadata, ObjectMeta, OwnerReference
from kcm.objects.resource import Resource


def controller_of(metadata: Metadata) -> OwnerReference | None:
    """Return the one owner reference with `controller: true`, if there is one."""
    for reference in metadata.owner_references:
        if reference.controller:
            return reference
    return None


def owner_reference(owner: Resource[Any], *, controller: bool = True) -> OwnerReference:
    """Return the reference that makes `owner` the controller of another object, or one of its owners.

    An object goes when its last owner is gone; it has at most one controller. `owner` must exist: its
    uid is part of the reference.
    """
    return OwnerReference(
        api_version=owner.api,
        kind=owner.kind,
        name=owner.metadata.name,
        uid=owner.metadata.uid,
        controller=True if controller else None,
        block_owner_deletion=True if controller else None,
    )


def owned_by(
    owner: Resource[Any],
    name: str = "",
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> ObjectMeta:
    """Return metadata for an object that `owner` controls: its namespace, and its name unless given."""
    return ObjectMeta(
        name=name or owner.metadata.name,
        namespace=owner.metadata.namespace,
        owner_references=(owner_reference(owner),),
        labels=labels or {},
        annotations=annotations or {},
    )

"""Owner references: who controls an object, and how a new object says so."""

from __future__ import annotations

from typing import Any

from kcm.objects.metadata import Metadata, ObjectMeta, OwnerReference
from kcm.objects.resource import Resource


def controller_of(metadata: Metadata) -> OwnerReference | None:
    """Return the one owner reference with `controller: true`, if there is one."""
    for reference in metadata.owner_references:
        if reference.controller:
            return reference
    return None


def owner_reference(owner: Resource[Any]) -> OwnerReference:
    """Return the reference that makes `owner` the controller of another object."""
    return OwnerReference(
        api_version=owner.api,
        kind=owner.kind,
        name=owner.metadata.name,
        uid=owner.metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )


def owned_by(owner: Resource[Any], name: str = "") -> ObjectMeta:
    """Return metadata for an object that `owner` controls: its namespace, and its name unless given."""
    return ObjectMeta(
        name=name or owner.metadata.name,
        namespace=owner.metadata.namespace,
        owner_references=(owner_reference(owner),),
    )

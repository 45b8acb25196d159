"""Object metadata: identity, ownership, labels.

`Metadata` is what every object has and every reader needs; `ObjectMeta` adds annotations,
which are large and mostly for other people, so a type that wants only some of them declares
those by name instead (see `kcm.objects.pods`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec


class Spec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """Base of nested values: frozen, camelCase on the wire, defaults left out."""


class OwnerReference(Spec, frozen=True):
    """`metav1.OwnerReference`."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class Metadata(Spec, frozen=True, kw_only=True):
    """Identity, life and ownership of an object. Empty text means: not set yet."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: Mapping[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()


class ObjectMeta(Metadata, frozen=True, kw_only=True):
    """`Metadata` with all annotations and finalizers."""

    annotations: Mapping[str, str] = {}
    finalizers: tuple[str, ...] = ()

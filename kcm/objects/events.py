"""References to objects, as Events and others carry them."""

from __future__ import annotations

from typing import Any

from kcm.objects.metadata import Spec
from kcm.objects.resource import Resource


class ObjectReference(Spec, frozen=True):
    """`v1.ObjectReference`."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""


def reference_to(target: Resource[Any]) -> ObjectReference:
    """Return the reference that an Event about `target` carries."""
    return ObjectReference(
        api_version=target.api,
        kind=target.kind,
        namespace=target.metadata.namespace,
        name=target.metadata.name,
        uid=target.metadata.uid,
        resource_version=target.metadata.resource_version,
    )

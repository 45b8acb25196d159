"""Namespaces."""

from __future__ import annotations

from kcm.objects.metadata import ObjectMeta, Spec
from kcm.objects.resource import Resource


class NamespaceSpec(Spec, frozen=True):
    """Who has to let go of the namespace before it is gone."""

    finalizers: tuple[str, ...] = ()


class NamespaceStatus(Spec, frozen=True):
    """`phase` is Active or Terminating."""

    phase: str = ""


class Namespace(Resource[NamespaceSpec], frozen=True, kw_only=True):
    """A namespace as controllers see it; its key has the empty namespace."""

    api, kind, plural = "v1", "Namespace", "namespaces"
    namespaced = False

    metadata: ObjectMeta
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()

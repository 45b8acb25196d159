"""The base of every typed object, and the names by which the API knows it.

A `Resource` subclass declares `api`, `kind` and `plural` as class attributes and its readers'
fields as annotations. Guarantees: values are frozen, camelCase on the wire, and defaults are
left out when written. Repeat `frozen=True` on every subclass, or mypy rejects it.
"""

from __future__ import annotations

from typing import ClassVar, Generic, Literal, NamedTuple, TypeVar

import msgspec

from kcm.objects.metadata import Metadata, Spec

__all__ = ["Key", "Resource", "ResourceType", "Spec"]

S = TypeVar("S")


class Key(NamedTuple):
    """Names one object of one resource type: `namespace` ("" for cluster-scoped ones) and `name`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @staticmethod
    def parse(text: str) -> Key:
        """Return the key that `str(key)` wrote."""
        namespace, _, name = text.rpartition("/")
        return Key(namespace, name)


class ResourceType(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the API calls a resource: `api` is "v1" or "group/version", `plural` the path segment."""

    api: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """Return the API group, "" for the core group."""
        group, slash, _ = self.api.partition("/")
        return group if slash else ""

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of the collection, or of one object or its subresource.

        Segments are expected to be valid Kubernetes names; the client refuses others.
        """
        root = f"/apis/{self.api}" if "/" in self.api else f"/api/{self.api}"
        scope = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        leaf = f"/{name}" if name else ""
        return f"{root}{scope}/{self.plural}{leaf}" + (f"/{subresource}" if subresource else "")


class Column(msgspec.Struct, frozen=True):
    """A column of `kubectl get`: `path` is a JSON path such as ".spec.cidr"; `wide` only with -o wide."""

    name: str
    path: str
    type: Literal["string", "integer", "number", "boolean", "date"] = "string"
    description: str = ""
    wide: bool = False


class Scale(msgspec.Struct, frozen=True):
    """Where a custom resource keeps what `kubectl scale` and autoscalers set and read: JSON paths."""

    replicas: str = ".spec.replicas"
    status_replicas: str = ".status.replicas"
    selector: str = ""


class Resource(
    msgspec.Struct, Generic[S], frozen=True, rename="camel", omit_defaults=True, kw_only=True, gc=False
):
    """One API object, trimmed to the fields its readers declared.

    The last four class attributes only matter to the definition of a custom resource (`kcm crd`).
    """

    api: ClassVar[str]
    kind: ClassVar[str]
    plural: ClassVar[str]
    namespaced: ClassVar[bool] = True
    short_names: ClassVar[tuple[str, ...]] = ()
    categories: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[tuple[Column, ...]] = ()
    scale: ClassVar[Scale | None] = None

    metadata: Metadata
    spec: S

    @property
    def key(self) -> Key:
        """Return what names the object."""
        return Key(self.metadata.namespace, self.metadata.name)

    @classmethod
    def resource_type(cls) -> ResourceType:
        """Return the API's names for this type."""
        return ResourceType(cls.api, cls.kind, cls.plural, cls.namespaced)

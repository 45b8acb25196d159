"""The resources that the sandbox serves, and every name by which the API knows them.

`RESOURCES` lists the built-in ones. A `kcm.sandbox.schema.registry.Registry` holds what one server
serves now: these and its custom resources. Routes, discovery, tables and OpenAPI follow from the
registry, so that nothing is advertised that is not served (reference: apiserver §9, trap 8).
Guarantees: plural is unique within a group-version. Owns no state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kcm.sandbox.schema.custom.shape import CustomShape

_ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_NO_COLLECTION_DELETE = tuple(verb for verb in _ALL_VERBS if verb != "deletecollection")


@dataclass(frozen=True, slots=True)
class ResourceInfo:
    """One resource of one group-version. `group` is "" for the core group.

    `custom` is what a CustomResourceDefinition says about it, None for a built-in resource.
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset()
    verbs: tuple[str, ...] = _ALL_VERBS
    listed: str = ""
    custom: CustomShape | None = None

    @property
    def api_version(self) -> str:
        """Return "v1" or "group/version"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Return the name that error messages use: "pods" or "deployments.apps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_kind(self) -> str:
        """Return the kind of a collection."""
        return self.listed or f"{self.kind}List"

    @property
    def nature(self) -> str:
        """Return the name under which rules, defaults, fields and columns of built-in kinds are found.

        A custom resource may be called Pod as well, and must not be taken for one.
        """
        return self.kind if self.custom is None else f"{self.kind}.{self.group}"


@dataclass(frozen=True, slots=True)
class SubresourceInfo:
    """A subresource's own kind, where its group-version differs from the parent's, and its verbs."""

    kind: str
    group: str
    version: str
    verbs: tuple[str, ...]


_STATUS_VERBS = ("get", "patch", "update")

# A subresource that is not here (status) has its parent's kind and group-version.
_SUBRESOURCES = {
    "scale": SubresourceInfo("Scale", "autoscaling", "v1", _STATUS_VERBS),
    "binding": SubresourceInfo("Binding", "", "v1", ("create",)),
    "eviction": SubresourceInfo("Eviction", "policy", "v1", ("create",)),
    "finalize": SubresourceInfo("Namespace", "", "v1", ("update",)),
    "token": SubresourceInfo("TokenRequest", "authentication.k8s.io", "v1", ("create",)),
}


def subresource(resource: ResourceInfo, name: str) -> SubresourceInfo:
    """Return what `resource`/`name` exchanges; KeyError when it is not served."""
    if name not in resource.subresources:
        raise KeyError(name)
    own = SubresourceInfo(resource.kind, resource.group, resource.version, _STATUS_VERBS)
    return _SUBRESOURCES.get(name, own)


def _core(
    kind: str,
    plural: str,
    short: str = "",
    subresources: str = "",
    *,
    namespaced: bool = True,
    categories: tuple[str, ...] = (),
    verbs: tuple[str, ...] = _ALL_VERBS,
) -> ResourceInfo:
    return _grouped(
        "", "v1", kind, plural, short, subresources, categories, namespaced=namespaced, verbs=verbs
    )


def _grouped(
    group: str,
    version: str,
    kind: str,
    plural: str,
    short: str = "",
    subresources: str = "",
    categories: tuple[str, ...] = (),
    *,
    namespaced: bool = True,
    verbs: tuple[str, ...] = _ALL_VERBS,
) -> ResourceInfo:
    return ResourceInfo(
        group,
        version,
        kind,
        plural,
        kind.lower(),
        namespaced,
        tuple(short.split()),
        categories,
        frozenset(subresources.split()),
        verbs,
    )


def _review(group: str, kind: str, *, namespaced: bool = False) -> ResourceInfo:
    """Return a question to the server: posted, answered, not stored."""
    return _grouped(group, "v1", kind, f"{kind.lower()}s", namespaced=namespaced, verbs=("create",))


RESOURCES: tuple[ResourceInfo, ...] = (
    _core("Namespace", "namespaces", "ns", "finalize status", namespaced=False, verbs=_NO_COLLECTION_DELETE),
    _core("Node", "nodes", "no", "status", namespaced=False),
    _core("Pod", "pods", "po", "status binding eviction", categories=("all",)),
    _core("Service", "services", "svc", "status", categories=("all",)),
    _core("ServiceAccount", "serviceaccounts", "sa", "token"),
    _core("ConfigMap", "configmaps", "cm"),
    _core("Secret", "secrets"),
    _core("Endpoints", "endpoints", "ep"),
    _core("ReplicationController", "replicationcontrollers", "rc", "status", categories=("all",)),
    _core("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", "status"),
    _core("PersistentVolume", "persistentvolumes", "pv", "status", namespaced=False),
    _core("Event", "events", "ev"),
    _core("Binding", "bindings", verbs=("create",)),
    _grouped("events.k8s.io", "v1", "Event", "events", "ev"),
    _grouped("apps", "v1", "Deployment", "deployments", "deploy", "status scale", ("all",)),
    _grouped("apps", "v1", "ReplicaSet", "replicasets", "rs", "status scale", ("all",)),
    _grouped("apps", "v1", "StatefulSet", "statefulsets", "sts", "status scale", ("all",)),
    _grouped("apps", "v1", "DaemonSet", "daemonsets", "ds", "status", ("all",)),
    _grouped("batch", "v1", "Job", "jobs", "", "status", ("all",)),
    _grouped("batch", "v1", "CronJob", "cronjobs", "cj", "status", ("all",)),
    ResourceInfo(
        "networking.k8s.io",
        "v1",
        "Ingress",
        "ingresses",
        "ingress",
        short_names=("ing",),
        subresources=frozenset(("status",)),
    ),
    ResourceInfo(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        "networkpolicy",
        short_names=("netpol",),
    ),
    _grouped(
        "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", "status", ("all",)
    ),
    _grouped(
        "autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", "status", ("all",)
    ),
    _grouped("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", "status"),
    _grouped("coordination.k8s.io", "v1", "Lease", "leases"),
    ResourceInfo(
        "scheduling.k8s.io",
        "v1",
        "PriorityClass",
        "priorityclasses",
        "priorityclass",
        namespaced=False,
        short_names=("pc",),
    ),
    _grouped("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    _grouped("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    _grouped("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False),
    _grouped(
        "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
    ),
    _grouped(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "crd crds",
        "status",
        ("api-extensions",),
        namespaced=False,
    ),
    _review("authentication.k8s.io", "TokenReview"),
    _review("authentication.k8s.io", "SelfSubjectReview"),
    _review("authorization.k8s.io", "SubjectAccessReview"),
    _review("authorization.k8s.io", "SelfSubjectAccessReview"),
    _review("authorization.k8s.io", "LocalSubjectAccessReview", namespaced=True),
    _review("authorization.k8s.io", "SelfSubjectRulesReview"),
)

_BY_ROUTE = {(item.group, item.version, item.plural): item for item in RESOURCES}
_BY_KIND = {(item.api_version, item.kind): item for item in RESOURCES}


def find(group: str, version: str, plural: str) -> ResourceInfo | None:
    """Return the built-in resource at that route."""
    return _BY_ROUTE.get((group, version, plural))


def find_kind(api_version: str, kind: str) -> ResourceInfo | None:
    """Return the built-in resource of that kind."""
    return _BY_KIND.get((api_version, kind))

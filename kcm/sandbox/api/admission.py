"""What a stock cluster's admission plugins do to new objects.

Namespaces must exist and not be ending; pods get their service account, its token volume, the
two node tolerations and a priority; nodes begin tainted as not ready; services get an address;
three namespaces cannot be deleted (reference: apiserver §2). Quotas, limits and webhooks are not
served. Reads the store, changes only the new object.
"""

from __future__ import annotations

from typing import Any

from kcm.sandbox.api.errors import Json, forbidden, not_found
from kcm.sandbox.api.grants import Grants
from kcm.sandbox.api.priorities import SYSTEM, Priorities
from kcm.sandbox.api.services import ServiceAddresses
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.schema.resources import ResourceInfo, find

UNDELETABLE = frozenset(("default", "kube-system", "kube-public"))
_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOLERATIONS = tuple(
    {
        "key": f"node.kubernetes.io/{state}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for state in ("not-ready", "unreachable")
)
_UNREADY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
_TOKEN_SOURCES = (
    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    {
        "downwardAPI": {
            "items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
            ]
        }
    },
)


class Admission:
    """Judges and completes objects that are about to be created."""

    def __init__(self, store: Store, grants: Grants) -> None:
        self.grants = grants
        self._addresses = ServiceAddresses(store)
        self._priorities = Priorities(store)
        self._namespaces: Collection = store.collection("", "namespaces")
        self._accounts: Collection = store.collection("", "serviceaccounts")

    def check_namespace(self, resource: ResourceInfo, namespace: str, name: str) -> None:
        """Raise 404 when the namespace is absent, 403 when it is ending."""
        record = self._namespaces.records.get(f"/{namespace}")
        if record is None:
            info = find("", "v1", "namespaces")
            assert info is not None
            raise not_found(info, namespace)
        if record.deleting:
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(resource, name, why, causes=(cause,))

    def check_delete(self, resource: ResourceInfo, name: str) -> None:
        """Raise 403 for the namespaces and priority classes that a cluster cannot be without."""
        if resource.nature == "Namespace" and name in UNDELETABLE:
            raise forbidden(resource, name, "this namespace may not be deleted")
        if resource.nature == "PriorityClass" and name in SYSTEM:
            raise forbidden(resource, name, "this is a system priority class and cannot be deleted")

    def complete(self, resource: ResourceInfo, obj: Json) -> None:
        """Fill in what plugins add to a new object; 403 when they refuse it."""
        if resource.nature == "Pod":
            self._complete_pod(resource, obj)
        elif resource.nature == "Namespace":
            labels = obj["metadata"].setdefault("labels", {})
            labels["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
            spec = obj.get("spec") or {}
            obj["spec"] = {**spec, "finalizers": spec.get("finalizers") or ["kubernetes"]}
        elif resource.nature == "Service":
            self._addresses.allot(resource, obj)
        elif resource.nature == "Node":
            _taint_new(obj)
        elif resource.nature == "PriorityClass":
            self._priorities.check_class(resource, obj)

    def keep(self, resource: ResourceInfo, new: Json, old: Json) -> None:
        """Fill in what an update left out and the cluster had chosen; 422 when it cannot be had."""
        if resource.nature == "Service":
            self._addresses.keep(resource, new, old)
        elif resource.nature == "PriorityClass":
            self._priorities.check_class(resource, new)

    def _complete_pod(self, resource: ResourceInfo, obj: Json) -> None:
        spec = obj["spec"]
        metadata = obj["metadata"]
        account = spec.get("serviceAccountName") or "default"
        if f"{metadata['namespace']}/{account}" not in self._accounts.records:
            why = f"error looking up service account {metadata['namespace']}/{account}"
            why += f': serviceaccount "{account}" not found'
            raise forbidden(resource, metadata["name"], why)
        spec["serviceAccountName"] = spec["serviceAccount"] = account
        _add_tolerations(spec)
        self._priorities.assign(resource, metadata["name"], spec)
        if spec.get("automountServiceAccountToken", True):
            _mount_token(spec, metadata["uid"])


def _taint_new(node: Json) -> None:
    """Keep pods away until somebody has seen the node ready."""
    spec = node.get("spec") or {}
    taints = spec.get("taints") or []
    if not any(one.get("key") == _UNREADY["key"] and one.get("effect") == "NoSchedule" for one in taints):
        node["spec"] = {**spec, "taints": [*taints, dict(_UNREADY)]}


def _add_tolerations(spec: Json) -> None:
    """Stay 300 s on a node that fails, unless the pod says otherwise."""
    tolerations: list[Any] = list(spec.get("tolerations") or ())
    for wanted in _TOLERATIONS:
        if not any(_tolerates(toleration, wanted["key"]) for toleration in tolerations):
            tolerations.append(wanted)
    spec["tolerations"] = tolerations


def _tolerates(toleration: Json, key: object) -> bool:
    return toleration.get("key", key) == key and toleration.get("effect", "NoExecute") in ("", "NoExecute")


def _mount_token(spec: Json, uid: str) -> None:
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    lacking = [
        container
        for container in containers
        if not any(mount.get("mountPath") == _TOKEN_PATH for mount in container.get("volumeMounts") or ())
    ]
    if not lacking:
        return
    # The real server draws five random characters; the pod's uid is as good and repeatable.
    name = f"kube-api-access-{uid[:5]}"
    for container in lacking:
        mount = {"name": name, "readOnly": True, "mountPath": _TOKEN_PATH}
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
    projected = {"sources": _TOKEN_SOURCES, "defaultMode": 420}
    spec["volumes"] = [*(spec.get("volumes") or ()), {"name": name, "projected": projected}]

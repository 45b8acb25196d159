"""What the server itself does to an object on its way in, per kind.

Pure functions on dicts: system metadata, status, generation (reference: apiserver §2). They
change the object that they are given and nothing else. Validation and defaults are the
schema's; who may write what is admission's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kcm.base.rng import Rng
from kcm.sandbox.api.errors import ApiFailure, Json, bad_request
from kcm.sandbox.schema.resources import ResourceInfo

# Kinds whose metadata.generation counts changes of the spec.
_GENERATION = frozenset(
    (
        "CronJob",
        "CustomResourceDefinition",
        "DaemonSet",
        "Deployment",
        "Job",
        "Pod",
        "PodDisruptionBudget",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
    )
)
# Kinds that a PUT without resourceVersion may not overwrite.
VERSION_REQUIRED = frozenset(("CustomResourceDefinition", "Lease", "PodDisruptionBudget"))
CREATED_BY_UPDATE = frozenset(
    (
        "ClusterRole",
        "ClusterRoleBinding",
        "Endpoints",
        "Event",
        "Lease",
        "LimitRange",
        "Role",
        "RoleBinding",
        "Service",
    )
)
RETURNED_BY_DELETE = frozenset(("Namespace", "PersistentVolumeClaim", "Pod", "Service", "ServiceAccount"))
# A kind whose status a creator may set: the kubelet registers a Node with it.
_STATUS_AT_CREATE = frozenset(("Node",))
_EMPTY_STATUS: Mapping[str, Mapping[str, Any]] = {
    "ReplicaSet": {"replicas": 0},
    "StatefulSet": {"replicas": 0, "availableReplicas": 0},
    "DaemonSet": {
        "currentNumberScheduled": 0,
        "desiredNumberScheduled": 0,
        "numberMisscheduled": 0,
        "numberReady": 0,
    },
    "HorizontalPodAutoscaler": {"currentMetrics": None, "desiredReplicas": 0},
    "Namespace": {"phase": "Active"},
    "Service": {"loadBalancer": {}},
}

_SYSTEM = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
_NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_BASE = 58


def has_generation(kind: str) -> bool:
    """Say whether objects of the kind count their generations."""
    return kind in _GENERATION


def check_shape(resource: ResourceInfo, obj: Any) -> Json:
    """Return `obj` as an object of the resource, its kind filled in; 400 when it is another thing."""
    if not isinstance(obj, dict):
        raise bad_request(f"the body of a {resource.kind} must be an object")
    kind, version = obj.setdefault("kind", resource.kind), obj.setdefault("apiVersion", resource.api_version)
    if kind != resource.kind or version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) or its kind ({kind}) does not match the expected "
            f"({resource.api_version}, {resource.kind})"
        )
    metadata = obj.get("metadata")
    if metadata is None:
        metadata = obj["metadata"] = {}
    if not isinstance(metadata, dict):
        raise bad_request(f"metadata of a {resource.kind} must be an object")
    _check_metadata(resource, metadata)
    return {"kind": kind, "apiVersion": version, "metadata": metadata, **obj}


def _check_metadata(resource: ResourceInfo, metadata: Json) -> None:
    """Refuse metadata whose types would break every reader."""
    for field in ("name", "namespace", "generateName", "uid", "resourceVersion"):
        if not isinstance(metadata.get(field) or "", str):
            raise bad_request(f"metadata.{field} of a {resource.kind} must be text")
    for field in ("labels", "annotations"):
        entries = metadata.get(field)
        if entries is None:
            metadata.pop(field, None)
        elif not isinstance(entries, dict) or not all(isinstance(text, str) for text in entries.values()):
            raise bad_request(f"metadata.{field} of a {resource.kind} must map text to text")
    owners = metadata.get("ownerReferences")
    if not owners:
        metadata.pop("ownerReferences", None)
    elif not isinstance(owners, list) or not all(isinstance(owner, dict) for owner in owners):
        raise bad_request(f"metadata.ownerReferences of a {resource.kind} must be a list of objects")
    finalizers = metadata.get("finalizers")
    if not finalizers:
        metadata.pop("finalizers", None)
    elif not isinstance(finalizers, list) or not all(isinstance(text, str) for text in finalizers):
        raise bad_request(f"metadata.finalizers of a {resource.kind} must be a list of text")


def check_namespace(resource: ResourceInfo, obj: Json, namespace: str) -> None:
    """Fill in the namespace of the URL; 400 when the body names another."""
    metadata = obj["metadata"]
    if not resource.namespaced:
        if metadata.pop("namespace", ""):
            raise bad_request(
                f"the namespace of the provided object does not match the namespace sent on the request: "
                f"{resource.kind} is cluster-scoped"
            )
        return
    if (metadata.get("namespace") or namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    metadata["namespace"] = namespace


def begin_life(resource: ResourceInfo, obj: Json, now: str, rng: Rng) -> None:
    """Set the metadata and status of a new object, whatever its body said."""
    metadata = obj["metadata"]
    if metadata.get("resourceVersion"):
        raise ApiFailure(500, "InternalError", "resourceVersion should not be set on objects to be created")
    for field in (*_SYSTEM, "selfLink", "managedFields", "resourceVersion"):
        metadata.pop(field, None)
    if not metadata.get("generateName"):
        metadata.pop("generateName", None)
    metadata["uid"] = rng.uuid()
    metadata["creationTimestamp"] = now
    if resource.nature in _GENERATION:
        metadata["generation"] = 1
    if "status" in resource.subresources and resource.nature not in _STATUS_AT_CREATE:
        obj["status"] = _first_status(resource.nature, obj)


def _first_status(kind: str, obj: Json) -> Json:
    if kind == "Pod":
        return {"phase": "Pending", "qosClass": quality_of_service(obj.get("spec") or {})}
    return dict(_EMPTY_STATUS.get(kind, {}))


def generated_name(base: str, rng: Rng) -> str:
    """Return a name that `generateName` asks for."""
    return base[:_LONGEST_BASE] + rng.text(_NAME_ALPHABET, 5)


def keep_system_metadata(new: Json, old: Json) -> None:
    """Carry over what no update may change."""
    fresh, kept = new["metadata"], old["metadata"]
    for field in _SYSTEM:
        if field in kept:
            fresh[field] = kept[field]
        else:
            fresh.pop(field, None)
    for field in ("selfLink", "managedFields"):
        fresh.pop(field, None)
    if "namespace" in kept:
        fresh["namespace"] = kept["namespace"]


def keep_status(resource: ResourceInfo, new: Json, old: Json) -> None:
    """An update of the object itself leaves its status alone."""
    if "status" not in resource.subresources:
        return
    if "status" in old:
        new["status"] = old["status"]
    else:
        new.pop("status", None)


def only_status(resource: ResourceInfo, new: Json, old: Json) -> Json:
    """Return `old` with the status of `new`, and the metadata that its kind lets a status write change."""
    merged = {**old, "metadata": dict(old["metadata"])}
    if "status" in new:
        merged["status"] = new["status"]
    else:
        merged.pop("status", None)
    fields = ["labels", "annotations", "finalizers", "ownerReferences"]
    if resource.nature == "Deployment":
        fields.remove("labels")
    if resource.nature == "Pod":
        fields.remove("ownerReferences")
    for field in fields:
        if field in new["metadata"]:
            merged["metadata"][field] = new["metadata"][field]
        else:
            merged["metadata"].pop(field, None)
    return merged


def count_generation(resource: ResourceInfo, new: Json, old: Json) -> None:
    """Raise the generation when what it counts has changed."""
    if resource.nature not in _GENERATION:
        return
    changed = new.get("spec") != old.get("spec")
    if resource.nature == "Deployment":
        changed = changed or new["metadata"].get("annotations") != old["metadata"].get("annotations")
    if changed:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def quality_of_service(spec: Json) -> str:
    """Return a pod's QoS class from its containers' cpu and memory."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    guaranteed, any_set = bool(containers), False
    for container in containers:
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        if any(name in requests or name in limits for name in ("cpu", "memory")):
            any_set = True
        for name in ("cpu", "memory"):
            if name not in limits or requests.get(name, limits[name]) != limits[name]:
                guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"

"""What the server itself does to an object on its way in, per kind.

Pure functions on dicts: system metadata, status, generation (reference: apiserver §2). They
change the object that they are given and nothing else. Validation and defaults are the
schema's; who may write what is admission's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kcm.base.rng import Rng
from kcm.sandbox.api.errors import (
    SCHEME,
    ApiFailure,
    Json,
    Undecodable,
    bad_request,
    cause,
    forbidden,
    invalid,
)
from kcm.sandbox.api.records import encode
from kcm.sandbox.schema.custom.definition import first_status, note_stored_version
from kcm.sandbox.schema.resources import ResourceInfo, find_kind
from kcm.sandbox.schema.typecheck import type_errors

# Kinds whose metadata.generation counts changes of the spec.
_GENERATION = frozenset(
    (
        "CronJob",
        "CustomResourceDefinition",
        "DaemonSet",
        "Deployment",
        "Ingress",
        "Job",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "PriorityClass",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
    )
)
_SUMMARY = 30
_LONGEST_SHOWN = 4096
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
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
    "PodDisruptionBudget": {
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "disruptionsAllowed": 0,
        "expectedPods": 0,
    },
    "Service": {"loadBalancer": {}},
}

_SYSTEM = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
# A kind that counts no generations keeps the one that its creator made up.
_WIPED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_GATED: Mapping[str, Any] = {
    "type": "PodScheduled",
    "status": "False",
    "lastProbeTime": None,
    "lastTransitionTime": None,
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}
_NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_BASE = 58


def check_shape(resource: ResourceInfo, obj: Any) -> Json:
    """Return `obj` as an object of the resource, its kind filled in; 400 when it is another thing."""
    if not isinstance(obj, dict):
        raise bad_request(f"the body of a {resource.kind} must be an object")
    if resource.custom is not None:
        _check_custom_head(resource, obj)
    kind, version = obj.setdefault("kind", resource.kind), obj.setdefault("apiVersion", resource.api_version)
    kind = obj["kind"] = kind or resource.kind
    version = obj["apiVersion"] = version or resource.api_version
    if kind != resource.kind or version != resource.api_version:
        raise _another_kind(resource, str(kind), str(version))
    metadata = obj.get("metadata")
    if metadata is None:
        metadata = obj["metadata"] = {}
    problems = type_errors(resource.nature, {"apiVersion": version, "metadata": metadata})
    if problems or not isinstance(metadata, dict):
        raise Undecodable(resource, resource.kind, resource.version, *problems[:1])
    _tidy(metadata)
    return {"kind": kind, "apiVersion": version, "metadata": metadata, **obj}


def _check_custom_head(resource: ResourceInfo, obj: Json) -> None:
    """A custom resource says itself what it is: 400 or 422 when it is another thing."""
    kind, version = obj.get("kind"), obj.get("apiVersion") or resource.api_version
    if not kind:
        body = encode(obj).decode()[:_LONGEST_SHOWN]
        why = f"Object 'Kind' is missing in '{body}' ({body[:_SUMMARY]} ...)"
        raise bad_request(f"the object provided is unrecognized (must be of type {resource.kind}): {why}")
    if version != resource.api_version:
        expected = f"does not match the expected API version ({resource.api_version})"
        raise bad_request(f"the API version in the data ({version}) {expected}")
    if kind != resource.kind:
        metadata = obj.get("metadata")
        name = str(metadata.get("name", "")) if isinstance(metadata, dict) else ""
        problem = cause("kind", f'Invalid value: "{kind}": must be {resource.kind}', "FieldValueInvalid")
        raise invalid(replace(resource, kind=str(kind)), name, (problem,))


def _another_kind(resource: ResourceInfo, kind: str, version: str) -> Undecodable:
    short = version.rpartition("/")[2]
    if find_kind(version, kind) is None:
        problem = f'no kind "{kind}" is registered for version "{version}" in scheme {SCHEME}'
    else:
        package = resource.group.partition(".")[0] or "core"
        problem = f"converting ({short}.{kind}) to ({package}.{resource.kind}): unknown conversion"
    return Undecodable(resource, kind, short, problem)


def _tidy(metadata: Json) -> None:
    """Take out what says nothing; a label without a value has the empty one."""
    for field in ("labels", "annotations"):
        entries = metadata.get(field)
        if not entries:
            metadata.pop(field, None)
        elif None in entries.values():
            metadata[field] = {name: value or "" for name, value in entries.items()}
    for field in ("ownerReferences", "finalizers"):
        if not metadata.get(field):
            metadata.pop(field, None)


def check_namespace(resource: ResourceInfo, obj: Json, namespace: str) -> None:
    """Fill in the namespace of the URL; 400 when the body names another."""
    metadata = obj["metadata"]
    if not resource.namespaced:
        metadata.pop("namespace", None)
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
        raise ApiFailure(500, "", "resourceVersion should not be set on objects to be created")
    for field in (*_WIPED, "selfLink", "managedFields", "resourceVersion"):
        metadata.pop(field, None)
    if not metadata.get("generateName"):
        metadata.pop("generateName", None)
    metadata["uid"] = rng.uuid()
    metadata["creationTimestamp"] = now
    if resource.custom is not None:
        _begin_custom(resource, obj)
        return
    if resource.nature in _GENERATION:
        metadata["generation"] = 1
    if "status" in resource.subresources and resource.nature not in _STATUS_AT_CREATE:
        obj["status"] = _first_status(resource.nature, obj)


def _begin_custom(resource: ResourceInfo, obj: Json) -> None:
    custom = resource.custom
    assert custom is not None
    if custom.ending:
        why = "create not allowed while custom resource definition is terminating"
        raise forbidden(resource, obj["metadata"].get("name", ""), why)
    obj["metadata"]["generation"] = 1
    if custom.has_status:
        obj.pop("status", None)


def begin_ending(definition: Json, now: str) -> None:
    """A definition that is deleted is held by its objects (reference: apiserver §2, CRD)."""
    finalizers = definition["metadata"].get("finalizers") or []
    if CLEANUP in finalizers:
        return
    definition["metadata"]["finalizers"] = [*finalizers, CLEANUP]
    status = definition.setdefault("status", {})
    condition = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }
    others = [one for one in status.get("conditions") or () if one.get("type") != "Terminating"]
    status["conditions"] = [*others, condition]


def requires_version(resource: ResourceInfo) -> bool:
    """Say whether a PUT without resourceVersion may not overwrite objects of the resource."""
    return resource.custom is not None or resource.nature in VERSION_REQUIRED


def _first_status(kind: str, obj: Json) -> Json:
    if kind == "Pod":
        spec = obj.get("spec") or {}
        status: Json = {"phase": "Pending", "qosClass": quality_of_service(spec)}
        if spec.get("schedulingGates"):
            status["conditions"] = [dict(_GATED)]
        return status
    if kind == "CustomResourceDefinition":
        return first_status(obj)
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
    if resource.nature == "CustomResourceDefinition":
        note_stored_version(new)


def only_status(resource: ResourceInfo, new: Json, old: Json) -> Json:
    """Return `old` with the status of `new`, and the metadata that its kind lets a status write change."""
    merged = {**old, "metadata": dict(old["metadata"])}
    if "status" in new:
        merged["status"] = new["status"]
    else:
        merged.pop("status", None)
    if resource.custom is not None:
        return merged
    merged["status"] = {**_EMPTY_STATUS.get(resource.nature, {}), **(new.get("status") or {})}
    if resource.nature == "Pod" and (quality := (old.get("status") or {}).get("qosClass")):
        merged["status"].setdefault("qosClass", quality)
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
    if resource.custom is not None:
        if _without_metadata(new) != _without_metadata(old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        return
    if resource.nature not in _GENERATION:
        return
    changed = new.get("spec") != old.get("spec")
    if resource.nature == "Deployment":
        changed = changed or new["metadata"].get("annotations") != old["metadata"].get("annotations")
    if changed:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _without_metadata(obj: Json) -> Json:
    return {name: value for name, value in obj.items() if name != "metadata"}


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

"""What an API server refuses, field by field, in its words (reference: apiserver §5).

Objects are expected to have passed `type_errors` and `apply_defaults`. Guarantees: pure and
total, all problems of an object at once, in the order of its fields as far as the server's
order is known. Rules that need other objects (a missing namespace, a taken name) are the
caller's; kinds without rules of their own are held to the rules of metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kcm.sandbox.schema.typecheck import type_errors
from kcm.sandbox.schema.validation import access, autoscaling, core, events, pods, workloads
from kcm.sandbox.schema.validation.failures import FieldError
from kcm.sandbox.schema.validation.metadata import check_metadata, check_metadata_update
from kcm.sandbox.schema.validation.parts import Errors, Json

__all__ = [
    "FieldError",
    "type_errors",
    "validate_create",
    "validate_metadata",
    "validate_status",
    "validate_update",
]

Whole = Callable[[Json], Errors]
Change = Callable[[Json, Json], Errors]

_WHOLE: Mapping[str, Whole] = {
    "Pod": pods.check_pod,
    "Deployment": workloads.check_deployment,
    "ReplicaSet": workloads.check_replica_set,
    "StatefulSet": workloads.check_stateful_set,
    "DaemonSet": workloads.check_daemon_set,
    "Job": workloads.check_job,
    "Service": core.check_service,
    "ConfigMap": core.check_config_map,
    "Secret": core.check_secret,
    "Lease": core.check_lease,
    "PriorityClass": core.check_priority_class,
    "Event": events.check_event,
    "Binding": core.check_binding,
    "Scale": core.check_scale,
    "PodDisruptionBudget": core.check_budget,
    "HorizontalPodAutoscaler": autoscaling.check_autoscaler,
    "Role": access.check_role,
    "ClusterRole": access.check_cluster_role,
    "RoleBinding": access.check_role_binding,
    "ClusterRoleBinding": access.check_cluster_role_binding,
}
_UPDATE: Mapping[str, Change] = {
    "Pod": pods.check_pod_update,
    "Deployment": workloads.check_deployment_update,
    "ReplicaSet": workloads.check_replica_set_update,
    "StatefulSet": workloads.check_stateful_set_update,
    "DaemonSet": workloads.check_daemon_set_update,
    "Service": core.check_service_update,
    "ConfigMap": core.check_config_map_update,
    "Secret": core.check_secret_update,
    "Event": events.check_event_update,
    "PriorityClass": core.check_priority_class_update,
    "RoleBinding": access.check_binding_update,
    "ClusterRoleBinding": access.check_binding_update,
}
# Kinds whose updates have rules of their own instead: most updates of pods leave the spec alone, and
# an Event of the old style stays one.
_OWN_UPDATE = frozenset(("Pod", "Event"))
_STATUS: Mapping[str, Change] = {
    "Deployment": workloads.check_deployment_status,
    "ReplicaSet": workloads.check_replica_set_status,
    "StatefulSet": workloads.check_stateful_set_status,
    "DaemonSet": workloads.check_daemon_set_status,
}


def validate_create(kind: str, obj: dict[str, Any]) -> list[FieldError]:
    """Return what is wrong with a new object of that kind."""
    found = list(check_metadata(kind, obj))
    if (check := _WHOLE.get(kind)) is not None:
        found += check(obj)
    return found


def validate_metadata(kind: str, obj: dict[str, Any]) -> list[FieldError]:
    """Return what is wrong with the metadata of a new object whose spec is known to be right."""
    return list(check_metadata(kind, obj))


def validate_update(kind: str, new: dict[str, Any], old: dict[str, Any]) -> list[FieldError]:
    """Return what is wrong with replacing `old` by `new`. Status is not looked at."""
    found = list(check_metadata(kind, new))
    found += check_metadata_update(new, old)
    if kind not in _OWN_UPDATE and (whole := _WHOLE.get(kind)) is not None:
        found += whole(new)
    if (check := _UPDATE.get(kind)) is not None:
        found += check(new, old)
    return found


def validate_status(kind: str, new: dict[str, Any], old: dict[str, Any]) -> list[FieldError]:
    """Return what is wrong with replacing the status of `old` by that of `new`."""
    found = list(check_metadata_update(new, old))
    if (check := _STATUS.get(kind)) is not None:
        found += check(new, old)
    return found

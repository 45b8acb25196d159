"""The values that the server fills in (reference: apiserver §5).

`apply_defaults` is the whole interface. Guarantees: in place, idempotent; a field that is
present is never changed except to its canonical spelling; a value of the wrong type is left
alone, because type errors are reported before defaults matter. What needs knowledge of other
objects (a cluster IP, a service account, tolerations) belongs to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kcm.sandbox.schema.canonical import canonicalize
from kcm.sandbox.schema.custom.definition import default_definition
from kcm.sandbox.schema.defaults import access, autoscaling, core, networking, pods, storage, workloads
from kcm.sandbox.schema.fields import type_of

__all__ = ["apply_defaults", "apply_spelling", "qos_class"]

qos_class = pods.qos_class

Defaulter = Callable[[dict[str, Any]], None]

_BY_KIND: Mapping[str, Defaulter] = {
    "Pod": pods.default_pod,
    "Deployment": workloads.default_deployment,
    "ReplicaSet": workloads.default_replica_set,
    "StatefulSet": workloads.default_stateful_set,
    "DaemonSet": workloads.default_daemon_set,
    "Job": workloads.default_job,
    "CronJob": workloads.default_cron_job,
    "ReplicationController": workloads.default_replication_controller,
    "PersistentVolumeClaim": storage.default_claim,
    "PersistentVolume": storage.default_volume,
    "Ingress": networking.default_ingress,
    "NetworkPolicy": networking.default_network_policy,
    "Service": core.default_service,
    "Namespace": core.default_namespace,
    "Node": core.default_node,
    "PriorityClass": core.default_priority_class,
    "Secret": core.default_secret,
    "Endpoints": core.default_endpoints,
    "CustomResourceDefinition": default_definition,
    "HorizontalPodAutoscaler": autoscaling.default_autoscaler,
    "Role": access.default_role,
    "ClusterRole": access.default_role,
    "RoleBinding": access.default_binding,
    "ClusterRoleBinding": access.default_binding,
}


def apply_defaults(kind: str, obj: dict[str, Any]) -> None:
    """Fill in defaults and canonical spellings in place. Run `type_errors` first."""
    apply_spelling(kind, obj)
    if (defaulter := _BY_KIND.get(kind)) is not None:
        defaulter(obj)


def apply_spelling(kind: str, obj: dict[str, Any]) -> None:
    """Do only the half of `apply_defaults` that adds nothing: canonical spellings, in place."""
    api_version = obj.get("apiVersion")
    canonicalize(type_of(kind, api_version if isinstance(api_version, str) else ""), obj)

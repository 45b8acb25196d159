"""Tables as the server prints them for `kubectl get` (reference: apiserver §1, "Table columns").

The server sends all cells; the client hides the columns with a priority. Guarantees: as many
cells as columns, in order; counts are integers; a kind without columns of its own shows its
name and when it was created. `now` is an argument, since ages are relative to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from kcm.sandbox.schema.tables import access, autoscaling, cluster, events, pods, workloads
from kcm.sandbox.schema.tables.columns import Column, Json, Printer, column, name_of, part, text

__all__ = ["table"]

IncludeObject = Literal["None", "Metadata", "Object"]

_PRINTERS: Mapping[str, Printer] = {
    "Pod": pods.PODS,
    "Deployment": workloads.DEPLOYMENTS,
    "ReplicaSet": workloads.REPLICA_SETS,
    "StatefulSet": workloads.STATEFUL_SETS,
    "DaemonSet": workloads.DAEMON_SETS,
    "Job": workloads.JOBS,
    "HorizontalPodAutoscaler": autoscaling.AUTOSCALERS,
    "PodDisruptionBudget": autoscaling.BUDGETS,
    "Event": events.EVENTS,
    "Lease": cluster.LEASES,
    "PriorityClass": cluster.PRIORITY_CLASSES,
    "Node": cluster.NODES,
    "Namespace": cluster.NAMESPACES,
    "ServiceAccount": cluster.SERVICE_ACCOUNTS,
    "ConfigMap": cluster.CONFIG_MAPS,
    "Secret": cluster.SECRETS,
    "Service": cluster.SERVICES,
    "Endpoints": cluster.ENDPOINTS,
    "RoleBinding": access.BINDINGS,
    "ClusterRoleBinding": access.BINDINGS,
}


def _created(obj: Json, now: datetime) -> list[object]:
    return [name_of(obj), text(part(obj, "metadata"), "creationTimestamp")]


_UNLISTED = Printer((column("Name", format="name"), column("Created At", "date")), _created)


def table(
    kind: str,
    objects: Iterable[Json],
    *,
    list_metadata: Json,
    include_object: str,
    with_columns: bool,
    now: datetime,
    printer: Printer | None = None,
) -> Json:
    """Return the Table of these objects, by the printer of their kind unless another is given.

    `include_object` is "Object", "None", or anything else for metadata only. In a watch only
    the first table has column definitions: `with_columns`.
    """
    printer = printer or _PRINTERS.get(kind, _UNLISTED)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_metadata,
        "columnDefinitions": [_definition(one) for one in printer.columns] if with_columns else None,
        "rows": [_row(printer, obj, include_object, now) for obj in objects],
    }


def _definition(one: Column) -> Json:
    return {
        "name": one.name,
        "type": one.type,
        "format": one.format,
        "description": one.name,
        "priority": one.priority,
    }


def _row(printer: Printer, obj: Json, include_object: str, now: datetime) -> Json:
    row: dict[str, Any] = {"cells": printer.cells(obj, now)}
    match include_object:
        case "None":
            pass
        case "Object":
            row["object"] = obj
        case _:
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": obj.get("metadata", {}),
            }
    return row

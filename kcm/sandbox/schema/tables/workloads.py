"""The tables of Deployments, ReplicaSets, StatefulSets, DaemonSets and Jobs."""

from __future__ import annotations

from datetime import datetime

from kcm.sandbox.schema.tables.columns import (
    AGE,
    NAME,
    Json,
    Printer,
    age_of,
    column,
    containers_cells,
    count,
    items,
    labels_text,
    name_of,
    part,
    selector_text,
    since,
    text,
    wide,
)

_WIDE = (wide("Containers"), wide("Images"), wide("Selector"))


def _wide_cells(obj: Json) -> list[object]:
    spec = part(obj, "spec")
    return [*containers_cells(part(spec, "template")), selector_text(part(spec, "selector"))]


def _deployment(obj: Json, now: datetime) -> list[object]:
    spec, status = part(obj, "spec"), part(obj, "status")
    ready = f"{count(status, 'readyReplicas')}/{count(spec, 'replicas')}"
    updated, available = count(status, "updatedReplicas"), count(status, "availableReplicas")
    return [name_of(obj), ready, updated, available, age_of(obj, now), *_wide_cells(obj)]


def _replica_set(obj: Json, now: datetime) -> list[object]:
    status = part(obj, "status")
    desired, current = count(part(obj, "spec"), "replicas"), count(status, "replicas")
    ready = count(status, "readyReplicas")
    return [name_of(obj), desired, current, ready, age_of(obj, now), *_wide_cells(obj)]


def _stateful_set(obj: Json, now: datetime) -> list[object]:
    spec = part(obj, "spec")
    ready = f"{count(part(obj, 'status'), 'readyReplicas')}/{count(spec, 'replicas')}"
    return [name_of(obj), ready, age_of(obj, now), *containers_cells(part(spec, "template"))]


def _daemon_set(obj: Json, now: datetime) -> list[object]:
    status = part(obj, "status")
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady")
    more = ("updatedNumberScheduled", "numberAvailable")
    return [
        name_of(obj),
        *(count(status, name) for name in (*counts, *more)),
        labels_text(part(obj, "spec", "template", "spec", "nodeSelector")),
        age_of(obj, now),
        *_wide_cells(obj),
    ]


def _job(obj: Json, now: datetime) -> list[object]:
    spec, status = part(obj, "spec"), part(obj, "status")
    done = count(status, "succeeded")
    wanted = f"{done}/{count(spec, 'completions')}" if "completions" in spec else f"{done}/1"
    took = since(text(status, "startTime"), now) if "startTime" in status else ""
    return [name_of(obj), _job_status(status), wanted, took, age_of(obj, now), *_wide_cells(obj)]


def _job_status(status: Json) -> str:
    for condition in items(status, "conditions"):
        if text(condition, "status") == "True" and text(condition, "type") in (
            "Complete",
            "Failed",
            "Suspended",
        ):
            return text(condition, "type")
    return "Running"


DEPLOYMENTS = Printer(
    (NAME, column("Ready"), column("Up-to-date", "integer"), column("Available", "integer"), AGE, *_WIDE),
    _deployment,
)
REPLICA_SETS = Printer(
    (
        NAME,
        column("Desired", "integer"),
        column("Current", "integer"),
        column("Ready", "integer"),
        AGE,
        *_WIDE,
    ),
    _replica_set,
)
STATEFUL_SETS = Printer(
    (NAME, column("Ready"), AGE, wide("Containers"), wide("Images")),
    _stateful_set,
)
DAEMON_SETS = Printer(
    (
        NAME,
        *(column(name, "integer") for name in ("Desired", "Current", "Ready", "Up-to-date", "Available")),
        column("Node Selector"),
        AGE,
        *_WIDE,
    ),
    _daemon_set,
)
JOBS = Printer(
    (NAME, column("Status"), column("Completions"), column("Duration"), AGE, *_WIDE),
    _job,
)

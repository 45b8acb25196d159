"""Defaults of the groups apps and batch, and of ReplicationControllers (reference: apiserver §5)."""

from __future__ import annotations

from kcm.sandbox.schema.defaults.parts import Json, part, present
from kcm.sandbox.schema.defaults.pods import default_template

_QUARTER = "25%"


def default_deployment(deployment: Json) -> None:
    """Fill in a Deployment."""
    spec = part(deployment, "spec")
    spec.setdefault("replicas", 1)
    strategy = part(spec, "strategy")
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = part(strategy, "rollingUpdate")
        rolling.setdefault("maxUnavailable", _QUARTER)
        rolling.setdefault("maxSurge", _QUARTER)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    default_template(spec)
    part(deployment, "status")


def default_replica_set(replica_set: Json) -> None:
    """Fill in a ReplicaSet."""
    spec = part(replica_set, "spec")
    spec.setdefault("replicas", 1)
    default_template(spec)
    part(replica_set, "status").setdefault("replicas", 0)


def default_stateful_set(stateful_set: Json) -> None:
    """Fill in a StatefulSet."""
    spec = part(stateful_set, "spec")
    spec.setdefault("replicas", 1)
    spec["podManagementPolicy"] = spec.get("podManagementPolicy") or "OrderedReady"
    strategy = part(spec, "updateStrategy")
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        part(strategy, "rollingUpdate").setdefault("partition", 0)
    retention = part(spec, "persistentVolumeClaimRetentionPolicy")
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    spec.setdefault("revisionHistoryLimit", 10)
    default_template(spec)
    status = part(stateful_set, "status")
    status.setdefault("replicas", 0)
    status.setdefault("availableReplicas", 0)


def default_daemon_set(daemon_set: Json) -> None:
    """Fill in a DaemonSet."""
    spec = part(daemon_set, "spec")
    strategy = part(spec, "updateStrategy")
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = part(strategy, "rollingUpdate")
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    default_template(spec)
    status = part(daemon_set, "status")
    for count in ("currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"):
        status.setdefault(count, 0)


def default_job(job: Json) -> None:
    """Fill in a Job, without the selector that the real server generates."""
    spec = part(job, "spec")
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    failure = "Failed" if present(spec, "podFailurePolicy") is not None else "TerminatingOrFailed"
    spec.setdefault("podReplacementPolicy", failure)
    default_template(spec)
    part(job, "status")


def default_replication_controller(controller: Json) -> None:
    """Fill in a ReplicationController: its labels and its selector are the template's labels."""
    spec = part(controller, "spec")
    labels = part(part(part(spec, "template"), "metadata"), "labels")
    meta = part(controller, "metadata")
    if labels and not spec.get("selector"):
        spec["selector"] = dict(labels)
    if labels and not meta.get("labels"):
        meta["labels"] = dict(labels)
    spec.setdefault("replicas", 1)
    default_template(spec)
    part(controller, "status").setdefault("replicas", 0)


def default_cron_job(cron_job: Json) -> None:
    """Fill in a CronJob and the pods of its jobs."""
    spec = part(cron_job, "spec")
    spec["concurrencyPolicy"] = spec.get("concurrencyPolicy") or "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = part(spec, "jobTemplate")
    part(template, "metadata")
    inner = part(template, "spec")
    part(part(inner, "template"), "metadata")
    default_template(inner)
    part(cron_job, "status")

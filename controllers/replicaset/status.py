"""What the status should say, and the smallest write that makes it so.

Counters come from the census, the condition `ReplicaFailure` from what became of the scaling
in this pass (reference: workloads 1.7). Guarantees: a write happens only if something differs;
it carries the resourceVersion of the replica set that was reconciled, so the counts are never
filed under another generation; conditions of other people are not touched. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from controllers.replicaset.census import Census
from kcm import Plan
from kcm.objects import Condition, ReplicaSet
from kcm.objects.conditions import find_condition

REPLICA_FAILURE = "ReplicaFailure"


@dataclass(frozen=True, slots=True)
class ScalingFailure:
    """Why the number of pods could not be brought right."""

    reason: Literal["FailedCreate", "FailedDelete"]
    message: str


def status_plan(
    replica_set: ReplicaSet, census: Census, failure: ScalingFailure | None, now: datetime
) -> Plan:
    """Plan the write that makes the status true; nothing if it is."""
    before = replica_set.status
    counters = {
        "replicas": len(census.active),
        "fullyLabeledReplicas": census.fully_labeled,
        "readyReplicas": census.ready,
        "availableReplicas": census.available(replica_set.spec.min_ready_seconds, now),
        "terminatingReplicas": census.terminating,
        "observedGeneration": replica_set.metadata.generation,
    }
    written = {
        "replicas": before.replicas,
        "fullyLabeledReplicas": before.fully_labeled_replicas,
        "readyReplicas": before.ready_replicas,
        "availableReplicas": before.available_replicas,
        # None is what a server that does not know the field reads back: no reason to write again.
        "terminatingReplicas": before.terminating_replicas or 0,
        "observedGeneration": before.observed_generation,
    }
    conditions = _condition_changes(replica_set, failure, now)
    if counters == written and not conditions:
        return Plan.nothing()
    changes: dict[str, Any] = dict(counters)
    if conditions:
        changes["conditions"] = conditions
    because = ", ".join(f"{name} {counters[name]}" for name in counters if counters[name] != written[name])
    return Plan.patch_status(replica_set, changes, because=because or REPLICA_FAILURE, kind="strategic")


def _condition_changes(
    replica_set: ReplicaSet, failure: ScalingFailure | None, now: datetime
) -> list[Condition | dict[str, str]]:
    """Return the strategic merge entries for ReplicaFailure: set if absent, never refreshed, removed."""
    present = find_condition(replica_set.status.conditions, REPLICA_FAILURE)
    if failure is None:
        return [{"$patch": "delete", "type": REPLICA_FAILURE}] if present else []
    if present:
        return []
    return [Condition(REPLICA_FAILURE, "True", now.replace(microsecond=0), failure.reason, failure.message)]

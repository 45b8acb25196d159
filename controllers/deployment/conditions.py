"""Conditions of a Deployment: reasons, texts, and when one replaces another.

`put` keeps a condition that says the same, so that its times mean something: progress is timed
from `lastUpdateTime` (reference: workloads 2.8; traps 8, 9). Conditions of other people are
never touched. Pure.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from controllers.deployment.bounds import LARGEST
from kcm.objects import Deployment, DeploymentCondition

Conditions = tuple[DeploymentCondition, ...]

AVAILABLE, PROGRESSING, REPLICA_FAILURE = "Available", "Progressing", "ReplicaFailure"

COMPLETE = "NewReplicaSetAvailable"
UPDATED = "ReplicaSetUpdated"
TIMED_OUT = "ProgressDeadlineExceeded"
CREATED = "NewReplicaSetCreated"
FOUND = "FoundNewReplicaSet"
CREATE_ERROR = "ReplicaSetCreateError"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"

LONGEST_TEXT = 1000


def make(type_: str, status: str, reason: str, message: str, now: datetime) -> DeploymentCondition:
    """Return a condition that begins now; the API keeps whole seconds."""
    moment = now.replace(microsecond=0)
    return DeploymentCondition(
        type=type_,
        status=status,
        reason=reason,
        message=message[:LONGEST_TEXT],
        last_transition_time=moment,
        last_update_time=moment,
    )


def find(conditions: Conditions, type_: str) -> DeploymentCondition | None:
    """Return the condition of that type, if there is one."""
    return next((each for each in conditions if each.type == type_), None)


def drop(conditions: Conditions, type_: str) -> Conditions:
    """Return the others."""
    return tuple(each for each in conditions if each.type != type_)


def put(conditions: Conditions, new: DeploymentCondition) -> Conditions:
    """Return the conditions with `new`, unless the one there has the same status and reason."""
    present = find(conditions, new.type)
    if present is not None and (present.status, present.reason) == (new.status, new.reason):
        return conditions
    return renew(conditions, new)


def renew(conditions: Conditions, new: DeploymentCondition) -> Conditions:
    """Return the conditions with `new` at the end; a status that stays keeps its transition time."""
    present = find(conditions, new.type)
    if present is not None and present.status == new.status:
        new = msgspec.structs.replace(new, last_transition_time=present.last_transition_time)
    return (*drop(conditions, new.type), new)


def deadline_of(deployment: Deployment) -> timedelta | None:
    """Return how long a rollout may take without progress; None for ever."""
    seconds = deployment.spec.progress_deadline_seconds
    return None if seconds is None or seconds == LARGEST else timedelta(seconds=seconds)


def timed_out(condition: DeploymentCondition | None, deadline: timedelta, now: datetime) -> bool:
    """Say whether progress has not been seen for longer than the deadline."""
    if condition is None or condition.reason == COMPLETE:
        return False
    if condition.reason == TIMED_OUT:
        return True
    since = condition.last_update_time
    return since is not None and now - since > deadline

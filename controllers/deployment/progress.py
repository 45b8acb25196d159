"""How a rollout is getting on: the conditions Progressing and ReplicaFailure.

Completion, progress and time-out are judged against the stored status, never against what this
pass has just written (reference: workloads 2.8, 2.11). A time-out stops nothing; what was
scaled, paused or deleted in this pass is not judged at all. Pure: the time is an argument.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from controllers.deployment.births import Birth, Born, Refused
from controllers.deployment.conditions import (
    COMPLETE,
    CREATE_ERROR,
    CREATED,
    FOUND,
    PAUSED,
    PROGRESSING,
    REPLICA_FAILURE,
    RESUMED,
    TIMED_OUT,
    UPDATED,
    Conditions,
    deadline_of,
    drop,
    find,
    make,
    put,
    renew,
    timed_out,
)
from controllers.deployment.observe import Seen
from kcm import ApiError
from kcm.objects import Deployment, DeploymentCondition
from kcm.objects.deployments import DeploymentStatus


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Say whether all replicas are new and available, and none is left over."""
    wanted = deployment.spec.replicas
    counted = (status.updated_replicas, status.replicas, status.available_replicas)
    return counted == (wanted,) * 3 and status.observed_generation >= deployment.metadata.generation


def has_progressed(before: DeploymentStatus, after: DeploymentStatus) -> bool:
    """Say whether more is new, less is old, or more is ready or available than was stored."""
    return (
        after.updated_replicas > before.updated_replicas
        or after.replicas - after.updated_replicas < before.replicas - before.updated_replicas
        or after.ready_replicas > before.ready_replicas
        or after.available_replicas > before.available_replicas
    )


def with_pause(conditions: Conditions, deployment: Deployment, now: datetime) -> Conditions:
    """Return the conditions with the clock stopped by a pause, or started again."""
    present = find(conditions, PROGRESSING)
    if deadline_of(deployment) is None or (present is not None and present.reason == TIMED_OUT):
        return conditions
    stands_still = present is not None and present.reason == PAUSED
    if deployment.spec.paused and not stands_still:
        return put(conditions, make(PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now))
    if stands_still and not deployment.spec.paused:
        return put(conditions, make(PROGRESSING, "Unknown", RESUMED, "Deployment is resumed", now))
    return conditions


def with_birth(conditions: Conditions, seen: Seen, birth: Birth | None, now: datetime) -> Conditions:
    """Return the conditions with what became of the new replica set."""
    if deadline_of(seen.deployment) is None:
        return conditions
    new = seen.fleet.new
    match birth:
        case Born(name):
            note = f'Created new replica set "{name}"'
            return put(conditions, make(PROGRESSING, "True", CREATED, note, now))
        case Refused(name, error):
            note = f'Failed to create new replica set "{name}": {error_text(error)}'
            return put(conditions, make(PROGRESSING, "False", CREATE_ERROR, note, now))
        case None if new is not None and find(conditions, PROGRESSING) is None:
            note = f'Found new replica set "{new.metadata.name}"'
            return put(conditions, make(PROGRESSING, "True", FOUND, note, now))
        case _:
            return conditions


def with_progress(
    conditions: Conditions, seen: Seen, before: DeploymentStatus, after: DeploymentStatus, now: datetime
) -> Conditions:
    """Return the conditions with Progressing as the counts show it; the first rule that holds wins."""
    deadline = deadline_of(seen.deployment)
    if deadline is None:
        return drop(conditions, PROGRESSING)
    present = find(conditions, PROGRESSING)
    if after.replicas == after.updated_replicas and present is not None and present.reason == COMPLETE:
        return conditions
    about = _about(seen)
    if is_complete(seen.deployment, after):
        note = f"{about} has successfully progressed."
        return put(conditions, make(PROGRESSING, "True", COMPLETE, note, now))
    if has_progressed(before, after):
        return renew(conditions, make(PROGRESSING, "True", UPDATED, f"{about} is progressing.", now))
    if timed_out(present, deadline, now):
        note = f"{about} has timed out progressing."
        return put(conditions, make(PROGRESSING, "False", TIMED_OUT, note, now))
    return conditions


def with_failure(conditions: Conditions, seen: Seen) -> Conditions:
    """Return the conditions with the failure that a replica set reports, the new one's first."""
    new = seen.fleet.new
    ordered = (*(() if new is None else (new,)), *seen.fleet.old)
    reported = (each for one in ordered for each in one.status.conditions if each.type == REPLICA_FAILURE)
    failure = next(reported, None)
    if failure is None:
        return drop(conditions, REPLICA_FAILURE)
    copy = DeploymentCondition(
        type=failure.type,
        status=failure.status,
        reason=failure.reason,
        message=failure.message,
        last_transition_time=failure.last_transition_time,
        last_update_time=failure.last_transition_time,
    )
    return put(conditions, copy)


def recheck_in(deployment: Deployment, status: DeploymentStatus, now: datetime) -> float | None:
    """Return the seconds until the deadline has to be looked at; None when nothing runs out.

    Hardly more than the deadline itself: a clock that was set back, and right again, is seen soon.
    """
    deadline = deadline_of(deployment)
    present = find(status.conditions, PROGRESSING)
    if deadline is None or present is None or present.last_update_time is None:
        return None
    if present.reason in (COMPLETE, TIMED_OUT) or is_complete(deployment, status):
        return None
    rest = min(present.last_update_time + deadline - now, deadline)
    return max(timedelta(), rest).total_seconds() + 1.0


def error_text(error: Exception) -> str:
    """Return what the server said, as it said it: people search for these texts."""
    said = error.status.message if isinstance(error, ApiError) else ""
    return said or str(error)


def _about(seen: Seen) -> str:
    new = seen.fleet.new
    if new is not None:
        return f'ReplicaSet "{new.metadata.name}"'
    return f'Deployment "{seen.deployment.metadata.name}"'


def without_conditions(status: DeploymentStatus) -> DeploymentStatus:
    """Return the counts alone."""
    return msgspec.structs.replace(status, conditions=())

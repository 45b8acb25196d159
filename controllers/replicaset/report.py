"""What became of a pass: events for people, a failure for the status, an error for the dispatcher.

A refusal that says nothing about the pods (the view was old: a pod changed before its delete, a
name was taken meanwhile; the server is busy) is tried again and told to nobody. A namespace that
is being deleted ends the pass quietly: no event, no failure, no new try (reference: workloads
1.5, 1.8). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.replicaset.status import ScalingFailure
from kcm import (
    AlreadyExists,
    ApiError,
    Conflict,
    Create,
    Delete,
    NamespaceTerminating,
    Outcome,
    Plan,
    TooManyRequests,
)
from kcm.objects import ReplicaSet

LONGEST_TEXT = 1000


def scaling_error(outcome: Outcome) -> Exception | None:
    """Return the error to end the pass with: the first that is worth telling, else the first."""
    errors = [failed.error for failed in outcome.failed]
    errors = [error for error in errors if not isinstance(error, NamespaceTerminating)]
    return next((error for error in errors if _worth_telling(error)), errors[0] if errors else None)


def scaling_failure(outcome: Outcome) -> ScalingFailure | None:
    """Return what the status has to say about a pass that failed (reference: workloads 1.7)."""
    for failed in outcome.failed:
        match failed.action:
            case Create() if _worth_telling(failed.error):
                return ScalingFailure("FailedCreate", _text(failed.error))
            case Delete() if _worth_telling(failed.error):
                return ScalingFailure("FailedDelete", f"unable to delete pods: {_text(failed.error)}")
    return None


def events(replica_set: ReplicaSet, outcome: Outcome) -> Plan:
    """Return the events that tell what was done and what was refused (reference: workloads 1.8)."""
    plans = (*_successes(replica_set, outcome), *_refusals(replica_set, outcome))
    return Plan(tuple(action for plan in plans for action in plan.actions))


def _successes(replica_set: ReplicaSet, outcome: Outcome) -> Iterator[Plan]:
    for applied in outcome.done:
        match applied.action:
            case Create(new):
                note = f"Created pod: {new.metadata.name}"
                yield Plan.emit(replica_set, "Normal", "SuccessfulCreate", note)
            case Delete(target):
                yield Plan.emit(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {target.key.name}")


def _refusals(replica_set: ReplicaSet, outcome: Outcome) -> Iterator[Plan]:
    for failed in outcome.failed:
        match failed.action:
            case Create() if _worth_telling(failed.error):
                yield Plan.emit(
                    replica_set, "Warning", "FailedCreate", f"Error creating: {_text(failed.error)}"
                )
            case Delete() if _worth_telling(failed.error):
                yield Plan.emit(
                    replica_set, "Warning", "FailedDelete", f"Error deleting: {_text(failed.error)}"
                )


def _worth_telling(error: Exception) -> bool:
    return not isinstance(error, Conflict | AlreadyExists | NamespaceTerminating | TooManyRequests)


def _text(error: Exception) -> str:
    """Return what the server said, as it said it: people search for these texts."""
    said = error.status.message if isinstance(error, ApiError) else ""
    return (said or str(error))[:LONGEST_TEXT]

"""Status and conditions: reference workloads 2.8 and the cases 83, 90, 91, 99."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from controllers.deployment.annotations import REVISION
from controllers.deployment.births import Born, Refused
from controllers.deployment.bounds import LARGEST, bounds_of
from controllers.deployment.conditions import find, make, put, renew
from controllers.deployment.fleet import Fleet
from controllers.deployment.observe import Seen
from controllers.deployment.passes import Deleting, Kind, Paused, Recreate, Resize, Roll
from controllers.deployment.progress import has_progressed, is_complete, recheck_in
from controllers.deployment.status import collision_plan, count, observed_plan, status_of, status_plan
from kcm import Plan
from kcm.client.errors import Status, error_of
from kcm.objects import Condition, Deployment, DeploymentCondition, ObjectMeta, WholeReplicaSet
from kcm.objects.deployments import (
    DeploymentSpec,
    DeploymentStatus,
    DeploymentStrategy,
    RollingUpdate,
    WholeReplicaSetSpec,
)
from kcm.objects.replicasets import ReplicaSetStatus
from kcm.runtime.plan import Patch

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def replica_set(
    name: str, size: int, ready: int | None = None, *, terminating: int | None = 0, **more: Any
) -> WholeReplicaSet:
    counted = size if ready is None else ready
    status = ReplicaSetStatus(
        replicas=more.pop("pods", size),
        ready_replicas=counted,
        available_replicas=counted,
        terminating_replicas=terminating,
        observed_generation=more.pop("observed", 1),
        conditions=more.pop("conditions", ()),
    )
    return WholeReplicaSet(
        metadata=ObjectMeta(name=name, namespace="ns", uid=f"uid-{name}", annotations=more),
        spec=WholeReplicaSetSpec(replicas=size),
        status=status,
    )


def counts(replicas: int, updated: int, ready: int, available: int) -> DeploymentStatus:
    return DeploymentStatus(replicas, updated, ready, available, observed_generation=1)


def seen(
    replicas: int = 10,
    *,
    new: WholeReplicaSet | None = None,
    old: tuple[WholeReplicaSet, ...] = (),
    stored: DeploymentStatus | None = None,
    conditions: tuple[DeploymentCondition, ...] = (),
    deadline: int | None = 600,
    strategy: str = "RollingUpdate",
    annotations: Mapping[str, str] | None = None,
    paused: bool = False,
) -> Seen:
    status = msgspec.structs.replace(stored or DeploymentStatus(), conditions=conditions)
    what = Deployment(
        metadata=ObjectMeta(name="web", namespace="ns", uid="d", generation=1, annotations=annotations or {}),
        spec=DeploymentSpec(
            replicas=replicas,
            strategy=DeploymentStrategy(strategy, RollingUpdate(3, 2)),
            progress_deadline_seconds=deadline,
            paused=paused,
        ),
        status=status,
    )
    return Seen(what, False, bounds_of(what), Fleet(new, old), (), (), False)


def progressing(reason: str, since: datetime = LONG_AGO, status: str = "True") -> DeploymentCondition:
    return make("Progressing", status, reason, "m", since)


def after(look: Seen, kind: Kind | None = None, **more: Any) -> DeploymentCondition | None:
    """Return what becomes of Progressing."""
    birth = more.get("birth")
    return find(status_of(look, kind or Roll(), birth, NOW).conditions, "Progressing")


def test_counts_are_sums() -> None:
    look = seen(new=replica_set("n", 5, 2), old=(replica_set("a", 6, 6, terminating=2), replica_set("b", 0)))
    counted = count(look)
    assert counted == DeploymentStatus(
        replicas=11,
        updated_replicas=5,
        ready_replicas=8,
        available_replicas=8,
        unavailable_replicas=3,
        terminating_replicas=2,
        observed_generation=1,
    )


@pytest.mark.parametrize(
    ("mine", "expected"),
    [
        pytest.param([(2, 1), (1, 1)], 3, id="summed"),
        pytest.param([(None, 0), (1, 1)], 1, id="not yet looked at counts nothing"),
        pytest.param([(None, 1), (1, 1)], None, id="a server that does not tell"),
        pytest.param([], 0, id="none"),
    ],
)
def test_case_35_terminating(mine: list[tuple[int | None, int]], expected: int | None) -> None:
    old = tuple(
        replica_set(f"a{number}", 1, terminating=terminating, observed=observed)
        for number, (terminating, observed) in enumerate(mine)
    )
    assert count(seen(old=old)).terminating_replicas == expected


@pytest.mark.parametrize(
    ("available", "strategy", "status"),
    [
        (8, "RollingUpdate", "True"),
        (7, "RollingUpdate", "False"),
        (9, "Recreate", "False"),
        (10, "Recreate", "True"),
    ],
)
def test_availability(available: int, strategy: str, status: str) -> None:
    look = seen(new=replica_set("n", 10, available), strategy=strategy)
    found = find(status_of(look, Roll(), None, NOW).conditions, "Available")
    assert found is not None
    assert found.status == status
    assert found.reason == ("MinimumReplicasAvailable" if status == "True" else "MinimumReplicasUnavailable")


# Cases 91 and 99.
@pytest.mark.parametrize(
    ("status", "complete"),
    [
        ((10, 10, 10, 10), True),
        ((11, 10, 10, 10), False),
        ((10, 9, 10, 10), False),
        ((10, 10, 10, 9), False),
        ((0, 0, 0, 0), False),
    ],
)
def test_case_99_complete(status: tuple[int, int, int, int], complete: bool) -> None:
    assert is_complete(seen().deployment, counts(*status)) is complete


def test_case_99_a_generation_that_was_not_observed_is_not_complete() -> None:
    unseen = msgspec.structs.replace(counts(10, 10, 10, 10), observed_generation=0)
    assert not is_complete(seen().deployment, unseen)


@pytest.mark.parametrize(
    ("before", "now", "progressed"),
    [
        ((10, 4, 4, 4), (10, 4, 4, 4), False),
        ((10, 4, 4, 4), (10, 6, 4, 4), True),
        ((10, 4, 4, 4), (8, 4, 4, 4), True),
        ((10, 4, 4, 4), (10, 4, 5, 4), True),
        ((10, 4, 4, 4), (10, 4, 4, 5), True),
        ((10, 7, 10, 10), (10, 1, 7, 7), False),
    ],
)
def test_case_99_progress(
    before: tuple[int, int, int, int], now: tuple[int, int, int, int], progressed: bool
) -> None:
    assert has_progressed(counts(*before), counts(*now)) is progressed


STUCK = {"new": replica_set("n", 5, 2), "stored": counts(5, 5, 2, 2)}
DONE = {"new": replica_set("n", 10), "stored": counts(10, 10, 10, 9)}


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        pytest.param(seen(**DONE), ("True", "NewReplicaSetAvailable"), id="complete"),
        pytest.param(
            seen(**STUCK, conditions=(progressing("ReplicaSetUpdated"),)),
            ("False", "ProgressDeadlineExceeded"),
            id="timed out",
        ),
        pytest.param(
            seen(**STUCK, conditions=(progressing("ReplicaSetUpdated", NOW - timedelta(seconds=600)),)),
            ("True", "ReplicaSetUpdated"),
            id="the deadline itself is in time",
        ),
        pytest.param(
            seen(**STUCK, conditions=(progressing("ProgressDeadlineExceeded", status="False"),)),
            ("False", "ProgressDeadlineExceeded"),
            id="still timed out",
        ),
        pytest.param(
            seen(
                new=replica_set("n", 5, 3),
                stored=counts(5, 5, 2, 2),
                conditions=(progressing("ProgressDeadlineExceeded", status="False"),),
            ),
            ("True", "ReplicaSetUpdated"),
            id="late progress counts",
        ),
        pytest.param(
            seen(
                new=replica_set("n", 10, 8),
                stored=counts(10, 10, 10, 10),
                conditions=(progressing("NewReplicaSetAvailable"),),
            ),
            ("True", "NewReplicaSetAvailable"),
            id="done once, not judged again",
        ),
        pytest.param(
            seen(
                new=replica_set("n", 1, 0),
                old=(replica_set("a", 9),),
                stored=counts(10, 10, 10, 10),
                conditions=(progressing("NewReplicaSetAvailable"),),
            ),
            ("True", "NewReplicaSetAvailable"),
            id="a rollout that has just begun does not time out by the last one's time",
        ),
        pytest.param(
            seen(**STUCK, deadline=None, conditions=(progressing("ReplicaSetUpdated"),)),
            None,
            id="no deadline",
        ),
        pytest.param(seen(**STUCK), ("True", "FoundNewReplicaSet"), id="nothing known yet"),
        pytest.param(
            seen(**STUCK, deadline=LARGEST, conditions=(progressing("ReplicaSetUpdated"),)), None, id="nor so"
        ),
        pytest.param(
            seen(**STUCK, paused=True, conditions=(progressing("DeploymentPaused", status="Unknown"),)),
            ("Unknown", "DeploymentPaused"),
            id="paused",
        ),
    ],
)
def test_case_91_progressing(look: Seen, expected: tuple[str, str] | None) -> None:
    found = after(look, Paused() if look.deployment.spec.paused else Roll())
    assert (found and (found.status, found.reason)) == expected


def test_progress_moves_the_update_time_and_keeps_the_transition_time() -> None:
    before = progressing("ReplicaSetUpdated")
    found = after(seen(new=replica_set("n", 5, 3), stored=counts(5, 5, 2, 2), conditions=(before,)))
    assert found is not None
    assert (found.last_update_time, found.last_transition_time) == (NOW, LONG_AGO)


def test_trap_8_the_same_reason_is_not_refreshed() -> None:
    before = progressing("ReplicaSetUpdated", NOW - timedelta(seconds=30))
    assert after(seen(**STUCK, conditions=(before,))) == before


@pytest.mark.parametrize("kind", [Resize(), Paused(), Deleting()])
def test_trap_9_progress_is_not_judged_while_scaling_pausing_or_deleting(kind: Kind) -> None:
    before = progressing("ReplicaSetUpdated")
    look = seen(**DONE, conditions=(before,), paused=isinstance(kind, Paused))
    found = after(look, kind)
    assert found is not None
    assert found.reason == ("DeploymentPaused" if isinstance(kind, Paused) else "ReplicaSetUpdated")


def test_a_resumed_deployment_starts_its_clock_again() -> None:
    found = after(seen(**STUCK, conditions=(progressing("DeploymentPaused", status="Unknown"),)))
    assert found is not None
    assert (found.status, found.reason, found.last_update_time) == ("Unknown", "DeploymentResumed", NOW)


def test_a_pause_does_not_hide_a_time_out() -> None:
    look = seen(**STUCK, paused=True, conditions=(progressing("ProgressDeadlineExceeded", status="False"),))
    found = after(look, Paused())
    assert found is not None
    assert found.reason == "ProgressDeadlineExceeded"


def test_births_are_told() -> None:
    look = seen(**STUCK)
    born = after(look, birth=Born("n"))
    assert born is not None
    assert (born.reason, born.message) == ("NewReplicaSetCreated", 'Created new replica set "n"')
    error = error_of("POST", Status(kind="Status", code=403, reason="Forbidden", message="exceeded quota"))
    refused = after(seen(), birth=Refused("n", error))
    assert refused is not None
    assert (refused.status, refused.reason) == ("False", "ReplicaSetCreateError")
    assert refused.message == 'Failed to create new replica set "n": exceeded quota'
    found = after(look)
    assert found is not None
    assert (found.reason, found.message) == ("FoundNewReplicaSet", 'Found new replica set "n"')
    assert after(seen(**STUCK, deadline=None), birth=Born("n")) is None


def test_a_replica_sets_failure_is_passed_on_and_taken_back() -> None:
    failure = Condition("ReplicaFailure", "True", LONG_AGO, "FailedCreate", "quota")
    look = seen(new=replica_set("n", 1), old=(replica_set("a", 1, conditions=(failure,)),))
    found = find(status_of(look, Recreate(), None, NOW).conditions, "ReplicaFailure")
    assert found is not None
    assert (found.reason, found.message, found.last_update_time) == ("FailedCreate", "quota", LONG_AGO)
    healed = seen(new=replica_set("n", 1), conditions=(found,))
    assert find(status_of(healed, Roll(), None, NOW).conditions, "ReplicaFailure") is None
    assert find(status_of(healed, Resize(), None, NOW).conditions, "ReplicaFailure") == found


# Case 90.
@pytest.mark.parametrize(
    ("condition", "status", "deadline", "expected"),
    [
        pytest.param(
            progressing("ReplicaSetUpdated", NOW), (5, 5, 2, 2), 600, 601.0, id="the whole deadline"
        ),
        pytest.param(
            progressing("ReplicaSetUpdated", NOW - timedelta(seconds=590)),
            (5, 5, 2, 2),
            600,
            11.0,
            id="the rest",
        ),
        pytest.param(progressing("ReplicaSetUpdated"), (5, 5, 2, 2), 600, 1.0, id="it is over"),
        pytest.param(progressing("ReplicaSetUpdated", NOW), (5, 5, 2, 2), None, None, id="no deadline"),
        pytest.param(None, (5, 5, 2, 2), 600, None, id="no condition"),
        pytest.param(progressing("ReplicaSetUpdated", NOW), (10, 10, 10, 10), 600, None, id="complete"),
        pytest.param(
            progressing("ProgressDeadlineExceeded"), (5, 5, 2, 2), 600, None, id="timed out already"
        ),
        pytest.param(progressing("NewReplicaSetAvailable"), (10, 10, 9, 9), 600, None, id="done once"),
        pytest.param(
            progressing("DeploymentResumed", NOW - timedelta(seconds=10), "Unknown"),
            (5, 5, 2, 2),
            600,
            591.0,
            id="resumed",
        ),
        pytest.param(
            progressing("ReplicaSetCreateError", NOW, "False"), (0, 0, 0, 0), 30, 31.0, id="not even made"
        ),
        pytest.param(
            msgspec.structs.replace(progressing("ReplicaSetUpdated"), last_update_time=None),
            (5, 5, 2, 2),
            600,
            None,
            id="somebody removed the time",
        ),
    ],
)
def test_case_90_when_to_look_at_the_deadline(
    condition: DeploymentCondition | None,
    status: tuple[int, int, int, int],
    deadline: int | None,
    expected: float | None,
) -> None:
    conditions = (condition,) if condition else ()
    now = msgspec.structs.replace(counts(*status), conditions=conditions)
    assert recheck_in(seen(deadline=deadline).deployment, now, NOW) == expected


def content(plan: Plan) -> Any:
    (action,) = plan.actions
    assert isinstance(action, Patch)
    assert (action.subresource, action.exact) == ("status", True)
    return msgspec.json.decode(msgspec.json.encode(action.changes))


def test_case_83_a_status_is_one_exact_write_with_what_differs() -> None:
    weather = make("Weather", "True", "Sun", "m", LONG_AGO)
    gone = make("ReplicaFailure", "True", "x", "m", LONG_AGO)
    look = seen(new=replica_set("n", 10, **{REVISION: "4"}), conditions=(weather, gone))
    body = content(status_plan(look, status_of(look, Roll(), None, NOW)))
    assert body["metadata"] == {"annotations": {REVISION: "4"}}
    changed = {each["type"]: each.get("$patch", each.get("reason")) for each in body["status"]["conditions"]}
    assert changed == {
        "Progressing": "NewReplicaSetAvailable",
        "Available": "MinimumReplicasAvailable",
        "ReplicaFailure": "delete",
    }
    assert "collisionCount" not in body["status"]


def test_a_status_that_is_true_is_not_written() -> None:
    look = seen(new=replica_set("n", 10, **{REVISION: "4"}), annotations={REVISION: "4"})
    written = status_of(look, Roll(), None, NOW)
    deployment = msgspec.structs.replace(look.deployment, status=written)
    again = Seen(deployment, False, look.bounds, look.fleet, (), (), False)
    assert not status_plan(again, status_of(again, Roll(), None, NOW + timedelta(hours=1)))


def test_a_server_that_does_not_know_terminating_replicas_is_not_told_again_and_again() -> None:
    look = seen(new=replica_set("n", 10), annotations={})
    written = msgspec.structs.replace(status_of(look, Roll(), None, NOW), terminating_replicas=None)
    deployment = msgspec.structs.replace(look.deployment, status=written)
    again = Seen(deployment, False, look.bounds, look.fleet, (), (), False)
    assert not status_plan(again, status_of(again, Roll(), None, NOW))


def test_case_26_collisions_are_counted_from_none() -> None:
    assert content(collision_plan(seen()))["status"] == {"collisionCount": 1}
    twice = DeploymentStatus(collision_count=1)
    assert content(collision_plan(seen(stored=twice)))["status"] == {"collisionCount": 2}


def test_case_85_a_generation_is_observed_once() -> None:
    assert content(observed_plan(seen()))["status"] == {"observedGeneration": 1}
    assert not observed_plan(seen(stored=DeploymentStatus(observed_generation=1)))


def test_conditions_keep_their_times() -> None:
    one = make("A", "True", "r", "m", LONG_AGO)
    other = make("B", "True", "r", "m", LONG_AGO)
    assert put((one, other), make("A", "True", "r", "another text", NOW)) == (one, other)
    changed = put((one, other), make("A", "True", "s", "m", NOW))
    assert [each.type for each in changed] == ["B", "A"]
    assert (changed[1].last_transition_time, changed[1].last_update_time) == (LONG_AGO, NOW)
    turned = renew((one,), make("A", "False", "s", "m", NOW))
    assert turned[0].last_transition_time == NOW

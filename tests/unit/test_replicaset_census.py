"""Who counts: reference workloads 1.2, 1.7 and the cases 41, 46, 49, 51, 69, 73, 76, 78."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from controllers.replicaset.census import Census, take_census
from controllers.replicaset.status import ScalingFailure, status_plan
from kcm import Plan
from kcm.objects import Condition, LabelSelector, ObjectMeta, Pod, PodTemplate, ReplicaSet
from kcm.objects.pods import PodMeta, PodStatus, TemplateMeta
from kcm.objects.replicasets import ReplicaSetSpec, ReplicaSetStatus
from kcm.objects.selectors import compile_selector

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WEB = {"app": "web"}
SELECTOR = compile_selector(LabelSelector(WEB))


def pod(
    uid: str = "p",
    *,
    labels: dict[str, str] = WEB,
    phase: str = "Running",
    ready: bool = False,
    since: float | None = 60.0,
    deleting: bool = False,
) -> Pod:
    """An active pod, not ready; `since` seconds ago it became so."""
    moment = None if since is None else NOW - timedelta(seconds=since)
    return Pod(
        metadata=PodMeta(name=uid, uid=uid, labels=labels, deletion_timestamp=NOW if deleting else None),
        status=PodStatus(phase=phase, conditions=(Condition("Ready", "True" if ready else "False", moment),)),
    )


def census(*pods: Pod, template: dict[str, str] = WEB) -> Census:
    return take_census(pods, SELECTOR, template)


def replica_set(
    *, replicas: int = 3, min_ready: int = 0, generation: int = 7, status: ReplicaSetStatus | None = None
) -> ReplicaSet:
    """One whose status is already true for no pods, unless given."""
    return ReplicaSet(
        metadata=ObjectMeta(
            name="web", namespace="ns", uid="rs-uid", resource_version="41", generation=generation
        ),
        spec=ReplicaSetSpec(
            replicas=replicas,
            min_ready_seconds=min_ready,
            selector=LabelSelector(WEB),
            template=PodTemplate(metadata=TemplateMeta(labels=WEB)),
        ),
        status=status or ReplicaSetStatus(terminating_replicas=0, observed_generation=7),
    )


def counters(
    replicas: int = 0, labeled: int = 0, ready: int = 0, available: int = 0, terminating: int = 0
) -> dict[str, int]:
    return {
        "replicas": replicas,
        "fullyLabeledReplicas": labeled,
        "readyReplicas": ready,
        "availableReplicas": available,
        "terminatingReplicas": terminating,
        "observedGeneration": 7,
    }


BOTH = {"app": "web", "tier": "front"}

# Case 73: pods, template labels, minReadySeconds, and what the status says of them.
STATUS_ROWS = [
    pytest.param([], WEB, 0, counters(), id="no pods"),
    pytest.param([pod("a"), pod("b")], WEB, 0, counters(2, 2), id="labels match, none ready"),
    pytest.param([pod("a", labels=BOTH)], WEB, 0, counters(1, 1), id="more labels than the template's"),
    pytest.param([pod("a"), pod("b")], BOTH, 0, counters(2), id="no pod has all template labels"),
    pytest.param([pod("a", labels=BOTH), pod("b")], BOTH, 0, counters(2, 1), id="one of two is labeled"),
    pytest.param([pod("a", ready=True), pod("b")], WEB, 0, counters(2, 2, 1, 1), id="ready is available"),
    pytest.param([pod("a", ready=True)], WEB, 60, counters(1, 1, 1, 1), id="ready for exactly long enough"),
    pytest.param([pod("a", ready=True)], WEB, 61, counters(1, 1, 1, 0), id="not ready for long enough"),
    pytest.param([pod("a", ready=True, since=None)], WEB, 1, counters(1, 1, 1, 0), id="ready, when unknown"),
    pytest.param([pod("a", ready=True, since=None)], WEB, 0, counters(1, 1, 1, 1), id="when is no matter"),
    pytest.param([pod("a", deleting=True), pod("b")], WEB, 0, counters(1, 1, 0, 0, 1), id="terminating"),
    pytest.param(
        [pod("a", deleting=True, phase="Failed"), pod("b", phase="Failed"), pod("c", phase="Succeeded")],
        WEB,
        0,
        counters(),
        id="finished ones are nobody, terminating or not",
    ),
    pytest.param(
        [pod("a", deleting=True, labels={}), pod("b", labels={})], WEB, 0, counters(), id="strays are nobody"
    ),
]


@pytest.mark.parametrize(("pods", "template", "min_ready", "expected"), STATUS_ROWS)
def test_status_counts(
    pods: list[Pod], template: dict[str, str], min_ready: int, expected: dict[str, int]
) -> None:
    before = ReplicaSetStatus(replicas=99, observed_generation=7)
    seen = replica_set(min_ready=min_ready, status=before)
    plan = status_plan(seen, census(*pods, template=template), None, NOW)
    assert [action.changes for action in plan.actions] == [{"status": expected}]


def test_a_status_that_is_true_is_not_written() -> None:
    pods = [pod("a", ready=True), pod("b"), pod("c", deleting=True)]
    status = ReplicaSetStatus(
        replicas=2,
        fully_labeled_replicas=2,
        ready_replicas=1,
        available_replicas=1,
        terminating_replicas=1,
        observed_generation=7,
    )
    assert status_plan(replica_set(status=status), census(*pods), None, NOW) == Plan.nothing()


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 1},
        {"fully_labeled_replicas": 1},
        {"ready_replicas": 1},
        {"available_replicas": 1},
        {"terminating_replicas": 1},
        {"observed_generation": 6},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_each_difference_is_written(wrong: dict[str, int]) -> None:
    status = ReplicaSetStatus(**{"terminating_replicas": 0, "observed_generation": 7, **wrong})
    plan = status_plan(replica_set(status=status), census(), None, NOW)
    assert [action.changes for action in plan.actions] == [{"status": counters()}]


def test_a_server_that_does_not_know_terminating_replicas_is_not_written_to_again_and_again() -> None:
    status = ReplicaSetStatus(terminating_replicas=None, observed_generation=7)
    assert status_plan(replica_set(status=status), census(), None, NOW) == Plan.nothing()


def test_the_status_is_filed_under_the_state_that_was_reconciled() -> None:
    plan = status_plan(replica_set(), census(pod()), None, NOW)
    (action,) = plan.actions
    assert (action.exact, action.subresource, action.kind) == (True, "status", "strategic")
    assert (action.target.uid, action.target.resource_version) == ("rs-uid", "41")


# Case 73, conditions: five.
QUOTA = ScalingFailure("FailedCreate", "exceeded quota")
HELD = Condition("ReplicaFailure", "True", NOW - timedelta(hours=1), "FailedDelete", "unable to delete pods")
FOREIGN = Condition("Weather", "True", NOW, "Sun", "")
NEW = Condition("ReplicaFailure", "True", NOW, "FailedCreate", "exceeded quota")
REMOVAL = {"$patch": "delete", "type": "ReplicaFailure"}


@pytest.mark.parametrize(
    ("conditions", "failure", "changes"),
    [
        pytest.param((), None, None, id="none and none needed"),
        pytest.param((), QUOTA, [NEW], id="set when absent"),
        pytest.param((FOREIGN,), QUOTA, [NEW], id="others stay"),
        pytest.param((HELD,), QUOTA, None, id="never refreshed"),
        pytest.param((FOREIGN, HELD), None, [REMOVAL], id="removed when nothing failed"),
    ],
)
def test_replica_failure(
    conditions: tuple[Condition, ...], failure: ScalingFailure | None, changes: list[object] | None
) -> None:
    status = ReplicaSetStatus(terminating_replicas=0, observed_generation=7, conditions=conditions)
    plan = status_plan(replica_set(status=status), census(), failure, NOW)
    written = [action.changes["status"].get("conditions") for action in plan.actions]
    assert written == ([changes] if changes is not None else [])


# Cases 69 and 78: when to look again.
@pytest.mark.parametrize(
    ("pods", "rest"),
    [
        pytest.param([], None, id="no pods"),
        pytest.param([pod(since=1)], None, id="not ready"),
        pytest.param([pod(ready=True, since=None)], None, id="ready, when unknown"),
        pytest.param([pod(ready=True, since=10)], None, id="available already"),
        pytest.param([pod(ready=True, since=9.3)], 0.7, id="in seven tenths of a second"),
        pytest.param([pod(ready=True, since=1), pod(ready=True, since=4)], 6.0, id="the next one"),
        pytest.param([pod(ready=True, since=1, deleting=True)], None, id="terminating ones never are"),
    ],
)
def test_the_next_pod_becomes_available_in(pods: list[Pod], rest: float | None) -> None:
    expected = None if rest is None else pytest.approx(rest)
    assert census(*pods).next_available_in(10, NOW) == expected


def test_nothing_becomes_available_by_waiting_without_min_ready_seconds() -> None:
    assert census(pod(ready=True, since=1)).next_available_in(0, NOW) is None


@pytest.mark.parametrize("moment", [datetime.min, datetime.max])
def test_no_moment_is_too_far_for_arithmetic(moment: datetime) -> None:
    ready = Condition("Ready", "True", moment.replace(tzinfo=UTC))
    strange = Pod(metadata=PodMeta(labels=WEB), status=PodStatus(phase="Running", conditions=(ready,)))
    counted = census(strange)
    assert counted.available(2**31 - 1, NOW) in (0, 1)
    assert counted.next_available_in(2**31 - 1, NOW) is None or counted.available(2**31 - 1, NOW) == 0


# Cases 41 and 76: who is active.
@pytest.mark.parametrize(
    ("present", "active", "strays"),
    [
        pytest.param(pod(), 1, 0, id="running"),
        pytest.param(pod(phase=""), 1, 0, id="no phase yet"),
        pytest.param(pod(phase="Unknown"), 1, 0, id="unknown"),
        pytest.param(pod(phase="Succeeded"), 0, 0, id="succeeded"),
        pytest.param(pod(phase="Failed"), 0, 0, id="failed"),
        pytest.param(pod(deleting=True), 0, 0, id="terminating"),
        pytest.param(pod(labels={"app": "other"}), 0, 1, id="not selected any more"),
        pytest.param(pod(labels={}), 0, 1, id="without labels"),
        pytest.param(pod(labels={}, deleting=True), 0, 0, id="not selected and terminating"),
        pytest.param(pod(labels={}, phase="Failed"), 0, 0, id="not selected and finished"),
    ],
)
def test_only_active_selected_pods_count(present: Pod, active: int, strays: int) -> None:
    counted = census(present)
    assert (len(counted.active), len(counted.strays)) == (active, strays)


def test_labels_that_change_from_pod_to_pod_are_each_looked_at() -> None:
    pods = [pod("a"), pod("b", labels={"app": "x"}), pod("c"), pod("d", labels=BOTH), pod("e")]
    counted = census(*pods)
    assert [each.metadata.uid for each in counted.active] == ["a", "c", "d", "e"]
    assert [each.metadata.uid for each in counted.strays] == ["b"]

"""Tables as kubectl shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcm.sandbox.schema.resources import RESOURCES
from kcm.sandbox.schema.tables import table
from kcm.sandbox.schema.tables.columns import duration

Json = dict[str, Any]

NOW = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
KINDS = sorted({resource.kind for resource in RESOURCES} | {"Widget"})


def rows(kind: str, *objects: Json) -> list[dict[str, Any]]:
    """Return each object's cells by column name."""
    shown = table(kind, objects, list_metadata={}, include_object="None", with_columns=True, now=NOW)
    names = [one["name"] for one in shown["columnDefinitions"]]
    return [dict(zip(names, row["cells"], strict=True)) for row in shown["rows"]]


DURATIONS = [
    (-5, "<invalid>"),
    (0, "0s"),
    (119, "119s"),
    (120, "2m"),
    (200, "3m20s"),
    (7500, "125m"),
    (3 * 3600 + 60, "3h1m"),
    (47 * 3600, "47h"),
    (50 * 3600, "2d2h"),
    (10 * 86400, "10d"),
    (800 * 86400, "2y70d"),
    (4000 * 86400, "10y"),
]


@pytest.mark.parametrize(("seconds", "shown"), DURATIONS)
def test_a_duration_is_shown_in_at_most_two_units(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown


def pod(**status: Any) -> Json:
    return {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [{"name": "c"}, {"name": "d"}], "initContainers": [{"name": "i"}]},
        "status": status,
    }


def state(name: str, **rest: Any) -> Json:
    return {"name": name, **rest}


DONE = state("i", state={"terminated": {"exitCode": 0, "reason": "Completed"}})
INITIALIZED = [{"type": "Initialized", "status": "True"}]

STATUSES = [
    pytest.param({"phase": "Pending"}, "Pending", id="pending"),
    pytest.param({"phase": "Failed", "reason": "Evicted"}, "Evicted", id="the pod's own reason first"),
    pytest.param(
        {"phase": "Pending", "initContainerStatuses": [state("i", state={"running": {}})]},
        "Init:0/1",
        id="initializing",
    ),
    pytest.param(
        {"phase": "Pending", "initContainerStatuses": [state("i", state={"terminated": {"exitCode": 2}})]},
        "Init:ExitCode:2",
        id="an init container failed",
    ),
    pytest.param(
        {
            "phase": "Pending",
            "initContainerStatuses": [DONE],
            "containerStatuses": [state("c", state={"waiting": {"reason": "ContainerCreating"}})],
        },
        "ContainerCreating",
        id="creating",
    ),
    pytest.param(
        {
            "phase": "Running",
            "conditions": INITIALIZED,
            "containerStatuses": [
                state("c", state={"waiting": {"reason": "CrashLoopBackOff"}}),
                state("d", ready=True, state={"running": {}}),
            ],
        },
        "CrashLoopBackOff",
        id="crashing",
    ),
    pytest.param(
        {
            "phase": "Running",
            "containerStatuses": [
                state("c", state={"terminated": {"exitCode": 0, "reason": "Completed"}}),
                state("d", ready=True, state={"running": {}}),
            ],
        },
        "NotReady",
        id="one is done, one runs",
    ),
    pytest.param(
        {
            "phase": "Failed",
            "containerStatuses": [state("c", state={"terminated": {"exitCode": 137, "signal": 9}})],
        },
        "Signal:9",
        id="killed",
    ),
    pytest.param(
        {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]},
        "SchedulingGated",
        id="gated",
    ),
]


@pytest.mark.parametrize(("status", "shown"), STATUSES)
def test_the_status_of_a_pod_sums_up_its_containers(status: Json, shown: str) -> None:
    assert rows("Pod", pod(**status))[0]["Status"] == shown


def test_a_pod_that_is_being_deleted_is_terminating_unless_it_has_ended() -> None:
    one, two = pod(phase="Running"), pod(phase="Succeeded")
    for each in (one, two):
        each["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert [row["Status"] for row in rows("Pod", one, two)] == ["Terminating", "Succeeded"]


def test_restarts_say_how_long_ago_the_last_one_was() -> None:
    ended = {"terminated": {"finishedAt": "2026-01-01T00:02:00Z"}}
    shown = rows("Pod", pod(containerStatuses=[state("c", restartCount=2, ready=True, lastState=ended)]))[0]
    assert (shown["Ready"], shown["Restarts"], shown["Age"]) == ("1/2", "2 (3m ago)", "5m")


def test_counts_of_a_replica_set_are_integers() -> None:
    shown = rows(
        "ReplicaSet",
        {
            "metadata": {"name": "r"},
            "spec": {
                "replicas": 3,
                "selector": {
                    "matchLabels": {"b": "c", "a": "b"},
                    "matchExpressions": [{"key": "x", "operator": "Exists"}],
                },
                "template": {
                    "spec": {"containers": [{"name": "c", "image": "i:1"}, {"name": "d", "image": "i:2"}]}
                },
            },
            "status": {"replicas": 2, "readyReplicas": 1},
        },
    )[0]
    assert (shown["Desired"], shown["Current"], shown["Ready"]) == (3, 2, 1)
    assert (shown["Containers"], shown["Images"], shown["Selector"]) == ("c,d", "i:1,i:2", "a=b,b=c,x")
    assert shown["Age"] == "<unknown>"


def cpu(current: int | None) -> tuple[Json, Json]:
    target = {"type": "Utilization", "averageUtilization": 50}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    now = {} if current is None else {"averageUtilization": current}
    return metric, {"type": "Resource", "resource": {"name": "cpu", "current": now}}


def test_an_autoscaler_shows_two_targets_and_how_many_more() -> None:
    metrics, current = zip(cpu(40), cpu(None), cpu(1), strict=True)
    shown = rows(
        "HorizontalPodAutoscaler", {"spec": {"metrics": [*metrics]}, "status": {"currentMetrics": [*current]}}
    )
    assert shown[0]["Targets"] == "cpu: 40%/50%, cpu: <unknown>/50% + 1 more..."


def test_both_kinds_of_events_are_shown_alike() -> None:
    old = {
        "involvedObject": {"kind": "Pod", "name": "x"},
        "message": "m",
        "lastTimestamp": "2026-01-01T00:04:00Z",
        "source": {"component": "c"},
    }
    new = {
        "regarding": {"kind": "Pod", "name": "x"},
        "note": "m",
        "eventTime": "2026-01-01T00:04:00.000000Z",
        "reportingController": "c",
    }
    one, two = rows("Event", old, new)
    for name in ("Last Seen", "Object", "Message", "Source", "Count"):
        assert one[name] == two[name]
    assert one["Last Seen"] == "60s"


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_object_has_a_cell_for_every_column(kind: str) -> None:
    assert len(rows(kind, {})) == 1


def test_rows_carry_what_is_asked_for_and_columns_only_when_wanted() -> None:
    obj = {"metadata": {"name": "x"}, "spec": {}}
    carried = []
    for include in ("None", "Metadata", "Object"):
        shown = table(
            "Pod", [obj], list_metadata={"a": 1}, include_object=include, with_columns=False, now=NOW
        )
        assert shown["columnDefinitions"] is None
        assert shown["metadata"] == {"a": 1}
        carried.append(shown["rows"][0].get("object"))
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "x"}}
    assert carried == [None, partial, obj]


RUBBISH = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["spec", "containers", "state", "conditions", "ports", "type"]), inner
        )
    ),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(["spec", "status", "metadata"]), RUBBISH))
def test_rubbish_is_shown_without_failing(kind: str, obj: Json) -> None:
    rows(kind, obj)

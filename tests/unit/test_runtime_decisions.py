"""The journal: what was decided for one reason is one entry, bounded; troubles are never crowded out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from kcm import Plan
from kcm.base.clock import SystemClock
from kcm.client.errors import ApiError, Conflict, FieldsTaken, Status
from kcm.objects import NewPod, NewPodMeta, ObjectMeta, Pod, ReplicaSet, untyped
from kcm.objects.events import ObjectReference
from kcm.objects.resource import Key
from kcm.runtime.decisions import LONGEST, MOST_ENTRIES, MOST_KEYS, Decision, Journal
from kcm.runtime.plan import Action, Applied, Create, Delete, Emit, Failed, Outcome, Patch, Scale, Target

WEB, API = Key("default", "web"), Key("default", "api")
PODS, SETS = Pod.resource_type(), ReplicaSet.resource_type()
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Clock(SystemClock):
    """One that each look moves on by a second."""

    looks = 0

    def wall(self) -> datetime:
        self.looks += 1
        return BEGIN + timedelta(seconds=self.looks)


@pytest.fixture
def journal() -> Journal:
    return Journal("replicaset", Clock())


def create(name: str, because: str = "0 of 3 pods") -> Create:
    metadata = NewPodMeta(name=name, namespace="default")
    return Create(NewPod(metadata=metadata, spec=msgspec.Raw(b"{}")), because)


def delete(name: str, because: str = "3 of 1 pods") -> Delete:
    return Delete(Target(PODS, Key("default", name)), because)


def write_status(because: str, key: Key = WEB) -> Patch:
    return Patch(Target(SETS, key), {}, because, subresource="status")


def emit(reason: str) -> Emit:
    return Emit(ObjectReference("v1", "Pod", "default", "web"), "Normal", reason, "")


def note(journal: Journal, *actions: Action, key: Key = WEB) -> None:
    journal.applied(key, Plan(actions), Outcome(tuple(map(Applied, actions))))


def refusal(code: int, kind: type[ApiError] = ApiError, message: str = "no") -> ApiError:
    return kind("POST /pods", Status(code=code, message=message))


def told(journal: Journal) -> list[Decision]:
    return list(journal.take()[0])


def words(journal: Journal) -> list[tuple[str, str, str, str, int, int]]:
    return [(d.action, d.object, d.because, d.result, d.wanted, d.done) for d in told(journal)]


def test_many_actions_for_one_reason_are_one_decision_without_events(journal: Journal) -> None:
    note(journal, *(create(f"web-{number}") for number in range(500)), emit("Created"))
    (decision,) = told(journal)
    assert (decision.action, decision.object, decision.wanted, decision.done) == ("create", "pods", 500, 500)
    assert (decision.because, decision.result, decision.keys) == ("0 of 3 pods", "done", ("default/web",))
    assert told(journal) == []


def test_a_plan_of_events_alone_is_no_decision(journal: Journal) -> None:
    note(journal, emit("Seen"))
    assert told(journal) == []


def test_one_object_is_named(journal: Journal) -> None:
    note(journal, delete("web-1"))
    assert words(journal) == [("delete", "pods default/web-1", "3 of 1 pods", "done", 1, 1)]


def test_reasons_types_and_verbs_are_told_apart_however_they_are_mixed(journal: Journal) -> None:
    actions = (
        create("a"),
        delete("b"),
        create("c"),
        delete("d", "gone"),
        write_status("3 ready"),
        delete("e"),
        create("f", "".join(("0 of ", "3 pods"))),
    )
    note(journal, *actions)
    assert sorted(words(journal)) == [
        ("create", "pods", "0 of 3 pods", "done", 3, 3),
        ("delete", "pods", "3 of 1 pods", "done", 2, 2),
        ("delete", "pods default/d", "gone", "done", 1, 1),
        ("patch status", "replicasets.apps default/web", "3 ready", "done", 1, 1),
    ]


def test_the_same_for_other_keys_is_counted_and_the_first_keys_are_named(journal: Journal) -> None:
    for number in range(10):
        note(journal, create(f"p-{number}"), key=Key("default", f"web-{number}"))
    (decision,) = told(journal)
    assert (decision.times, decision.wanted) == (10, 10)
    assert decision.keys == tuple(f"default/web-{number}" for number in range(MOST_KEYS))


def test_status_writes_of_a_key_are_one_decision_with_the_newest_reason(journal: Journal) -> None:
    for ready in range(30):
        note(journal, write_status(f"{ready} ready"))
    note(journal, write_status("1 ready", API), key=API)
    first, second = told(journal)
    assert (first.because, first.times, first.keys) == ("29 ready", 30, ("default/web",))
    assert (second.because, second.times, second.keys) == ("1 ready", 1, ("default/api",))


def test_what_failed_and_what_was_left_are_told_with_the_reason(journal: Journal) -> None:
    actions = tuple(create(f"web-{number}") for number in range(5))
    outcome = Outcome(tuple(map(Applied, actions[:2])), (Failed(actions[2], refusal(403)),), actions[3:])
    journal.applied(WEB, Plan(actions), outcome)
    (decision,) = told(journal)
    assert (decision.result, decision.wanted, decision.done) == ("partly", 5, 2)
    assert decision.error == "POST /pods: 403 : no"


def test_what_an_earlier_failure_kept_from_being_tried_is_told_so(journal: Journal) -> None:
    actions = (delete("a"), create("b"))
    journal.applied(WEB, Plan(actions), Outcome((), (Failed(actions[0], refusal(500)),), actions[1:]))
    assert {(d.action, d.result) for d in told(journal)} == {("delete", "failed"), ("create", "not tried")}


@pytest.mark.parametrize(
    ("error", "result"),
    [(refusal(409, Conflict), "conflict"), (refusal(409, FieldsTaken), "failed"), (refusal(500), "failed")],
)
def test_a_conflict_is_ordinary_and_called_by_its_name(
    journal: Journal, error: ApiError, result: str
) -> None:
    action = write_status("3 ready")
    journal.applied(WEB, Plan((action,)), Outcome((), (Failed(action, error),)))
    # The reconcile then raises it, which is nothing new.
    journal.failed(WEB, error)
    (decision,) = told(journal)
    assert decision.result == result
    journal.failed(WEB, error)
    assert [each.result for each in told(journal)] == [result]


def test_a_reconcile_that_raised_says_what(journal: Journal) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    for error in (KeyError("spec"), Mute(), ZeroDivisionError(), "took longer than 300 s"):
        journal.failed(WEB, error)
    assert [(d.action, d.result, d.error) for d in told(journal)] == [
        ("reconcile", "failed", "KeyError('spec')"),
        ("reconcile", "failed", "Mute()"),
        ("reconcile", "failed", "ZeroDivisionError()"),
        ("reconcile", "failed", "took longer than 300 s"),
    ]


def test_a_key_that_waits_says_for_what(journal: Journal) -> None:
    for _ in range(3):
        journal.waits(WEB, "no ConfigMap yet")
    (decision,) = told(journal)
    assert (decision.result, decision.because, decision.times) == ("waiting", "no ConfigMap yet", 3)


def test_a_flood_is_bounded_counted_and_hides_no_trouble(journal: Journal) -> None:
    journal.failed(WEB, "broken")
    for number in range(10_000):
        note(journal, create("x", f"reason {number}"))
    decisions, left_out = journal.take()
    assert len(decisions) == MOST_ENTRIES + 1
    assert left_out == 10_000 - MOST_ENTRIES
    assert [d.error for d in decisions if d.result == "failed"] == ["broken"]
    assert decisions[-1].because == "reason 9999"
    assert [d.at for d in decisions] == sorted(d.at for d in decisions)
    assert journal.take() == ((), 0)


def test_long_texts_are_cut_before_they_travel(journal: Journal) -> None:
    huge = "x" * 10_000
    note(journal, create(huge, huge), key=Key(huge, huge))
    journal.failed(WEB, huge)
    journal.waits(API, huge)
    assert max(map(len, map(msgspec.json.encode, told(journal)))) < 4 * LONGEST + 400


@pytest.mark.parametrize("odd", [None, 5, ["a"], {"a": 1}, "\ud800", b"b", object()])
def test_whatever_a_controller_gives_as_a_reason_ends_no_host(journal: Journal, odd: Any) -> None:
    note(journal, create("a", odd), create("b", odd), delete("c", odd), write_status(odd), odd)
    journal.waits(WEB, odd)
    journal.failed(WEB, ValueError(odd))
    assert len(told(journal)) == 5
    note(journal, create("a", odd))
    assert msgspec.json.encode(told(journal))


def test_a_scale_says_to_what(journal: Journal) -> None:
    note(journal, Scale(Target(SETS, WEB), 5, "cpu above target"))
    (decision,) = told(journal)
    assert (decision.action, decision.object, decision.replicas) == (
        "scale",
        "replicasets.apps default/web",
        5,
    )


def test_an_object_of_an_undeclared_type_is_named(journal: Journal) -> None:
    widgets = untyped("acme.dev/v1", "Widget", "widgets")
    note(journal, Create(widgets(metadata=ObjectMeta(name="w", namespace="default")), "none yet"))
    assert words(journal) == [("create", "widgets.acme.dev default/w", "none yet", "done", 1, 1)]

"""The last decisions of all hosts: fair between controllers, folded while they go on, safe to show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kcm.base.clock import SystemClock
from kcm.host.messages import Decided, NotSent
from kcm.manager.chronicle import MOST_CONTROLLERS, MOST_DECISIONS, MOST_OF_ONE, MOST_PLANS, Chronicle
from kcm.runtime.decisions import Decision
from kcm.runtime.rehearsal import Planned, Step
from kcm.serving.tables import about, deed, result

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def decision(seconds: float = 0.0, because: str = "0 of 3 pods", **fields: object) -> Decision:
    given = {
        "controller": "replicaset",
        "keys": ("default/web",),
        "action": "create",
        "object": "pods",
        "wanted": 3,
        "done": 3,
        **fields,
    }
    return Decision(at=NOON + timedelta(seconds=seconds), because=because, **given)  # type: ignore[arg-type]  # by name


@pytest.fixture
def chronicle() -> Chronicle:
    return Chronicle(SystemClock())


def test_the_newest_comes_first_whoever_decided_it(chronicle: Chronicle) -> None:
    chronicle.take(Decided((decision(1, "a"), decision(3, "c"))))
    chronicle.take(Decided((decision(2, "b", controller="deployment"),)))
    assert [each.because for each in chronicle.decisions()] == ["c", "b", "a"]


def test_what_goes_on_is_one_line_and_after_a_minute_of_quiet_another(chronicle: Chronicle) -> None:
    for second in (0, 30, 80, 200):
        chronicle.take(Decided((decision(second),)))
    last, before = chronicle.decisions()
    assert (before.times, before.wanted, before.done) == (3, 9, 9)
    assert (before.since, before.at) == (NOON, NOON + timedelta(seconds=80))
    assert (last.times, last.since) == (1, None)


def test_a_burst_for_many_keys_is_one_line_and_what_comes_later_for_another_key_is_not(
    chronicle: Chronicle,
) -> None:
    for second in (0, 3, 6, 20):
        chronicle.take(Decided((decision(second, keys=(f"default/web-{second}",)),)))
    later, burst = chronicle.decisions()
    assert burst.keys == ("default/web-6", "default/web-3", "default/web-0")
    assert (burst.times, later.times) == (3, 1)


def test_another_object_of_the_same_key_is_another_line(chronicle: Chronicle) -> None:
    for second, name in ((0, "a"), (20, "b"), (40, "b")):
        chronicle.take(Decided((decision(second, object=f"replicasets.apps default/{name}", wanted=1),)))
    assert [each.times for each in chronicle.decisions()] == [2, 1]


def test_another_outcome_is_another_line(chronicle: Chronicle) -> None:
    chronicle.take(Decided((decision(0),)))
    chronicle.take(Decided((decision(1, result="failed", done=0, error="quota"),)))
    chronicle.take(Decided((decision(2, object="services"),)))
    assert len(chronicle.decisions()) == 3


def test_status_writes_of_one_key_go_on_in_other_words(chronicle: Chronicle) -> None:
    for ready in range(3):
        written = {"action": "patch status", "object": "replicasets.apps default/web", "wanted": 1, "done": 1}
        chronicle.take(Decided((decision(ready, f"{ready} ready", **written),)))
    (line,) = chronicle.decisions()
    assert (line.because, line.times, line.object) == ("2 ready", 3, "replicasets.apps")


def test_a_busy_controller_crowds_nobody_out(chronicle: Chronicle) -> None:
    chronicle.take(Decided((decision(0, controller="quiet"),)))
    for number in range(10 * MOST_DECISIONS):
        chronicle.take(Decided((decision(number / 100, f"reason {number}", controller="busy"),), left_out=2))
    by = [each.controller for each in chronicle.decisions()]
    assert (by.count("busy"), by.count("quiet")) == (MOST_OF_ONE, 1)
    assert chronicle.left_out == 20 * MOST_DECISIONS


def test_however_many_controllers_there_are_memory_is_bounded(chronicle: Chronicle) -> None:
    for number in range(2 * MOST_CONTROLLERS):
        chronicle.take(Decided((decision(number, controller=f"c-{number}"),)))
    chronicle.take(Decided(tuple(decision(0, str(number)) for number in range(10_000))))
    assert len(chronicle.decisions()) == MOST_DECISIONS
    assert len(chronicle._decisions) == MOST_CONTROLLERS


def test_texts_are_cleaned(chronicle: Chronicle) -> None:
    chronicle.take(Decided((decision(0, "\x1b[2J password=hunter2\n" + "x" * 10_000),)))
    (line,) = chronicle.decisions()
    assert line.because.startswith("\\u001b[2J password=REDACTED\\n")
    assert len(line.because) < 500


def test_plans_of_a_dry_run_are_kept_newest_first(chronicle: Chronicle) -> None:
    for number in range(MOST_PLANS + 10):
        step = Step("create", "pods default/web-1", "0 of 3 pods")
        chronicle.take(NotSent(Planned("replicaset", f"default/{number}", (step,), 3)))
    plans = chronicle.plans()
    assert len(plans) == MOST_PLANS
    assert plans[0].key == f"default/{MOST_PLANS + 9}"
    assert plans[0].actions == ("create pods default/web-1: 0 of 3 pods",)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ("default/web", "create 3 pods", "done")),
        ({"wanted": 1, "object": "pods default/web-1"}, ("default/web", "create pods web-1", "done")),
        ({"wanted": 1, "object": "pods other/web-1"}, ("default/web", "create pods other/web-1", "done")),
        ({"wanted": 1, "object": "nodes a"}, ("default/web", "create nodes a", "done")),
        ({"times": 3, "object": "replicasets.apps"}, ("default/web ×3", "create replicasets", "done")),
        (
            {"action": "scale", "wanted": 1, "object": "deployments.apps default/web", "replicas": 5},
            ("default/web", "scale deployments web to 5", "done"),
        ),
        ({"times": 2, "keys": ("a/b", "a/c")}, ("a/b … ×2", "create 3 pods", "done")),
        (
            {"result": "partly", "done": 1, "error": "quota"},
            ("default/web", "create 3 pods", "1 of 3: quota"),
        ),
        (
            {"action": "reconcile", "object": "", "wanted": 0, "done": 0, "result": "failed", "error": "bug"},
            ("default/web", "reconcile", "failed: bug"),
        ),
    ],
)
def test_a_decision_is_said_in_few_words(
    chronicle: Chronicle, fields: dict[str, object], said: tuple[str, str, str]
) -> None:
    chronicle.take(Decided((decision(**fields),)))  # type: ignore[arg-type]  # fields by name
    (line,) = chronicle.decisions()
    assert (about(line), deed(line), result(line)) == said

"""What a wait says when it was in vain, and what it takes for "not yet"."""

import threading

import pytest

from kcm.testing.kinds import Kinds
from kcm.testing.scene import describe, newest
from kcm.testing.waiting import TimedOut, Waiter


class Absent(Exception):
    """As the official client says that something is not there."""

    status = 404


class Refused(Exception):
    status = 403


def failing(error):
    def holds():
        raise error

    return holds


@pytest.mark.parametrize(
    "error", [KeyError("status"), AssertionError("no"), TypeError("None"), Absent("gone")]
)
def test_what_is_not_there_yet_does_not_hold(error):
    with pytest.raises(TimedOut, match=f"last raised {type(error).__name__}"):
        Waiter().until(failing(error), 0.01)


@pytest.mark.parametrize("error", [ZeroDivisionError(), Refused("no"), OSError("refused")])
def test_any_other_failure_comes_through(error):
    with pytest.raises(type(error)):
        Waiter().until(failing(error), 5)


def test_the_last_word_names_what_was_waited_for_and_shows_the_scene():
    with pytest.raises(TimedOut) as told:
        Waiter().until(lambda: 0, 0.01, "the moon is full", lambda: "there is:\n  a new moon")
    assert str(told.value) == (
        "not within 0.01 s: the moon is full\nthe condition last returned 0\nthere is:\n  a new moon"
    )


def test_a_change_is_looked_at_at_once():
    waiter, looks = Waiter(), []

    def holds():
        looks.append(None)
        if len(looks) < 50:
            waiter.changed()
        return len(looks) >= 50

    # Fifty looks, one each 50 ms, would take longer than this.
    assert waiter.until(holds, 2.0)


def test_a_change_told_by_another_thread_ends_the_wait():
    waiter, there = Waiter(), threading.Event()

    def change():
        there.set()
        waiter.changed()

    threading.Timer(0.02, change).start()
    assert waiter.until(there.is_set, 10)


def test_a_scene_says_why_a_pod_does_not_run():
    pod = {
        "metadata": {"name": "web", "namespace": "team", "deletionTimestamp": "now", "finalizers": ["a/b"]},
        "spec": {"containers": [{"name": "c"}, {"name": "d"}]},
        "status": {
            "phase": "Pending",
            "containerStatuses": [
                {"name": "c", "ready": True, "state": {"running": {}}},
                {"name": "d", "ready": False, "state": {"waiting": {"reason": "ImagePullBackOff"}}},
            ],
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
                {"type": "Initialized", "status": "True"},
            ],
        },
    }
    assert describe("Pod", [pod]) == [
        "  Pod team/web: Pending, 1/2 ready, d ImagePullBackOff, Ready=False (ContainersNotReady), "
        "on no node; being deleted, held by a/b"
    ]


def test_a_scene_is_bounded():
    nodes = [{"metadata": {"name": f"n{number}", "resourceVersion": str(number)}} for number in range(100)]
    lines = describe("Node", nodes)
    assert len(lines) == 21
    assert lines[0] == "  Node n0: resourceVersion 0"
    assert lines[-1] == "  … and 80 more Node objects"
    assert [each["metadata"]["name"] for each in newest(reversed(nodes), 2)] == ["n98", "n99"]


DISCOVERY = {
    "/apis": {
        "groups": [
            {"versions": [{"groupVersion": "events.k8s.io/v1"}]},
            {"versions": [{"groupVersion": "apps/v1"}]},
        ]
    },
    "/api/v1": {
        "resources": [
            {"name": "pods", "kind": "Pod", "namespaced": True},
            {"name": "pods/status", "kind": "Pod", "namespaced": True},
            {"name": "nodes", "kind": "Node", "namespaced": False},
            {"name": "events", "kind": "Event", "namespaced": True},
        ]
    },
    "/apis/apps/v1": {"resources": [{"name": "deployments", "kind": "Deployment", "namespaced": True}]},
    "/apis/events.k8s.io/v1": {"resources": [{"name": "events", "kind": "Event", "namespaced": True}]},
}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Pod", "/api/v1/namespaces/team/pods"),
        ("pods", "/api/v1/namespaces/team/pods"),
        ("Node", "/api/v1/nodes"),
        ("Event", "/api/v1/namespaces/team/events"),
        ("events.k8s.io/v1/Event", "/apis/events.k8s.io/v1/namespaces/team/events"),
        ("apps/v1/deployments", "/apis/apps/v1/namespaces/team/deployments"),
    ],
)
def test_a_kind_is_found_by_its_names(name, path):
    assert Kinds(lambda method, asked: DISCOVERY[asked]).find(name).path("team") == path

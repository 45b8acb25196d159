"""Events of real processes: the recorder's host may die, and has the last word when the daemon stops."""

import os
import signal

from daemons import QUICK, eventually

EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
WITH_RECORDER = {**QUICK, "controllers": {"eventrecorder": {"workers": 8}}}


def creates(server):
    """Return the events of pods created, by the sets that they are about."""
    found = server.call("GET", EVENTS)["items"]
    return [each["regarding"]["name"] for each in found if each["reason"] == "SuccessfulCreate"]


def test_a_recorder_that_is_killed_under_load_costs_only_what_was_in_flight(server, start_daemon):
    daemon = start_daemon(server.url, config=WITH_RECORDER)
    eventually(daemon.leads)
    before = daemon.host("replicaset")
    for number in range(60):
        if number == 30:
            os.kill(daemon.host("eventrecorder")["pid"], signal.SIGKILL)
        server.apply(f"web-{number}", 1)
    eventually(lambda: len(server.pods()) == 60)
    # What the dead one had taken is lost; all that came since waits for its successor.
    eventually(lambda: set(creates(server)) >= {f"web-{number}" for number in range(31, 60)})
    assert daemon.host("eventrecorder")["epoch"] == 2
    after = daemon.host("replicaset")
    assert (after["pid"], after["epoch"], after["state"]) == (before["pid"], 1, "leading")
    assert not server.surplus()
    assert daemon.stop() == 0
    assert len(creates(server)) >= 50


def test_what_was_told_before_sigterm_is_written_before_the_daemon_ends(server, start_daemon):
    daemon = start_daemon(server.url, config=WITH_RECORDER)
    eventually(daemon.leads)
    for number in range(40):
        server.apply(f"web-{number}", 2)
    eventually(lambda: len(server.pods()) == 80)
    assert daemon.stop() == 0
    assert sorted(creates(server)) == sorted(2 * [f"web-{number}" for number in range(40)])
    eventually(lambda: not daemon.left())
    lease = server.call("GET", "/api/v1/namespaces/kube-system/events")["items"]
    assert sorted(each["message"].split(" ", 1)[1] for each in lease) == ["became leader", "stopped leading"]


def test_without_a_recorder_events_are_dropped_and_that_is_said_once(server, start_daemon):
    daemon = start_daemon(server.url, config=QUICK)
    eventually(daemon.leads)
    server.apply("web", 3)
    eventually(lambda: server.settled("web", 3))
    eventually(lambda: daemon.metric("kcm_events_dropped_total", reason="no-recorder") >= 4)
    assert not creates(server)
    assert len(daemon.records("events are dropped: no controller hears them")) == 1

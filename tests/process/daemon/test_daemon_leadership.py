"""Leaders that are stopped, killed and paused, and those who follow them."""

import os
import signal
import time

import pytest
from daemons import EXPIRING, QUICK, eventually

# Far less than the Lease's or the host's own deadlines, more than a machine's hiccup.
AT_ONCE = 8.0
SLOWLY = ("--kube-api-qps", "100", "--kube-api-burst", "10")


def identity(daemon):
    return daemon.status()["election"]["identity"]


def standby(daemon):
    return all(host["state"] == "standby" for host in daemon.status()["hosts"])


@pytest.fixture
def start_pair(server, start_daemon):
    """Start a leader that works slowly, and a standby that is warm: start_pair(config)."""

    def start(config):
        first = start_daemon(server.url, *SLOWLY, config=config)
        eventually(first.leads, what="the first leads")
        second = start_daemon(server.url, config=config)
        eventually(lambda: standby(second), what="the second stands by")
        eventually(second.ready, what="a warm standby is ready")
        return first, second

    return start


def test_a_daemon_that_is_asked_to_stop_gives_the_lease_back_and_leaves_no_process(server, start_daemon):
    daemon = start_daemon(server.url)
    eventually(daemon.leads, what="leading")
    assert server.holder() == identity(daemon)
    assert daemon.stop() == 0
    assert server.holder() == ""
    eventually(lambda: not daemon.left(), what="no process left")
    assert not [record for record in daemon.records() if record["level"] in ("error", "critical")]


def test_a_daemon_that_is_asked_twice_ends_at_once(server, start_daemon, tmp_path):
    section = {"implementation": "odd_controllers:Slow"}
    daemon = start_daemon(server.url, config={**QUICK, "controllers": {"slow": section}})
    eventually(daemon.leads, what="leading")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "work"}}
    server.call("POST", "/api/v1/namespaces/default/configmaps", body)
    eventually(lambda: daemon.status()["controllers"][1]["active"], what="slow work is under way")
    daemon.process.send_signal(signal.SIGTERM)
    eventually(lambda: daemon.records("stopping"), what="stopping")
    assert daemon.process.poll() is None
    assert daemon.stop() == 128 + signal.SIGTERM
    eventually(lambda: not daemon.left(), what="no process left")


def test_the_hosts_of_a_manager_that_is_killed_are_gone_at_once(server, start_daemon):
    daemon = start_daemon(server.url, *SLOWLY)
    eventually(daemon.leads, what="leading")
    server.apply("web", 200)
    eventually(lambda: len(server.pods()) > 20, what="the work has begun")
    # A host that is paused cannot end by itself.
    os.kill(daemon.host()["pid"], signal.SIGSTOP)
    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    eventually(lambda: not daemon.left(), AT_ONCE, "hosts and fork server gone")


def test_a_standby_takes_over_at_once_from_a_leader_that_is_asked_to_stop(server, start_pair):
    first, second = start_pair(QUICK)
    server.apply("web", 100)
    eventually(lambda: len(server.pods()) > 20, what="the work has begun")
    assert first.stop() == 0
    eventually(second.leads, AT_ONCE, "the second leads")
    eventually(lambda: server.settled("web", 100), what="100 pods")
    assert not server.surplus()


def test_a_leader_that_was_paused_for_longer_than_its_lease_writes_nothing_when_it_wakes(server, start_pair):
    first, second = start_pair(EXPIRING)
    name = identity(first)
    server.apply("web", 400)
    eventually(lambda: len(server.pods()) > 40, what="the work has begun")
    first.signal_all(signal.SIGSTOP)
    paused = time.clock_gettime(time.CLOCK_BOOTTIME)
    eventually(second.leads, what="the second leads")
    eventually(lambda: server.settled("web", 400), what="400 pods")
    server.scale("web", 300)
    eventually(lambda: server.settled("web", 300), what="300 pods")
    first.signal_all(signal.SIGCONT)
    eventually(lambda: standby(first), what="the first stands by")
    eventually(first.ready, what="the first is ready")
    # Its only later words are for people: the event that it does not lead any more.
    written = [line for line in server.writes(name) if not line["path"].endswith("/events")]
    assert written
    assert [line for line in written if line["at"] > paused + 0.5] == []
    assert not server.surplus()
    assert server.holder() == identity(second)
    assert len(server.pods()) == 300
    assert first.stop() == 0
    assert second.stop() == 0

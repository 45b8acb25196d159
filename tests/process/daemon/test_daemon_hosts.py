"""Hosts that are killed, hang, talk rubbish or die at every start, under a daemon of real processes."""

import copy
import os
import signal
from pathlib import Path

import pytest
from daemons import QUICK, eventually

ODD = "odd_controllers:Odd"


def configuration(**controllers):
    """Return a quick configuration with further controllers, each in a host of its own."""
    whole = copy.deepcopy(QUICK)
    whole["controllers"] = controllers
    return whole


@pytest.fixture
def odd(server, start_daemon, tmp_path):
    """A leading daemon with a controller that does what files in a directory say: order(word)."""
    orders = tmp_path / "orders"
    orders.mkdir()
    section = {"implementation": ODD, "settings": {"directory": str(orders)}}
    whole = configuration(odd=section)
    whole["hosts"]["hangDeadline"] = "3s"
    daemon = start_daemon(server.url, config=whole)
    eventually(daemon.leads, what="leading")

    def order(word):
        (orders / word).touch()
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "order-"}}
        server.call("POST", "/api/v1/namespaces/default/configmaps", body)

    daemon.order = order
    return daemon


def lives(daemon, name):
    host = daemon.host(name)
    return host["pid"], host["epoch"]


def test_a_host_killed_in_the_middle_of_its_work_goes_on_without_a_list_or_a_pod_too_many(
    server, start_daemon
):
    whole = configuration(quiet={"implementation": "odd_controllers:Quiet"})
    whole["controllers"]["replicaset"] = {"qps": 150, "burst": 20}
    daemon = start_daemon(server.url, config=whole)
    eventually(daemon.leads, what="leading")
    neighbour = lives(daemon, "quiet")
    fetched = server.fetches("/pods")
    server.apply("web", 300)
    eventually(lambda: len(server.pods()) > 60, what="the work has begun")
    eventually(lambda: daemon.metric("rest_client_requests_total", method="POST") > 0, what="reported")
    before = {
        name: daemon.metric(name)
        for name in (
            "rest_client_requests_total",
            "workqueue_adds_total",
            "controller_runtime_reconcile_total",
        )
    }
    os.kill(daemon.host()["pid"], signal.SIGKILL)
    eventually(lambda: daemon.host()["epoch"] == 2, what="started again")
    eventually(lambda: server.settled("web", 300), what="300 pods")
    assert not server.surplus()
    assert server.fetches("/pods") == fetched == 1
    assert lives(daemon, "quiet") == neighbour
    assert daemon.host()["reason"] == "signal SIGKILL"
    assert {name: daemon.metric(name) >= value for name, value in before.items()} == dict.fromkeys(
        before, True
    )
    assert daemon.stop() == 0


def test_a_host_whose_loop_is_blocked_is_killed_at_its_deadline(odd):
    _, epoch = lives(odd, "odd")
    neighbour = lives(odd, "replicaset")
    odd.order("block")
    eventually(lambda: odd.host("odd")["epoch"] == epoch + 1, what="started again")
    eventually(odd.leads, what="leading again")
    assert odd.host("odd")["reason"] == "killed: silent"
    assert lives(odd, "replicaset") == neighbour


def test_a_host_that_is_paused_is_killed_at_its_deadline(odd):
    pid, epoch = lives(odd, "odd")
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: odd.host("odd")["epoch"] == epoch + 1, what="started again")
    assert pid not in odd.left()


def test_a_host_that_talks_rubbish_is_started_again_and_not_obeyed(odd):
    _, epoch = lives(odd, "odd")
    odd.order("rubbish")
    eventually(lambda: odd.host("odd")["epoch"] == epoch + 1, what="started again")
    eventually(odd.leads, what="leading again")
    assert "sent what makes no sense" in odd.host("odd")["reason"]


def test_a_controller_that_dies_at_every_start_is_reported_and_costs_nobody_else(server, start_daemon):
    whole = configuration(dying={"implementation": "odd_controllers:Dying"})
    daemon = start_daemon(server.url, config=whole)
    server.apply("web", 3)
    eventually(lambda: server.settled("web", 3), what="the other controller works")
    eventually(lambda: daemon.host("dying")["restarts"] >= 2, what="tried again")
    status, text = daemon.page("/readyz?verbose")
    assert status == 500
    assert "[-]controller.dying failed" in text
    assert "[+]controller.replicaset ok" in text
    assert daemon.page("/livez")[0] == 200
    assert daemon.host("dying")["reason"] == "exit code 7"
    assert "dying" in daemon.status()["failing"]["readyz/controller.dying"]
    assert "exit code 7" in daemon.page("/statusz")[1]
    eventually(lambda: daemon.metric("kcm_host_restarts_total", host="dying") >= 2, what="counted")
    deaths = [record for record in daemon.records("host ended") if record["host"] == "dying"]
    assert len(deaths) < 12
    assert daemon.host()["restarts"] == 0
    assert daemon.stop() == 0


def test_the_fork_server_may_die_too(server, start_daemon):
    daemon = start_daemon(server.url)
    eventually(daemon.leads, what="leading")
    stat = Path(f"/proc/{daemon.host()['pid']}/stat").read_text()
    os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
    server.apply("web", 3)
    eventually(lambda: server.settled("web", 3), what="works again")
    assert daemon.host()["epoch"] >= 2
    assert daemon.stop() == 0


def test_the_pages_show_what_the_ecosystem_expects_and_no_secrets(server, start_daemon):
    secret = {"implementation": ODD, "settings": {"password": "s3cret"}}
    whole = configuration(odd={**secret, "enabled": False})
    whole["controllers"]["replicaset"] = {"workers": 3}
    daemon = start_daemon(server.url, config=whole)
    server.apply("web", 3)
    eventually(lambda: server.settled("web", 3), what="3 pods")
    eventually(lambda: daemon.metric("controller_runtime_reconcile_total", result="success") > 0)
    page = daemon.page("/metrics")[1]
    expected = (
        "workqueue_adds_total workqueue_depth workqueue_retries_total workqueue_queue_duration_seconds "
        "workqueue_work_duration_seconds workqueue_unfinished_work_seconds "
        "workqueue_longest_running_processor_seconds "
        "rest_client_requests_total rest_client_request_duration_seconds leader_election_master_status "
        "controller_runtime_reconcile_total controller_runtime_reconcile_errors_total "
        "controller_runtime_reconcile_time_seconds controller_runtime_max_concurrent_reconciles "
        "controller_runtime_active_workers kcm_cache_objects"
    )
    types = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")}
    assert set(expected.split()) - types == set()
    assert daemon.metric("leader_election_master_status") == 1
    assert daemon.page("/configz")[1]["kcm"]["controllers"]["replicaset"]["workers"] == 3
    assert daemon.page("/configz")[1]["kcm"]["controllers"]["odd"]["settings"].keys() == {"password"}
    assert "s3cret" not in str(daemon.page("/configz")) + daemon.text()
    text = daemon.page("/statusz")[1]
    assert "election:  leading" in text
    # The pods, their replica set, and no Deployment.
    assert sorted(cache["objects"] for cache in daemon.status()["caches"]) == [1, 3]

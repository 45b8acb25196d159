"""A host of the leading replica is killed, or its controller misbehaves: nothing moves (faults 19, 25 to 28).

What one manager makes of it is tested in tests/process/daemon; here: that the Lease stays where it is, that
the standby is as warm as before, and that the other controllers work on.
"""

import os
import signal

import pytest
from production import MISBEHAVING, SETS, SHIPPED_LEASE, merged, now, wait_for

CONFIGURATION = merged(SHIPPED_LEASE, MISBEHAVING)


def standing(production, moved):
    """Return what must not change but for the leader's host `moved`: terms, processes, whole lists."""
    leader, standby = production.pair()
    lives = {
        (pod.name, host["name"]): (host["pid"], host["epoch"])
        for pod in (leader, standby)
        for host in pod.container.status()["hosts"]
        if (pod, host["name"]) != (leader, moved)
    }
    return production.record.terms(), lives, (leader.restarts, standby.restarts), len(lists(production))


def lists(production):
    """Return the requests for the whole of a resource."""
    asked = [line for line in production.record.requests(method="GET") if "/informers" in line["agent"]]
    whole = [line for line in asked if "sendInitialEvents" in line["query"] or "watch" not in line["query"]]
    return [line for line in whole if line["query"].get("limit") != "1"]


def served(production, name, since, until):
    """Pods of that name were made in that time."""
    made = production.record.commits(since, resource="pods", event="ADDED")
    assert [line for line in made if line["name"].startswith(f"{name}-") and line["at"] < until]


def is_back(pod, name, epoch):
    """Say whether a host has been started again and works."""
    host = pod.container.host(name)
    return host["epoch"] >= epoch and host["state"] == "leading" and host


def test_19_a_host_that_is_killed_again_and_again_in_the_middle_of_its_work_finishes_it(production):
    leader, _ = production.pair()
    before = standing(production, "replicaset")
    name = production.apply_set(80)
    for wanted in (80, 160):
        production.scale(name, wanted)
        wait_for(lambda least=wanted - 60: production.count(name) >= least, "in the middle")
        host = leader.container.host("replicaset")
        os.kill(host["pid"], signal.SIGKILL)
        wait_for(lambda of=host: is_back(leader, "replicaset", of["epoch"] + 1), "started again")
    production.wait_served(name, 160)
    assert standing(production, "replicaset") == before
    production.remove(name)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        pytest.param("leak", "hosts.limits.memory: ", id="25 takes all memory"),
        pytest.param("bomb", "hosts.limits.processes: ", id="26 starts process after process"),
        pytest.param("block", "killed: silent", id="28 blocks its loop"),
    ],
)
def test_25_26_28_a_host_that_has_to_be_ended_costs_neither_the_lease_nor_another_controller_s_work(
    production, word, reason
):
    leader, _ = production.pair()
    before, processes = standing(production, "odd"), len(leader.container.left())
    epoch = leader.container.host("odd")["epoch"]
    name = production.apply_set(1)
    with production.scaling((name, SETS)) as wanted:
        ordered = now()
        production.order("odd", word)
        host = wait_for(lambda: is_back(leader, "odd", epoch + 1), "ended and started again")
        served(production, name, ordered, now())
    assert reason in host["reason"]
    production.wait_served(name, wanted[name, SETS])
    wait_for(lambda: len(leader.container.left()) == processes, "what it had started is gone")
    assert standing(production, "odd") == before
    production.remove(name)


def test_27_a_reconcile_that_hangs_is_cut_off_and_its_host_works_on(production):
    leader, _ = production.pair()
    before = standing(production, "")
    name = production.apply_set(1)
    with production.scaling((name, SETS)) as wanted:
        ordered = now()
        production.order("hanging", "hang")
        wait_for(lambda: leader.container.records("reconcile timed out"), "cut off")
        served(production, name, ordered, now())
    production.wait_served(name, wanted[name, SETS])
    assert standing(production, "") == before
    production.remove(name)

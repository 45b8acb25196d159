"""The leading replica loses processes, its pod, or its time: the other one takes over (faults 20 to 23).

Beside what each test says: the verdict at its end (conftest.py), which judges every revision and every
request by what the server wrote down.
"""

import os
import signal

import pytest
from production import LEASE_SECONDS, SHORT_LEASE, now, wait_for

CONFIGURATION = SHORT_LEASE
SIZE = 150
LONG = 460
BEGUN = 20
TRIES = 3


@pytest.fixture
def at_work(production):
    """A leader in the middle of its work, the standby, and the name of what is being made."""
    leader, standby = production.pair()
    name = ""
    for _ in range(TRIES):
        if name:
            # The machine stood still: too late for a fault in the middle.
            production.remove(name)
        name = production.apply_set(SIZE)
        wait_for(lambda of=name: production.count(of) >= BEGUN, "the work has begun")
        if production.count(name) < SIZE:
            break
    yield leader, standby, name
    production.remove(name)


def renewals(record, identity):
    """Return when the identity said that it holds the Lease."""
    return [line["at"] for line in record.commits(resource="leases", name="kcm", holder=identity)]


def succession(production, before):
    """Wait until another identity than this one leads; return its term."""
    wait_for(lambda: production.holder() not in ("", before), "somebody else leads")
    return production.record.terms()[-1]


def tell(what, record, since, identity):
    """Print for how long nothing was written."""
    first = min(line["began"] for line in record.writes(identity, since))
    print(f"{what}: {first - since:.2f} s until the successor's first write")


def test_20_21_a_manager_that_is_killed_takes_its_hosts_along_and_its_lost_pod_is_succeeded_and_replaced(
    production, at_work
):
    leader, standby, name = at_work
    container, identity = leader.container, leader.container.identity
    leader.held = True
    killed = now()
    container.process.kill()
    wait_for(lambda: not container.left(), "no process of it is left")
    print(f"20: {now() - killed:.2f} s until the last host was gone")
    # Nothing starts it again: its node is given up for lost.
    production.kubectl("delete", "pod", leader.name, "--force", "--grace-period=0")
    term = succession(production, identity)
    assert term.identity == standby.container.identity
    assert term.begin >= renewals(production.record, identity)[-1] + LEASE_SECONDS
    production.wait_served(name, SIZE)
    # What it had sent before may still have been done after its end, but not in another one's term.
    assert production.record.writes(identity, since=term.begin) == []
    tell("21", production.record, killed, term.identity)
    # The successor has also made the pod that stands by now.
    production.wait_settled()
    assert leader not in production.pods()
    assert production.leader() is standby


def test_22_a_leader_that_is_paused_for_longer_than_its_lease_wakes_up_to_nothing_it_may_do(
    production, at_work
):
    leader, _, name = at_work
    container, identity = leader.container, leader.container.identity
    restarts, paused = leader.restarts, now()
    container.signal_all(signal.SIGSTOP)
    term = succession(production, identity)
    production.wait_served(name, SIZE)
    production.scale(name, SIZE - 10)
    production.wait_served(name, SIZE - 10)
    wait_for(lambda: not leader.ready, "its probe has noticed")
    woken = now()
    manager = container.process.pid
    # Hosts first: they have work before them, and nobody who tells them that they must not do it.
    for pid in set(container.left()) - {manager}:
        os.kill(pid, signal.SIGCONT)
    production.scale(name, SIZE)
    production.wait_served(name, SIZE)
    os.kill(manager, signal.SIGCONT)
    wait_for(lambda: leader.ready, "it is ready to take over")
    assert production.record.writes(identity, since=woken) == []
    assert leader.restarts == restarts
    assert production.holder() == term.identity
    tell("22", production.record, paused, term.identity)


def test_22_hosts_whose_manager_is_paused_stop_by_themselves_before_anybody_else_may_write(production):
    leader, _ = production.pair()
    container, identity = leader.container, leader.container.identity
    # It takes longer than the Lease lasts: its hosts have work all the time, and nobody has to tell them.
    name = production.apply_set(LONG)
    wait_for(lambda: production.count(name) >= BEGUN, "the work has begun")
    paused = now()
    os.kill(container.process.pid, signal.SIGSTOP)
    term = succession(production, identity)
    wait_for(lambda: production.record.writes(term.identity, paused), "the successor writes")
    last = max(line["began"] for line in production.record.writes(identity, paused))
    print(
        f"22: its hosts wrote on for {last - paused:.2f} s; {term.begin - last:.2f} s later it was succeeded"
    )
    os.kill(container.process.pid, signal.SIGCONT)
    wait_for(lambda: leader.container.records("stopped leading"), "it knows")
    production.wait_served(name, LONG)
    assert production.record.writes(identity, since=term.begin) == []
    wait_for(lambda: leader.ready, "it is ready to take over")
    production.remove(name)


def test_23_a_paused_host_is_dead_before_the_lease_that_it_may_write_under_is_given_away(production, at_work):
    leader, _, name = at_work
    identity = leader.container.identity
    paused = leader.container.host("replicaset")["pid"]
    os.kill(paused, signal.SIGSTOP)
    production.kubectl("delete", "pod", leader.name, "--wait=false")
    wait_for(lambda: production.holder() != identity, "the Lease is given away")
    with pytest.raises(ProcessLookupError):
        os.kill(paused, signal.SIGCONT)
    term = succession(production, identity)
    assert [t for t in production.record.terms() if t.identity == identity][-1].released
    production.wait_served(name, SIZE)
    production.wait_settled()
    assert production.holder() == term.identity

"""The leading replica is cut off, or loses what it needs from its machine or its server (faults 29 to 37).

Beside what each test says: the verdict at its end (conftest.py), which judges every revision and every
request by what the server wrote down.
"""

import pytest
from exhaustion import no_descriptors, no_room
from production import SETS, SHORT_LEASE, now, wait_for
from relays import RelayThread

CONFIGURATION = SHORT_LEASE
SIZE = 150
BEGUN = 20
HOUR = 3600
HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
WAYS = {
    "nothing arrives either way": {},
    "its requests do not arrive": {"to_client": False},
    "answers do not arrive": {"to_server": False},
}


@pytest.fixture
def pair(production):
    """Leader and standby, each with a way to the server that can be cut."""
    # The standby first: then the leader's place goes to one that has its own way already.
    for pod in reversed(production.pair()):
        if pod.way is None:
            pod.way = RelayThread(production.kubelet.secure_port)
            production.at_the_end(pod.way.end)
            restarts = pod.restarts
            pod.container.process.terminate()
            wait_for(lambda pod=pod, n=restarts: pod.restarts > n and pod.ready, "it is there again")
    production.wait_settled()
    return production.pair()


def renewals(record, identity):
    """Return when the identity said that it holds the Lease."""
    return [line["at"] for line in record.commits(resource="leases", name="kcm", holder=identity)]


def renewed(record, identity, times=3):
    """Wait until the identity has renewed so often from now on."""
    since = now()
    wait_for(lambda: len([at for at in renewals(record, identity) if at > since]) >= times, "renewed")


@pytest.mark.parametrize("way", WAYS)
def test_32_a_leader_that_is_cut_off_is_succeeded_and_what_it_left_on_the_way_changes_nothing(
    production, pair, way
):
    leader, standby = pair
    identity = leader.container.identity
    name = production.apply_set(SIZE)
    wait_for(lambda: production.count(name) >= BEGUN, "the work has begun")
    cut = now()
    leader.way.silence(**WAYS[way])
    try:
        wait_for(lambda: production.holder() not in ("", identity), "somebody else leads")
        term = production.record.terms()[-1]
        production.wait_served(name, SIZE)
        production.scale(name, SIZE - 20)
        production.wait_served(name, SIZE - 20)
    finally:
        leader.way.speak()
    healed = now()
    production.scale(name, SIZE - 10)
    production.wait_served(name, SIZE - 10)
    wait_for(lambda: leader.container.records("lost leadership"), "it knows")
    wait_for(lambda: leader.ready, "it is ready to take over")
    assert term.identity == standby.container.identity
    assert production.record.writes(identity, since=healed) == []
    first = min(line["began"] for line in production.record.writes(term.identity, cut))
    print(f"32, {way}: {first - cut:.2f} s until the successor's first write")
    production.remove(name)


def test_29_30_a_leader_without_descriptors_and_with_a_full_disk_leads_on(production, pair):
    leader, _ = pair
    container, identity, terms = leader.container, leader.container.identity, production.record.terms()
    with no_descriptors(container.process.pid, container.address):
        for _ in range(2):
            assert leader.way.reset() > 0
            renewed(production.record, identity)
    wait_for(container.leads, "it leads with all its hosts")
    with no_room(container.left(), leader.log_file):
        length = leader.log_file.stat().st_size
        name = production.apply_set(5)
        production.wait_served(name, 5)
        # Whoever has something to say now says it to nobody.
        container.page("/nowhere")
        leader.way.reset()
        renewed(production.record, identity)
        assert leader.log_file.stat().st_size == length
    leader.way.reset()
    wait_for(lambda: container.records("log lines dropped, stderr is slow"), "it says what was lost")
    assert production.record.terms() == terms
    production.remove(name)


def test_33_metrics_that_cannot_be_reached_cost_autoscalers_their_news_and_nobody_else_anything(
    production, pair
):
    leader, _ = pair
    terms = production.record.terms()
    size = 3
    name = production.apply_deployment(size)
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    production.wait_served(name, size, deployments)
    production.call("POST", "/sandbox/faults", {"effect": {"type": "hang-before"}, "agent": "/hpa$"})
    fault = production.call("GET", "/sandbox/faults")
    try:
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
        spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9}
        whole = {**spec, "metrics": [{"type": "Resource", "resource": metric}]}
        production.call("POST", HPAS, {"metadata": {"name": name}, "spec": whole})
        other = production.apply_set(20)
        production.wait_served(other, 20)
        production.scale(name, size + 2, deployments)
        production.wait_served(name, size + 2, deployments)
    finally:
        production.call("DELETE", "/sandbox/faults")
    assert fault
    assert production.record.terms() == terms
    production.call("DELETE", f"{HPAS}/{name}")
    production.remove(other)
    production.remove(name, plural=deployments)


def test_34_37_tokens_that_are_refused_torn_and_replaced_on_a_server_of_another_time_restart_nobody(
    production, pair
):
    leader, standby = pair
    before = [(pod.restarts, pod.container.identity) for pod in pair]
    terms = production.record.terms()
    name = production.apply_set(3)
    production.wait_served(name, 3)
    size = 3
    for step in (2 * HOUR, -2 * HOUR):
        # In the middle of being replaced by something that writes in place.
        torn = leader.service_account / "token"
        whole = torn.read_text()
        torn.write_text(whole[: len(whole) // 2] + "\n \n")
        renewed(production.record, leader.container.identity)
        torn.write_text(whole)
        # Every token of before has expired, or was given in the future.
        production.call("POST", "/sandbox/clock", {"step": step})
        for pod in pair:
            pod.give_token()
        renewed(production.record, leader.container.identity)
        size += 4
        production.scale(name, size, SETS)
        production.wait_served(name, size)
        wait_for(lambda: standby.ready and leader.ready, "both are ready")
    assert [(pod.restarts, pod.container.identity) for pod in pair] == before
    assert production.record.terms() == terms
    production.remove(name)

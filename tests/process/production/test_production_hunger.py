"""The leading replica lacks descriptors, disk, metrics or a token, and leads on (faults 29, 30, 33, 34, 37).

Beside what each test says: the verdict at its end (conftest.py), which judges every revision and every
request by what the server wrote down.
"""

import os
import signal

from exhaustion import no_descriptors, no_room
from production import DEPLOYMENTS, MISBEHAVING, SHIPPED_LEASE, merged, now, wait_for
from ways import pair_with_ways, renewed

# That of test_production_hosts.py, whose cluster these tests go on with.
CONFIGURATION = merged(SHIPPED_LEASE, MISBEHAVING)
HOUR = 3600
HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"


def autoscaler(name):
    """Return an autoscaler of a Deployment by its pods' use of CPU."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    resource = {"type": "Resource", "resource": metric}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9, "metrics": [resource]}
    return {"metadata": {"name": name}, "spec": spec}


def condition(production, name, kind):
    """Return the status of an autoscaler's condition, "" where it has none."""
    found = production.call("GET", f"{HPAS}/{name}").get("status", {}).get("conditions", ())
    return next((each["status"] for each in found if each["type"] == kind), "")


def test_29_30_a_leader_without_descriptors_and_with_a_full_disk_leads_on(production):
    leader, _ = pair_with_ways(production)
    container, identity, terms = leader.container, leader.container.identity, production.record.terms()
    host = container.host("replicaset")["pid"]
    with no_descriptors(container.process.pid, container.address):
        assert leader.way.reset() > 0
        renewed(production, identity)
        # A host dies too, and none can be started; whose processes are left cannot be looked up either.
        os.kill(host, signal.SIGKILL)
        wait_for(lambda: container.records("host ended"), "a host ended")
        renewed(production, identity)
    wait_for(container.leads, "it leads with all its hosts")
    with no_room(container.left(), leader.log_file):
        length = leader.log_file.stat().st_size
        name = production.apply_set(5)
        production.wait_served(name, 5)
        # What it has to say now, it says to nobody.
        container.process.send_signal(signal.SIGHUP)
        wait_for(lambda: container.metric("kcm_log_lines_dropped_total"), "a line is lost and counted")
        leader.way.reset()
        renewed(production, identity)
        assert leader.log_file.stat().st_size == length
    container.process.send_signal(signal.SIGHUP)
    wait_for(lambda: container.records("log lines dropped, stderr is slow"), "it says what was lost")
    assert production.record.terms() == terms
    production.remove(name)


def test_33_metrics_that_cannot_be_reached_cost_autoscalers_their_news_and_nobody_else_anything(production):
    terms = production.record.terms()
    name = production.apply_deployment(3)
    production.wait_served(name, 3, DEPLOYMENTS)
    # All that an autoscaler lists by itself are metrics; what it watches comes from the manager.
    fault = {"effect": {"type": "hang-before", "seconds": 1}, "verb": "list", "agent": "/hpa$"}
    ordered = production.call("POST", "/sandbox/faults", fault)
    try:
        production.call("POST", HPAS, autoscaler(name))
        wait_for(lambda: condition(production, name, "ScalingActive") == "False", "metrics are missed")
        other = production.apply_set(20)
        production.wait_served(other, 20)
        production.scale(name, 5, DEPLOYMENTS)
        production.wait_served(name, 5, DEPLOYMENTS)
        assert production.call("GET", f"/sandbox/faults/{ordered['id']}")["met"] > 0
    finally:
        production.call("DELETE", "/sandbox/faults")
    assert production.record.terms() == terms
    production.call("DELETE", f"{HPAS}/{name}")
    production.remove(other)
    production.remove(name, plural=DEPLOYMENTS)


def refused(production, since):
    """Return the requests of kcm that were not known to be its own."""
    lines = production.record.requests(since, status=401)
    return [line for line in lines if line["agent"].startswith("kcm/")]


def test_34_37_tokens_that_are_refused_torn_and_replaced_on_a_server_of_another_time_restart_nobody(
    production,
):
    leader, standby = pair = production.pair()
    before = [(pod.restarts, pod.container.identity) for pod in pair]
    terms = production.record.terms()
    name = production.apply_set(3)
    production.wait_served(name, 3)
    # In the middle of being replaced by something that writes in place.
    torn = leader.service_account / "token"
    whole = torn.read_text()
    torn.write_text(whole[: len(whole) // 2] + "\n \n")
    renewed(production, leader.container.identity)
    torn.write_text(whole)
    # Every token of before has expired.
    stepped = now()
    production.call("POST", "/sandbox/clock", {"step": 2 * HOUR})
    try:
        wait_for(lambda: refused(production, stepped), "its token is refused")
        for pod in pair:
            pod.give_token()
        renewed(production, leader.container.identity)
        production.scale(name, 7)
        production.wait_served(name, 7)
    finally:
        production.call("POST", "/sandbox/clock", {"step": -2 * HOUR})
        for pod in pair:
            pod.give_token()
    renewed(production, leader.container.identity)
    production.scale(name, 9)
    production.wait_served(name, 9)
    wait_for(lambda: standby.ready and leader.ready, "both are ready")
    assert [(pod.restarts, pod.container.identity) for pod in pair] == before
    assert production.record.terms() == terms
    production.remove(name)

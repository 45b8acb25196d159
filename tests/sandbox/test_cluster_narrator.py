"""What happens in the cluster, told in readable lines."""

import itertools
from datetime import UTC, datetime

import msgspec

from kcm.sandbox.cluster.follow import Change
from kcm.sandbox.cluster.narrator import Narrator, WorkloadView
from kcm.sandbox.cluster.views import NodeView, PodView

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def pod(name="web", node="", ready=False, phase="Pending", owner="", **meta):
    owners = [{"kind": "ReplicaSet", "name": owner, "controller": True}] if owner else []
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    text = {
        "metadata": {"name": name, "namespace": "default", "uid": name, "ownerReferences": owners, **meta},
        "spec": {"nodeName": node},
        "status": {"phase": phase, "conditions": conditions},
    }
    return msgspec.convert(text, PodView)


def workload(replicas, have=0, ready=0):
    text = {
        "metadata": {"name": "web", "namespace": "default", "uid": "u"},
        "spec": {"replicas": replicas},
        "status": {"replicas": have, "readyReplicas": ready},
    }
    return msgspec.convert(text, WorkloadView)


def test_the_life_of_a_pod_is_told_step_by_step():
    narrator = Narrator()
    steps = [
        pod(owner="web"),
        pod(node="n1"),
        pod(node="n1", ready=True, phase="Running"),
        pod(node="n1", ready=True, phase="Running", deletionTimestamp=NOON),
    ]
    narrator.pod_changed(Change("added", steps[0]))
    for old, new in itertools.pairwise(steps):
        narrator.pod_changed(Change("modified", new, old))
    narrator.pod_changed(Change("deleted", steps[-1]))
    assert narrator.tell(NOON) == [
        "12:00:00  created       pod default/web by ReplicaSet web",
        "12:00:00  scheduled     pod default/web to n1",
        "12:00:00  ready         pod default/web",
        "12:00:00  terminating   pod default/web",
        "12:00:00  deleted       pod default/web",
    ]
    assert narrator.tell(NOON) == []


def test_a_thousand_pods_are_two_lines_and_scaling_stays_visible():
    narrator = Narrator()
    narrator.workload_changed("replicaset", Change("modified", workload(1000), workload(3)))
    for number in range(1000):
        bare, placed = pod(f"p{number}"), pod(f"p{number}", node="n1")
        narrator.pod_changed(Change("added", bare))
        narrator.pod_changed(Change("modified", placed, bare))
    assert narrator.tell(NOON) == [
        "12:00:00  scaled        replicaset default/web 3 → 1000",
        "12:00:00  created       1000 pods in default",
        "12:00:00  scheduled     1000 pods in default",
    ]


def test_a_workload_that_is_complete_says_so_once():
    narrator = Narrator()
    states = [workload(2), workload(2, 2, 1), workload(2, 2, 2), workload(2, 2, 2)]
    for old, new in itertools.pairwise(states):
        narrator.workload_changed("replicaset", Change("modified", new, old))
    assert narrator.tell(NOON) == ["12:00:00  complete      replicaset default/web 2 ready"]


def test_what_was_there_before_is_not_told():
    narrator = Narrator()
    narrator.pod_changed(Change("added", pod(), initial=True))
    narrator.workload_changed("replicaset", Change("added", workload(1), initial=True))
    assert narrator.tell(NOON) == []


def test_nodes_that_are_cordoned_are_told():
    def node(unschedulable):
        return msgspec.convert(
            {"metadata": {"name": "n"}, "spec": {"unschedulable": unschedulable}}, NodeView
        )

    narrator = Narrator()
    narrator.node_changed(Change("modified", node(True), node(False)))
    assert narrator.tell(NOON) == ["12:00:00  cordoned      node n"]


def test_text_from_the_api_cannot_control_the_terminal():
    narrator = Narrator()
    narrator.pod_changed(Change("added", pod("web\x1b[2J\nrm")))
    (line,) = narrator.tell(NOON)
    assert line.isprintable()


def test_colour_is_used_only_when_it_is_wanted():
    coloured = Narrator(colour=True)
    coloured.pod_changed(Change("added", pod()))
    assert coloured.tell(NOON) == ["12:00:00  \x1b[36mcreated      \x1b[0m pod default/web"]

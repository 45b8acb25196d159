"""The real kubectl on metrics and nodes: top, cordon, drain, taint, a lost node."""

import json
import time

import pytest


def pod(name, annotations=None, **spec):
    spec = {"containers": [{"name": "main", "image": "web:1"}], **spec}
    meta = {"name": name, "labels": {"app": name}, "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def rows(text):
    header, *lines = text.rstrip().split("\n")
    return [dict(zip(header.split(), line.split(), strict=True)) for line in lines]


def eventually(ask, holds, patience=30.0):
    """Ask until the answer is right."""
    end = time.monotonic() + patience
    while True:
        answer = ask()
        if holds(answer):
            return answer
        assert time.monotonic() < end, answer
        time.sleep(0.2)


@pytest.fixture
def fast(start_sandbox, kubectl_on):
    """kubectl on a sandbox that is a hundred times faster than life."""
    return kubectl_on(start_sandbox(speed=100).kubeconfig)


def test_top_shows_what_pods_containers_and_nodes_use(fast):
    two = [{"name": "main", "image": "web:1"}, {"name": "log", "image": "log:1"}]
    notes = {"sandbox.kcm.dev/usage-cpu": "main=250m,log=50m", "sandbox.kcm.dev/usage-memory": "64Mi"}
    fast.apply(pod("web", notes, containers=two, nodeName="sandbox-node-1"), pod("idle"))
    fast("wait", "--for=condition=Ready", "pod", "--all")
    path = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"
    eventually(lambda: json.loads(fast("get", "--raw", path)), lambda found: len(found["items"]) == 2)
    table = fast("top", "pods")
    assert {each["NAME"]: each["CPU(cores)"] for each in rows(table)} == {"web": "300m", "idle": "1m"}
    (one,) = rows(fast("top", "pods", "-l", "app=web"))
    assert (one["NAME"], one["MEMORY(bytes)"]) == ("web", "128Mi")
    parts = rows(fast("top", "pod", "web", "--containers"))
    assert {(each["NAME"], each["CPU(cores)"]) for each in parts} == {("main", "250m"), ("log", "50m")}
    first, second = sorted(rows(fast("top", "nodes")), key=lambda row: row["NAME"])
    assert first["NAME"] == "sandbox-node-1"
    assert int(first["CPU(cores)"].removesuffix("m")) >= 300
    assert second["CPU(cores)"] in ("0m", "1m")
    assert "web" in fast("top", "pods", "--sort-by=cpu", "-A").split("\n")[1]
    (shown,) = rows(fast("get", "podmetrics", "-l", "app=web"))
    assert (shown["NAME"], shown["CPU"], shown["MEMORY"]) == ("web", "300m", "128Mi")
    assert len(rows(fast("get", "nodes.metrics.k8s.io"))) == 2


def test_top_of_a_pod_that_is_not_measured_says_so(fast):
    fast.apply(pod("gated", schedulingGates=[{"name": "wait"}]))
    assert "not found" in fast("top", "pod", "gated", fails=True)


def test_metrics_are_in_api_resources_and_can_be_read_raw(fast):
    versions = fast("api-versions").split()
    assert "metrics.k8s.io/v1beta1" in versions
    assert "custom.metrics.k8s.io/v1beta2" in versions
    assert "PodMetrics" in fast("api-resources", "--api-group=metrics.k8s.io")
    raw = fast("get", "--raw", "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue")
    assert json.loads(raw)["items"] == []


def test_a_node_is_cordoned_drained_and_taken_back(fast):
    fast("cordon", "sandbox-node-2")
    fast.apply(pod("a"), pod("b"))
    fast("wait", "--for=condition=Ready", "pod", "--all")
    assert set(fast("get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}").split()) == {"sandbox-node-1"}
    assert "SchedulingDisabled" in fast("get", "node", "sandbox-node-2")
    said = fast("drain", "sandbox-node-1", "--force", "--timeout=20s")
    assert "node/sandbox-node-1 drained" in said
    assert fast("get", "pods", "-o", "name") == ""
    fast("uncordon", "sandbox-node-1")
    assert "SchedulingDisabled" not in fast("get", "node", "sandbox-node-1")
    eventually(
        lambda: fast.json("get", "node", "sandbox-node-1"), lambda node: not node["spec"].get("taints")
    )


def test_a_taint_by_hand_evicts(fast):
    fast.apply(pod("a", nodeName="sandbox-node-1"))
    fast("wait", "--for=condition=Ready", "pod/a")
    fast("taint", "node", "sandbox-node-1", "gone=yes:NoExecute")
    eventually(lambda: fast("get", "pods", "-o", "name"), lambda names: names == "")
    fast("taint", "node", "sandbox-node-1", "gone-")


def test_a_lost_node_is_not_ready_and_comes_back(fast):
    fast("annotate", "node", "sandbox-node-1", "sandbox.kcm.dev/fault=lost")
    fast("wait", "--for=condition=Ready=Unknown", "node/sandbox-node-1", "--timeout=20s")
    assert "NotReady" in fast("get", "node", "sandbox-node-1")
    assert "node.kubernetes.io/unreachable" in fast("describe", "node", "sandbox-node-1")
    fast("annotate", "node", "sandbox-node-1", "sandbox.kcm.dev/fault-")
    fast("wait", "--for=condition=Ready", "node/sandbox-node-1", "--timeout=20s")


def test_pods_of_a_deleted_node_go(fast):
    fast.apply(pod("a", nodeName="sandbox-node-1"))
    fast("wait", "--for=condition=Ready", "pod/a")
    fast("delete", "node", "sandbox-node-1")
    eventually(lambda: fast("get", "pods", "-o", "name"), lambda names: names == "")

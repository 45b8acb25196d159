"""The real kubectl on what only the simulated cluster has: its nodes, its scheduler, pods that end.

What any API server has to do for kubectl is in tests/conformance.
"""

import re


def workload(kind="ReplicaSet", name="web", replicas=3, **meta):
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "web:1", "env": [{"name": "A", "value": "1"}]}]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, **meta}, "spec": spec}


def test_nodes_are_shown(kubectl):
    text = kubectl("get", "nodes", "-o", "wide")
    assert len(re.findall(r"sandbox-node-\d +Ready ", text)) == 2
    description = kubectl("describe", "node", "sandbox-node-1")
    assert "KubeletReady" in description
    assert "sandbox-node-1" in kubectl("get", "leases", "-n", "kube-node-lease")


def test_cordon_keeps_pods_away_and_uncordon_lets_them_in(kubectl):
    kubectl("label", "node", "sandbox-node-2", "only=me")
    kubectl("cordon", "sandbox-node-2")
    spec = {"nodeSelector": {"only": "me"}, "containers": [{"name": "c", "image": "i:1"}]}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "picky"}, "spec": spec})
    kubectl("wait", "--for=condition=PodScheduled=false", "pod/picky", "--timeout=20s")
    assert "SchedulingDisabled" in kubectl("get", "node", "sandbox-node-2")
    kubectl("uncordon", "sandbox-node-2")
    kubectl("wait", "--for=condition=Ready", "pod/picky", "--timeout=20s")
    kubectl("label", "node", "sandbox-node-2", "only-")


def test_a_namespace_is_emptied_and_goes(kubectl):
    inner = kubectl.within("doomed")
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "doomed"}})
    inner.apply(workload(replicas=1))
    spec = {"containers": [{"name": "c", "image": "i:1"}]}
    inner.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
    inner("wait", "--for=condition=Ready", "pod/p")
    kubectl("delete", "namespace", "doomed", "--timeout=25s")
    assert "not found" in kubectl("get", "namespace", "doomed", fails=True)

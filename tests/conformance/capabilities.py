"""What a target can do, found by looking: nodes, simulated kubelets, an authorizer, helpers at work."""

import contextlib
import time

from paths import Paths
from target import GLANCE

REASONS = {
    "nodes": "the target has no ready node",
    "simulated": "the target's nodes run real containers, or it has none",
    "quiet": "controllers of the target act upon the objects of this check",
    "collector": "nothing on the target collects garbage",
    "authorizer": "the target lets everybody do everything",
    "metrics": "the target does not serve metrics.k8s.io",
}


def found_in(target):
    """The capabilities of a target."""
    found = set()
    nodes = target.get("/api/v1/nodes").ok().json["items"]
    ready = [node for node in nodes if _ready(node)]
    if ready:
        found.add("nodes")
    runtimes = [node["status"]["nodeInfo"]["containerRuntimeVersion"] for node in ready]
    if any(each.startswith(("simulated", "kwok")) for each in runtimes):
        found.add("simulated")
    stranger = target.identified()
    if stranger.get("/api/v1/secrets").code in (401, 403):
        found.add("authorizer")
    stranger.close()
    if target.get("/apis/metrics.k8s.io/v1beta1").code == 200:
        found.add("metrics")
    return found | _helpers(target)


def _ready(node):
    conditions = {each["type"]: each["status"] for each in node.get("status", {}).get("conditions") or ()}
    return conditions.get("Ready") == "True"


def _helpers(target):
    """Which of the cluster's own controllers are at work: seen on objects of a throw-away namespace."""
    found = set()
    with namespace(target) as paths:
        sets = paths.of("replicasets")
        body = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "probe"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"containers": [{"name": "c", "image": "i"}]},
                },
            },
        }
        uid = target.post(sets, body).ok().meta["uid"]
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gone", "uid": f"{uid[:-4]}0000"}
        orphan = {"metadata": {"name": "orphan", "ownerReferences": [owner]}}
        orphan_path = paths.of("configmaps", "orphan")
        target.post(paths.of("configmaps"), orphan).ok()
        end = time.monotonic() + 3
        while time.monotonic() < end and "collector" not in found:
            if target.get(orphan_path).code == 404:
                found.add("collector")
            time.sleep(GLANCE)
        if "observedGeneration" not in target.get(f"{sets}/probe").json["status"]:
            found.add("quiet")
    return found


@contextlib.contextmanager
def namespace(target):
    """A namespace of the server's naming, with its default service account; deleted at the end."""
    made = target.post("/api/v1/namespaces", {"metadata": {"generateName": "conformance-"}}).ok(201)
    paths = Paths(made.meta["name"])
    try:
        target.eventually(paths.of("serviceaccounts", "default"), lambda answer: answer.code == 200)
        yield paths
    finally:
        # No kubelet ends a pod on a node that is not there, and the namespace would wait for it for ever.
        target.delete(paths.of("pods"), {"gracePeriodSeconds": 0}).ok()
        target.delete(f"/api/v1/namespaces/{paths.namespace}").ok()

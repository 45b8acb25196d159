"""The real kubectl and everything else on the sandbox: files, changes, scale, nodes, errors.

No workload controller runs here: replica sets and deployments are data.
"""

import json
import re

import pytest


def workload(kind="ReplicaSet", name="web", replicas=3, **meta):
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "web:1", "env": [{"name": "A", "value": "1"}]}]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, **meta}, "spec": spec}


def test_versions_are_told(kubectl):
    assert "Server Version: v1." in kubectl("version")
    resources = kubectl("api-resources")
    assert re.search(r"replicasets +rs +apps/v1 +true +ReplicaSet", resources)
    assert "apps/v1" in kubectl("api-versions").splitlines()


def test_nodes_are_shown(kubectl):
    text = kubectl("get", "nodes", "-o", "wide")
    assert len(re.findall(r"sandbox-node-\d +Ready ", text)) == 2
    description = kubectl("describe", "node", "sandbox-node-1")
    assert "KubeletReady" in description
    assert "sandbox-node-1" in kubectl("get", "leases", "-n", "kube-node-lease")


def test_a_replica_set_file_is_applied_changed_and_scaled(kubectl):
    assert kubectl.apply(workload()) == "replicaset.apps/web created\n"
    assert kubectl.apply(workload()) == "replicaset.apps/web unchanged\n"
    assert kubectl.apply(workload(replicas=5)) == "replicaset.apps/web configured\n"
    assert re.search(r"web +5 +0 +0 ", kubectl("get", "rs"))
    assert kubectl("scale", "rs/web", "--replicas=1000") == "replicaset.apps/web scaled\n"
    assert kubectl.json("get", "rs", "web")["spec"]["replicas"] == 1000
    assert "main" in kubectl("get", "rs", "-o", "wide")
    assert re.search(r"Replicas: +0 current / 1000 desired", kubectl("describe", "rs", "web"))
    kubectl("delete", "rs", "web")
    assert "not found" in kubectl("get", "rs", "web", fails=True)


def test_objects_are_made_by_create_and_its_flags(kubectl):
    """kubectl sends these bodies as protobuf."""
    assert kubectl("create", "deployment", "web", "--image=web:1", "--replicas=3", "--port=80") == (
        "deployment.apps/web created\n"
    )
    spec = kubectl.json("get", "deployment", "web")["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (3, "RollingUpdate")
    assert spec["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    kubectl("create", "configmap", "c", "--from-literal=a=b", "--from-literal=empty=")
    assert kubectl.json("get", "configmap", "c")["data"] == {"a": "b", "empty": ""}
    kubectl("create", "secret", "generic", "s", "--from-literal=p=q")
    assert kubectl.json("get", "secret", "s")["data"] == {"p": "cQ=="}
    kubectl("create", "serviceaccount", "robot")
    kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")
    assert kubectl.json("get", "service", "web")["spec"]["ports"][0]["targetPort"] == 8080
    kubectl("create", "poddisruptionbudget", "b", "--min-available=50%", "--selector=app=web")
    kubectl("create", "job", "once", "--image=web:1", "--", "true")
    assert "already exists" in kubectl("create", "serviceaccount", "robot", fails=True)
    assert "must be greater than or equal to 0" in kubectl(
        "create", "deployment", "bad", "--image=web:1", "--replicas=-2", fails=True
    )
    assert kubectl("create", "token", "robot", "--duration=10m").count(".") == 2
    assert "10 minutes" in kubectl("create", "token", "robot", "--duration=1m", fails=True)


def test_a_namespace_is_made_by_create(kubectl):
    name = f"{kubectl.namespace}-2"
    assert kubectl("create", "namespace", name) == f"namespace/{name} created\n"
    assert kubectl.json("get", "namespace", name)["status"]["phase"] == "Active"
    assert "default" in kubectl.within(name)("get", "serviceaccounts")


def test_what_get_prints_of_many_objects_can_be_applied_again(kubectl):
    kubectl.apply(workload(), workload(name="side"))
    shown = kubectl("get", "rs", "-o", "yaml")
    assert "kind: List" in shown
    again = kubectl("apply", "-f", "-", stdin=shown.replace("replicas: 3", "replicas: 4"))
    assert again == "replicaset.apps/side configured\nreplicaset.apps/web configured\n"
    assert [each["spec"]["replicas"] for each in kubectl.json("get", "rs")["items"]] == [4, 4]
    wrong = shown.replace("selector:", "selektor:")
    assert 'unknown field "spec.selektor"' in kubectl("replace", "-f", "-", stdin=wrong, fails=True)


def test_a_deployment_is_data_too(kubectl):
    kubectl.apply(workload("Deployment"))
    assert re.search(r"web +0/3 +0 +0 ", kubectl("get", "deployments"))
    assert kubectl("scale", "deployment", "web", "--replicas=7") == "deployment.apps/web scaled\n"
    kubectl("set", "image", "deployment/web", "main=web:2")
    kubectl("rollout", "pause", "deployment/web")
    spec = kubectl.json("get", "deployment", "web")["spec"]
    assert (spec["replicas"], spec["paused"]) == (7, True)
    assert spec["template"]["spec"]["containers"][0]["image"] == "web:2"
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}


def test_labels_and_annotations_come_and_go(kubectl):
    kubectl.apply(workload())
    assert kubectl("label", "rs", "web", "tier=front") == "replicaset.apps/web labeled\n"
    assert "overwrite" in kubectl("label", "rs", "web", "tier=back", fails=True)
    kubectl("label", "rs", "web", "tier=back", "--overwrite")
    kubectl("annotate", "rs", "web", "note=a text")
    meta = kubectl.json("get", "rs", "-l", "tier=back")["items"][0]["metadata"]
    assert meta["annotations"]["note"] == "a text"
    kubectl("label", "rs", "web", "tier-")
    kubectl("annotate", "rs", "web", "note-")
    meta = kubectl.json("get", "rs", "web")["metadata"]
    assert "tier" not in meta.get("labels", {})
    assert "note" not in meta["annotations"]


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        pytest.param("json", [{"op": "replace", "path": "/spec/replicas", "value": 9}], id="json"),
        pytest.param("merge", {"spec": {"replicas": 9}}, id="merge"),
        pytest.param("strategic", {"spec": {"replicas": 9}}, id="strategic"),
    ],
)
def test_a_patch_of_each_kind_changes_what_it_names(kubectl, kind, patch):
    kubectl.apply(workload())
    assert (
        kubectl("patch", "rs", "web", "--type", kind, "-p", json.dumps(patch))
        == "replicaset.apps/web patched\n"
    )
    again = kubectl("patch", "rs", "web", "--type", kind, "-p", json.dumps(patch))
    assert again == "replicaset.apps/web patched (no change)\n"
    assert kubectl.json("get", "rs", "web")["spec"]["replicas"] == 9


def test_a_strategic_patch_merges_containers_by_name(kubectl):
    kubectl.apply(workload())
    side = {"name": "side", "image": "side:1"}
    patch = {"spec": {"template": {"spec": {"containers": [side, {"name": "main", "image": "web:3"}]}}}}
    kubectl("patch", "rs", "web", "-p", json.dumps(patch))
    containers = kubectl.json("get", "rs", "web")["spec"]["template"]["spec"]["containers"]
    main = next(each for each in containers if each["name"] == "main")
    assert (len(containers), main["image"], main["env"]) == (2, "web:3", [{"name": "A", "value": "1"}])


def test_status_can_be_patched_by_subresource(kubectl):
    kubectl.apply(workload())
    patch = {"status": {"replicas": 2, "readyReplicas": 1}, "spec": {"replicas": 99}}
    kubectl("patch", "rs", "web", "--subresource=status", "--type=merge", "-p", json.dumps(patch))
    found = kubectl.json("get", "rs", "web")
    assert (found["status"]["readyReplicas"], found["spec"]["replicas"]) == (1, 3)
    with kubectl.running("wait", "--for=jsonpath={.status.replicas}=3", "rs/web", "--timeout=20s") as lines:
        patch = {"status": {"replicas": 3}}
        kubectl("patch", "rs", "web", "--subresource=status", "--type=merge", "-p", json.dumps(patch))
        lines.until("condition met")


def test_create_and_replace_check_the_version(kubectl):
    body = json.dumps(workload())
    assert kubectl("create", "-f", "-", stdin=body) == "replicaset.apps/web created\n"
    assert "already exists" in kubectl("create", "-f", "-", stdin=body, fails=True)
    stale = kubectl.json("get", "rs", "web")
    kubectl("scale", "rs/web", "--replicas=4")
    assert "the object has been modified" in kubectl("replace", "-f", "-", stdin=stale, fails=True)
    fresh = kubectl.json("get", "rs", "web")
    fresh["spec"]["replicas"] = 6
    assert kubectl("replace", "-f", "-", stdin=fresh) == "replicaset.apps/web replaced\n"


def test_wrong_objects_are_refused_with_a_reason(kubectl):
    unknown = workload()
    unknown["spec"]["replicass"] = 1
    assert 'unknown field "spec.replicass"' in kubectl("create", "-f", "-", stdin=unknown, fails=True)
    mismatch = workload()
    mismatch["spec"]["selector"]["matchLabels"] = {"app": "other"}
    assert "`selector` does not match template `labels`" in kubectl(
        "create", "-f", "-", stdin=mismatch, fails=True
    )
    negative = workload(replicas=-1)
    assert "spec.replicas: Invalid value: -1" in kubectl("create", "-f", "-", stdin=negative, fails=True)
    assert 'replicasets.apps "none" not found' in kubectl("get", "rs", "none", fails=True)
    assert "doesn't have a resource type" in kubectl("get", "nonsense", fails=True)


def test_explain_knows_the_fields(kubectl):
    text = kubectl("explain", "replicaset.spec.minReadySeconds")
    assert "minReadySeconds <integer>" in text


def test_a_dry_run_stores_nothing(kubectl):
    assert kubectl.apply(workload()) == "replicaset.apps/web created\n"
    kubectl("apply", "--dry-run=server", "-f", "-", stdin=workload(replicas=8))
    assert kubectl.json("get", "rs", "web")["spec"]["replicas"] == 3
    kubectl("create", "--dry-run=server", "-f", "-", stdin=workload(name="other"))
    assert "not found" in kubectl("get", "rs", "other", fails=True)


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


def test_get_of_many_kinds_works(kubectl):
    kubectl.apply(
        workload(),
        workload("Deployment", "dep"),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s"}},
    )
    for kind in ("rs", "deploy", "cm", "sa", "pods", "events", "leases", "services", "hpa"):
        kubectl("get", kind)
    assert re.search(r"^c +1 ", kubectl("get", "configmaps"), re.MULTILINE)

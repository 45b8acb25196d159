"""reference: apiserver 1, table 'kubectl': delete, wait, rollout, cordon, drain, taint: what takes time."""

import json
import re

import pytest
from paths import configmap, nowhere, pod, workload

HOLD = "conformance.test/hold"


def cm(name, **meta):
    return {"apiVersion": "v1", "kind": "ConfigMap", **configmap(name, **meta)}


# --- delete


def test_delete_by_name(kubectl, name):
    """reference: apiserver 1, delete: DELETE; then GET until that UID is gone"""
    kubectl.create(cm(name))
    assert kubectl("delete", "cm", name).startswith(f'configmap "{name}" deleted')
    assert "NotFound" in kubectl("delete", "cm", name, fails=True)
    assert kubectl("delete", "cm", name, "--ignore-not-found") == ""


def test_delete_what_a_file_names(kubectl, name):
    """reference: apiserver 1, delete -f"""
    kubectl.create(cm(name))
    assert kubectl("delete", "-f", "-", stdin=cm(name)).startswith(f'configmap "{name}" deleted')


def test_delete_by_label(kubectl, name):
    """reference: apiserver 1, delete -l: LIST + single DELETEs"""
    kubectl.apply(cm(f"{name}-a", labels={"of": name}), cm(f"{name}-b", labels={"of": "other"}))
    kubectl("delete", "cm", "-l", f"of={name}")
    assert kubectl("get", "cm", f"{name}-a", f"{name}-b", "--ignore-not-found", "-o", "name") == (
        f"configmap/{name}-b\n"
    )


def test_delete_all(kubectl, name):
    """reference: apiserver 1, delete --all: LIST + single DELETEs"""
    for number in (1, 2):
        kubectl("create", "secret", "generic", f"{name}-{number}")
    kubectl("delete", "secrets", "--all")
    assert kubectl("get", "secrets", "-o", "name") == ""


@pytest.fixture
def family(target, paths, made, name):
    """A configmap and a secret that it owns."""
    _, owner = made("configmaps")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": owner.meta["uid"]}
    reference["blockOwnerDeletion"] = True
    child = {"metadata": {"name": name, "ownerReferences": [reference]}}
    target.post(paths.of("secrets"), child).ok(201)
    return paths.of("secrets", name)


@pytest.mark.needs("collector")
@pytest.mark.parametrize("mode", ["background", "foreground"])
def test_delete_takes_dependents_along(kubectl, target, family, name, mode):
    """reference: apiserver 1, delete: propagationPolicy Background/Foreground"""
    kubectl("delete", "cm", name, f"--cascade={mode}", "--timeout=20s")
    if mode == "foreground":
        target.get(family).ok(404)
    target.eventually(family, lambda answer: answer.code == 404)


@pytest.mark.needs("collector")
def test_delete_leaves_orphans(kubectl, target, family, name):
    """reference: apiserver 1, delete: propagationPolicy Orphan"""
    kubectl("delete", "cm", name, "--cascade=orphan", "--timeout=20s")
    assert "ownerReferences" not in target.get(family).ok(200).meta


def test_delete_waits_for_finalizers(kubectl, target, paths, made, name):
    """reference: apiserver 1, delete: LIST+WATCH by metadata.name until that UID is gone"""
    path, _ = made("configmaps", finalizers=[HOLD])
    with kubectl.running("delete", "cm", name) as lines:
        target.eventually(path, lambda answer: "deletionTimestamp" in answer.meta)
        lines.until("deleted")
        target.patch(path, {"metadata": {"finalizers": None}}).ok(200)
        assert lines.end() == 0


def test_delete_without_waiting(kubectl, target, made, name):
    """reference: apiserver 1, delete --wait=false"""
    path, _ = made("configmaps", finalizers=[HOLD])
    kubectl("delete", "cm", name, "--wait=false")
    assert target.get(path).meta["deletionTimestamp"]
    target.patch(path, {"metadata": {"finalizers": None}}).ok(200)


def test_delete_of_a_pod_with_grace(kubectl, target, made, name):
    """reference: apiserver 1, delete (+gracePeriodSeconds)"""
    path, _ = made("pods", pod(nodeName=nowhere()))
    kubectl("delete", "pod", name, "--grace-period=20", "--wait=false")
    assert target.get(path).meta["deletionGracePeriodSeconds"] == 20
    assert re.search(rf"{name} +0/1 +Terminating", kubectl("get", "pod", name))


def test_delete_of_a_pod_at_once(kubectl, target, made, name):
    """reference: apiserver 1, delete --grace-period=0 --force"""
    path, _ = made("pods", pod(nodeName=nowhere(), terminationGracePeriodSeconds=3600))
    said = kubectl("delete", "pod", name, "--grace-period=0", "--force")
    assert f'pod "{name}" force deleted' in said
    target.get(path).ok(404)


def test_delete_now(kubectl, target, made, name):
    """reference: apiserver 1, delete --now: grace 1"""
    path, _ = made("pods", pod(nodeName=nowhere()))
    kubectl("delete", "pod", name, "--now", "--wait=false")
    assert target.get(path).meta["deletionGracePeriodSeconds"] == 1


def test_delete_dry(kubectl, target, made, name):
    """reference: apiserver 2, dryRun=All, of DELETE"""
    path, _ = made("configmaps")
    assert "(server dry run)" in kubectl("delete", "cm", name, "--dry-run=server")
    target.get(path).ok(200)


@pytest.mark.needs("collector")
def test_delete_of_a_namespace(kubectl, target, unique):
    """reference: apiserver 2, GC: Namespace, by kubectl, which waits for its end"""
    target.post("/api/v1/namespaces", {"metadata": {"name": unique}}).ok(201)
    target.post(f"/api/v1/namespaces/{unique}/configmaps", configmap()).ok(201)
    kubectl("delete", "namespace", unique, "--timeout=25s")
    target.get(f"/api/v1/namespaces/{unique}").ok(404)


# --- wait


def test_wait_for_a_condition(kubectl, target, made, name):
    """reference: apiserver 1, wait: informer LIST + WATCH by metadata.name"""
    path, _ = made("pods", pod())
    with kubectl.running("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=20s") as lines:
        status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        target.patch(f"{path}/status", status).ok(200)
        lines.until("condition met")


def test_wait_for_a_value(kubectl, target, made, name):
    """reference: apiserver 1, wait --for=jsonpath"""
    path, _ = made("configmaps", configmap())
    with kubectl.running("wait", "--for=jsonpath={.data.k}=w", f"cm/{name}", "--timeout=20s") as lines:
        target.patch(path, {"data": {"k": "w"}}).ok(200)
        lines.until("condition met")


def test_wait_for_the_end(kubectl, target, made, name):
    """reference: apiserver 1, wait --for=delete"""
    path, _ = made("configmaps", finalizers=[HOLD])
    target.delete(path).ok(200)
    with kubectl.running("wait", "--for=delete", f"cm/{name}", "--timeout=20s") as lines:
        assert not lines.ready(0.5)
        target.patch(path, {"metadata": {"finalizers": None}}).ok(200)
        assert lines.end() == 0
    target.get(path).ok(404)


def test_wait_in_vain(kubectl, made, name):
    """reference: apiserver 1, wait: time-out"""
    made("configmaps")
    said = kubectl("wait", "--for=jsonpath={.data.k}=w", f"cm/{name}", "--timeout=200ms", fails=True)
    assert "timed out waiting" in said


# --- rollout: what a deployment's controller writes is written here by hand


@pytest.fixture
def rolled(target, paths, made, name):
    """A deployment of two revisions, as its controller would have left it: its path."""
    labels = {"app": name}
    spec = workload("Deployment", name)["spec"] | {"selector": {"matchLabels": labels}}
    note = "deployment.kubernetes.io/revision"
    path, _ = made("deployments", {"spec": spec}, annotations={note: "2"})
    body = target.get(path).json
    for revision, image in (("1", "example/c:0"), ("2", "example/c:1")):
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": body["metadata"]["uid"]}
        template = json.loads(json.dumps(body["spec"]["template"]))
        template["metadata"]["labels"]["pod-template-hash"] = revision
        template["spec"]["containers"][0]["image"] = image
        replicas = {
            "metadata": {
                "name": f"{name}-{revision}",
                "labels": {**labels, "pod-template-hash": revision},
                "annotations": {note: revision},
                "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
            },
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"pod-template-hash": revision}},
                "template": template,
            },
        }
        target.post(paths.of("replicasets"), replicas).ok(201)
    return path


def done(target, path):
    """What the controller reports of a finished roll-out."""
    generation = target.get(path).meta["generation"]
    target.patch(f"{path}/status", {"status": {"observedGeneration": generation}}).ok(200)


@pytest.mark.needs("quiet")
def test_rollout_status_waits_for_the_controller(kubectl, target, rolled, name):
    """reference: apiserver 1, rollout status: GET; informer LIST + WATCH by metadata.name"""
    with kubectl.running("rollout", "status", f"deployment/{name}", "--timeout=20s") as lines:
        lines.until("Waiting for deployment spec update to be observed")
        done(target, rolled)
        lines.until("successfully rolled out")
        assert lines.end() == 0


@pytest.mark.needs("quiet")
def test_rollout_history_lists_the_revisions(kubectl, rolled, name):
    """reference: apiserver 1, rollout history: typed GET + LIST replicasets by label"""
    lines = kubectl("rollout", "history", f"deployment/{name}").splitlines()
    assert [line.split()[0] for line in lines if line[:1].isdigit()] == ["1", "2"]
    assert "example/c:0" in kubectl("rollout", "history", f"deployment/{name}", "--revision=1")


@pytest.mark.needs("quiet")
def test_rollout_undo_takes_the_old_template(kubectl, rolled, name):
    """reference: apiserver 1, rollout undo"""
    assert kubectl("rollout", "undo", f"deployment/{name}") == f"deployment.apps/{name} rolled back\n"
    found = kubectl.json("get", "deployment", name)["spec"]["template"]
    assert found["spec"]["containers"][0]["image"] == "example/c:0"
    assert "pod-template-hash" not in found["metadata"]["labels"]


@pytest.mark.needs("quiet")
def test_rollout_pause_and_resume(kubectl, rolled, name):
    """reference: apiserver 1, rollout pause: strategic PATCH `fieldManager=kubectl-rollout`"""
    assert kubectl("rollout", "pause", f"deployment/{name}") == f"deployment.apps/{name} paused\n"
    assert kubectl.json("get", "deployment", name)["spec"]["paused"] is True
    assert "is already paused" in kubectl("rollout", "pause", f"deployment/{name}", fails=True)
    kubectl("rollout", "resume", f"deployment/{name}")
    assert "paused" not in kubectl.json("get", "deployment", name)["spec"]


@pytest.mark.needs("quiet")
def test_rollout_restart_marks_the_template(kubectl, rolled, name):
    """reference: apiserver 1, rollout restart"""
    assert kubectl("rollout", "restart", f"deployment/{name}") == f"deployment.apps/{name} restarted\n"
    meta = kubectl.json("get", "deployment", name)["spec"]["template"]["metadata"]
    assert "kubectl.kubernetes.io/restartedAt" in meta["annotations"]


# --- nodes


@pytest.fixture
def node(target, unique):
    """A node that no kubelet is on."""
    target.post("/api/v1/nodes", {"metadata": {"name": unique}, "spec": {"unschedulable": True}}).ok(201)
    yield unique
    target.delete(f"/api/v1/nodes/{unique}").ok(200)


def test_a_node_is_uncordoned_and_cordoned(kubectl, node):
    """reference: apiserver 1: kubectl cordon, uncordon"""
    assert kubectl("uncordon", node) == f"node/{node} uncordoned\n"
    assert kubectl("cordon", node) == f"node/{node} cordoned\n"
    assert "SchedulingDisabled" in kubectl("get", "node", node)
    assert kubectl("cordon", node) == f"node/{node} already cordoned\n"


def test_a_node_is_tainted(kubectl, node):
    """reference: apiserver 1: kubectl taint"""
    assert kubectl("taint", "node", node, "k=v:NoSchedule") == f"node/{node} tainted\n"
    taints = kubectl.json("get", "node", node)["spec"]["taints"]
    assert {"key": "k", "value": "v", "effect": "NoSchedule"} in taints
    assert kubectl("taint", "node", node, "k-") == f"node/{node} untainted\n"


def test_a_node_is_drained(kubectl, target, paths, node, name):
    """reference: apiserver 1, PROTOBUF: drain's evictions; 2, eviction"""
    body = {"metadata": {"name": name}, "spec": {**pod()["spec"], "nodeName": node}}
    body["spec"]["tolerations"] = [{"operator": "Exists"}]
    target.post(paths.of("pods"), body).ok(201)
    refused = kubectl("drain", node, fails=True)
    assert "cannot delete" in refused
    said = kubectl("drain", node, "--force", "--grace-period=0", "--timeout=20s")
    assert f"pod/{name} evicted" in said
    assert f"node/{node} drained" in said
    target.get(paths.of("pods", name)).ok(404)

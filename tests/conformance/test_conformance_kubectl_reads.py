"""reference: apiserver 1, table 'kubectl': what the real kubectl reads."""

import json
import re

import pytest
import yaml
from paths import NOBODY, autoscaler, configmap, pod, service, workload


@pytest.fixture(scope="module")
def things(target, paths):
    """Two configmaps, two pods, a service, an autoscaler, and a deployment of nothing."""
    for name, tier in (("b", "back"), ("a", "front")):
        body = configmap(name, {"x": "1", "y": "2"} if name == "a" else {"x": "1"}, labels={"tier": tier})
        target.post(paths.of("configmaps"), body).ok(201)
    for name in ("q", "p"):
        target.post(paths.of("pods"), pod(name)).ok(201)
    target.post(paths.of("services"), service("s", clusterIP="None", selector={"app": "p"})).ok(201)
    target.post(paths.of("horizontalpodautoscalers"), autoscaler("h")).ok(201)
    target.post(paths.of("deployments"), workload("Deployment", "d")).ok(201)
    target.post(paths.of("replicasets"), workload("ReplicaSet", "r")).ok(201)
    about = {"kind": "Pod", "name": "p", "namespace": paths.namespace, "apiVersion": "v1"}
    about["uid"] = target.get(paths.of("pods", "p")).meta["uid"]
    event = {"metadata": {"name": "e"}, "involvedObject": about, "reason": "Tested", "message": "it works"}
    event |= {"type": "Normal", "count": 1, "source": {"component": "conformer"}}
    event |= {"firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z"}
    target.post(paths.of("events"), event).ok(201)


def table(text):
    """Rows of a printed table by their columns."""
    header, *rows = text.rstrip().split("\n")
    starts = [found.start() for found in re.finditer(r"(?:(?<=\s\s)|^)\S", header)]
    edges = [*zip(starts, [*starts[1:], None], strict=True)]
    return [{header[a:b].strip(): row[a:b].strip() for a, b in edges} for row in rows]


# --- get


def test_get_prints_a_table(kubectl, things):
    """reference: apiserver 1, kubectl get: LIST with Accept as=Table"""
    rows = {row["NAME"]: row for row in table(kubectl("get", "configmaps"))}
    assert (rows["a"]["DATA"], rows["b"]["DATA"]) == ("2", "1")


def test_get_prints_the_usual_columns_of_pods(kubectl, things):
    """reference: apiserver 1, Table columns: client hides those after `|`"""
    row = table(kubectl("get", "pods"))[0]
    assert list(row) == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert (row["NAME"], row["READY"], row["STATUS"]) == ("p", "0/1", "Pending")


def test_get_wide_prints_all_columns(kubectl, things):
    """reference: apiserver 1, Table columns: server sends all cells"""
    row = table(kubectl("get", "pods", "-o", "wide"))[0]
    assert {"IP", "NODE", "NOMINATED NODE", "READINESS GATES"} <= set(row)


def test_get_one_by_name_and_by_type_slash_name(kubectl, things):
    """reference: apiserver 1, kubectl get: GET"""
    assert [row["NAME"] for row in table(kubectl("get", "cm", "a"))] == ["a"]
    assert kubectl("get", "cm/a", "cm/b", "-o", "name") == "configmap/a\nconfigmap/b\n"


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_get_prints_the_object(kubectl, things, form):
    """reference: apiserver 1, kubectl get: -o yaml/json plain"""
    text = kubectl("get", "cm", "a", "-o", form)
    assert yaml.safe_load(text)["data"] == {"x": "1", "y": "2"}


FORMS = {
    "jsonpath": ("jsonpath={.items[*].metadata.name}", "a b"),
    "go-template": ("go-template={{range .items}}{{.metadata.name}};{{end}}", "a;b;"),
    "custom-columns": (
        "custom-columns=N:.metadata.name,T:.metadata.labels.tier",
        "N     T\na     front\nb     back\n",
    ),
    "name": ("name", "configmap/a\nconfigmap/b\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_get_prints_what_is_asked_for(kubectl, things, form):
    """reference: apiserver 1, kubectl get: output formats"""
    flag, wanted = FORMS[form]
    assert kubectl("get", "cm", "-l", "tier", "-o", flag) == wanted


def test_get_sorts(kubectl, things):
    """reference: apiserver 1, kubectl get: --sort-by adds includeObject=Object"""
    rows = table(kubectl("get", "cm", "-l", "tier", "--sort-by=.metadata.labels.tier"))
    assert [row["NAME"] for row in rows] == ["b", "a"]


def test_get_selects_by_label_and_field(kubectl, things):
    """reference: apiserver 3, Labels and Fields, by kubectl"""
    assert kubectl("get", "cm", "-l", "tier in (back)", "-o", "name") == "configmap/b\n"
    assert kubectl("get", "cm", "--field-selector=metadata.name=a", "-o", "name") == "configmap/a\n"


def test_get_shows_labels_and_label_columns(kubectl, things):
    """reference: apiserver 1, kubectl get: labels come with the row's object"""
    assert "tier=back" in kubectl("get", "cm", "b", "--show-labels")
    assert table(kubectl("get", "cm", "b", "-L", "tier"))[0]["TIER"] == "back"


def test_get_a_subresource(kubectl, things):
    """reference: apiserver 1, kubectl get: --subresource"""
    scale = kubectl("get", "deployment", "d", "--subresource=scale", "-o", "json")
    assert json.loads(scale)["kind"] == "Scale"
    assert '"Pending"' in kubectl("get", "pod", "p", "--subresource=status", "-o", "json")


def test_get_in_pages(kubectl, things):
    """reference: apiserver 3, Continue, by kubectl --chunk-size"""
    names = kubectl("get", "cm", "-l", "tier", "--chunk-size=1", "-o", "name")
    assert names == "configmap/a\nconfigmap/b\n"


def test_get_everywhere(kubectl, things):
    """reference: apiserver 1, kubectl get: -A"""
    assert re.search(rf"{kubectl.namespace} +a +2 ", kubectl("get", "cm", "-A"))


def test_get_all(kubectl, things):
    """reference: apiserver 1, kubectl get all: categories"""
    text = kubectl("get", "all")
    assert {"pod/p", "service/s", "deployment.apps/d", "horizontalpodautoscaler.autoscaling/h"} <= set(
        text.split()
    )


def test_get_many_kinds_at_once(kubectl, things):
    """reference: apiserver 1, kubectl get of several kinds"""
    text = kubectl("get", "po,svc,cm", "-o", "name")
    assert {"pod/p", "service/s", "configmap/a"} <= set(text.split())


def test_get_says_what_is_not_there(kubectl, things):
    """reference: apiserver 4, 404, as kubectl prints it"""
    assert kubectl("get", "cm", "none", fails=True) == (
        'Error from server (NotFound): configmaps "none" not found\n'
    )
    assert "the server doesn't have a resource type" in kubectl("get", "nonsense", fails=True)
    assert kubectl("get", "cm", "none", "--ignore-not-found") == ""


def test_get_raw(kubectl, things):
    """reference: apiserver 1, kubectl get --raw"""
    assert kubectl("get", "--raw", "/readyz") == "ok"
    path = f"/api/v1/namespaces/{kubectl.namespace}/configmaps/a"
    assert json.loads(kubectl("get", "--raw", path))["data"]["y"] == "2"


def test_get_follows_changes(kubectl, target, paths, name, things):
    """reference: apiserver 1, get -w: Table LIST, then watch, one Table per event"""
    with kubectl.running("get", "leases", "-w", "--output-watch-events") as lines:
        target.post(paths.of("leases"), {"metadata": {"name": name}}).ok(201)
        lines.until("ADDED", name)
        target.patch(paths.of("leases", name), {"spec": {"holderIdentity": "me"}}).ok(200)
        lines.until("MODIFIED", name, "me")
        target.delete(paths.of("leases", name)).ok(200)
        lines.until("DELETED", name)


def test_get_follows_only_what_comes(kubectl, target, paths, name, things):
    """reference: apiserver 1, get --watch-only"""
    with kubectl.running("get", "cm", "--watch-only", "-o", "name") as lines:
        while not lines.seen:
            # The watch begins when it begins: write until the first event has come.
            target.post(paths.of("configmaps"), {"metadata": {"generateName": f"{name}-"}}).ok(201)
            if lines.ready(0.3):
                lines.until("configmap/")
        assert lines.seen[0].startswith(f"configmap/{name}-")


# --- describe, explain, discovery

DESCRIBED = {
    "pod": (
        "p",
        [r"Name: +p", r"Status: +Pending", r"Image: +example/c:1", r"Tested .* conformer +it works"],
    ),
    "configmap": ("a", [r"Name: +a", r"Labels: +tier=front", r"BinaryData"]),
    "service": ("s", [r"Selector: +app=p", r"Type: +ClusterIP", r"TargetPort: +80/TCP"]),
    "deployment": ("d", [r"StrategyType: +RollingUpdate", r"25% max unavailable, 25% max surge"]),
    "replicaset": ("r", [r"Replicas: +0 current / 0 desired", r"Pods Status: +0 Running"]),
    "hpa": ("h", [r"Reference: +Deployment/none", r"Min replicas: +1", r"Max replicas: +3"]),
    "namespace": ("", [r"Status: +Active"]),
    "serviceaccount": ("default", [r"Name: +default"]),
}


@pytest.mark.parametrize("kind", DESCRIBED)
def test_describe_tells_about_it(kubectl, things, kind):
    """reference: apiserver 1, describe: GET twice; events by involvedObject.uid,name,namespace,kind"""
    name, patterns = DESCRIBED[kind]
    text = kubectl("describe", kind, name or kubectl.namespace)
    for pattern in patterns:
        assert re.search(pattern, text), text


def test_events_are_told(kubectl, things):
    """reference: apiserver 1, kubectl events; Table columns: events"""
    assert re.search(r"Normal +Tested +pod/p +it works", kubectl("get", "events"))
    assert re.search(r"Normal +Tested +Pod/p +it works", kubectl("events", "--for=pod/p"))


def test_fields_are_explained(kubectl, things):
    """reference: apiserver 1, explain: v3 only"""
    assert re.search(r"minReadySeconds[\t ]*<integer>", kubectl("explain", "replicaset.spec"))
    assert "<string>" in kubectl("explain", "pod.spec.containers.image")
    assert "containers" in kubectl("explain", "deployment.spec.template.spec", "--recursive")


def test_an_unknown_field_is_not_explained(kubectl, things):
    """reference: apiserver 1, explain"""
    assert 'field "nonsense" does not exist' in kubectl("explain", "pod.nonsense", fails=True)


def test_resources_are_listed(kubectl, things):
    """reference: apiserver 1, api-resources: discovery only"""
    text = kubectl("api-resources")
    assert re.search(r"^deployments +deploy +apps/v1 +true +Deployment$", text, re.MULTILINE)
    assert re.search(r"^nodes +no +v1 +false +Node$", text, re.MULTILINE)
    verbs = kubectl("api-resources", "--api-group=apps", "-o", "wide")
    assert re.search(r"deployments .* create,delete,deletecollection,get,list,patch,update,watch +all", verbs)
    assert "deployments.apps" in kubectl("api-resources", "--verbs=list", "-o", "name").split()


def test_versions_are_listed(kubectl, things):
    """reference: apiserver 1, Common: discovery"""
    assert {"v1", "apps/v1", "autoscaling/v2", "events.k8s.io/v1"} <= set(kubectl("api-versions").split())


def test_the_servers_version_is_told(target, kubectl, things):
    """reference: apiserver 1, Common: /version"""
    told = json.loads(kubectl("get", "--raw", "/version"))
    assert told["gitVersion"] == target.get("/version").json["gitVersion"]


def test_the_cluster_is_told(target, kubectl, things):
    """reference: apiserver 1, cluster-info"""
    assert target.server in kubectl("cluster-info")


# --- who may what


def test_one_may(kubectl, things):
    """reference: apiserver 1, auth can-i: POST selfsubjectaccessreviews"""
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"
    assert kubectl("auth", "can-i", "get", "/healthz") == "yes\n"


def test_one_may_a_lot(kubectl, things):
    """reference: apiserver 1, auth can-i --list"""
    assert "*.*" in kubectl("auth", "can-i", "--list")


def test_one_is_somebody(kubectl, things):
    """reference: apiserver 1, auth whoami"""
    assert "system:authenticated" in kubectl("auth", "whoami")


# --- usage, logs


@pytest.mark.needs("metrics")
def test_usage_of_nodes_is_shown(kubectl, things):
    """reference: apiserver 1, top: group metrics.k8s.io"""
    (row, *_) = table(kubectl("top", "nodes"))
    assert re.fullmatch(r"\d+m", row["CPU(cores)"])


@pytest.fixture(scope="module")
def running(capabilities, kubectl, target, paths):
    """A pod that runs."""
    if "simulated" not in capabilities:
        pytest.skip("the target's nodes run real containers, or it has none")
    spec = {"containers": [{"name": "c", "image": "example/c:1"}]}
    target.post(paths.of("pods"), {"metadata": {"name": "run", "labels": {"run": "yes"}}, "spec": spec}).ok(
        201
    )
    kubectl("wait", "--for=condition=Ready", "pod/run", "--timeout=20s")
    return "run"


@pytest.mark.needs("simulated", "metrics")
def test_usage_of_pods_is_shown(kubectl, target, paths, running):
    """reference: apiserver 2, metrics.k8s.io/v1beta1: get/list pods; timestamp, window, containers[].usage"""
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{paths.namespace}/pods/{running}"
    found = target.eventually(path, lambda answer: answer.code == 200).json
    assert found["containers"][0]["name"] == "c"
    assert {"timestamp", "window"} <= set(found)
    assert [row["NAME"] for row in table(kubectl("top", "pods", "-l", "run=yes"))] == ["run"]


@pytest.mark.needs("simulated")
def test_logs_are_shown(kubectl, running):
    """reference: apiserver 1, logs: GET owner, LIST pods, pods/log"""
    kubectl("logs", running)
    kubectl("logs", running, "-c", "c", "--tail=1")
    assert "container none is not valid for pod run" in kubectl("logs", running, "-c", "none", fails=True)


@pytest.mark.needs("simulated")
def test_a_running_pod_is_shown_running(kubectl, running):
    """reference: apiserver 6, kubelet; 1, Table columns: pods"""
    (row,) = table(kubectl("get", "pod", running, "-o", "wide"))
    assert (row["READY"], row["STATUS"], row["RESTARTS"]) == ("1/1", "Running", "0")
    assert row["NODE"] != "<none>"
    assert row["IP"] != "<none>"


@pytest.mark.needs("nodes")
def test_nodes_are_described(kubectl, things):
    """reference: apiserver 1, describe node; 6, Nodes: conditions, capacity, lease"""
    name = kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    text = kubectl("describe", "node", name)
    for pattern in (
        r"Ready +True",
        r"MemoryPressure +False",
        r"Capacity:",
        r"Allocatable:",
        r"HolderIdentity: +\S",
    ):
        assert re.search(pattern, text), text
    assert name in kubectl("get", "leases", "-n", "kube-node-lease")


def test_pods_of_nobody_stay_pending(kubectl, things):
    """reference: apiserver 6, Scheduler: a pod that asks for another scheduler is left to it"""
    found = kubectl.json("get", "pod", "p")
    assert found["spec"]["schedulerName"] == NOBODY
    assert "nodeName" not in found["spec"]

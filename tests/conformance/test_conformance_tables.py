"""reference: apiserver 1, 'Table columns': what kubectl prints is what the server sends."""

import re

import pytest
from paths import autoscaler, configmap, event, lease, nowhere, pod, service, workload

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

COLUMNS = {
    "pods": ["Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates"],
    "deployments": ["Name", "Ready", "Up-to-date", "Available", "Age", "Containers", "Images", "Selector"],
    "replicasets": ["Name", "Desired", "Current", "Ready", "Age", "Containers", "Images", "Selector"],
    "horizontalpodautoscalers": ["Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"],
    "events": [
        "Last Seen",
        "Type",
        "Reason",
        "Object",
        "Subobject",
        "Source",
        "Message",
        "First Seen",
        "Count",
        "Name",
    ],
    "leases": ["Name", "Holder", "Age"],
    "nodes": [
        "Name",
        "Status",
        "Roles",
        "Age",
        "Version",
        "Internal-IP",
        "External-IP",
        "OS-Image",
        "Kernel-Version",
        "Container-Runtime",
    ],
    "namespaces": ["Name", "Status", "Age"],
    "serviceaccounts": ["Name", "Age"],
    "configmaps": ["Name", "Data", "Age"],
    "secrets": ["Name", "Type", "Data", "Age"],
    "services": ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector"],
    "roles": ["Name", "Created At"],
    "customresourcedefinitions": ["Name", "Created At"],
    "statefulsets": ["Name", "Ready", "Age", "Containers", "Images"],
    "poddisruptionbudgets": ["Name", "Min Available", "Max Unavailable", "Allowed Disruptions", "Age"],
}


def table_of(target, path, **query):
    return target.get(path, headers={"Accept": TABLE}, **query).ok(200).json


@pytest.mark.parametrize("resource", COLUMNS)
def test_a_table_has_the_kinds_columns(target, paths, resource):
    """reference: apiserver 1, Table columns"""
    table = table_of(target, paths.of(resource))
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [each["name"] for each in table["columnDefinitions"]] == COLUMNS[resource]
    names = [each for each in table["columnDefinitions"] if each["name"] == "Name"]
    assert names[0]["format"] == "name"


def row(target, paths, resource, name):
    table = table_of(target, paths.of(resource, name))
    cells = table["rows"][0]["cells"]
    return dict(zip([each["name"] for each in table["columnDefinitions"]], cells, strict=True))


def test_a_row_carries_its_metadata(target, paths, made, name):
    """reference: apiserver 1, Table columns: Row.object = PartialObjectMetadata"""
    path, before = made("configmaps", configmap())
    (found,) = table_of(target, path)["rows"]
    assert found["object"]["kind"] == "PartialObjectMetadata"
    assert found["object"]["metadata"]["uid"] == before.meta["uid"]
    assert found["cells"][:2] == [name, 1]


def test_a_row_carries_the_object_on_request(target, made):
    """reference: apiserver 1, Table columns: includeObject=Object; kubectl --sort-by"""
    path, _ = made("configmaps", configmap())
    (found,) = table_of(target, path, includeObject="Object")["rows"]
    assert (found["object"]["kind"], found["object"]["data"]) == ("ConfigMap", {"k": "v"})


def test_a_row_carries_nothing_on_request(target, made):
    """reference: apiserver 1, Table columns: includeObject=None"""
    path, _ = made("configmaps", configmap())
    (found,) = table_of(target, path, includeObject="None")["rows"]
    assert not found.get("object")


def test_a_watch_of_tables_defines_columns_once(target, paths, made, name):
    """reference: apiserver 1, Table columns: in a watch only the first event has columnDefinitions"""
    path, before = made("leases", lease())
    query = {"resourceVersion": before.version, "fieldSelector": f"metadata.name={name}"}
    with target.watch(paths.of("leases"), {"Accept": TABLE}, **query) as watch:
        for holder in ("b", "c"):
            target.patch(path, {"spec": {"holderIdentity": holder}}).ok(200)
        events = [watch.next(), watch.next()]
    assert [event["object"]["kind"] for event in events] == ["Table", "Table"]
    assert events[0]["object"]["columnDefinitions"]
    assert not events[1]["object"].get("columnDefinitions")
    assert [event["object"]["rows"][0]["cells"][1] for event in events] == ["b", "c"]


def test_an_error_of_a_watch_of_tables_is_a_status(target, paths):
    """reference: apiserver 1, Table columns: ERROR stays a Status"""
    with target.watch(paths.of("configmaps"), {"Accept": TABLE}, resourceVersion="1") as watch:
        found = watch.next()
    assert (found["type"], found["object"]["kind"]) == ("ERROR", "Status")


def container_status(state, **more):
    return {
        "name": "c",
        "image": "i",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": state,
        **more,
    }


SHOWN = {
    "pending": ({}, "Pending", "0/1"),
    "reason": ({"phase": "Failed", "reason": "Evicted"}, "Evicted", "0/1"),
    "waiting": (
        {"containerStatuses": [container_status({"waiting": {"reason": "ImagePullBackOff"}})]},
        "ImagePullBackOff",
        "0/1",
    ),
    "exit-code": (
        {"phase": "Running", "containerStatuses": [container_status({"terminated": {"exitCode": 3}})]},
        "ExitCode:3",
        "0/1",
    ),
    "terminated": (
        {
            "phase": "Failed",
            "containerStatuses": [container_status({"terminated": {"exitCode": 1, "reason": "OOMKilled"}})],
        },
        "OOMKilled",
        "0/1",
    ),
    "running": (
        {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                container_status({"running": {"startedAt": "2026-01-01T00:00:00Z"}}, ready=True)
            ],
        },
        "Running",
        "1/1",
    ),
}


@pytest.mark.parametrize("case", SHOWN)
def test_a_pods_row_tells_its_state(target, paths, made, name, case):
    """reference: apiserver 1, Table columns: Pod Status"""
    status, shown, ready = SHOWN[case]
    path, _ = made("pods", pod())
    target.patch(f"{path}/status", {"status": status}).ok(200)
    found = row(target, paths, "pods", name)
    assert (found["Status"], found["Ready"], found["Restarts"]) == (shown, ready, "0")


def test_a_pods_row_tells_of_restarts(target, paths, made, name):
    """reference: apiserver 1, Table columns: Restarts "2 (5m ago)\""""
    path, _ = made("pods", pod())
    ended = {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:00:00Z"}}
    status = container_status({"running": {}}, restartCount=2, lastState=ended)
    target.patch(f"{path}/status", {"status": {"containerStatuses": [status]}}).ok(200)
    assert re.fullmatch(r"2 \(\d+d ago\)", row(target, paths, "pods", name)["Restarts"])


def test_a_pods_row_tells_of_init_containers(target, paths, made, name):
    """reference: apiserver 1, Table columns: Init:…"""
    inits = [{"name": "i", "image": "i"}, {"name": "j", "image": "i"}]
    path, _ = made("pods", pod(initContainers=inits))
    waiting = [
        {**container_status({"waiting": {"reason": "PodInitializing"}}), "name": each["name"]}
        for each in inits
    ]
    target.patch(f"{path}/status", {"status": {"initContainerStatuses": waiting}}).ok(200)
    assert row(target, paths, "pods", name)["Status"] == "Init:0/2"


def test_a_deleted_pods_row_says_terminating(target, paths, made, name):
    """reference: apiserver 1, Table columns: deletionTimestamp → Terminating"""
    path, _ = made("pods", pod(nodeName=nowhere()))
    target.delete(path).ok(200)
    assert row(target, paths, "pods", name)["Status"] == "Terminating"


def test_an_autoscalers_row(target, paths, made, name):
    """reference: apiserver 1, Table columns: hpa: Reference, Targets `<unknown>`"""
    made("horizontalpodautoscalers", autoscaler())
    found = row(target, paths, "horizontalpodautoscalers", name)
    assert (found["Reference"], found["Targets"]) == ("Deployment/none", "cpu: <unknown>/80%")
    assert (found["MinPods"], found["MaxPods"], found["Replicas"]) == ("1", 3, 0)


def test_an_events_row(target, paths, name):
    """reference: apiserver 1, Table columns: Object "pod/x\""""
    more = {"type": "Normal", "count": 3, "source": {"component": "s", "host": "h"}}
    target.post(paths.of("events"), event(paths.namespace, name, **more)).ok(201)
    found = row(target, paths, "events", name)
    assert (found["Object"], found["Source"], found["Count"], found["Message"]) == ("pod/p", "s, h", 3, "m")
    assert found["Last Seen"] == "<unknown>"


def test_a_services_row(target, paths, made, name):
    """reference: apiserver 1, Table columns: services"""
    made("services", service(clusterIP="None", selector={"a": "b"}))
    found = row(target, paths, "services", name)
    assert (found["Cluster-IP"], found["External-IP"], found["Port(s)"]) == ("None", "<none>", "80/TCP")
    assert found["Selector"] == "a=b"


@pytest.mark.needs("quiet")
def test_a_deployments_row(target, paths, made, name):
    """reference: apiserver 1, Table columns: counts are integers"""
    made("deployments", workload("Deployment", replicas=2))
    found = row(target, paths, "deployments", name)
    assert (found["Ready"], found["Up-to-date"], found["Available"]) == ("0/2", 0, 0)
    assert (found["Containers"], found["Images"], found["Selector"]) == ("c", "example/c:1", "app=w")

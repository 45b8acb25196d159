"""reference: apiserver 6: what simulated kubelets and a scheduler do to pods, as a client sees it."""

import pytest
from paths import pod_spec

pytestmark = pytest.mark.needs("simulated")
IMPOSSIBLE = {"conformance.test/no-such-node": "yes"}


def plain(name, **spec):
    """A pod for the cluster's own scheduler."""
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": pod_spec(**spec)}


def conditions(found):
    return {each["type"]: each["status"] for each in found["status"].get("conditions") or ()}


def ready(answer):
    return conditions(answer.json).get("Ready") == "True"


@pytest.fixture
def life(target, paths, name):
    """Create a pod and follow it: life(spec, until) → the pod at each event."""

    def follow(until, **spec):
        made = target.post(paths.of("pods"), plain(name, **spec)).ok(201)
        query = {"resourceVersion": made.version, "fieldSelector": f"metadata.name={name}"}
        with target.watch(paths.of("pods"), **query) as watch:
            events = watch.until(lambda event: until(event["object"]))
        return [made.json, *(event["object"] for event in events)]

    return follow


def is_ready(found):
    return conditions(found).get("Ready") == "True"


def test_a_pod_is_bound_started_and_ready_in_this_order(life):
    """reference: apiserver 6, Kubelet: (1) … (4)"""
    seen = life(is_ready)
    assert [each["status"]["phase"] for each in seen][:1] == ["Pending"]
    bound = next(i for i, each in enumerate(seen) if each["spec"].get("nodeName"))
    waiting = next(i for i, each in enumerate(seen) if conditions(each).get("Ready") == "False")
    running = next(i for i, each in enumerate(seen) if each["status"]["phase"] == "Running")
    assert bound < waiting < running


def test_a_starting_pod_says_which_containers_are_not_ready(life):
    """reference: apiserver 6, Kubelet: ContainersNotReady "containers with unready status: [c]\""""
    seen = life(is_ready)
    (first,) = [
        each
        for each in next(found for found in seen if conditions(found).get("Ready") == "False")["status"][
            "conditions"
        ]
        if each["type"] == "Ready"
    ]
    assert (first["reason"], first["message"]) == (
        "ContainersNotReady",
        "containers with unready status: [c]",
    )


def test_a_starting_container_waits_creating(life):
    """reference: apiserver 6, Kubelet: containers waiting ContainerCreating"""
    seen = life(is_ready)
    states = [
        each["status"]["containerStatuses"][0]["state"]
        for each in seen
        if each["status"].get("containerStatuses")
    ]
    assert states[0] == {"waiting": {"reason": "ContainerCreating"}}
    assert set(states[-1]) == {"running"}


def test_a_running_pod_has_addresses_and_ids(life):
    """reference: apiserver 6, Kubelet: podIP(s), startedAt, started, containerID, imageID"""
    status = life(is_ready)[-1]["status"]
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    assert status["hostIP"]
    assert status["startTime"]
    (container,) = status["containerStatuses"]
    assert (container["ready"], container["started"], container["restartCount"]) == (True, True, 0)
    assert container["containerID"]
    assert container["imageID"]


def test_init_containers_come_first(life):
    """reference: apiserver 6, Kubelet: PodInitializing behind init containers; init containers in turn"""
    seen = life(is_ready, initContainers=[{"name": "i", "image": "i:1"}])
    starting = next(each for each in seen if each["status"].get("containerStatuses"))["status"]
    assert starting["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    (init,) = seen[-1]["status"]["initContainerStatuses"]
    assert init["state"]["terminated"]["reason"] == "Completed"
    assert conditions(seen[-1])["Initialized"] == "True"


def test_a_stopped_pod_ends_before_it_goes(target, paths, life, name):
    """reference: apiserver 6, Delete: phase becomes Succeeded/Failed first, then DELETE; 9, trap 19"""
    version = life(is_ready)[-1]["metadata"]["resourceVersion"]
    query = {"resourceVersion": version, "fieldSelector": f"metadata.name={name}"}
    with target.watch(paths.of("pods"), **query) as watch:
        target.delete(paths.of("pods", name), {"gracePeriodSeconds": 5}).ok(200)
        events = watch.until(lambda event: event["type"] == "DELETED")
    phases = [event["object"]["status"]["phase"] for event in events]
    assert phases[0] == "Running"
    assert events[0]["object"]["metadata"]["deletionTimestamp"]
    assert phases[-1] in ("Succeeded", "Failed")
    assert events[-2]["type"] == "MODIFIED"


def test_a_pod_that_fits_nowhere_says_so(target, paths, life, name):
    """reference: apiserver 6, Scheduler: PodScheduled=False/Unschedulable + event"""
    found = life(lambda each: conditions(each).get("PodScheduled") == "False", nodeSelector=IMPOSSIBLE)[-1]
    (scheduled,) = [each for each in found["status"]["conditions"] if each["type"] == "PodScheduled"]
    assert scheduled["reason"] == "Unschedulable"
    selector = f"involvedObject.name={name},reason=FailedScheduling"
    path = f"{paths.of('events')}?fieldSelector={selector}"
    assert target.eventually(path, lambda answer: answer.json["items"]).json["items"][0]["type"] == "Warning"


def test_a_pod_too_big_fits_nowhere(life):
    """reference: apiserver 6, Scheduler: capacity"""
    big = [{"name": "c", "image": "i:1", "resources": {"requests": {"cpu": "1M"}}}]
    found = life(lambda each: conditions(each).get("PodScheduled") == "False", containers=big)[-1]
    assert "Insufficient cpu" in str(found["status"]["conditions"])


def test_a_gated_pod_waits(target, paths, life, name):
    """reference: apiserver 6, Scheduler: unbound Pending pod, no gates"""
    gated = target.post(paths.of("pods"), plain(name, schedulingGates=[{"name": "conformance.test/g"}])).ok(
        201
    )
    assert "nodeName" not in gated.json["spec"]
    target.patch(paths.of("pods", name), {"spec": {"schedulingGates": []}}).ok(200)
    target.eventually(paths.of("pods", name), ready)


def test_an_image_that_is_not_there_keeps_the_pod_pending(life):
    """reference: apiserver 6, Failures: ErrImagePull ↔ ImagePullBackOff (Pending); e2e's `:nonexistent`"""

    def failing(found):
        statuses = found["status"].get("containerStatuses") or [{"state": {}}]
        return statuses[0]["state"].get("waiting", {}).get("reason") in ("ErrImagePull", "ImagePullBackOff")

    found = life(failing, containers=[{"name": "c", "image": "example/c:nonexistent"}])[-1]
    assert found["status"]["phase"] == "Pending"


def test_events_tell_of_the_start(target, paths, life, name):
    """reference: apiserver 1, describe: events of scheduler and kubelet"""
    life(is_ready)
    path = f"{paths.of('events')}?fieldSelector=involvedObject.name={name}"

    def told(answer):
        return {"Scheduled", "Pulled", "Created", "Started"} <= {
            each["reason"] for each in answer.json["items"]
        }

    target.eventually(path, told)


def test_nodes_renew_their_leases(target):
    """reference: apiserver 6, Nodes: Lease kube-node-lease/<node> 40 s"""
    names = [
        node["metadata"]["name"] for node in target.get("/api/v1/nodes").json["items"] if "status" in node
    ]
    leases = target.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases").ok(200)
    assert len(names) >= 2
    found = {each["metadata"]["name"]: each["spec"] for each in leases.json["items"]}
    assert {spec["leaseDurationSeconds"] for spec in found.values()} == {40}
    assert set(found) & set(names)


def test_usage_is_measured(target, paths, life, name):
    """reference: apiserver 2, metrics.k8s.io/v1beta1; 6, Metrics"""
    life(is_ready)
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{paths.namespace}/pods/{name}"
    found = target.eventually(path, lambda answer: answer.code == 200).json
    assert set(found["containers"][0]["usage"]) == {"cpu", "memory"}

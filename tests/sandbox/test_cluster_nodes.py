"""Nodes that fall silent, are cordoned, deleted and come back: on the API server, in virtual time."""

import asyncio
import json

import msgspec
import pytest

from kcm.base.rng import SeededRng
from kcm.sandbox.api.faults import Fault, Refuse
from kcm.sandbox.api.server import ApiServer
from kcm.sandbox.cluster import Cluster, ClusterSettings, Pace
from kcm.sandbox.cluster.calls import MERGE, Api
from kcm.sandbox.cluster.taints import evict_after, wanted_taints
from kcm.sandbox.cluster.views import NodeView, Taint, Toleration
from kcm.testing.virtual import VirtualClock, run

PODS = "/api/v1/namespaces/default/pods"
NODE = "/api/v1/nodes/sandbox-node-1"
FAULT = "sandbox.kcm.dev/fault"


class World:
    def __init__(self, settings):
        self.clock, rng = VirtualClock(), SeededRng(1)
        self.server = ApiServer(self.clock, rng)
        self.cluster = Cluster(self.server.handle, settings, self.clock, rng)
        self.user = Api(self.server.handle, "user")

    async def get(self, path):
        return json.loads(await self.user.get(path))

    async def annotate_node(self, value):
        await self.user.patch(NODE, {"metadata": {"annotations": {FAULT: value}}}, MERGE)

    async def create_pod(self, name="p", **spec):
        spec = {"containers": [{"name": "c", "image": "web:1"}], **spec}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        await self.user.create(PODS, body)

    async def condition(self, path, type_):
        conditions = (await self.get(path))["status"]["conditions"]
        return next((each for each in conditions if each["type"] == type_), {"status": ""})

    async def taints(self):
        return [(each["key"], each["effect"]) for each in (await self.get(NODE))["spec"].get("taints", [])]

    async def reasons(self, name):
        items = (await self.get("/api/v1/namespaces/default/events"))["items"]
        return {each["reason"] for each in items if each["involvedObject"]["name"] == name}


def on_a_cluster(story, **settings):
    async def main():
        there = World(ClusterSettings(**settings))
        async with asyncio.TaskGroup() as group:
            server = group.create_task(there.server.run())
            await there.cluster.register()
            cluster = group.create_task(there.cluster.run())
            await there.clock.sleep(1)
            await story(there)
            server.cancel()
            cluster.cancel()

    run(main())


UNREACHABLE = "node.kubernetes.io/unreachable"


def test_a_lost_node_becomes_unknown_after_its_grace_and_its_pods_are_evicted_after_their_tolerations():
    async def story(there):
        await there.create_pod()
        await there.clock.sleep(5)
        assert (await there.condition(f"{PODS}/p", "Ready"))["status"] == "True"
        await there.annotate_node("lost")
        await there.clock.sleep(39)
        assert (await there.condition(NODE, "Ready"))["status"] == "True"
        await there.clock.sleep(3)
        ready = await there.condition(NODE, "Ready")
        assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
        assert ready["message"] == "Kubelet stopped posting node status."
        assert await there.taints() == [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]
        assert (await there.condition(f"{PODS}/p", "Ready"))["status"] == "False"
        assert "NodeNotReady" in await there.reasons("sandbox-node-1")
        assert "NodeNotReady" in await there.reasons("p")
        await there.clock.sleep(290)
        assert "deletionTimestamp" not in (await there.get(f"{PODS}/p"))["metadata"]
        await there.clock.sleep(15)
        pod = await there.get(f"{PODS}/p")
        assert pod["metadata"]["deletionTimestamp"], "deleted, but its kubelet cannot confirm it"
        why = await there.condition(f"{PODS}/p", "DisruptionTarget")
        assert (why["status"], why["reason"]) == ("True", "DeletionByTaintManager")
        assert "TaintManagerEviction" in await there.reasons("p")
        await there.clock.sleep(600)
        assert (await there.get(f"{PODS}/p"))["metadata"]["name"] == "p"
        await there.annotate_node(None)
        await there.clock.sleep(5)
        assert (await there.get(PODS))["items"] == []
        assert (await there.condition(NODE, "Ready"))["status"] == "True"
        assert await there.taints() == []

    on_a_cluster(story, nodes=1)


def test_a_node_that_comes_back_in_time_keeps_its_pods():
    async def story(there):
        await there.create_pod()
        await there.clock.sleep(5)
        await there.annotate_node("lost")
        await there.clock.sleep(100)
        assert (await there.condition(f"{PODS}/p", "Ready"))["status"] == "False"
        await there.annotate_node(None)
        await there.clock.sleep(2)
        assert (await there.condition(f"{PODS}/p", "Ready"))["status"] == "True"
        assert await there.taints() == []
        await there.clock.sleep(600)
        assert "deletionTimestamp" not in (await there.get(f"{PODS}/p"))["metadata"]

    on_a_cluster(story, nodes=1)


def test_a_node_that_is_lost_only_shortly_is_never_unknown():
    async def story(there):
        await there.annotate_node("lost")
        await there.clock.sleep(30)
        await there.annotate_node(None)
        await there.clock.sleep(60)
        ready = await there.condition(NODE, "Ready")
        assert (ready["status"], ready["lastTransitionTime"]) == ("True", "2026-01-01T00:00:00Z")

    on_a_cluster(story, nodes=1)


def test_a_node_that_is_not_ready_is_tainted_at_once():
    async def story(there):
        await there.annotate_node("not-ready")
        await there.clock.sleep(1)
        assert (await there.condition(NODE, "Ready"))["reason"] == "KubeletNotReady"
        key = "node.kubernetes.io/not-ready"
        assert await there.taints() == [(key, "NoSchedule"), (key, "NoExecute")]

    on_a_cluster(story, nodes=1)


def test_times_of_a_node_loss_are_divided_by_the_speed():
    async def story(there):
        await there.create_pod()
        await there.clock.sleep(2)
        await there.annotate_node("lost")
        await there.clock.sleep(5)
        assert (await there.condition(NODE, "Ready"))["status"] == "Unknown"
        await there.clock.sleep(31)
        assert "deletionTimestamp" in (await there.get(f"{PODS}/p"))["metadata"]

    on_a_cluster(story, nodes=1, pace=Pace(speed=10.0))


def test_a_replacement_goes_to_another_node():
    async def story(there):
        await there.annotate_node("lost")
        await there.clock.sleep(60)
        await there.create_pod()
        await there.clock.sleep(3)
        pod = await there.get(f"{PODS}/p")
        assert (pod["spec"]["nodeName"], pod["status"]["phase"]) == ("sandbox-node-2", "Running")

    on_a_cluster(story, nodes=2)


def test_pods_of_a_deleted_node_fail_and_go():
    async def story(there):
        await there.create_pod()
        await there.clock.sleep(5)
        watch = await there.user.watch(
            PODS, resourceVersion=(await there.get(PODS))["metadata"]["resourceVersion"]
        )
        await there.user.delete(NODE, {"kind": "DeleteOptions", "apiVersion": "v1"})
        await there.clock.sleep(60)
        assert (await there.get(PODS))["items"] == []
        seen = []
        async for chunk in watch:
            seen += [json.loads(line) for line in chunk.splitlines()]
            if seen[-1]["type"] == "DELETED":
                break
        await watch.aclose()
        last = seen[-1]["object"]["status"]
        assert last["phase"] == "Failed"
        assert "DeletionByPodGC" in [each.get("reason") for each in last["conditions"]]

    on_a_cluster(story, nodes=1)


def test_a_node_that_is_created_again_is_ready_and_takes_pods():
    async def story(there):
        node = await there.get(NODE)
        await there.user.delete(NODE, {"kind": "DeleteOptions", "apiVersion": "v1"})
        await there.clock.sleep(5)
        again = {"name": node["metadata"]["name"], "labels": node["metadata"]["labels"]}
        await there.user.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": again})
        await there.clock.sleep(2)
        assert (await there.condition(NODE, "Ready"))["status"] == "True"
        await there.create_pod()
        await there.clock.sleep(3)
        assert (await there.get(f"{PODS}/p"))["status"]["phase"] == "Running"

    on_a_cluster(story, nodes=1)


@pytest.mark.parametrize("note", [{"kwok.x-k8s.io/node": "fake"}, {"sandbox.kcm.dev/node": "simulated"}])
def test_a_node_that_a_user_makes_gets_a_kubelet_of_the_size_it_says(note):
    async def story(there):
        meta = {"name": "mine", "labels": {"disk": "ssd"}, "annotations": note}
        body = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": {"capacity": {"cpu": "2"}}}
        await there.user.create("/api/v1/nodes", body)
        await there.create_pod("bound", nodeName="mine")
        await there.create_pod("chosen", nodeSelector={"disk": "ssd"})
        await there.clock.sleep(5)
        node = await there.get("/api/v1/nodes/mine")
        assert (await there.condition("/api/v1/nodes/mine", "Ready"))["status"] == "True"
        assert (node["status"]["allocatable"]["cpu"], node["spec"].get("taints")) == ("2", None)
        pods = (await there.get(PODS))["items"]
        assert {(pod["spec"]["nodeName"], pod["status"]["phase"]) for pod in pods} == {("mine", "Running")}
        lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/mine"
        before = (await there.get(lease))["spec"]["renewTime"]
        await there.clock.sleep(15)
        assert (await there.get(lease))["spec"]["renewTime"] > before
        await there.user.delete("/api/v1/nodes/mine", {"kind": "DeleteOptions", "apiVersion": "v1"})
        await there.clock.sleep(60)
        assert (await there.get(PODS))["items"] == []

    on_a_cluster(story, nodes=1)


def test_a_node_without_a_kubelet_runs_nothing():
    async def story(there):
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "real"}}
        await there.user.create("/api/v1/nodes", body)
        await there.create_pod(nodeName="real")
        await there.clock.sleep(60)
        assert (await there.get(f"{PODS}/p"))["status"]["phase"] == "Pending"
        note = {"metadata": {"annotations": {"sandbox.kcm.dev/node": "simulated"}}}
        await there.user.patch("/api/v1/nodes/real", note, MERGE)
        await there.clock.sleep(5)
        assert (await there.get(f"{PODS}/p"))["status"]["phase"] == "Running"

    on_a_cluster(story, nodes=1)


def test_a_report_that_is_refused_is_made_again():
    async def story(there):
        await there.annotate_node("lost")
        await there.clock.sleep(60)
        there.server.faults.add(Fault(Refuse(500), "patch", "nodes/status", times=5))
        await there.annotate_node(None)
        await there.clock.sleep(10)
        assert (await there.condition(NODE, "Ready"))["status"] == "True"

    on_a_cluster(story, nodes=1)


def test_a_cordoned_node_is_tainted_and_says_so_to_pods():
    async def story(there):
        await there.user.patch(NODE, {"spec": {"unschedulable": True}}, MERGE)
        await there.create_pod()
        await there.clock.sleep(2)
        assert await there.taints() == [("node.kubernetes.io/unschedulable", "NoSchedule")]
        why = await there.condition(f"{PODS}/p", "PodScheduled")
        assert why["message"] == (
            "0/1 nodes are available: 1 node(s) were unschedulable. "
            "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        )
        await there.user.patch(NODE, {"spec": {"unschedulable": None}}, MERGE)
        await there.clock.sleep(3)
        assert await there.taints() == []
        assert (await there.get(f"{PODS}/p"))["status"]["phase"] == "Running"

    on_a_cluster(story, nodes=1)


def test_a_no_execute_taint_of_somebody_elses_evicts_at_once_and_stays():
    async def story(there):
        forever = [{"key": "maintenance", "operator": "Exists"}]
        await there.create_pod("stays", tolerations=forever)
        await there.create_pod("goes")
        await there.clock.sleep(3)
        taint = {"key": "maintenance", "value": "now", "effect": "NoExecute"}
        await there.user.patch(NODE, {"spec": {"taints": [taint]}}, MERGE)
        await there.clock.sleep(5)
        assert [each["metadata"]["name"] for each in (await there.get(PODS))["items"]] == ["stays"]
        assert await there.taints() == [("maintenance", "NoExecute")]

    on_a_cluster(story, nodes=1)


def test_the_lifecycle_of_nodes_can_be_left_to_others():
    async def story(there):
        await there.annotate_node("lost")
        await there.clock.sleep(600)
        assert (await there.condition(NODE, "Ready"))["status"] == "True"
        assert await there.taints() == []

    on_a_cluster(story, nodes=1, lifecycle=False)


EXECUTE = Taint("k", "NoExecute", "v")


@pytest.mark.parametrize(
    ("tolerations", "taints", "seconds"),
    [
        pytest.param([], [EXECUTE], 0.0, id="not tolerated"),
        pytest.param([], [Taint("k", "NoSchedule")], None, id="only kept away"),
        pytest.param([Toleration("k", "Exists")], [EXECUTE], None, id="tolerated for ever"),
        pytest.param([Toleration("k", "Exists", toleration_seconds=30)], [EXECUTE], 30, id="for a while"),
        pytest.param([Toleration("k", "Equal", "v", toleration_seconds=-5)], [EXECUTE], 0, id="negative"),
        pytest.param([Toleration("k", "Equal", "other")], [EXECUTE], 0.0, id="another value"),
        pytest.param(
            [Toleration("k", "Exists"), Toleration("k", "Exists", toleration_seconds=7)],
            [EXECUTE],
            7,
            id="the shortest counts",
        ),
        pytest.param(
            [Toleration("k", "Exists", toleration_seconds=7)],
            [EXECUTE, Taint("x", "NoExecute")],
            0.0,
            id="all",
        ),
    ],
)
def test_how_long_a_pod_may_stay(tolerations, taints, seconds):
    assert evict_after(tuple(tolerations), taints) == seconds


def node(ready="True", taints=(), unschedulable=False, **verdicts):
    conditions = [{"type": type_, "status": status} for type_, status in {"Ready": ready, **verdicts}.items()]
    spec = {"unschedulable": unschedulable, "taints": msgspec.to_builtins(taints)}
    body = {"metadata": {"name": "n"}, "spec": spec, "status": {"conditions": conditions}}
    return msgspec.convert(body, NodeView)


@pytest.mark.parametrize(
    ("view", "taints"),
    [
        pytest.param(node(), [], id="well"),
        pytest.param(node("Unknown"), ["unreachable:NoSchedule", "unreachable:NoExecute"], id="silent"),
        pytest.param(node("False"), ["not-ready:NoSchedule", "not-ready:NoExecute"], id="not ready"),
        pytest.param(node(unschedulable=True), ["unschedulable:NoSchedule"], id="cordoned"),
        pytest.param(node(DiskPressure="True"), ["disk-pressure:NoSchedule"], id="under pressure"),
        pytest.param(node(taints=[EXECUTE]), ["k:NoExecute"], id="keeps others"),
        pytest.param(node(taints=[Taint(UNREACHABLE, "NoExecute")]), [], id="recovers"),
    ],
)
def test_taints_follow_from_a_nodes_state(view, taints):
    found = wanted_taints(view, "2026-01-01T00:00:00Z")
    assert [f"{each.key.rpartition('/')[2]}:{each.effect}" for each in found] == taints
    settled = msgspec.structs.replace(view, spec=msgspec.structs.replace(view.spec, taints=found))
    assert wanted_taints(settled, "later") == found, "a taint that is there stays as it is"


def test_an_eviction_that_is_refused_is_tried_again():
    async def story(there):
        await there.create_pod()
        await there.clock.sleep(3)
        there.server.faults.add(Fault(Refuse(500), "*", "*", agent="node-controller", times=3))
        taint = {"key": "out", "effect": "NoExecute"}
        await there.user.patch(NODE, {"spec": {"taints": [taint]}}, MERGE)
        await there.clock.sleep(10)
        assert (await there.get(PODS))["items"] == []

    on_a_cluster(story, nodes=1)

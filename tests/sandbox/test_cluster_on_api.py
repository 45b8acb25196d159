"""The simulated cluster on the sandbox's API server, in process and in virtual time."""

import asyncio
import json
import math
from contextlib import asynccontextmanager

import pytest

from kcm.base.errors import ConfigurationError
from kcm.base.rng import SeededRng
from kcm.sandbox.api.faults import Compact, CutWatch, DropAfter, DropBefore, Fault, Refuse
from kcm.sandbox.api.server import ApiServer
from kcm.sandbox.cluster import Cluster, ClusterSettings, NodeShape, Pace
from kcm.sandbox.cluster.calls import MERGE, Api
from kcm.testing.virtual import VirtualClock, run

PODS = "/api/v1/namespaces/default/pods"


class World:
    """An API server with a cluster, and a user who talks to it."""

    def __init__(self, settings):
        self.clock, rng = VirtualClock(), SeededRng(1)
        self.server = ApiServer(self.clock, rng)
        self.cluster = Cluster(self.server.handle, settings, self.clock, rng)
        self.user = Api(self.server.handle, "user")

    async def get(self, path, **query):
        return json.loads(await self.user.get(path, **query))

    async def pods(self):
        return (await self.get("/api/v1/pods"))["items"]

    async def pod(self, name="p"):
        return await self.get(f"{PODS}/{name}")

    async def create_pod(self, name="p", annotations=None, **spec):
        notes = {f"sandbox.kcm.dev/{key}": value for key, value in (annotations or {}).items()}
        spec = {"containers": [{"name": "c", "image": "web:1"}], **spec}
        body = {"metadata": {"name": name, "annotations": notes}, "spec": spec}
        return json.loads(await self.user.create(PODS, {"apiVersion": "v1", "kind": "Pod", **body}))

    async def delete_pod(self, name="p", **options):
        await self.user.delete(f"{PODS}/{name}", {"kind": "DeleteOptions", "apiVersion": "v1", **options})

    async def events(self, name="p"):
        items = (await self.get("/api/v1/namespaces/default/events"))["items"]
        return [each for each in items if each["involvedObject"]["name"] == name]


@asynccontextmanager
async def world(**settings):
    there = World(ClusterSettings(**settings))
    async with asyncio.TaskGroup() as group:
        server = group.create_task(there.server.run())
        await there.cluster.register()
        cluster = group.create_task(there.cluster.run())
        try:
            yield there
        finally:
            server.cancel()
            cluster.cancel()


def condition(pod, type_):
    return next(each for each in pod["status"]["conditions"] if each["type"] == type_)


def test_nodes_are_ready_and_their_leases_are_renewed():
    async def story():
        async with world(nodes=3) as there:
            nodes = (await there.get("/api/v1/nodes"))["items"]
            assert [each["metadata"]["name"] for each in nodes] == [f"sandbox-node-{n}" for n in (1, 2, 3)]
            assert {condition(each, "Ready")["status"] for each in nodes} == {"True"}
            await there.clock.sleep(1000)
            path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/sandbox-node-2"
            renewed = (await there.get(path))["spec"]["renewTime"]
            assert renewed > "2026-01-01T00:16:20"
            node = await there.get("/api/v1/nodes/sandbox-node-1")
            ready = condition(node, "Ready")
            assert ready["lastHeartbeatTime"] == "2026-01-01T00:15:00Z"
            assert ready["lastTransitionTime"] == "2026-01-01T00:00:00Z"

    run(story())


def test_a_pod_is_bound_started_and_ready():
    async def story():
        async with world() as there:
            await there.create_pod()
            await there.clock.sleep(2)
            pod = await there.pod()
            assert pod["spec"]["nodeName"] == "sandbox-node-1"
            assert pod["status"]["phase"] == "Running"
            assert condition(pod, "Ready")["status"] == "True"
            assert condition(pod, "PodScheduled")["status"] == "True"
            assert "reason" not in condition(pod, "Ready")
            assert pod["status"]["containerStatuses"][0]["state"]["running"]
            assert pod["status"]["podIP"].startswith("10.")
            assert pod["status"]["qosClass"] == "BestEffort"
            reasons = [each["reason"] for each in await there.events()]
            assert sorted(reasons) == ["Created", "Pulled", "Scheduled", "Started"]

    run(story())


@pytest.mark.parametrize(
    "action",
    [
        pytest.param({"httpGet": {"path": "/ok", "port": 80}}, id="http"),
        pytest.param({"exec": {"command": ["true"]}}, id="exec"),
        pytest.param({"tcpSocket": {"port": "web"}}, id="tcp"),
        pytest.param({"grpc": {"port": 9}}, id="grpc"),
    ],
)
def test_a_pod_is_ready_whatever_its_probes_ask(action):
    async def story():
        async with world() as there:
            probes = dict.fromkeys(("readinessProbe", "livenessProbe", "startupProbe"), action)
            containers = [{"name": "c", "image": "web:1", **probes}]
            await there.create_pod(containers=containers, schedulingGates=[{"name": "wait"}])
            await there.clock.sleep(30)
            assert "nodeName" not in (await there.pod())["spec"]
            await there.user.patch(f"{PODS}/p", {"spec": {"schedulingGates": None}}, MERGE)
            await there.clock.sleep(60)
            assert condition(await there.pod(), "Ready")["status"] == "True"

    run(story())


def test_a_pod_that_fits_nowhere_says_so_and_is_placed_when_there_is_room():
    async def story():
        async with world(nodes=1, shape=NodeShape(cpu="2")) as there:
            big = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1500m"}}}]
            await there.create_pod("first", containers=big)
            await there.clock.sleep(2)
            await there.create_pod("second", containers=big)
            await there.clock.sleep(2)
            waiting = condition(await there.pod("second"), "PodScheduled")
            assert (waiting["status"], waiting["reason"]) == ("False", "Unschedulable")
            assert waiting["message"].startswith("0/1 nodes are available: 1 Insufficient cpu. preemption: ")
            assert [each["reason"] for each in await there.events("second")] == ["FailedScheduling"]
            await there.delete_pod("first")
            await there.clock.sleep(5)
            assert (await there.pod("second"))["status"]["phase"] == "Running"

    run(story())


def test_a_cordoned_node_takes_no_pods_until_it_is_uncordoned():
    async def story():
        async with world(nodes=1) as there:
            node = "/api/v1/nodes/sandbox-node-1"
            await there.user.patch(node, {"spec": {"unschedulable": True}}, MERGE)
            await there.create_pod()
            await there.clock.sleep(5)
            assert (await there.pod())["status"]["phase"] == "Pending"
            await there.user.patch(node, {"spec": {"unschedulable": None}}, MERGE)
            await there.clock.sleep(5)
            assert (await there.pod())["status"]["phase"] == "Running"

    run(story())


def test_a_deleted_pod_is_seen_in_a_final_phase_before_it_is_gone():
    async def story():
        async with world() as there:
            created = await there.create_pod()
            await there.clock.sleep(3)
            watch = await there.user.watch(
                PODS, resourceVersion=(await there.pod())["metadata"]["resourceVersion"]
            )
            await there.delete_pod()
            await there.clock.sleep(5)
            seen = []
            async for chunk in watch:
                seen += [json.loads(line) for line in chunk.splitlines()]
                if seen[-1]["type"] == "DELETED":
                    break
            await watch.aclose()
            story = [(each["type"], each["object"]["status"]["phase"]) for each in seen]
            assert story[0] == ("MODIFIED", "Running")
            assert story[1] == ("MODIFIED", "Succeeded")
            assert story[-1] == ("DELETED", "Succeeded")
            assert len(story) <= 4, story
            assert {each["object"]["metadata"]["uid"] for each in seen} == {created["metadata"]["uid"]}
            assert await there.pods() == []

    run(story())


def test_a_pod_deleted_without_grace_goes_at_once_and_its_name_can_be_used_again():
    async def story():
        async with world() as there:
            await there.create_pod(annotations={"stop-delay": "10s"})
            await there.clock.sleep(2)
            await there.delete_pod(gracePeriodSeconds=0)
            assert await there.pods() == []
            await there.create_pod()
            await there.clock.sleep(30)
            assert (await there.pod())["status"]["phase"] == "Running"

    run(story())


def test_a_finalizer_holds_a_stopped_pod():
    async def story():
        async with world() as there:
            await there.create_pod()
            await there.user.patch(f"{PODS}/p", {"metadata": {"finalizers": ["example.com/hold"]}}, MERGE)
            await there.clock.sleep(2)
            await there.delete_pod()
            await there.clock.sleep(60)
            assert (await there.pod())["status"]["phase"] == "Succeeded"
            await there.user.patch(f"{PODS}/p", {"metadata": {"finalizers": None}}, MERGE)
            await there.clock.sleep(1)
            assert await there.pods() == []

    run(story())


def test_a_crashing_container_counts_its_restarts_and_recovers():
    async def story():
        async with world() as there:
            await there.create_pod(annotations={"fault": "crash-loop"})
            await there.clock.sleep(60)
            pod = await there.pod()
            status = pod["status"]["containerStatuses"][0]
            assert (pod["status"]["phase"], status["restartCount"]) == ("Running", 3)
            assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            assert "BackOff" in [each["reason"] for each in await there.events()]
            note = {"metadata": {"annotations": {"sandbox.kcm.dev/fault": None}}}
            await there.user.patch(f"{PODS}/p", note, MERGE)
            await there.clock.sleep(300)
            assert condition(await there.pod(), "Ready")["status"] == "True"

    run(story())


def test_an_evicted_pod_fails_and_stays_failed():
    async def story():
        async with world() as there:
            await there.create_pod(annotations={"fault": "evicted"})
            await there.clock.sleep(60)
            status = (await there.pod())["status"]
            assert (status["phase"], status["reason"]) == ("Failed", "Evicted")

    run(story())


def test_a_phase_that_somebody_else_ended_is_left_alone():
    async def story():
        async with world() as there:
            await there.create_pod()
            await there.clock.sleep(2)
            await there.user.patch(f"{PODS}/p/status", {"status": {"phase": "Failed"}}, MERGE)
            await there.clock.sleep(60)
            assert (await there.pod())["status"]["phase"] == "Failed"
            await there.delete_pod()
            await there.clock.sleep(2)
            assert await there.pods() == []

    run(story())


def test_a_thousand_pods_all_run_with_addresses_of_their_own():
    async def story():
        async with world() as there:
            for number in range(1000):
                await there.create_pod(f"p{number}")
            await there.clock.sleep(3)
            pods = await there.pods()
            assert {pod["status"]["phase"] for pod in pods} == {"Running"}
            assert len({pod["status"]["podIP"] for pod in pods}) == 1000
            nodes = [pod["spec"]["nodeName"] for pod in pods]
            assert nodes.count("sandbox-node-1") == nodes.count("sandbox-node-2") == 500
            assert there.cluster.events.dropped > 0, "events are bounded under load"
            for number in range(1000):
                await there.delete_pod(f"p{number}")
            await there.clock.sleep(3)
            assert await there.pods() == []

    run(story())


def test_a_quiet_cluster_writes_nothing_but_heartbeats():
    async def story():
        async with world() as there:
            await there.create_pod()
            await there.clock.sleep(5)
            version = (await there.pod())["metadata"]["resourceVersion"]
            await there.clock.sleep(3600)
            assert (await there.pod())["metadata"]["resourceVersion"] == version

    run(story())


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(CutWatch(1), "watch", "pods", times=5), id="its watch of pods is cut"),
        pytest.param(Fault(Compact(), "watch", "pods", times=5), id="history is lost"),
        pytest.param(Fault(Refuse(500), "*", "pods", agent="kubelet|scheduler", times=20), id="500s"),
        pytest.param(Fault(Refuse(429, 1), "*", "pods/status", times=20), id="429s on status"),
        pytest.param(Fault(Refuse(409), "*", "pods/status", times=20), id="conflicts on status"),
        pytest.param(Fault(DropAfter(), "*", "pods/binding", times=5), id="answers to bindings are lost"),
        pytest.param(Fault(Refuse(409), "*", "pods/binding", times=20), id="conflicts on bindings"),
        pytest.param(Fault(Refuse(503), "*", "pods/binding", times=20), id="bindings are refused"),
        pytest.param(Fault(DropAfter(), "*", "pods/status", times=20), id="answers to status are lost"),
        pytest.param(
            Fault(DropBefore(), "*", "*", agent="kubelet|scheduler", times=20), id="connections are lost"
        ),
    ],
)
def test_pods_live_and_die_although(fault):
    async def story():
        async with world() as there:
            there.server.faults.add(fault)
            for number in range(20):
                await there.create_pod(f"p{number}")
            await there.clock.sleep(120)
            assert {pod["status"]["phase"] for pod in await there.pods()} == {"Running"}
            for number in range(20):
                await there.delete_pod(f"p{number}")
            await there.clock.sleep(60)
            assert await there.pods() == []

    run(story())


def test_a_lost_answer_does_not_fill_a_node_twice():
    async def story():
        async with world(nodes=1, shape=NodeShape(cpu="2")) as there:
            there.server.faults.add(Fault(DropAfter(), "*", "pods/binding"))
            core = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]
            for name in "abc":
                await there.create_pod(name, containers=core)
            await there.clock.sleep(30)
            bound = [pod["metadata"]["name"] for pod in await there.pods() if "nodeName" in pod["spec"]]
            assert bound == ["a", "b"]
            await there.delete_pod("a")
            await there.clock.sleep(30)
            bound = [pod["metadata"]["name"] for pod in await there.pods() if "nodeName" in pod["spec"]]
            assert bound == ["b", "c"]

    run(story())


@pytest.mark.parametrize(
    "settings", [{"nodes": -1}, {"nodes": 5000}, {"pace": Pace(speed=0.0)}, {"pace": Pace(speed=math.inf)}]
)
def test_settings_out_of_bounds_are_refused(settings):
    async def story():
        async with world(**settings):
            pass

    with pytest.raises(ConfigurationError, match="is not between"):
        run(story())


def test_without_nodes_pods_stay_as_they_are():
    async def story():
        async with world(nodes=0) as there:
            await there.create_pod()
            await there.clock.sleep(60)
            pod = await there.pod()
            assert "nodeName" not in pod["spec"]
            assert (await there.get("/api/v1/nodes"))["items"] == []

    run(story())


def test_the_cluster_goes_on_when_its_watch_is_cut_and_history_is_lost():
    async def story():
        async with world() as there:
            await there.create_pod("before")
            await there.clock.sleep(2)
            there.server.store.compact()
            await there.create_pod("after")
            await there.clock.sleep(5)
            assert (await there.pod("after"))["status"]["phase"] == "Running"

    run(story())


def test_a_cluster_that_starts_again_finds_its_pods_running_and_leaves_them_so():
    async def restarted():
        settings = ClusterSettings()
        first = World(settings)
        async with asyncio.TaskGroup() as group:
            server = group.create_task(first.server.run())
            await first.cluster.register()
            cluster = group.create_task(first.cluster.run())
            await first.create_pod("runs")
            await first.create_pod("restarts", annotations={"fault": "crash-loop", "fault-after": "5s"})
            sidecar = [{"name": "s", "image": "i", "restartPolicy": "Always"}]
            await first.create_pod("sidecar", initContainers=sidecar)
            await first.create_pod("done", annotations={"run-for": "1s"}, restartPolicy="Never")
            await first.clock.sleep(8)
            before = {pod["metadata"]["name"]: pod for pod in await first.pods()}
            cluster.cancel()
            second = Cluster(first.server.handle, settings, first.clock, SeededRng(2))
            await second.register()
            cluster = group.create_task(second.run())
            await first.create_pod("new")
            await first.clock.sleep(2)
            after = {pod["metadata"]["name"]: pod for pod in await first.pods()}
            for name in ("runs", "sidecar", "done"):
                assert after[name]["status"] == before[name]["status"], name
            assert after["restarts"]["status"]["containerStatuses"][0]["restartCount"] == 1
            assert after["restarts"]["status"]["phase"] == "Running"
            addresses = [pod["status"]["podIP"] for pod in after.values()]
            assert len(set(addresses)) == len(addresses) == 5
            await first.clock.sleep(60)
            assert (await first.pod("restarts"))["status"]["containerStatuses"][0]["restartCount"] >= 3
            for name in before:
                await first.delete_pod(name)
            await first.clock.sleep(10)
            assert [pod["metadata"]["name"] for pod in await first.pods()] == ["new"]
            server.cancel()
            cluster.cancel()

    run(restarted())


def test_pods_of_a_higher_priority_are_placed_first():
    async def story():
        async with world(nodes=1, shape=NodeShape(pods=1)) as there:
            node = "/api/v1/nodes/sandbox-node-1"
            await there.user.patch(node, {"spec": {"unschedulable": True}}, MERGE)
            await there.create_pod("low")
            await there.create_pod("high", priorityClassName="system-node-critical")
            await there.create_pod("middle", priorityClassName="system-cluster-critical")
            await there.clock.sleep(2)
            await there.user.patch(node, {"spec": {"unschedulable": None}}, MERGE)
            await there.clock.sleep(5)
            bound = [pod["metadata"]["name"] for pod in await there.pods() if "nodeName" in pod["spec"]]
            assert bound == ["high"]

    run(story())

"""The metrics APIs (resource, custom, external) on a simulated cluster, in virtual time."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.base.errors import ConfigurationError
from kcm.base.rng import SeededRng
from kcm.sandbox.api import ApiServer, Fault, Refuse
from kcm.sandbox.api.metrics.document import BadDocument, read_text
from kcm.sandbox.api.metrics.file import MetricsFile
from kcm.sandbox.api.metrics.shapes import (
    cpu_quantity,
    memory_quantity,
    quantity,
    read_shape,
    split_assignments,
)
from kcm.sandbox.cluster import Cluster, ClusterSettings, Pace
from kcm.serving.http import Request
from kcm.testing.virtual import VirtualClock, run

PODS = "/api/v1/namespaces/default/pods"
METRICS = "/apis/metrics.k8s.io/v1beta1"
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
ADMIN = "/sandbox/metrics"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


class World:
    def __init__(self, speed):
        self.clock, rng = VirtualClock(), SeededRng(1)
        self.server = ApiServer(self.clock, rng, speed=speed)
        settings = ClusterSettings(pace=Pace(speed=speed))
        self.cluster = Cluster(self.server.handle, settings, self.clock, rng)

    async def ask(self, method, path, body=None, kind="application/json", **query):
        """Return status and decoded body."""
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, tuple(query.items()), {"content-type": kind}, sent)
        answer = await self.server.handle(request)
        assert isinstance(answer.body, bytes)
        return answer.status, json.loads(answer.body)

    async def get(self, path, **query):
        status, body = await self.ask("GET", path, **query)
        assert status == 200, body
        return body

    async def put(self, path, body):
        status, answer = await self.ask("PUT", path, body)
        assert status == 200, answer
        return answer

    async def annotate(self, path, **notes):
        body = {"metadata": {"annotations": notes}}
        status, answer = await self.ask("PATCH", path, body, "application/merge-patch+json")
        assert status == 200, answer

    async def pod(self, name, annotations=None, labels=None, **spec):
        meta = {"name": name, "labels": labels or {"app": "web"}, "annotations": annotations or {}}
        body = {"metadata": meta, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}
        status, answer = await self.ask("POST", PODS, body)
        assert status == 201, answer

    async def deployment(self, load="", **annotations):
        notes = {"sandbox.kcm.dev/load": load, **annotations} if load else annotations
        template = {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
        spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
        status, answer = await self.ask(
            "POST", DEPLOYMENTS, {"metadata": {"name": "web", "annotations": notes}, "spec": spec}
        )
        assert status == 201, answer

    async def usage(self, resource="cpu"):
        """Return each pod's use of its containers together, as text."""
        items = (await self.get(f"{METRICS}/namespaces/default/pods"))["items"]
        return {
            each["metadata"]["name"]: "+".join(part["usage"][resource] for part in each["containers"])
            for each in items
        }


def on_a_cluster(story, speed=1.0):
    async def main():
        there = World(speed)
        async with asyncio.TaskGroup() as group:
            server = group.create_task(there.server.run())
            await there.cluster.register()
            cluster = group.create_task(there.cluster.run())
            # Off the grid of the scrapes, as life is.
            await there.clock.sleep(1)
            await story(there)
            server.cancel()
            cluster.cancel()

    run(main())


def test_a_pod_is_measured_from_its_second_scrape_on_with_the_window_that_is_said():
    async def story(there):
        await there.pod("p")
        await there.clock.sleep(20)
        assert await there.usage() == {}
        status, body = await there.ask("GET", f"{METRICS}/namespaces/default/pods/p")
        assert (status, body["message"]) == (404, 'podmetrics.metrics.k8s.io "default/p" not found')
        await there.clock.sleep(15)
        (item,) = (await there.get(f"{METRICS}/pods"))["items"]
        assert item["metadata"]["name"] == "p"
        assert item["metadata"]["namespace"] == "default"
        assert item["metadata"]["labels"] == {"app": "web"}
        assert (item["timestamp"], item["window"]) == ("2026-01-01T00:00:30Z", "15s")
        assert item["containers"] == [{"name": "c", "usage": {"cpu": "1m", "memory": "1Mi"}}]
        alone = await there.get(f"{METRICS}/namespaces/default/pods/p")
        assert (alone["kind"], alone["containers"]) == ("PodMetrics", item["containers"])

    on_a_cluster(story)


@pytest.mark.parametrize(
    ("notes", "usage"),
    [
        pytest.param({}, "1m+1m", id="default"),
        pytest.param({"sandbox.kcm.dev/usage-cpu": "250m"}, "250m+250m", id="each container"),
        pytest.param({"kwok.x-k8s.io/usage-cpu": "0.5"}, "500m+500m", id="KWOK's name"),
        pytest.param({"sandbox.kcm.dev/usage-cpu": "a=2,b=100m"}, "2+100m", id="by name"),
        pytest.param({"sandbox.kcm.dev/usage-cpu": "b=100m"}, "1m+100m", id="one by name"),
        pytest.param({"sandbox.kcm.dev/usage-cpu": "nonsense"}, "1m+1m", id="what cannot be read"),
        pytest.param(
            {"sandbox.kcm.dev/usage-cpu": "3", "kwok.x-k8s.io/usage-cpu": "4"}, "3+3", id="ours first"
        ),
    ],
)
def test_usage_by_annotation(notes, usage):
    async def story(there):
        await there.pod("p", notes, containers=[{"name": "a", "image": "i"}, {"name": "b", "image": "i"}])
        await there.clock.sleep(45)
        assert await there.usage() == {"p": usage}

    on_a_cluster(story)


def test_selectors_choose_pods_and_nodes():
    async def story(there):
        await there.pod("a", labels={"app": "a"})
        await there.pod("b", labels={"app": "b"})
        await there.clock.sleep(45)

        async def names(path, **query):
            return [each["metadata"]["name"] for each in (await there.get(path, **query))["items"]]

        assert await names(f"{METRICS}/namespaces/default/pods", labelSelector="app in (a)") == ["a"]
        assert await names(f"{METRICS}/pods", fieldSelector="metadata.name=b") == ["b"]
        assert await names(f"{METRICS}/namespaces/other/pods") == []
        assert await names(f"{METRICS}/nodes") == ["sandbox-node-1", "sandbox-node-2"]
        selector = "kubernetes.io/hostname=sandbox-node-2"
        assert await names(f"{METRICS}/nodes", labelSelector=selector) == ["sandbox-node-2"]
        status, _ = await there.ask("GET", f"{METRICS}/pods", labelSelector="a in")
        assert status == 400

    on_a_cluster(story)


def test_a_node_uses_what_its_pods_use_unless_it_is_annotated():
    async def story(there):
        for number in range(4):
            await there.pod(f"p{number}", {"sandbox.kcm.dev/usage-cpu": "300m"})
        await there.clock.sleep(45)
        one = await there.get(f"{METRICS}/nodes/sandbox-node-1")
        assert (one["kind"], one["usage"]) == ("NodeMetrics", {"cpu": "600m", "memory": "2Mi"})
        await there.annotate("/api/v1/nodes/sandbox-node-1", **{"sandbox.kcm.dev/usage-cpu": "7"})
        assert (await there.get(f"{METRICS}/nodes/sandbox-node-1"))["usage"]["cpu"] == "7"
        status, body = await there.ask("GET", f"{METRICS}/nodes/none")
        assert (status, body["message"]) == (404, 'nodes.metrics.k8s.io "none" not found')

    on_a_cluster(story)


def test_a_lost_node_and_its_pods_are_not_measured():
    async def story(there):
        await there.pod("p", nodeName="sandbox-node-1")
        await there.clock.sleep(45)
        assert set(await there.usage()) == {"p"}
        await there.annotate("/api/v1/nodes/sandbox-node-1", **{"sandbox.kcm.dev/fault": "lost"})
        assert await there.usage() == {}
        (item,) = (await there.get(f"{METRICS}/nodes"))["items"]
        assert item["metadata"]["name"] == "sandbox-node-2"

    on_a_cluster(story)


def test_containers_that_do_not_run_are_not_measured():
    async def story(there):
        await there.pod("crashes", {"sandbox.kcm.dev/fault": "crash-loop"})
        await there.pod("done", {"sandbox.kcm.dev/run-for": "5s"}, restartPolicy="Never")
        await there.pod("pulls", containers=[{"name": "c", "image": "i:nonexistent"}])
        await there.clock.sleep(100)
        assert await there.usage() == {}

    on_a_cluster(story)


def test_a_load_is_shared_by_the_ready_pods_and_follows_them():
    async def story(there):
        await there.deployment("cpu=3, memory=3Gi")
        await there.pod("a")
        await there.pod("b")
        await there.pod("slow", {"sandbox.kcm.dev/fault": "never-ready"})
        await there.clock.sleep(60)
        assert await there.usage() == {"a": "1500m", "b": "1500m", "slow": "1m"}
        assert await there.usage("memory") == {"a": "1536Mi", "b": "1536Mi", "slow": "1Mi"}
        await there.annotate(f"{PODS}/slow", **{"sandbox.kcm.dev/fault": None})
        await there.clock.sleep(45)
        assert await there.usage() == {"a": "1", "b": "1", "slow": "1"}
        await there.annotate(f"{DEPLOYMENTS}/web", **{"sandbox.kcm.dev/load": "cpu=6"})
        await there.clock.sleep(45)
        assert await there.usage() == {"a": "2", "b": "2", "slow": "2"}
        await there.annotate(f"{DEPLOYMENTS}/web", **{"sandbox.kcm.dev/load": None})
        await there.clock.sleep(45)
        assert set((await there.usage()).values()) == {"1m"}

    on_a_cluster(story)


def test_a_load_counts_once_though_a_deployments_annotations_are_copied_to_its_replica_set():
    async def story(there):
        await there.deployment("cpu=3")
        deployment = await there.get(f"{DEPLOYMENTS}/web")
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": True}
        owner["uid"] = deployment["metadata"]["uid"]
        notes = {"sandbox.kcm.dev/load": "cpu=3"}
        meta = {"name": "web-1", "annotations": notes, "ownerReferences": [owner]}
        path = "/apis/apps/v1/namespaces/default/replicasets"
        spec = {each: deployment["spec"][each] for each in ("selector", "template")}
        status, answer = await there.ask("POST", path, {"metadata": meta, "spec": spec})
        assert status == 201, answer
        await there.pod("a")
        await there.clock.sleep(60)
        assert await there.usage() == {"a": "3"}

    on_a_cluster(story)


def test_a_pod_that_became_ready_within_the_window_shows_part_of_its_share():
    async def story(there):
        await there.deployment("cpu=2")
        await there.pod("a", {"sandbox.kcm.dev/fault": "never-ready"})
        await there.clock.sleep(34)
        # 00:00:35: ready for the last three of the five looks between :30 and :45.
        await there.annotate(f"{PODS}/a", **{"sandbox.kcm.dev/fault": None})
        await there.clock.sleep(11)
        assert await there.usage() == {"a": "1600m"}
        await there.clock.sleep(15)
        assert await there.usage() == {"a": "2"}

    on_a_cluster(story)


@pytest.mark.parametrize(("limits", "usage"), [("honour", "500m"), ("ignore", "4")])
def test_a_limit_caps_a_share_unless_it_is_ignored(limits, usage):
    async def story(there):
        await there.deployment("cpu=4", **{"sandbox.kcm.dev/load-limits": limits})
        limited = {"name": "c", "image": "i", "resources": {"limits": {"cpu": "500m"}}}
        await there.pod("p", containers=[limited])
        await there.clock.sleep(60)
        assert await there.usage() == {"p": usage}

    on_a_cluster(story)


def test_a_load_is_set_and_taken_away_over_http():
    async def story(there):
        await there.deployment()
        await there.pod("p")
        path = f"{ADMIN}/loads/default/deployments/web/cpu"
        await there.put(path, {"value": "step(1, 5, 1m)"})
        await there.clock.sleep(50)
        assert await there.usage() == {"p": "1"}
        await there.clock.sleep(45)
        assert await there.usage() == {"p": "5"}
        assert (await there.ask("DELETE", path))[0] == 200
        assert (await there.ask("DELETE", path))[0] == 404
        await there.clock.sleep(40)
        assert await there.usage() == {"p": "1m"}

    on_a_cluster(story)


def test_scrapes_come_faster_at_speed():
    async def story(there):
        await there.pod("p")
        await there.clock.sleep(5)
        (item,) = (await there.get(f"{METRICS}/pods"))["items"]
        assert item["window"] == "1.5s"

    on_a_cluster(story, speed=10.0)


def test_a_metric_of_pods_is_listed_by_selector():
    async def story(there):
        await there.pod("a", {"metric.sandbox.kcm.dev/queue": "10"})
        await there.pod("b")
        await there.pod("c", {"metric.sandbox.kcm.dev/queue": "30"}, labels={"app": "other"})
        path = f"{CUSTOM}/namespaces/default/pods"
        (item,) = (await there.get(f"{path}/*/queue", labelSelector="app=web"))["items"]
        described = {"kind": "Pod", "name": "a", "namespace": "default", "apiVersion": "v1"}
        assert item["describedObject"] == described
        assert (item["metric"], item["value"]) == ({"name": "queue", "selector": None}, "10")
        await there.put(f"{ADMIN}/custom/default/pods/*/queue", 5)
        await there.put(f"{ADMIN}/custom/default/pods/b/queue", "1500m")
        items = (await there.get(f"{path}/*/queue"))["items"]
        values = [(each["describedObject"]["name"], each["value"]) for each in items]
        assert values == [("a", "5"), ("b", "1500m"), ("c", "5")]
        assert (await there.get(f"{path}/b/queue"))["items"][0]["value"] == "1500m"

    on_a_cluster(story)


def test_a_load_of_any_name_is_a_metric_of_the_pods_that_carry_it():
    async def story(there):
        await there.deployment("requests=90")
        for name in "abc":
            await there.pod(name)
        await there.clock.sleep(60)
        path = f"{CUSTOM}/namespaces/default/pods/*/requests"
        assert [each["value"] for each in (await there.get(path))["items"]] == ["30", "30", "30"]

    on_a_cluster(story)


def test_metrics_of_objects_namespaces_and_nodes():
    async def story(there):
        await there.deployment()
        await there.annotate(f"{DEPLOYMENTS}/web", **{"metric.sandbox.kcm.dev/backlog": "12"})
        (item,) = (await there.get(f"{CUSTOM}/namespaces/default/deployments.apps/web/backlog"))["items"]
        described = item["describedObject"]
        assert (described["kind"], described["apiVersion"]) == ("Deployment", "apps/v1")
        assert item["value"] == "12"
        await there.put(f"{ADMIN}/custom/-/namespaces/default/tickets", 7)
        (item,) = (await there.get(f"{CUSTOM}/namespaces/default/metrics/tickets"))["items"]
        assert (item["describedObject"]["kind"], item["value"]) == ("Namespace", "7")
        await there.annotate("/api/v1/nodes/sandbox-node-1", **{"metric.sandbox.kcm.dev/heat": "60"})
        (item,) = (await there.get(f"{CUSTOM}/nodes/sandbox-node-1/heat"))["items"]
        assert "namespace" not in item["describedObject"]
        # Of a kind that the sandbox does not serve, only what was set is known.
        await there.put(f"{ADMIN}/custom/default/ingresses.networking.k8s.io/shop/rps", 100)
        path = f"{CUSTOM}/namespaces/default/ingresses.networking.k8s.io/shop/rps"
        assert (await there.get(path))["items"][0]["value"] == "100"

    on_a_cluster(story)


def test_a_metric_label_selector_chooses_series_which_are_added_up():
    async def story(there):
        await there.pod("p")
        path = f"{ADMIN}/custom/default/pods/p/rps"
        await there.put(path, {"value": 10, "labels": {"verb": "GET"}})
        await there.put(path, {"value": 5, "labels": {"verb": "POST"}})
        asked = f"{CUSTOM}/namespaces/default/pods/p/rps"
        assert (await there.get(asked))["items"][0]["value"] == "15"
        (item,) = (await there.get(asked, metricLabelSelector="verb=GET"))["items"]
        assert item["value"] == "10"
        assert item["metric"]["selector"] == {"matchLabels": {"verb": "GET"}}
        status, body = await there.ask("GET", asked, metricLabelSelector="verb=PUT")
        assert (status, body["reason"]) == (404, "NotFound")

    on_a_cluster(story)


def test_custom_metrics_are_served_in_the_older_version_too():
    async def story(there):
        await there.pod("p", {"metric.sandbox.kcm.dev/queue": "10"})
        path = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods/p/queue"
        answer = await there.get(path, metricLabelSelector="")
        (item,) = answer["items"]
        assert answer["apiVersion"] == "custom.metrics.k8s.io/v1beta1"
        assert (item["metricName"], item["window"], item["value"]) == ("queue", 15, "10")

    on_a_cluster(story)


def test_external_metrics_by_http_and_annotation():
    async def story(there):
        await there.put(f"{ADMIN}/external/-/queue", {"value": 30, "labels": {"q": "a"}})
        await there.put(f"{ADMIN}/external/default/queue", {"value": 12, "labels": {"q": "b"}})
        path = f"{EXTERNAL}/namespaces/default/queue"
        values = [(each["metricLabels"], each["value"]) for each in (await there.get(path))["items"]]
        assert values == [({"q": "a"}, "30"), ({"q": "b"}, "12")]
        (item,) = (await there.get(path, labelSelector="q=b"))["items"]
        assert (item["metricName"], item["value"]) == ("queue", "12")
        other = await there.get(f"{EXTERNAL}/namespaces/kube-system/queue")
        assert [each["value"] for each in other["items"]] == ["30"]
        note = {"external.metric.sandbox.kcm.dev/lag": "4"}
        await there.annotate("/api/v1/namespaces/default", **note)
        lag = await there.get(f"{EXTERNAL}/namespaces/default/lag")
        assert [each["value"] for each in lag["items"]] == ["4"]
        assert (await there.get(f"{EXTERNAL}/namespaces/default/none"))["items"] == []
        assert (await there.ask("DELETE", f"{ADMIN}/external/default/queue", **{"label.q": "b"}))[0] == 200
        assert len((await there.get(path))["items"]) == 1

    on_a_cluster(story)


def test_values_follow_their_shape():
    async def story(there):
        await there.put(f"{ADMIN}/external/default/queue", "ramp(0, 100, 100s)")
        path = f"{EXTERNAL}/namespaces/default/queue"
        for seconds, value in ((0, "0"), (25, "25"), (50, "75"), (100, "100")):
            await there.clock.sleep(seconds)
            assert (await there.get(path))["items"][0]["value"] == value

    on_a_cluster(story)


def test_discovery_names_the_groups_their_versions_and_known_metrics():
    async def story(there):
        groups = {each["name"]: each for each in (await there.get("/apis"))["groups"]}
        assert groups["custom.metrics.k8s.io"]["preferredVersion"]["version"] == "v1beta2"
        assert [each["version"] for each in groups["custom.metrics.k8s.io"]["versions"]] == [
            "v1beta2",
            "v1beta1",
        ]
        kinds = {each["name"]: each["kind"] for each in (await there.get(METRICS))["resources"]}
        assert kinds == {"pods": "PodMetrics", "nodes": "NodeMetrics"}
        await there.put(f"{ADMIN}/external/default/queue", 1)
        await there.put(f"{ADMIN}/custom/default/pods/*/rps", 1)
        assert "queue" in [each["name"] for each in (await there.get(EXTERNAL))["resources"]]
        assert "pods/rps" in [each["name"] for each in (await there.get(CUSTOM))["resources"]]
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        answer = await there.server.handle(Request("GET", "/apis", (), {"accept": accept}, b""))
        names = [each["metadata"].get("name") for each in json.loads(answer.body)["items"]]
        assert {"metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"} <= set(names)

    on_a_cluster(story)


def test_metrics_apis_can_be_broken_by_faults():
    async def story(there):
        there.server.faults.add(Fault(Refuse(503), "list", "pods", times=1))
        assert (await there.ask("GET", f"{METRICS}/pods"))[0] == 503
        assert (await there.ask("GET", f"{METRICS}/pods"))[0] == 200

    on_a_cluster(story)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", f"{METRICS}/pods", 405),
        ("DELETE", f"{METRICS}/namespaces/default/pods/p", 405),
        ("GET", f"{METRICS}/secrets", 404),
        ("GET", f"{METRICS}/namespaces/default/pods/none", 404),
        ("GET", f"{CUSTOM}/namespaces/default/pods/*/none", 404),
        ("GET", "/apis/custom.metrics.k8s.io/v1/namespaces/default/pods/*/none", 404),
        ("POST", f"{EXTERNAL}/namespaces/default/queue", 405),
        ("GET", f"{ADMIN}/nonsense/here", 404),
        ("PUT", f"{ADMIN}/nonsense/here", 400),
        ("DELETE", f"{ADMIN}/external/default/none", 404),
        ("POST", ADMIN, 405),
        ("POST", f"{ADMIN}/external/default/queue", 405),
    ],
)
def test_what_is_not_served_is_refused(method, path, status):
    async def story(there):
        answer, body = await there.ask(method, path)
        assert (body["kind"], body["code"]) == ("Status", answer)
        assert answer == status

    on_a_cluster(story)


def test_watching_metrics_is_refused():
    async def story(there):
        assert (await there.ask("GET", f"{METRICS}/pods", watch="true"))[0] == 405

    on_a_cluster(story)


DOCUMENT = b"""
external:
- {name: queue, labels: {q: a}, value: 30}
custom:
- {metric: rps, object: pods/default/*, value: 250m}
loads:
- {workload: deployments/default/web, cpu: "sine(2, 8, 10m)", requests: 400}
"""


def test_a_whole_document_is_put_and_shown():
    async def story(there):
        shown = await there.put(ADMIN, DOCUMENT)
        assert shown["external"] == [
            {"name": "queue", "namespace": "", "labels": {"q": "a"}, "value": "30", "now": 30.0}
        ]
        assert [each["metric"] for each in shown["loads"]] == ["cpu", "requests"]
        status, body = await there.ask("PUT", ADMIN, b"external: [{name: x}]")
        assert (status, "value" in body["message"]) == (400, True)
        assert (await there.get(ADMIN))["external"], "what cannot be read changes nothing"
        assert (await there.ask("DELETE", ADMIN))[1] == {"external": [], "custom": [], "loads": []}

    on_a_cluster(story)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param(b"external: 3", "external", id="wrong type"),
        pytest.param(b"extern: []", "extern", id="unknown field"),
        pytest.param(b"external: [{name: q, value: x}]", "external[0].value", id="no value"),
        pytest.param(b"external: [{name: q, value: 'ramp(1, 2)'}]", "external[0].value", id="half a shape"),
        pytest.param(b"custom: [{metric: m, object: pods, value: 1}]", "custom[0].object", id="no object"),
        pytest.param(b"loads: [{cpu: 1}]", "loads[0].workload", id="no workload"),
        pytest.param(b"loads: [{workload: pods/d/p, cpu: 1}]", "loads[0].workload", id="not a workload"),
        pytest.param(b"a: &a [1]\nb: *a", "aliases", id="aliases"),
        pytest.param(b"{", "flow", id="not YAML"),
        pytest.param(b"[1, 2]", "object", id="a list"),
    ],
)
def test_a_document_that_cannot_be_read_says_where(text, place):
    with pytest.raises(BadDocument) as caught:
        read_text(text)
    assert place in str(caught.value)


def test_a_file_is_read_again_when_it_changes_and_a_bad_one_leaves_what_was(tmp_path):
    path = tmp_path / "metrics.yaml"
    path.write_bytes(DOCUMENT)

    async def story(there):
        file = MetricsFile(path, there.server.metrics.book, there.clock)

        async def value():
            items = (await there.get(f"{EXTERNAL}/namespaces/default/queue"))["items"]
            return [each["value"] for each in items]

        assert await value() == ["30"]
        path.write_bytes(b"external: [{name: queue, value: 31}]")
        file.look()
        assert await value() == ["31"]
        path.write_bytes(b"external: [{name: queue, value: nonsense}]")
        file.look()
        assert await value() == ["31"]
        await there.put(f"{ADMIN}/external/-/queue", 99)
        assert await value() == ["99"], "what is set by hand wins"
        path.unlink()
        file.look()
        assert await value() == ["99"]
        with pytest.raises(ConfigurationError, match="metrics-file"):
            MetricsFile(path, there.server.metrics.book, there.clock)

    on_a_cluster(story)


@pytest.mark.parametrize(
    ("text", "seconds", "value"),
    [
        ("4", 100, 4.0),
        ("250m", 0, 0.25),
        ("2Gi", 0, 2.0**31),
        ("ramp(1, 11, 10s)", 0, 1.0),
        ("ramp(1, 11, 10s)", 5, 6.0),
        ("ramp(1, 11, 10s)", 100, 11.0),
        ("ramp(11,1,10s)", 5, 6.0),
        ("step(1, 8, 2m)", 119, 1.0),
        ("step(1, 8, 2m)", 120, 8.0),
        ("sine(2, 8, 10m)", 0, 2.0),
        ("sine(2, 8, 10m)", 300, 8.0),
        ("sine(2, 8, 10m)", 600, 2.0),
    ],
)
def test_shapes(text, seconds, value):
    assert read_shape(text).at(seconds) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["", "x", "ramp(1,2)", "ramp(1,2,0s)", "ramp(a,2,1s)", "wave(1,2,1s)", "1 2", "9" * 300, "sine(1,2,5)"],
)
def test_what_is_no_shape_is_refused(text):
    with pytest.raises(ValueError, match=r"is not|characters"):
        read_shape(text)


@given(st.text(max_size=60))
def test_any_text_is_a_shape_or_refused(text):
    try:
        shape = read_shape(text)
    except ValueError:
        return
    assert quantity(shape.at(17.0))


@given(st.floats(allow_nan=False))
def test_any_number_is_written_as_a_quantity(number):
    for write in (quantity, cpu_quantity, memory_quantity):
        assert write(number)


def test_assignments_are_split_outside_parentheses():
    assert split_assignments("cpu=ramp(1, 2, 5m), memory=1Gi") == [
        ("cpu", "ramp(1, 2, 5m)"),
        ("memory", "1Gi"),
    ]
    with pytest.raises(ValueError, match="name=value"):
        split_assignments("cpu=1,memory")

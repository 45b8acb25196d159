"""Autoscalers, deployments, pods and their metrics in one closed loop, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from controllers.hpa.settings import Settings
from kcm.config.schema import ControllerConfig
from kcm.sandbox.api import Fault, Refuse
from kcm.sandbox.api.faults import Delay
from kcm.testing.virtual import run
from kcm.testing.world import World, deployment, quick_configuration

Json = dict[str, Any]

CONTROLLERS = {
    "replicaset": "controllers.replicaset:ReplicaSetController",
    "deployment": "controllers.deployment:DeploymentController",
    "hpa": "controllers.hpa:HorizontalPodAutoscalerController",
}
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
UTILIZATION = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
QUEUE = {
    "type": "External",
    "external": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "10"}},
}


class Scene:
    """A world with a Deployment `web` and its autoscaler."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.daemon = world.start(CONTROLLERS)

    async def make(
        self, replicas: int, *metrics: Json, annotations: dict[str, str] | None = None, **spec: Any
    ) -> None:
        web = deployment("web", replicas)
        web["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "500m"}}
        await self.world.call("POST", DEPLOYMENTS, web)
        await self.autoscaler("web", *metrics, annotations=annotations, **spec)

    async def autoscaler(
        self, name: str, *metrics: Json, annotations: dict[str, str] | None = None, **spec: Any
    ) -> None:
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
        await self.world.call(
            "POST",
            AUTOSCALERS,
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": name, "namespace": "default", "annotations": annotations or {}},
                "spec": {
                    "scaleTargetRef": reference,
                    "minReplicas": 1,
                    "maxReplicas": 50,
                    "metrics": list(metrics or (UTILIZATION,)),
                    **spec,
                },
            },
        )

    async def load(self, cores: float | str) -> None:
        await self.world.call("PUT", "/sandbox/metrics/loads/default/deployments/web/cpu", str(cores))

    async def queue(self, length: float | str) -> None:
        await self.world.call("PUT", "/sandbox/metrics/external/default/queue", str(length))

    async def size(self) -> int:
        found = await self.world.call("GET", f"{DEPLOYMENTS}/web")
        replicas: int = found["spec"].get("replicas", 0)
        return replicas

    async def status(self, name: str = "web") -> Json:
        found = await self.world.call("GET", f"{AUTOSCALERS}/{name}")
        status: Json = found.get("status", {})
        return status

    async def reasons(self, name: str = "web") -> dict[str, tuple[str, str]]:
        return {
            each["type"]: (each["status"], each["reason"])
            for each in (await self.status(name)).get("conditions", [])
        }

    async def events(self, reason: str = "") -> list[str]:
        found = await self.world.items("/api/v1/namespaces/default/events")
        about = [each for each in found if each["involvedObject"]["kind"] == "HorizontalPodAutoscaler"]
        return [each["message"] for each in about if reason in ("", each["reason"])]

    async def watch(self, seconds: float) -> list[int]:
        """Let time pass; return the sizes that were seen, each once where it stays."""
        sizes = [await self.size()]
        for _ in range(int(seconds)):
            await self.world.clock.sleep(1)
            if (now := await self.size()) != sizes[-1]:
                sizes.append(now)
        return sizes


@asynccontextmanager
async def scene(settings: Settings | None = None) -> AsyncIterator[Scene]:
    configuration = quick_configuration()
    if settings is not None:
        own = ControllerConfig(settings=msgspec.to_builtins(settings))
        configuration = msgspec.structs.replace(configuration, controllers={"hpa": own})
    async with World(configuration=configuration) as world:
        yield Scene(world)


def staged(act: Callable[[Scene], Any], settings: Settings | None = None) -> None:
    async def play() -> None:
        async with scene(settings) as stage:
            await act(stage)

    run(play())


def test_a_step_of_load_is_met_in_few_rescales_and_let_go_after_the_window() -> None:
    async def act(stage: Scene) -> None:
        await stage.load("4")
        await stage.make(2)
        up = await stage.watch(180)
        # 4 cores at 80 % of half a core each are 10; while pods start, their absence counts against growth.
        assert up[0] == 2
        assert up[-1] in range(10, 21)
        assert up == sorted(up)
        assert len(up) <= 5
        await stage.load("1")
        assert await stage.watch(240) == [up[-1]]
        down = await stage.watch(400)
        assert down[-1] == 3
        assert len(down) <= 3
        assert len(await stage.events("SuccessfulRescale")) >= len(up) - 1
        assert (await stage.reasons())["ScalingActive"] == ("True", "ValidMetricFound")

    staged(act)


def test_a_ramp_is_followed() -> None:
    async def act(stage: Scene) -> None:
        await stage.queue("ramp(20, 200, 10m)")
        await stage.make(2, QUEUE)
        sizes = await stage.watch(780)
        assert sizes == sorted(sizes)
        assert sizes[-1] in (19, 20)
        assert len(sizes) <= 19

    staged(act)


def test_a_spike_grows_at_once_and_is_held_for_the_window() -> None:
    async def act(stage: Scene) -> None:
        await stage.queue("20")
        await stage.make(2, QUEUE)
        assert await stage.watch(60) == [2]
        await stage.queue("80")
        await stage.watch(20)
        await stage.queue("20")
        assert await stage.watch(60) in ([4], [4, 8], [8])
        peak = await stage.size()
        assert await stage.watch(200) == [peak]
        assert (await stage.watch(200))[-1] == 2

    staged(act)


def test_noise_within_tolerance_changes_nothing() -> None:
    async def act(stage: Scene) -> None:
        await stage.queue("sine(46, 54, 47s)")
        await stage.make(5, QUEUE)
        assert await stage.watch(900) == [5]

    staged(act)


def test_smoothing_takes_noise_away() -> None:
    async def rescales(annotations: dict[str, str]) -> int:
        async with scene() as stage:
            await stage.queue("sine(20, 90, 41s)")
            fast = {"scaleDown": {"stabilizationWindowSeconds": 0}}
            await stage.make(5, QUEUE, annotations=annotations, behavior=fast)
            return len(await stage.watch(900)) - 1

    async def act(stage: Scene) -> None:
        plain = await rescales({})
        smooth = await rescales({"autoscaling.kcm.dev/smoothing": "3m"})
        assert plain >= 20
        assert smooth <= plain // 2

    staged(act)


def test_an_outage_of_the_metrics_holds_the_size_and_is_told() -> None:
    async def act(stage: Scene) -> None:
        await stage.load("4")
        await stage.make(2)
        await stage.watch(180)
        size = await stage.size()
        fault = stage.world.api.faults.add(Fault(Refuse(503), resource="pods", verb="list", agent="hpa"))
        await stage.load("0")
        assert await stage.watch(900) == [size]
        assert (await stage.reasons())["ScalingActive"] == ("False", "FailedGetResourceMetric")
        status = await stage.status()
        assert status["desiredReplicas"] == size
        assert await stage.events("FailedComputeMetricsReplicas")
        stage.world.api.faults.remove(fault)
        assert (await stage.watch(700))[-1] == 1

    staged(act)


def test_one_failing_metric_lets_the_others_grow_but_not_shrink() -> None:
    async def act(stage: Scene) -> None:
        broken = {
            "type": "External",
            "external": {
                "metric": {"name": "nowhere"},
                "target": {"type": "AverageValue", "averageValue": "1"},
            },
        }
        await stage.queue("20")
        await stage.make(4, QUEUE, broken)
        assert await stage.watch(700) == [4]
        assert (await stage.reasons())["ScalingActive"] == ("False", "FailedGetExternalMetric")
        await stage.queue("80")
        assert (await stage.watch(60))[-1] == 8
        assert [each["type"] for each in (await stage.status())["currentMetrics"]] == ["External", ""]

    staged(act)


def test_a_rollout_without_any_change_of_load_leaves_the_size_alone() -> None:
    async def act(stage: Scene) -> None:
        await stage.load("4")
        await stage.make(10)
        await stage.watch(400)
        size = await stage.size()
        template = {"spec": {"template": {"metadata": {"annotations": {"again": "yes"}}}}}
        await stage.world.patch(f"{DEPLOYMENTS}/web", template)
        assert len(await stage.watch(400)) <= 2
        assert abs(await stage.size() - size) <= 2

    staged(act)


def test_what_is_outside_the_bounds_is_brought_back_without_metrics() -> None:
    async def act(stage: Scene) -> None:
        await stage.make(9, maxReplicas=5)
        assert (await stage.watch(40))[-1] == 5
        assert (await stage.reasons())["AbleToScale"][0] == "True"
        told = "New size: 5; reason: Current number of replicas above Spec.MaxReplicas"
        assert told in await stage.events()

    staged(act)


def test_a_users_zero_is_left_alone() -> None:
    async def act(stage: Scene) -> None:
        await stage.load("4")
        await stage.make(0)
        assert await stage.watch(120) == [0]
        assert (await stage.reasons())["ScalingActive"] == ("False", "ScalingDisabled")

    staged(act)


def test_a_target_that_is_missing_is_told_and_found_when_it_appears() -> None:
    async def act(stage: Scene) -> None:
        await stage.autoscaler("web")
        await stage.world.clock.sleep(40)
        assert await stage.reasons() == {"AbleToScale": ("False", "FailedGetScale")}
        assert any("web" in text for text in await stage.events("FailedGetScale"))
        await stage.load("4")
        await stage.world.call("POST", DEPLOYMENTS, deployment("web", 1))
        await stage.world.clock.sleep(40)
        assert (await stage.reasons())["AbleToScale"][0] == "True"

    staged(act)


@pytest.mark.parametrize(("version", "kind"), [("apps/v1", "Unheard"), ("gone.io/v1", "Deployment")])
def test_a_target_of_a_kind_that_nobody_serves_is_told(version: str, kind: str) -> None:
    async def act(stage: Scene) -> None:
        target = {"apiVersion": version, "kind": kind, "name": "web"}
        await stage.autoscaler("web", scaleTargetRef=target)
        await stage.world.clock.sleep(40)
        group = version.partition("/")[0]
        assert await stage.events("FailedGetScale") == [f'no matches for kind "{kind}" in group "{group}"']

    staged(act)


def test_two_autoscalers_of_one_target_both_stop() -> None:
    async def act(stage: Scene) -> None:
        await stage.queue("90")
        await stage.make(2, QUEUE)
        await stage.autoscaler("second", QUEUE)
        await stage.world.clock.sleep(60)
        assert (await stage.reasons())["ScalingActive"] == ("False", "AmbiguousSelector")
        assert (await stage.reasons("second"))["ScalingActive"] == ("False", "AmbiguousSelector")
        told = await stage.events("FailedComputeMetricsReplicas")
        assert told
        assert set(told) == set(await stage.events("AmbiguousSelector"))
        await stage.world.call("DELETE", f"{AUTOSCALERS}/second")
        assert (await stage.watch(90))[-1] == 9

    staged(act)


@pytest.mark.parametrize("annotation", ["paused", "dry-run"])
def test_paused_and_dry_runs_rescale_nothing(annotation: str) -> None:
    async def act(stage: Scene) -> None:
        await stage.queue("70")
        await stage.make(4, QUEUE, annotations={f"autoscaling.kcm.dev/{annotation}": "true"})
        assert await stage.watch(120) == [4]
        told = await stage.events()
        if annotation == "dry-run":
            assert told == ["would scale 4 → 7; reason: external metric queue above target"]
            texts = [each["message"] for each in (await stage.status())["conditions"]]
            assert "would scale 4 → 7" in texts
        else:
            assert (await stage.reasons())["ScalingActive"] == ("False", "Paused")
        await stage.world.patch(
            f"{AUTOSCALERS}/web", {"metadata": {"annotations": {f"autoscaling.kcm.dev/{annotation}": None}}}
        )
        assert (await stage.watch(60))[-1] == 7

    staged(act)


def test_a_fallback_holds_where_metrics_are_away_for_long() -> None:
    async def act(stage: Scene) -> None:
        await stage.make(2, QUEUE, annotations={"autoscaling.kcm.dev/fallback": "6 after 2m"})
        assert await stage.watch(100) == [2]
        assert (await stage.watch(60))[-1] == 6
        assert "New size: 6; reason: fallback, since metrics cannot be read" in await stage.events()

    staged(act)


def test_a_schedule_moves_the_bounds() -> None:
    async def act(stage: Scene) -> None:
        await stage.queue("10")
        # The virtual clock starts at midnight UTC.
        await stage.make(
            1, QUEUE, annotations={"autoscaling.kcm.dev/schedule": "5 0 * * * for 5m in UTC: min=6"}
        )
        assert await stage.watch(290) == [1]
        assert (await stage.watch(60))[-1] == 6
        assert (await stage.watch(700))[-1] == 1

    staged(act)


def test_only_owned_pods_count_where_that_is_asked_for() -> None:
    async def act(stage: Scene) -> None:
        world = stage.world
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
        keeper = await world.call("POST", "/api/v1/namespaces/default/configmaps", config)
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": keeper["metadata"]["uid"]}
        stranger = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "stranger",
                "labels": {"app": "web"},
                "annotations": {"sandbox.kcm.dev/usage-cpu": "40"},
                "ownerReferences": [{**owner, "controller": True}],
            },
            "spec": deployment("web", 1)["spec"]["template"]["spec"],
        }
        stranger["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "500m"}}
        await stage.load("0.8")
        await stage.make(2, annotations={"autoscaling.kcm.dev/owned-only": "true"})
        await stage.world.call("POST", "/api/v1/namespaces/default/pods", stranger)
        assert await stage.watch(240) == [2]
        await stage.world.patch(
            f"{AUTOSCALERS}/web", {"metadata": {"annotations": {"autoscaling.kcm.dev/owned-only": None}}}
        )
        assert (await stage.watch(60))[-1] > 2

    staged(act)


def test_an_annotation_that_cannot_be_read_is_told_once() -> None:
    async def act(stage: Scene) -> None:
        await stage.queue("40")
        await stage.make(2, QUEUE, annotations={"autoscaling.kcm.dev/smoothing": "soon"})
        assert (await stage.watch(120))[-1] == 4
        found = await stage.world.items("/api/v1/namespaces/default/events")
        told = [each for each in found if each["reason"] == "InvalidAnnotation"]
        assert [each.get("series") for each in told] == [None]
        assert "autoscaling.kcm.dev/smoothing" in told[0]["message"]

    staged(act)


def test_what_somebody_else_wrote_into_a_status_meanwhile_is_not_overwritten() -> None:
    async def act(stage: Scene) -> None:
        await stage.queue("20")
        await stage.make(2, QUEUE)
        await stage.watch(40)
        own = (await stage.status())["conditions"]
        # So slow that each evaluation began before what is written now.
        stage.world.api.faults.add(Fault(Delay(7.0), resource="deployments/scale", verb="get", agent="hpa"))
        await stage.queue("26")
        foreign = {"type": "Foreign", "status": "True", "reason": "Test"}
        for number in range(40):
            conditions = [*own, {**foreign, "message": str(number)}]
            await stage.world.patch(f"{AUTOSCALERS}/web/status", {"status": {"conditions": conditions}})
            await stage.world.clock.sleep(1)
            shown = [each["message"] for each in (await stage.status())["conditions"]]
            assert shown[-1] == str(number)
        assert await stage.size() == 3
        assert await stage.events("FailedUpdateStatus")
        stage.world.api.faults.clear()
        await stage.world.clock.sleep(40)
        status = await stage.status()
        assert status["desiredReplicas"] == 3
        assert status["conditions"][-1]["message"] == "39"

    staged(act)


def test_a_slow_metrics_api_holds_up_only_who_asks_it() -> None:
    async def act(stage: Scene) -> None:
        stage.world.api.faults.add(Fault(Delay(5.0), resource="pods", verb="list", agent="hpa"))
        await stage.queue("20")
        await stage.make(2, QUEUE)
        for index in range(40):
            await stage.autoscaler(
                f"slow-{index}",
                UTILIZATION,
                scaleTargetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": f"none-{index}"},
            )
        await stage.world.clock.sleep(60)
        await stage.queue("60")
        assert (await stage.watch(20))[-1] >= 4

    staged(act)


def test_a_new_leader_holds_every_size_for_a_window() -> None:
    async def act(stage: Scene) -> None:
        await stage.queue("80")
        await stage.make(8, QUEUE)
        await stage.watch(60)
        await stage.queue("10")
        await stage.world.clock.sleep(200)
        assert await stage.size() == 8
        stage.world.start(CONTROLLERS, identity="two")
        await stage.world.clock.sleep(5)
        stage.daemon.kill()
        # The old leader would have let go about 100 s from here; the new one begins its window anew.
        assert await stage.watch(290) == [8]
        assert (await stage.watch(120))[-1] == 1

    staged(act)


def test_a_rate_outlives_the_leader_that_used_it_up() -> None:
    async def act(stage: Scene) -> None:
        await stage.queue("10")
        slow = {
            "scaleDown": {
                "stabilizationWindowSeconds": 0,
                "policies": [{"type": "Pods", "value": 2, "periodSeconds": 600}],
            }
        }
        await stage.make(9, QUEUE, behavior=slow)
        assert await stage.watch(60) == [9, 7]
        stage.world.start(CONTROLLERS, identity="two")
        await stage.world.clock.sleep(5)
        stage.daemon.kill()
        assert await stage.watch(450) == [7]
        assert (await stage.watch(200))[-1] == 5

    staged(act)


def test_nothing_is_written_while_nothing_changes() -> None:
    async def act(stage: Scene) -> None:
        await stage.queue("50")
        await stage.make(5, QUEUE)
        await stage.world.clock.sleep(120)
        before = await stage.world.call("GET", f"{AUTOSCALERS}/web")
        await stage.world.clock.sleep(600)
        after = await stage.world.call("GET", f"{AUTOSCALERS}/web")
        assert before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]

    staged(act)

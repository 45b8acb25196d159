"""A dry run: everything works, nothing is written, and what would be done is told once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from kcm.sandbox.api.audit import Mutation
from kcm.serving.tables import status_text
from kcm.testing.virtual import run
from kcm.testing.world import WORKLOADS, Daemon, World, deployment, replica_set

APPS = "/apis/apps/v1/namespaces/default"
SETS = f"{APPS}/replicasets"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
AUTOSCALING = {**WORKLOADS, "hpa": "controllers.hpa:HorizontalPodAutoscalerController"}
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


def writes_of(world: World, identity: str) -> list[Mutation]:
    """Return a list that grows with every write of the daemon of that name."""
    found: list[Mutation] = []
    world.api.audit.subscribe(lambda write: found.append(write) if identity in write.user_agent else None)
    return found


async def rehearsing(world: World, controllers: Any = WORKLOADS) -> Daemon:
    daemon = world.start(controllers, identity="rehearsal", dry_run=True)
    await world.clock.sleep(12.0)
    return daemon


def told(daemon: Daemon) -> list[str]:
    """Return the actions of all plans, oldest first."""
    return [action for plan in reversed(daemon.manager.status().plans) for action in plan.actions]


def test_nothing_is_written_and_the_plan_is_told_with_its_reason() -> None:
    async def play() -> None:
        async with World() as world:
            await world.call("POST", SETS, replica_set("web", 3))
            writes = writes_of(world, "kcm")
            daemon = await rehearsing(world)
            assert await world.items("/api/v1/pods") == []
            assert await world.items("/api/v1/events") == []
            assert await world.items(LEASES) == []
            assert [plan.key for plan in daemon.manager.status().plans] == ["default/web"]
            assert len(told(daemon)) == 3
            assert all(each.startswith("create pods default/web-") for each in told(daemon))
            assert "3" in told(daemon)[0].rpartition(":")[2], "the reason"
            assert "PLANS NOT SENT" in status_text(daemon.manager.status())
            await daemon.stop()
            assert world.writes == 0
            assert writes == []

    run(play())


def test_a_plan_that_comes_back_unchanged_is_told_once_and_again_when_it_has_changed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def play() -> None:
        async with World() as world:
            await world.call("POST", SETS, replica_set("web", 3))
            daemon = await rehearsing(world)
            await world.clock.sleep(600.0)
            assert len(daemon.manager.status().plans) == 1
            assert _records(caplog, "plan not sent") == 1
            await world.patch(f"{SETS}/web", {"spec": {"replicas": 5}})
            await world.clock.sleep(600.0)
            assert [plan.total for plan in daemon.manager.status().plans] == [5, 3]
            assert _records(caplog, "plan not sent") == 2
            await daemon.stop()

    run(play())


def test_a_thousand_missing_pods_are_one_plan_and_no_busy_loop() -> None:
    async def play() -> None:
        async with World() as world:
            await world.call("POST", SETS, replica_set("web", 1000))
            daemon = await rehearsing(world)
            await world.clock.sleep(300.0)
            (plan,) = daemon.manager.status().plans
            assert (plan.total, len(plan.actions)) == (500, 20)
            assert world.writes == 0
            await daemon.stop()

    run(play())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"spec": {"replicas": 5}}, id="scale"),
        pytest.param(
            {"spec": {"template": {"metadata": {"annotations": {"v": "2"}}}}},
            id="rollout",
        ),
    ],
)
def test_beside_a_manager_that_works_it_is_silent_and_takes_no_lease(change: Any) -> None:
    async def play() -> None:
        async with World() as world:
            working = world.start(WORKLOADS, identity="working")
            await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
            await world.until(_available(world, 3), 60.0)
            await world.clock.sleep(30.0)
            writes = writes_of(world, "rehearsal")
            daemon = await rehearsing(world)
            assert told(daemon) == []
            (lease,) = await world.items(LEASES)
            assert lease["spec"]["holderIdentity"] == "working"
            await world.patch(f"{APPS}/deployments/web", change)
            await world.until(_available(world, change["spec"].get("replicas", 3)), 60.0)
            await world.clock.sleep(30.0)
            assert told(daemon) == [], "what the other manager does at once is not news"
            assert working.manager.status().election.leading
            assert writes == []
            await daemon.stop()
            await working.stop()

    run(play())


def autoscaler(name: str, target: str, metric: str) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    value = {"type": "Utilization", "averageUtilization": 50}
    source = {"type": "Resource", "resource": {"name": metric, "target": value}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 9, "metrics": [source]},
    }


def test_of_autoscalers_it_tells_decisions_and_neither_readings_nor_words_nor_what_fails_as_before() -> None:
    async def play() -> None:
        async with World() as world:
            working = world.start(AUTOSCALING, identity="working")
            web = deployment("web", 3)
            web["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "500m"}}
            load = "/sandbox/metrics/loads/default/deployments/web/cpu"
            await world.call("POST", f"{APPS}/deployments", web)
            await world.call("POST", f"{APPS}/deployments", deployment("plain", 2))
            await world.call("PUT", load, "sine(0.72, 0.78, 40s)")
            await world.call("POST", AUTOSCALERS, autoscaler("web", "web", "cpu"))
            await world.call("POST", AUTOSCALERS, autoscaler("no-request", "plain", "memory"))
            await world.call("POST", AUTOSCALERS, autoscaler("no-target", "gone", "cpu"))
            await world.clock.sleep(90.0)
            daemon = await rehearsing(world, {"hpa": AUTOSCALING["hpa"]})
            await world.clock.sleep(50.0)
            assert told(daemon) == []
            await working.stop()
            for name in ("web", "no-request", "no-target"):
                path = f"{AUTOSCALERS}/{name}"
                conditions = (await world.call("GET", path))["status"]["conditions"]
                other = [{**each, "message": "in other words"} for each in conditions]
                await world.patch(f"{path}/status", {"status": {"conditions": other}})
            await world.clock.sleep(50.0)
            assert told(daemon) == []
            await world.call("PUT", load, "3")
            await world.clock.sleep(60.0)
            assert any(each.startswith("scale deployments.apps default/web") for each in told(daemon))
            await daemon.stop()

    run(play())


def test_a_manager_that_is_switched_off_leaves_work_that_the_dry_run_sees() -> None:
    async def play() -> None:
        async with World() as world:
            working = world.start(WORKLOADS, identity="working")
            await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
            await world.until(_available(world, 3), 60.0)
            daemon = await rehearsing(world)
            await working.stop()
            assert told(daemon) == []
            await world.patch(f"{APPS}/deployments/web", {"spec": {"replicas": 5}})
            await world.clock.sleep(12.0)
            (action,) = (each for each in told(daemon) if "replicasets" in each)
            assert "spec.replicas=5" in action
            await daemon.stop()

    run(play())


def _available(world: World, count: int) -> Callable[[], Any]:
    async def available() -> bool:
        found = await world.call("GET", f"{APPS}/deployments/web")
        status = found.get("status") or {}
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        counts = [status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas")]
        return seen and counts == [count] * 3

    return available


def _records(caplog: pytest.LogCaptureFixture, message: str) -> int:
    return sum(record.getMessage() == message for record in caplog.records)

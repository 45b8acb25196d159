"""The whole daemon, and its Lease, under a slow server and under clocks that are set."""

from __future__ import annotations

from typing import Any

import pytest

from kcm.sandbox.api.faults import Delay, Fault
from kcm.testing.invariants import NoSurplus, is_active
from kcm.testing.virtual import VirtualClock, run
from kcm.testing.world import WORKLOADS, Daemon, World, deployment, replica_set

PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kcm"


async def pods_of(world: World, app: str) -> list[dict[str, Any]]:
    pods = await world.items(PODS)
    return [pod for pod in pods if is_active(pod) and pod["metadata"]["labels"].get("app") == app]


async def ready(world: World, path: str, replicas: int) -> bool:
    status = (await world.call("GET", path)).get("status", {})
    return bool(status.get("readyReplicas", 0) == replicas == status.get("replicas", 0))


async def transitions(world: World) -> int:
    found: int = (await world.call("GET", LEASE))["spec"]["leaseTransitions"]
    return found


def leads(daemon: Daemon) -> bool:
    return daemon.manager.status().election.leading


def test_a_leader_whose_renewals_take_four_seconds_leads_on() -> None:
    """Slower than the period of renewals, faster than their time-out; beside a standby that waits."""

    async def play() -> None:
        async with World() as world:
            surplus = NoSurplus(world.api)
            first = world.start(identity="first")
            await world.call("POST", SETS, replica_set("web", 3))
            await world.until(lambda: ready(world, f"{SETS}/web", 3))
            second = world.start(identity="second")
            await world.clock.sleep(5.0)
            world.api.faults.add(Fault(Delay(4.0), agent="leader-election"))
            world.api.faults.add(Fault(Delay(2.5), agent="^kcm(?!.*leader-election)"))
            for size in (9, 4):
                await world.patch(f"{SETS}/web", {"spec": {"replicas": size}})
                await world.clock.sleep(120.0)
                assert await ready(world, f"{SETS}/web", size)
                assert leads(first)
                assert not leads(second)
            assert await transitions(world) == 0
            assert not surplus.surplus
            world.api.faults.clear()
            await first.stop()
            await second.stop()

    run(play())


@pytest.mark.parametrize("step", [3600, -3600, 86_400, -86_400], ids=["+1h", "-1h", "+1d", "-1d"])
def test_a_manager_whose_time_of_day_is_set_leads_on_and_touches_no_pod(step: int) -> None:
    """Fault 34. What rests on times that others wrote may wait or hurry; it never costs a pod."""

    async def play() -> None:
        async with World() as world:
            surplus = NoSurplus(world.api)
            # The manager's own clock: the server and the kubelets keep the right time.
            world.clock = wrong = VirtualClock()
            daemon = world.start(WORKLOADS)
            timed = {"minReadySeconds": 5, "progressDeadlineSeconds": 60}
            await world.call("POST", DEPLOYMENTS, deployment("app", 3, **timed))
            await world.call("POST", SETS, replica_set("web", 4, minReadySeconds=5))
            await world.until(lambda: ready(world, f"{DEPLOYMENTS}/app", 3))
            await world.until(lambda: ready(world, f"{SETS}/web", 4))
            await world.clock.sleep(30.0)
            names = {pod["metadata"]["name"] for pod in await world.items(PODS)}
            writes = world.writes
            wrong.step_wall(step)
            await world.clock.sleep(60.0)
            assert {pod["metadata"]["name"] for pod in await world.items(PODS)} == names
            # A status or two may be counted anew.
            assert world.writes - writes <= 6
            await world.patch(f"{SETS}/web", {"spec": {"replicas": 6}})
            await world.until(lambda: ready(world, f"{SETS}/web", 6))
            template = {"metadata": {"annotations": {"version": "2"}}}
            await world.patch(f"{DEPLOYMENTS}/app", {"spec": {"template": template}})
            for _ in range(30):
                await world.clock.sleep(2.0)
                # One may be missing of three (maxUnavailable 25 % rounds down, surge up): none may.
                assert len(await pods_of(world, "app")) in (3, 4)
            wrong.step_wall(-step)
            await world.until(lambda: ready(world, f"{DEPLOYMENTS}/app", 3), within=300.0)
            await world.clock.sleep(20.0)
            conditions = (await world.call("GET", f"{DEPLOYMENTS}/app"))["status"]["conditions"]
            told = {each["type"]: (each["status"], each["reason"]) for each in conditions}
            assert told["Progressing"] == ("True", "NewReplicaSetAvailable")
            assert told["Available"][0] == "True"
            new = [pod for pod in await pods_of(world, "app") if pod["metadata"].get("annotations")]
            assert len(new) == 3
            assert leads(daemon)
            assert await transitions(world) == 0
            assert not surplus.surplus
            await daemon.stop()

    run(play())

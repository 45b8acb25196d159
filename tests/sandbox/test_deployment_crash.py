"""Crash after every write: whatever a rollout is cut at, it ends in the same state (k/k#44734).

Each scenario is run once undisturbed to count its writes, then once for every write of the
Deployment controller, with all hosts killed right behind it before they see the answer; the
manager restarts them. Bounds (S4) and one replica set for each template (S5) hold at every
revision of every run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kcm.testing.invariants import OneSetPerTemplate, controller_uid, is_active
from kcm.testing.rollout_bounds import RolloutBounds
from kcm.testing.virtual import run
from kcm.testing.world import WORKLOADS, Json, World, deployment

PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
WEB = f"{DEPLOYMENTS}/web"
REVISION = "deployment.kubernetes.io/revision"

Scenario = Callable[[World], Awaitable[None]]


async def complete(world: World, replicas: int, image: str) -> None:
    async def holds() -> bool:
        found = await world.call("GET", WEB)
        status = found["status"]
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        conditions = {each["type"]: each["reason"] for each in status.get("conditions", ())}
        return (
            image_of(found) == image
            and all(status.get(name, 0) == replicas for name in counts)
            and status.get("observedGeneration") == found["metadata"]["generation"]
            and conditions.get("Progressing") == "NewReplicaSetAvailable"
            and not status.get("terminatingReplicas", 0)
        )

    await world.until(holds, within=240.0, what=f"{replicas} of {image}")


def image_of(owner: Json) -> str:
    image: str = owner["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


async def set_image(world: World, tag: str) -> None:
    containers = [{"name": "c", "image": f"example/web:{tag}"}]
    await world.patch(WEB, {"spec": {"template": {"spec": {"containers": containers}}}})


async def sizes(world: World) -> list[int]:
    return sorted(each["spec"]["replicas"] for each in await world.items(SETS))


async def create(world: World) -> None:
    await world.call("POST", DEPLOYMENTS, deployment("web", 3))
    await complete(world, 3, "example/web:1")


async def rollout(world: World) -> None:
    await set_image(world, "2")
    await complete(world, 3, "example/web:2")


async def rollover(world: World) -> None:
    await set_image(world, "nonexistent")

    async def stuck() -> bool:
        return len(await world.items(SETS)) == 2

    await world.until(stuck)
    await set_image(world, "3")
    await complete(world, 3, "example/web:3")


STUCK = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}


async def stuck_rollout(world: World) -> None:
    """10 replicas with a surge of 3, whose rollout stands still at 8 old and 5 new ones."""
    await world.call("POST", DEPLOYMENTS, deployment("web", 10, strategy=STUCK))
    await complete(world, 10, "example/web:1")
    await set_image(world, "nonexistent")
    await world.until(lambda: at(world, [5, 8]), what="8 and 5")


async def at(world: World, wanted: list[int]) -> bool:
    return await sizes(world) == wanted


async def scale_during_rollout(world: World) -> None:
    await world.patch(WEB, {"spec": {"replicas": 30}})
    await world.until(lambda: at(world, [13, 20]), within=120.0, what="20 and 13")


async def pause_scale_resume(world: World) -> None:
    await set_image(world, "2")
    await world.patch(WEB, {"spec": {"paused": True}})
    await world.patch(WEB, {"spec": {"replicas": 4}})

    async def scaled() -> bool:
        return sum(await sizes(world)) >= 4

    await world.until(scaled, within=120.0)
    await world.patch(WEB, {"spec": {"paused": False}})
    await complete(world, 4, "example/web:2")


async def rolled_out(world: World) -> None:
    await create(world)
    await rollout(world)


async def rollback(world: World) -> None:
    await world.patch(WEB, {"metadata": {"annotations": {"deprecated.deployment.rollback.to": "0"}}})
    await complete(world, 3, "example/web:1")


async def recreated(world: World) -> None:
    await world.call("POST", DEPLOYMENTS, deployment("web", 3, strategy={"type": "Recreate"}))
    await complete(world, 3, "example/web:1")


async def collision(world: World) -> None:
    (mine,) = await world.items(SETS)
    edited = {"template": {"spec": {"containers": [{"name": "c", "image": "example/edited:1"}]}}}
    await world.patch(f"{SETS}/{mine['metadata']['name']}", {"spec": edited})

    async def collided() -> bool:
        return len(await world.items(SETS)) == 2

    await world.until(collided, within=120.0)
    await complete(world, 3, "example/web:1")


async def history(world: World) -> None:
    await world.patch(WEB, {"spec": {"revisionHistoryLimit": 0}})

    async def alone() -> bool:
        return len(await world.items(SETS)) == 1

    await world.until(alone, within=120.0)


async def nothing(world: World) -> None:
    return None


SCENARIOS: dict[str, tuple[Scenario, Scenario]] = {
    "create": (nothing, create),
    "rollout": (create, rollout),
    "rollover": (create, rollover),
    "scale-during-rollout": (stuck_rollout, scale_during_rollout),
    "pause-scale-resume": (create, pause_scale_resume),
    "rollback": (rolled_out, rollback),
    "recreate": (recreated, rollout),
    "collision": (create, collision),
    "history": (rolled_out, history),
}


async def play(
    prepare: Scenario, scenario: Scenario, crash_after: int | None, *, of: str = "/deployment"
) -> tuple[int, dict[str, Any]]:
    """Run a scenario; return how many writes `of` a controller it took, and what is there in the end."""
    async with World() as world:
        bounds, twins = RolloutBounds(world.api), OneSetPerTemplate(world.api)
        first = world.start(WORKLOADS)
        await prepare(world)
        await first.stop()
        daemon = world.start(WORKLOADS, identity="subject", crash_after=crash_after, crash_of=of)
        await scenario(world)
        await world.clock.sleep(10.0)
        quiet = world.writes
        await world.clock.sleep(30.0)
        assert world.writes == quiet
        writes = daemon.writes
        hosts = len(WORKLOADS) + 1  # theirs, and the recorder's
        assert (len(daemon.launcher.handles) > hosts) is (crash_after is not None)
        await daemon.stop()
        assert not bounds.broken
        assert not twins.broken
        return writes, await ending(world)


async def ending(world: World) -> dict[str, Any]:
    """Return what a user would compare: sizes, revisions and counts, without names and times."""
    found = await world.call("GET", WEB)
    mine = [each for each in await world.items(SETS) if controller_uid(each) == found["metadata"]["uid"]]
    status = {name: value for name, value in found["status"].items() if name != "conditions"}
    conditions = {each["type"]: (each["status"], each["reason"]) for each in found["status"]["conditions"]}
    return {
        "sets": sorted(
            (image_of(each), each["spec"]["replicas"], sorted(each["metadata"]["annotations"].items()))
            for each in mine
        ),
        "pods": len([pod for pod in await world.items(PODS) if is_active(pod)]),
        "revision": found["metadata"]["annotations"][REVISION],
        "template": found["spec"]["template"],
        "status": {**status, "observedGeneration": 0},
        "conditions": conditions,
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_crash_after_any_write_changes_nothing_of_the_end(name: str) -> None:
    prepare, scenario = SCENARIOS[name]
    writes, undisturbed = run(play(prepare, scenario, None))
    assert writes > 1
    for nth in range(1, writes + 1):
        _, end = run(play(prepare, scenario, nth))
        assert end == undisturbed, f"{name}, cut after write {nth} of {writes}"

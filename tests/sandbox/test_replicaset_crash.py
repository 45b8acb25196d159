"""Crash after every write: whatever is cut, the end is the same and no pod is doubled.

Each scenario is run once undisturbed to count its writes, then once for every write, with the
host killed right behind it before it sees the answer; the manager restarts it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kcm.testing.invariants import NoSurplus, controller_uid, is_active
from kcm.testing.virtual import run
from kcm.testing.world import Json, World, pod_of, replica_set

PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"

Scenario = Callable[[World], Awaitable[None]]


def owned(pods: list[Json], uid: str) -> list[Json]:
    return [pod for pod in pods if controller_uid(pod) == uid and is_active(pod)]


async def settled(world: World, name: str, replicas: int) -> None:
    """Wait until the status tells the truth about exactly so many pods."""

    async def holds() -> bool:
        found = await world.call("GET", f"{SETS}/{name}")
        pods = owned(await world.items(PODS), found["metadata"]["uid"])
        status = found["status"]
        return (
            len(pods) == replicas
            and status.get("replicas", 0) == replicas
            and status.get("readyReplicas", 0) == replicas
            and status.get("observedGeneration") == found["metadata"]["generation"]
        )

    await world.until(holds, within=120.0, what=f"{name} at {replicas}")


async def scale_up(world: World) -> None:
    await world.call("POST", SETS, replica_set("web", 5))
    await settled(world, "web", 5)


async def scale_down(world: World) -> None:
    await world.patch(f"{SETS}/web", {"spec": {"replicas": 1}})
    await settled(world, "web", 1)


async def adopt(world: World) -> None:
    for name in ("stray-1", "stray-2"):
        await world.call("POST", PODS, {"metadata": {"name": name}, "spec": pod_of("web", {})["spec"]})
        await world.patch(f"{PODS}/{name}", {"metadata": {"labels": {"app": "web"}}})
    await world.call("POST", SETS, replica_set("web", 3))
    await settled(world, "web", 3)


async def release(world: World) -> None:
    victim = (await world.items(PODS))[0]["metadata"]["name"]
    await world.patch(f"{PODS}/{victim}", {"metadata": {"labels": {"app": "other"}}})

    async def released() -> bool:
        return "ownerReferences" not in (await world.call("GET", f"{PODS}/{victim}"))["metadata"]

    await world.until(released)
    await settled(world, "web", 3)


async def nothing(world: World) -> None:
    return None


async def three_pods(world: World) -> None:
    daemon = world.start()
    await world.call("POST", SETS, replica_set("web", 3))
    await settled(world, "web", 3)
    await daemon.stop()


async def five_pods(world: World) -> None:
    daemon = world.start()
    await scale_up(world)
    await daemon.stop()


SCENARIOS: dict[str, tuple[Scenario, Scenario]] = {
    "scale-up": (nothing, scale_up),
    "scale-down": (five_pods, scale_down),
    "adopt": (nothing, adopt),
    "release": (three_pods, release),
}


async def play(prepare: Scenario, scenario: Scenario, crash_after: int | None) -> tuple[int, dict[str, Any]]:
    """Run a scenario; return how many writes it took and what the API server holds in the end."""
    async with World() as world:
        surplus = NoSurplus(world.api)
        await prepare(world)
        before = world.writes
        daemon = world.start(identity="subject", crash_after=crash_after)
        await scenario(world)
        await daemon.stop()
        writes = world.writes - before
        assert not surplus.surplus
        found = await world.call("GET", f"{SETS}/web")
        pods = [pod for pod in await world.items(PODS) if is_active(pod)]
        end = {
            "owned": len(owned(pods, found["metadata"]["uid"])),
            "all": len(pods),
            "replicas": found["status"].get("replicas"),
            "ready": found["status"].get("readyReplicas"),
            "available": found["status"].get("availableReplicas"),
        }
        return writes, end


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_crash_after_any_write_changes_nothing_of_the_end(name: str) -> None:
    prepare, scenario = SCENARIOS[name]
    writes, undisturbed = run(play(prepare, scenario, None))
    assert writes > 1
    for nth in range(1, writes + 1):
        _, end = run(play(prepare, scenario, nth))
        assert end == undisturbed, f"{name}, cut after write {nth} of {writes}"

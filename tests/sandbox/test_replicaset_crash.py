"""Crash after every write: whatever is cut, the end is the same and no pod is doubled.

Each scenario is run once undisturbed to count its writes, then once for every write, with the
host killed right behind it before it sees the answer; the manager restarts it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kcm.testing.virtual import run
from kcm.testing.world import Json, World, pod_of, replica_set

PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"

Scenario = Callable[[World], Awaitable[None]]


def active(pods: list[Json]) -> list[Json]:
    return [
        p
        for p in pods
        if "deletionTimestamp" not in p["metadata"] and p["status"]["phase"] not in ("Succeeded", "Failed")
    ]


def owned(pods: list[Json], uid: str) -> list[Json]:
    return [
        p
        for p in pods
        if any(o["uid"] == uid and o.get("controller") for o in p["metadata"].get("ownerReferences", []))
    ]


async def settled(world: World, name: str, replicas: int) -> None:
    """Wait until the status tells the truth about exactly so many pods."""

    async def holds() -> bool:
        found = await world.call("GET", f"{SETS}/{name}")
        pods = active(owned(await world.items(PODS), found["metadata"]["uid"]))
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
        most = Overshoot(world)
        await prepare(world)
        before = world.writes
        daemon = world.start(identity="subject", crash_after=crash_after)
        await scenario(world)
        await daemon.stop()
        writes = world.writes - before
        assert most.pods <= most.wanted, f"{most.pods} active pods where {most.wanted} were wanted"
        found = await world.call("GET", f"{SETS}/web")
        pods = active(await world.items(PODS))
        end = {
            "owned": len(owned(pods, found["metadata"]["uid"])),
            "all": len(pods),
            "replicas": found["status"].get("replicas"),
            "ready": found["status"].get("readyReplicas"),
            "available": found["status"].get("availableReplicas"),
        }
        return writes, end


class Overshoot:
    """Watches every commit: the most active pods that one replica set ever owned, and the most wanted."""

    def __init__(self, world: World) -> None:
        self.pods = 0
        self.wanted = 0
        self._alive: dict[str, set[str]] = {}
        world.api.audit.subscribe(self._see)

    def _see(self, mutation: Any) -> None:
        after = mutation.after
        if mutation.resource == "replicasets.apps" and after is not None:
            self.wanted = max(self.wanted, after["spec"]["replicas"])
        if mutation.resource != "pods":
            return
        present = after if after is not None else mutation.before
        owners = [o["uid"] for o in present["metadata"].get("ownerReferences", []) if o.get("controller")]
        for alive in self._alive.values():
            alive.discard(present["metadata"]["uid"])
        if after is not None and active([after]) and owners:
            self._alive.setdefault(owners[0], set()).add(present["metadata"]["uid"])
            self.pods = max(self.pods, len(self._alive[owners[0]]))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_crash_after_any_write_changes_nothing_of_the_end(name: str) -> None:
    prepare, scenario = SCENARIOS[name]
    writes, undisturbed = run(play(prepare, scenario, None))
    assert writes > 1
    for nth in range(1, writes + 1):
        _, end = run(play(prepare, scenario, nth))
        assert end == undisturbed, f"{name}, cut after write {nth} of {writes}"

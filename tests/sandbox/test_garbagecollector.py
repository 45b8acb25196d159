"""The garbage collector at work: the built-in one of the sandbox is off, kcm's own does it.

Judged by what the API server holds: what goes, what stays, and in which order.
"""

from __future__ import annotations

from typing import Any

from kcm.testing.virtual import run
from kcm.testing.world import WORKLOADS, Json, World, deployment

COLLECTOR = {"garbagecollector": "controllers.garbagecollector:GarbageCollectorController"}
PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MAPS = "/api/v1/namespaces/default/configmaps"
EVERYTHING = {**WORKLOADS, **COLLECTOR}


def world() -> World:
    return World(collect_garbage=False)


def options(propagation: str) -> Json:
    return {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}


async def owned_map(world: World, name: str, *owners: Json, **reference: Any) -> Json:
    references = [
        {
            "apiVersion": owner.get("apiVersion", "v1"),
            "kind": owner.get("kind", "ConfigMap"),
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            **reference,
        }
        for owner in owners
    ]
    return await world.call("POST", MAPS, {"metadata": {"name": name, "ownerReferences": references}})


async def names(world: World, path: str = MAPS) -> set[str]:
    found = {each["metadata"]["name"] for each in await world.items(path)}
    return found - {"kube-root-ca.crt"}


async def rolled_out(world: World, replicas: int) -> None:
    await world.call("POST", DEPLOYMENTS, deployment("web", replicas))

    async def available() -> bool:
        found = await world.call("GET", f"{DEPLOYMENTS}/web")
        available: int = found.get("status", {}).get("availableReplicas", 0)
        return available == replicas

    await world.until(available, within=120.0)


def test_deleting_a_deployment_in_the_background_takes_its_replica_sets_and_pods() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.start(EVERYTHING)
            await rolled_out(w, 3)
            await w.call("DELETE", f"{DEPLOYMENTS}/web", options("Background"))

            async def gone() -> bool:
                return not await w.items(SETS) and not await w.items(PODS)

            await w.until(gone, within=120.0)

    run(scenario())

"""Taking over from Go's manager, in the middle of a rollout or at rest (reference: workloads 4).

Its hash differs from ours, the templates do not: no replica set may be added, no pod restarted.
The objects are made as it leaves them, its dump-based hash in name, labels and selector.
"""

from __future__ import annotations

from typing import Any

import pytest

from kcm.testing.invariants import OneSetPerTemplate, controller_uid
from kcm.testing.rollout_bounds import RolloutBounds
from kcm.testing.virtual import run
from kcm.testing.world import REPLICASET, WORKLOADS, Json, World, deployment

PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
WEB = f"{DEPLOYMENTS}/web"
PREFIX = "deployment.kubernetes.io"


def image_of(owner: Json) -> str:
    image: str = owner["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


async def go_replica_set(world: World, owner: Json, hash_: str, tag: str, size: int, revision: int) -> Json:
    """Make a replica set as Go's manager does: spelt differently, meaning the same."""
    labels = {"app": "web", "pod-template-hash": hash_}
    container = {
        "name": "c",
        "image": f"example/web:{tag}",
        "env": [],
        "resources": {"limits": {"cpu": "1000m"}},
    }
    body = {
        "metadata": {
            "name": f"web-{hash_}",
            "labels": labels,
            "annotations": {
                f"{PREFIX}/desired-replicas": "4",
                f"{PREFIX}/max-replicas": "5",
                f"{PREFIX}/revision": str(revision),
            },
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": "web",
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "replicas": size,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"creationTimestamp": None, "labels": labels},
                "spec": {"containers": [container], "nodeSelector": {}},
            },
        },
    }
    return await world.call("POST", SETS, body)


async def left_by_go(world: World, sizes: dict[str, int]) -> set[str]:
    """Make a Deployment with replica sets of these sizes, the last one new; return its pods' uids."""
    wanted = deployment("web", 4)
    container = {"name": "c", "image": "example/web:2", "resources": {"limits": {"cpu": "1"}}}
    wanted["spec"]["template"]["spec"]["containers"] = [container]
    wanted["metadata"]["annotations"] = {f"{PREFIX}/revision": "2"}
    owner = await world.call("POST", DEPLOYMENTS, wanted)
    daemon = world.start(REPLICASET, identity="before")
    for number, (hash_, size) in enumerate(sizes.items(), start=1):
        await go_replica_set(world, owner, hash_, str(number), size, number)
        await world.clock.sleep(2.0)
    await world.clock.sleep(10.0)
    total = sum(sizes.values())
    status: dict[str, Any] = {
        "observedGeneration": 1,
        "replicas": total,
        "updatedReplicas": list(sizes.values())[-1],
        "readyReplicas": total,
        "availableReplicas": total,
        "conditions": [
            {
                "type": "Progressing",
                "status": "True",
                "reason": "NewReplicaSetAvailable" if len(sizes) == 2 and total == 4 else "ReplicaSetUpdated",
                "message": "m",
                "lastUpdateTime": "2026-01-01T00:00:00Z",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
    }
    await world.patch(f"{WEB}/status", {"status": status})
    await daemon.stop()
    return {pod["metadata"]["uid"] for pod in await world.items(PODS)}


async def complete(world: World) -> Json:
    async def holds() -> bool:
        status = (await world.call("GET", WEB))["status"]
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        reasons = {each["reason"] for each in status.get("conditions", ())}
        return all(status.get(name) == 4 for name in counts) and "NewReplicaSetAvailable" in reasons

    await world.until(holds, what="complete")
    return await world.call("GET", WEB)


@pytest.mark.parametrize("sizes", [{"6b77f4bd9f": 3, "5d69b8c7fb": 2}, {"6b77f4bd9f": 4, "5d69b8c7fb": 0}])
def test_a_rollout_that_go_began_goes_on_with_its_replica_sets(sizes: dict[str, int]) -> None:
    async def taken_over() -> None:
        async with World() as world:
            await left_by_go(world, sizes)
            bounds, twins = RolloutBounds(world.api), OneSetPerTemplate(world.api)
            owner = await world.call("GET", WEB)
            await world.patch(WEB, {"metadata": {"labels": {"seen": "again"}}})
            daemon = world.start(WORKLOADS)
            found = await complete(world)
            await world.clock.sleep(60.0)
            mine = {each["metadata"]["name"]: each["spec"]["replicas"] for each in await world.items(SETS)}
            assert mine == {"web-6b77f4bd9f": 0, "web-5d69b8c7fb": 4}
            assert found["metadata"]["uid"] == owner["metadata"]["uid"]
            assert found["metadata"]["annotations"][f"{PREFIX}/revision"] == "2"
            assert not bounds.broken
            assert not twins.broken
            await daemon.stop()

    run(taken_over())


def test_a_deployment_at_rest_is_taken_over_without_a_new_pod() -> None:
    async def taken_over() -> None:
        async with World() as world:
            before = await left_by_go(world, {"6b77f4bd9f": 0, "5d69b8c7fb": 4})
            daemon = world.start(WORKLOADS)
            await world.clock.sleep(60.0)
            await complete(world)
            assert {pod["metadata"]["uid"] for pod in await world.items(PODS)} == before
            assert len([each for each in await world.items(SETS) if controller_uid(each)]) == 2
            quiet = world.writes
            await world.clock.sleep(600.0)
            assert world.writes == quiet
            await daemon.stop()

    run(taken_over())


def test_going_back_to_what_go_rolled_out_before_reuses_its_replica_set() -> None:
    async def taken_over() -> None:
        async with World() as world:
            await left_by_go(world, {"6b77f4bd9f": 0, "5d69b8c7fb": 4})
            daemon = world.start(WORKLOADS)
            await complete(world)
            container = {"name": "c", "image": "example/web:1", "resources": {"limits": {"cpu": 1}}}
            await world.patch(WEB, {"spec": {"template": {"spec": {"containers": [container]}}}})

            async def back() -> bool:
                sizes = {
                    each["metadata"]["name"]: each["spec"]["replicas"] for each in await world.items(SETS)
                }
                return sizes == {"web-6b77f4bd9f": 4, "web-5d69b8c7fb": 0}

            await world.until(back)
            found = await complete(world)
            assert found["metadata"]["annotations"][f"{PREFIX}/revision"] == "3"
            await daemon.stop()

    run(taken_over())


def test_what_is_left_in_the_middle_of_a_rollout_is_what_go_goes_on_from() -> None:
    # It finds the new replica set by an equal template, the hash label aside, and sizes by annotations.
    async def left() -> None:
        async with World() as world:
            daemon = world.start(WORKLOADS)
            await world.call("POST", DEPLOYMENTS, deployment("web", 4))
            await complete(world)
            first = (await world.call("GET", WEB))["spec"]["template"]
            containers = [{"name": "c", "image": "example/web:nonexistent"}]
            await world.patch(WEB, {"spec": {"template": {"spec": {"containers": containers}}}})
            await world.clock.sleep(10.0)
            await daemon.stop()
            owner = await world.call("GET", WEB)
            found = sorted(
                await world.items(SETS),
                key=lambda each: each["metadata"]["annotations"][f"{PREFIX}/revision"],
            )
            assert [each["spec"]["replicas"] for each in found] == [3, 2]
            for revision, (each, template) in enumerate(
                zip(found, (first, owner["spec"]["template"]), strict=True), start=1
            ):
                hash_ = each["metadata"]["labels"].pop("pod-template-hash")
                assert each["metadata"]["name"] == f"web-{hash_}"
                assert each["spec"]["selector"] == {"matchLabels": {"app": "web", "pod-template-hash": hash_}}
                assert each["spec"]["template"]["metadata"]["labels"].pop("pod-template-hash") == hash_
                assert each["spec"]["template"] == template
                assert each["metadata"]["labels"] == {"app": "web"}
                assert controller_uid(each) == owner["metadata"]["uid"]
                assert each["metadata"]["annotations"] == {
                    f"{PREFIX}/revision": str(revision),
                    f"{PREFIX}/desired-replicas": "4",
                    f"{PREFIX}/max-replicas": "5",
                }
            assert owner["metadata"]["annotations"] == {f"{PREFIX}/revision": "2"}
            reasons = {each["type"]: each["reason"] for each in owner["status"]["conditions"]}
            assert reasons == {"Available": "MinimumReplicasAvailable", "Progressing": "ReplicaSetUpdated"}

    run(left())

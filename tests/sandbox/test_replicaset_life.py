"""A replica set's life under a running daemon: the cases of workloads 5 that need somebody to wake it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kcm.testing.virtual import run
from kcm.testing.world import Json, World, pod_of, replica_set

PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"


Story = Callable[[World], Awaitable[None]]


def story(test: Story, nodes: int = 2) -> Callable[[], None]:
    """Run an async test in a world of its own, with one daemon working from the start."""

    def in_virtual_time() -> None:
        async def in_a_world() -> None:
            async with World(nodes=nodes) as world:
                daemon = world.start()
                try:
                    await test(world)
                finally:
                    await daemon.stop()

        run(in_a_world())

    in_virtual_time.__name__ = test.__name__
    return in_virtual_time


def story_without_nodes(test: Story) -> Callable[[], None]:
    """The same, with pods that nobody runs."""
    return story(test, nodes=0)


async def owned(world: World, name: str = "web") -> list[Json]:
    """Return the active pods that the replica set controls."""
    uid = (await world.call("GET", f"{SETS}/{name}"))["metadata"]["uid"]
    return [
        pod
        for pod in await world.items(PODS)
        if any(each["uid"] == uid and each.get("controller") for each in references(pod))
        and "deletionTimestamp" not in pod["metadata"]
        and pod["status"]["phase"] not in ("Failed", "Succeeded")
    ]


def references(pod: Json) -> list[Json]:
    found: list[Json] = pod["metadata"].get("ownerReferences", [])
    return found


def names(pods: list[Json]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


async def reads(world: World, name: str = "web", **expected: Any) -> None:
    """Wait until the status reads so, and describes the present spec."""

    async def holds() -> bool:
        found = await world.call("GET", f"{SETS}/{name}")
        status = found["status"]
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        return current and all(status.get(field, 0) == value for field, value in expected.items())

    await world.until(holds, what=f"{name} reads {expected}")


async def stays_quiet(world: World, seconds: float = 600.0) -> None:
    """Let time pass; nothing may be written (reliability L1)."""
    writes = world.writes
    await world.clock.sleep(seconds)
    assert world.writes == writes


async def bring(world: World, replicas: int, name: str = "web", **spec: Any) -> None:
    await world.call("POST", SETS, replica_set(name, replicas, **spec))
    await reads(world, name, replicas=replicas, readyReplicas=replicas)


@story
async def test_40_a_replica_set_is_filled_and_then_left_in_peace(world: World) -> None:
    await bring(world, 5)
    await reads(world, availableReplicas=5, fullyLabeledReplicas=5, terminatingReplicas=0)
    await stays_quiet(world)


@story
async def test_a_lost_pod_comes_back_under_another_name(world: World) -> None:
    await bring(world, 3)
    before = names(await owned(world))
    lost = min(before)
    await world.call("DELETE", f"{PODS}/{lost}")

    async def made_up_for() -> bool:
        after = names(await owned(world))
        return before - after == {lost} and len(after) == 3

    await world.until(made_up_for)
    await reads(world, replicas=3, readyReplicas=3, terminatingReplicas=0)
    await stays_quiet(world)


@story
async def test_44_a_pod_whose_label_changes_is_let_go_and_taken_back(world: World) -> None:
    await bring(world, 1)
    (first,) = names(await owned(world))
    await world.patch(f"{PODS}/{first}", {"metadata": {"labels": {"app": "other"}}})

    async def replaced() -> bool:
        mine = await owned(world)
        free = await world.call("GET", f"{PODS}/{first}")
        return len(mine) == 1 and names(mine) != {first} and not references(free)

    await world.until(replaced)
    await world.patch(f"{PODS}/{first}", {"metadata": {"labels": {"app": "web"}}})

    async def one_of_two_is_left() -> bool:
        return len(await world.items(PODS)) == 1

    await world.until(one_of_two_is_left)
    await reads(world, replicas=1, readyReplicas=1)
    await stays_quiet(world)


@story
async def test_a_pod_whose_owner_was_taken_away_is_adopted_again(world: World) -> None:
    # k/k#32829: the removal of a reference woke nobody.
    await bring(world, 2)
    name = min(names(await owned(world)))
    await world.patch(f"{PODS}/{name}", {"metadata": {"ownerReferences": None}})

    async def mine() -> bool:
        return len(await owned(world)) == 2 and len(await world.items(PODS)) == 2

    await world.until(mine)
    await stays_quiet(world)


@story
async def test_43_overlapping_replica_sets_do_not_fight(world: World) -> None:
    await bring(world, 1, "web")
    both = replica_set("web2", 2)
    both["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    both["spec"]["template"] = pod_of("web", {"app": "web"})
    await world.call("POST", SETS, both)
    await reads(world, "web2", replicas=2, readyReplicas=2)
    assert len(await world.items(PODS)) == 3
    assert len(await owned(world, "web")) == 1
    await stays_quiet(world)


@story
async def test_69_a_pod_becomes_available_by_mere_waiting(world: World) -> None:
    await world.call("POST", SETS, replica_set("web", 2, minReadySeconds=100))
    await reads(world, readyReplicas=2, availableReplicas=0)
    await world.clock.sleep(50.0)
    await reads(world, readyReplicas=2, availableReplicas=0)
    await reads(world, readyReplicas=2, availableReplicas=2)
    await stays_quiet(world)


@story
async def test_47_scale_through_the_subresource(world: World) -> None:
    await bring(world, 1)
    await world.patch(f"{SETS}/web/scale", {"spec": {"replicas": 4}})
    await reads(world, replicas=4, readyReplicas=4)
    await world.patch(f"{SETS}/web/scale", {"spec": {"replicas": 0}})
    await reads(world, replicas=0, terminatingReplicas=0)
    assert await world.items(PODS) == []


@story
async def test_a_replica_set_made_again_under_its_name_takes_over_the_pods_at_once(world: World) -> None:
    # k/k#69376: what was remembered of the first one must not hold up the second.
    await bring(world, 3)
    before = names(await owned(world))
    orphaning = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"}
    await world.call("DELETE", f"{SETS}/web", orphaning)

    async def gone() -> bool:
        return await world.items(SETS) == [] and not any(map(references, await world.items(PODS)))

    await world.until(gone)
    await world.call("POST", SETS, replica_set("web", 3))
    await reads(world, replicas=3, readyReplicas=3)
    assert names(await owned(world)) == before
    assert len(await world.items(PODS)) == 3


@story
async def test_a_replica_set_that_is_deleted_takes_its_pods_along_and_makes_no_new_ones(world: World) -> None:
    await bring(world, 3)
    await world.call("DELETE", f"{SETS}/web")

    async def gone() -> bool:
        return await world.items(PODS) == []

    await world.until(gone)
    await stays_quiet(world)


@story
async def test_1_8_people_are_told(world: World) -> None:
    await bring(world, 2)
    made = names(await owned(world))
    await world.patch(f"{SETS}/web", {"spec": {"replicas": 0}})
    await reads(world, replicas=0)

    async def told() -> bool:
        events = await world.items("/api/v1/namespaces/default/events")
        mine = {(e["reason"], e["message"]) for e in events if e["involvedObject"]["kind"] == "ReplicaSet"}
        created = {("SuccessfulCreate", f"Created pod: {name}") for name in made}
        return mine == created | {("SuccessfulDelete", f"Deleted pod: {name}") for name in made}

    await world.until(told)


@story_without_nodes
async def test_51_terminating_pods_are_counted_and_not_waited_for(world: World) -> None:
    await world.call("POST", SETS, replica_set("web", 2))
    await reads(world, replicas=2)
    held = (await owned(world))[0]["metadata"]["name"]
    await world.patch(f"{PODS}/{held}", {"metadata": {"finalizers": ["example.com/hold"]}})
    await world.call("DELETE", f"{PODS}/{held}")
    await reads(world, replicas=2, terminatingReplicas=1)
    assert len(await owned(world)) == 2
    await stays_quiet(world)
    await world.patch(f"{PODS}/{held}", {"metadata": {"finalizers": None}})
    await reads(world, replicas=2, terminatingReplicas=0)


@story_without_nodes
async def test_62_more_than_a_burst_up_and_down(world: World) -> None:
    await world.call("POST", SETS, replica_set("web", 1200))
    await reads(world, replicas=1200)
    assert len(await world.items(PODS)) == 1200
    await world.patch(f"{SETS}/web", {"spec": {"replicas": 3}})
    await reads(world, replicas=3)
    assert len(await world.items(PODS)) == 3


@story_without_nodes
async def test_pods_that_fail_at_once_are_not_made_by_the_thousand(world: World) -> None:
    # k/k#72593: a node that rejects every pod.
    await world.call("POST", SETS, replica_set("web", 2))
    end = world.clock.monotonic() + 600.0
    while world.clock.monotonic() < end:
        for pod in await owned(world):
            await world.patch(f"{PODS}/{pod['metadata']['name']}/status", {"status": {"phase": "Failed"}})
        await world.clock.sleep(0.2)
    assert 20 < len(await world.items(PODS)) < 100

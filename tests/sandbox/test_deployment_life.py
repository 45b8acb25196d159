"""A Deployment's life under a running daemon: the stories of workloads 5 that need somebody to wake it.

Every story is watched at every revision: bounds (reliability S4), one replica set for each
template (S5), and quiet at the end (L1). A case is found by its number: `pytest -k case_21`. Of the
cases 1 to 12, 21 to 37 and 82 to 100 only case 10, a load balancer, is nowhere: it needs a cloud.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from kcm.config.schema import ControllerConfig
from kcm.sandbox.api.faults import Fault, Refuse
from kcm.testing.invariants import OneSetPerTemplate, controller_uid, is_active
from kcm.testing.rollout_bounds import RolloutBounds
from kcm.testing.virtual import run
from kcm.testing.world import WORKLOADS, Json, World, deployment, quick_configuration, replica_set

PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
WEB = f"{DEPLOYMENTS}/web"
EVENTS = "/api/v1/namespaces/default/events"
REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"

Story = Callable[[World], Awaitable[None]]


def story(test: Story) -> Callable[[], None]:
    """Run an async test in a world of its own, with one daemon working from the start, under watch."""

    def in_virtual_time() -> None:
        async def in_a_world() -> None:
            async with World() as world:
                bounds, twins = RolloutBounds(world.api), OneSetPerTemplate(world.api)
                daemon = world.start(WORKLOADS)
                try:
                    await test(world)
                finally:
                    await daemon.stop()
                assert not bounds.broken
                assert not twins.broken

        run(in_a_world())

    in_virtual_time.__name__ = test.__name__
    return in_virtual_time


async def get(world: World, name: str = "web") -> Json:
    return await world.call("GET", f"{DEPLOYMENTS}/{name}")


async def sets(world: World, name: str = "web") -> dict[str, Json]:
    """Return the Deployment's replica sets by the image that they run."""
    uid = (await get(world, name))["metadata"]["uid"]
    found = [each for each in await world.items(SETS) if controller_uid(each) == uid]
    return {image_of(each): each for each in found}


def image_of(owner: Json) -> str:
    image: str = owner["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


def condition(found: Json, type_: str) -> Json:
    return next((each for each in found["status"].get("conditions", ()) if each["type"] == type_), {})


async def reads(world: World, name: str = "web", within: float = 60.0, **expected: Any) -> Json:
    """Wait until the status reads so, and describes the present spec."""

    async def holds() -> bool:
        found = await get(world, name)
        status = found["status"]
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        return current and all(status.get(field, 0) == value for field, value in expected.items())

    await world.until(holds, within, what=f"{name} reads {expected}")
    return await get(world, name)


async def completes(world: World, replicas: int, name: str = "web", within: float = 60.0) -> Json:
    """Wait until all replicas are new and available, and the status says so."""

    async def holds() -> bool:
        found = await get(world, name)
        return condition(found, "Progressing").get("reason") == "NewReplicaSetAvailable"

    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    await reads(world, name, within, **dict.fromkeys(counts, replicas), terminatingReplicas=0)
    await world.until(holds, within, what=f"{name} is complete")
    return await get(world, name)


async def bring(world: World, replicas: int, name: str = "web", **spec: Any) -> Json:
    await world.call("POST", DEPLOYMENTS, deployment(name, replicas, **spec))
    return await completes(world, replicas, name)


async def set_image(world: World, tag: str, **notes: str) -> None:
    """Change the image, and the annotations by which the simulated kubelet behaves."""
    behaviour = {f"sandbox.kcm.dev/{name.replace('_', '-')}": text for name, text in notes.items()}
    template = {
        "metadata": {"annotations": behaviour or None},
        "spec": {"containers": [{"name": "c", "image": f"example/web:{tag}"}]},
    }
    await world.patch(WEB, {"spec": {"template": template}})


async def stays_quiet(world: World, seconds: float = 600.0) -> None:
    """Let time pass; nothing may be written (reliability L1)."""
    writes = world.writes
    await world.clock.sleep(seconds)
    assert world.writes == writes


async def told(world: World, reason: str) -> list[str]:
    """Return what was told for a reason, in order, once the recorder has had its moment."""
    await world.clock.sleep(1.0)
    found = [each for each in await world.items(EVENTS) if each["reason"] == reason]
    return [each["message"] for each in sorted(found, key=lambda each: each["metadata"]["name"])]


@story
async def test_case_21_a_deployment_gets_a_replica_set_and_pods_of_one_hash(world: World) -> None:
    notes = {"team": "a", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    wanted = deployment("web", 4, minReadySeconds=2)
    wanted["metadata"]["annotations"] = notes
    await world.call("POST", DEPLOYMENTS, wanted)
    found = await completes(world, 4)
    (mine,) = (await sets(world)).values()
    name = mine["metadata"]["labels"][HASH]
    assert mine["metadata"]["name"] == f"web-{name}"
    assert mine["spec"]["selector"]["matchLabels"] == {"app": "web", HASH: name}
    assert mine["spec"]["minReadySeconds"] == 2
    assert {pod["metadata"]["labels"][HASH] for pod in await world.items(PODS)} == {name}
    assert mine["metadata"]["annotations"] == {
        "team": "a",
        REVISION: "1",
        "deployment.kubernetes.io/desired-replicas": "4",
        "deployment.kubernetes.io/max-replicas": "5",
    }
    assert found["metadata"]["annotations"] == {**notes, REVISION: "1"}
    assert found["metadata"]["generation"] == 1
    assert condition(found, "Available")["reason"] == "MinimumReplicasAvailable"
    assert (
        condition(found, "Progressing")["message"] == f'ReplicaSet "web-{name}" has successfully progressed.'
    )
    assert await told(world, "ScalingReplicaSet") == [f"Scaled up replica set web-{name} from 0 to 4"]
    await stays_quiet(world)


@story
async def test_case_22_revisions_count_rollouts_and_going_back_reuses_the_replica_set(world: World) -> None:
    await bring(world, 3)
    first = image_of(await get(world))
    await set_image(world, "2")
    found = await completes(world, 3)
    assert found["metadata"]["annotations"][REVISION] == "2"
    await world.patch(WEB, {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": first}]}}}})
    found = await completes(world, 3)
    assert found["metadata"]["annotations"][REVISION] == "3"
    mine = await sets(world)
    assert len(mine) == 2
    assert mine[first]["metadata"]["annotations"][REVISION] == "3"
    assert mine[first]["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    assert mine["example/web:2"]["spec"]["replicas"] == 0
    await set_image(world, "3")
    found = await completes(world, 3)
    assert found["metadata"]["annotations"][REVISION] == "4"
    await stays_quiet(world)


@story
async def test_a_rolling_update_of_many_stays_within_bounds(world: World) -> None:
    await bring(world, 20)
    await set_image(world, "2", start_delay="2s")
    await completes(world, 20, within=120.0)
    await stays_quiet(world)


@story
async def test_a_rolling_update_without_surge_stays_within_bounds(world: World) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 2}}
    await bring(world, 7, strategy=strategy)
    await set_image(world, "2")
    await completes(world, 7)
    await stays_quiet(world)


@story
async def test_case_5_a_stuck_rollout_is_rolled_over(world: World) -> None:
    await bring(world, 4)
    await set_image(world, "nonexistent")
    await reads(world, updatedReplicas=2)
    await world.clock.sleep(10.0)
    await set_image(world, "3")
    found = await completes(world, 4)
    assert found["metadata"]["annotations"][REVISION] == "3"
    mine = await sets(world)
    assert [each["spec"]["replicas"] for each in mine.values()].count(0) == 2
    assert mine["example/web:3"]["spec"]["replicas"] == 4
    await stays_quiet(world)


@story
async def test_a_rollout_that_is_rolled_over_at_once_ends_well(world: World) -> None:
    await bring(world, 5)
    for tag in ("2", "3", "4"):
        await set_image(world, tag)
        await world.clock.sleep(0.3)
    await completes(world, 5)
    await stays_quiet(world)


@story
async def test_case_3_and_case_36_recreate_never_mixes_old_and_new_pods(world: World) -> None:
    mixed: list[int] = []

    def look(mutation: Any) -> None:
        if mutation.resource == "pods" and mutation.event == "ADDED":
            pods.add(mutation.name)
            hashes = {name.rpartition("-")[0] for name in pods}
            if len(hashes) > 1:
                mixed.append(mutation.revision)
        elif mutation.resource == "pods" and mutation.event == "DELETED":
            pods.discard(mutation.name)

    pods: set[str] = set()
    world.api.audit.subscribe(look)
    await world.call("POST", DEPLOYMENTS, recreate(3, stop_delay="20s"))
    await completes(world, 3)
    await set_image(world, "2")
    await reads(world, terminatingReplicas=3, replicas=0)
    await completes(world, 3)
    assert not mixed
    assert len(await sets(world)) == 2
    await stays_quiet(world)


@story
async def test_case_36_recreate_counts_what_terminates_until_it_is_gone(world: World) -> None:
    await world.call("POST", DEPLOYMENTS, lingering(recreate(6)))
    await completes(world, 6)
    pods = [pod["metadata"]["name"] for pod in await world.items(PODS)]
    await set_image(world, "2")
    await reads(world, replicas=0, terminatingReplicas=6)
    for name in pods[1:]:
        await end(world, name)
    await reads(world, replicas=0, terminatingReplicas=1)
    await world.patch(WEB, {"spec": {"replicas": 3}})
    await reads(world, replicas=0, terminatingReplicas=1)
    await stays_quiet(world, 20.0)
    assert len(await sets(world)) == 1
    await end(world, pods[0])
    await completes(world, 3)
    assert len(await sets(world)) == 2


STOP_DELAY = "sandbox.kcm.dev/stop-delay"


def lingering(wanted: Json) -> Json:
    """Let the pods take an hour to stop, unless `end` makes them."""
    template = wanted["spec"]["template"]
    template["spec"]["terminationGracePeriodSeconds"] = 7200
    template["metadata"]["annotations"] = {STOP_DELAY: "1h"}
    return wanted


async def end(world: World, pod: str) -> None:
    """Let a lingering pod stop."""
    await world.patch(f"{PODS}/{pod}", {"metadata": {"annotations": {STOP_DELAY: None}}})


@pytest.mark.parametrize("strategy", ["Recreate", "RollingUpdate"])
@pytest.mark.parametrize("others", [0, 1], ids=["the last old pod goes", "another old pod stays"])
def test_case_87_the_last_old_pods_end_lets_recreate_go_on(strategy: str, others: int) -> None:
    @story
    async def replaced(world: World) -> None:
        await world.call("POST", DEPLOYMENTS, lingering(recreate(1 + others)))
        await completes(world, 1 + others)
        pods = [pod["metadata"]["name"] for pod in await world.items(PODS)]
        if strategy == "RollingUpdate":
            await world.patch(WEB, {"spec": {"strategy": {"type": strategy}}})
        await set_image(world, "2")
        await reads(world, terminatingReplicas=1 + others)
        await end(world, pods[0])
        await world.clock.sleep(5.0)
        goes_on = strategy == "RollingUpdate" or others == 0
        assert len(await sets(world)) == 1 + goes_on
        for name in pods[1:]:
            await end(world, name)
        await completes(world, 1 + others)

    replaced()


def recreate(replicas: int, **notes: str) -> Json:
    wanted = deployment("web", replicas, strategy={"type": "Recreate"})
    behaviour = {f"sandbox.kcm.dev/{name.replace('_', '-')}": text for name, text in notes.items()}
    wanted["spec"]["template"]["metadata"]["annotations"] = behaviour
    return wanted


@story
async def test_case_30_recreate_follows_its_replicas(world: World) -> None:
    await world.call("POST", DEPLOYMENTS, recreate(2))
    await completes(world, 2)
    for replicas in (0, 1):
        await world.patch(WEB, {"spec": {"replicas": replicas}})
        await completes(world, replicas)
    assert len(await sets(world)) == 1
    await stays_quiet(world)


@story
async def test_case_9_and_case_37_a_scaled_rollout_is_spread_in_proportion(world: World) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    await bring(world, 10, strategy=strategy)
    await set_image(world, "404", fault="never-ready")

    async def stuck_at(old: int, new: int) -> None:
        async def holds() -> bool:
            mine = await sets(world)
            return {tag: each["spec"]["replicas"] for tag, each in mine.items()} == {
                "example/web:1": old,
                "example/web:404": new,
            }

        await world.until(holds, what=f"{old} old and {new} new")

    await stuck_at(8, 5)
    await world.patch(WEB, {"spec": {"replicas": 30}})
    await stuck_at(20, 13)
    for each in (await sets(world)).values():
        assert each["metadata"]["annotations"]["deployment.kubernetes.io/desired-replicas"] == "30"
        assert each["metadata"]["annotations"]["deployment.kubernetes.io/max-replicas"] == "33"
    await set_image(world, "3")
    await completes(world, 30)
    await stays_quiet(world)


@story
async def test_case_29_and_case_37_pods_that_terminate_change_nothing_of_the_proportions(
    world: World,
) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 20, "maxUnavailable": 0}}
    await world.call("POST", DEPLOYMENTS, lingering(deployment("web", 100, strategy=strategy)))
    await reads(world, readyReplicas=100)
    for pod in (await world.items(PODS))[:6]:
        await world.call("DELETE", f"{PODS}/{pod['metadata']['name']}")
    await reads(world, replicas=100, readyReplicas=100, terminatingReplicas=6)
    await set_image(world, "2", fault="never-ready")
    await reads(world, replicas=120, updatedReplicas=20)
    await world.patch(WEB, {"spec": {"replicas": 120}})
    await reads(world, replicas=140, updatedReplicas=23, readyReplicas=117, terminatingReplicas=6)
    mine = await sets(world)
    assert {tag: each["spec"]["replicas"] for tag, each in mine.items()} == {
        "example/web:1": 117,
        "example/web:2": 23,
    }
    for each in mine.values():
        assert each["metadata"]["annotations"]["deployment.kubernetes.io/desired-replicas"] == "120"
        assert each["metadata"]["annotations"]["deployment.kubernetes.io/max-replicas"] == "140"
    await stays_quiet(world, 60.0)


@story
async def test_a_stuck_rollout_that_is_scaled_down_keeps_the_pods_that_have_to_stay(world: World) -> None:
    # Of 10 and 10 the exact split leaves 3 new and 2 old ones; but 3 have to stay, and no new one runs.
    wide = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    await bring(world, 10, strategy=wide)
    await set_image(world, "2", fault="never-ready")
    await reads(world, replicas=20, updatedReplicas=10, readyReplicas=10)
    narrow = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    await world.patch(WEB, {"spec": {"replicas": 4, "strategy": narrow}})
    await reads(world, replicas=5, updatedReplicas=2, readyReplicas=3, terminatingReplicas=0)
    await stays_quiet(world, 60.0)


@story
async def test_case_24_and_case_25_a_paused_deployment_is_scaled_but_not_rolled_out(world: World) -> None:
    await world.call("POST", DEPLOYMENTS, deployment("web", 2, paused=True))
    await reads(world, observedGeneration=1)
    assert await sets(world) == {}
    await world.patch(WEB, {"spec": {"paused": False}})
    await completes(world, 2)
    await world.patch(WEB, {"spec": {"paused": True}})
    found = await reads(world)
    assert condition(found, "Progressing")["reason"] == "DeploymentPaused"
    await world.patch(WEB, {"spec": {"replicas": 10}})
    await reads(world, replicas=10, readyReplicas=10)
    await set_image(world, "2")
    await reads(world, replicas=10, updatedReplicas=0)
    assert len(await sets(world)) == 1
    await stays_quiet(world)
    await world.patch(WEB, {"spec": {"paused": False}})
    await completes(world, 10)
    assert len(await sets(world)) == 2
    await stays_quiet(world)


@story
async def test_pausing_a_failed_rollout_keeps_the_last_pod(world: World) -> None:
    # k/k#44436
    await bring(world, 1)
    await set_image(world, "nonexistent")
    await reads(world, updatedReplicas=1)
    await world.patch(WEB, {"spec": {"paused": True}})
    await reads(world, availableReplicas=1)
    await stays_quiet(world)
    await reads(world, availableReplicas=1)


@pytest.mark.parametrize("to", ["0", "1"])
def test_case_6_a_rollback_is_asked_for_by_annotation(to: str) -> None:
    @story
    async def asked(world: World) -> None:
        await bring(world, 3)
        await set_image(world, "2", ready_delay="1s")
        await completes(world, 3)
        await world.patch(
            WEB, {"metadata": {"annotations": {"deprecated.deployment.rollback.to": to, "own": "x"}}}
        )
        found = await completes(world, 3)

        async def back() -> bool:
            found = await get(world)
            return found["metadata"]["annotations"][REVISION] == "3"

        await world.until(back)
        found = await completes(world, 3)
        assert image_of(found) == "example/web:1"
        assert "annotations" not in found["spec"]["template"]["metadata"]
        assert found["metadata"]["annotations"] == {REVISION: "3"}
        assert len(await sets(world)) == 2
        assert await told(world, "DeploymentRollback") == ['Rolled back deployment "web" to revision 1']
        await stays_quiet(world)

    asked()


@pytest.mark.parametrize(
    ("to", "reason"),
    [("1", "DeploymentRollbackTemplateUnchanged"), ("7", "DeploymentRollbackRevisionNotFound")],
)
def test_a_rollback_that_cannot_be_is_told_and_forgotten(to: str, reason: str) -> None:
    @story
    async def asked(world: World) -> None:
        await bring(world, 1)
        await world.patch(WEB, {"metadata": {"annotations": {"deprecated.deployment.rollback.to": to}}})

        async def forgotten() -> bool:
            return (await get(world))["metadata"]["annotations"] == {REVISION: "1"}

        await world.until(forgotten)
        await completes(world, 1)
        assert len(await told(world, reason)) == 1
        await stays_quiet(world)

    asked()


@story
async def test_case_4_no_more_old_replica_sets_are_kept_than_asked_for(world: World) -> None:
    await bring(world, 1, revisionHistoryLimit=2)
    for tag in ("2", "3", "4", "5"):
        await set_image(world, tag)
        await completes(world, 1)
    await stays_quiet(world)
    assert set(await sets(world)) == {f"example/web:{tag}" for tag in ("3", "4", "5")}
    await world.patch(WEB, {"spec": {"revisionHistoryLimit": 0}})

    async def alone() -> bool:
        return set(await sets(world)) == {"example/web:5"}

    await world.until(alone)
    await stays_quiet(world)


@story
async def test_case_4_an_adopted_replica_set_exceeds_a_history_of_none(world: World) -> None:
    made: list[str] = []

    def look(mutation: Any) -> None:
        if mutation.resource == "pods" and mutation.event == "ADDED":
            made.append(mutation.name)

    old = replica_set("old", 1)
    old["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    old["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
    old["metadata"]["labels"] = {"app": "web"}
    await world.call("POST", SETS, old)
    await world.clock.sleep(5.0)
    world.api.audit.subscribe(look)
    await bring(world, 1, revisionHistoryLimit=0)
    await stays_quiet(world)
    assert set(await sets(world)) == {"example/web:1"}
    assert len(await world.items(SETS)) == 1
    assert len(made) == 1


@story
async def test_case_26_a_replica_set_edited_in_place_gives_one_collision(world: World) -> None:
    await bring(world, 2)
    (mine,) = (await sets(world)).values()
    edited = {"template": {"spec": {"containers": [{"name": "c", "image": "example/edited:1"}]}}}
    await world.patch(f"{SETS}/{mine['metadata']['name']}", {"spec": edited})

    async def collided() -> bool:
        return len(await sets(world)) == 2

    await world.until(collided)
    found = await completes(world, 2)
    assert found["status"]["collisionCount"] == 1
    assert found["metadata"]["annotations"][REVISION] == "2"
    assert len(await sets(world)) == 2
    await stays_quiet(world)


@story
async def test_a_foreign_object_with_the_name_gives_one_collision(world: World) -> None:
    await bring(world, 1)
    (mine,) = (await sets(world)).values()
    await world.call("DELETE", WEB)

    async def gone() -> bool:
        return await world.items(SETS) == []

    await world.until(gone)
    squatter = replica_set(mine["metadata"]["name"], 0)
    await world.call("POST", SETS, squatter)
    found = await bring(world, 1)
    assert found["status"]["collisionCount"] == 1
    await stays_quiet(world)


@story
async def test_case_27_a_rollout_that_stands_still_is_told_and_recovers(world: World) -> None:
    await bring(world, 2, progressDeadlineSeconds=30)
    await set_image(world, "nonexistent")

    async def given_up() -> bool:
        found = condition(await get(world), "Progressing")
        return found["reason"] == "ProgressDeadlineExceeded" and found["status"] == "False"

    await world.clock.sleep(25.0)
    assert not await given_up()
    await world.until(given_up, within=10.0)
    await stays_quiet(world)
    await set_image(world, "3")
    await completes(world, 2)
    await stays_quiet(world)


@story
async def test_case_31_min_ready_seconds_travel_to_the_replica_set(world: World) -> None:
    await world.call("POST", DEPLOYMENTS, deployment("web", 2, minReadySeconds=300))
    found = await reads(world, readyReplicas=2, availableReplicas=0)
    assert condition(found, "Available")["reason"] == "MinimumReplicasUnavailable"
    await world.patch(WEB, {"spec": {"minReadySeconds": 1}})
    await completes(world, 2)
    assert len(await sets(world)) == 1
    await stays_quiet(world)


@story
async def test_case_7_an_orphaned_replica_set_is_adopted_by_the_next_deployment(world: World) -> None:
    await bring(world, 2)
    (mine,) = (await sets(world)).values()
    orphaning = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"}
    await world.call("DELETE", WEB, orphaning)

    async def free() -> bool:
        return not any(map(controller_uid, await world.items(SETS)))

    await world.until(free)
    pods = {pod["metadata"]["uid"] for pod in await world.items(PODS)}
    await bring(world, 2)
    (adopted,) = (await sets(world)).values()
    assert adopted["metadata"]["uid"] == mine["metadata"]["uid"]
    assert {pod["metadata"]["uid"] for pod in await world.items(PODS)} == pods
    assert len(await world.items(SETS)) == 1
    await stays_quiet(world)


@story
async def test_case_2_an_adopted_replica_set_gives_its_revision_on(world: World) -> None:
    old = replica_set("old", 1)
    old["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    old["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
    old["metadata"] |= {"labels": {"app": "web"}, "annotations": {REVISION: "3546343826724305832"}}
    await world.call("POST", SETS, old)
    await world.clock.sleep(5.0)
    found = await bring(world, 1)
    assert found["metadata"]["annotations"][REVISION] == "3546343826724305833"
    mine = await sets(world)
    assert mine["example/old:1"]["spec"]["replicas"] == 0
    assert HASH not in mine["example/old:1"]["metadata"]["labels"]
    await stays_quiet(world)


@pytest.mark.parametrize(
    ("plain", "owners"),
    [pytest.param("other", 2, id="another's too"), pytest.param("web", 1, id="ours already")],
)
def test_case_32_other_owners_of_an_adopted_replica_set_stay(plain: str, owners: int) -> None:
    @story
    async def adopted(world: World) -> None:
        other = await world.call("POST", DEPLOYMENTS, deployment("other", 0))
        mine = await world.call("POST", DEPLOYMENTS, deployment("web", 1, paused=True))
        owner = {"other": other, "web": mine}[plain]["metadata"]
        orphan = replica_set("orphan", 1)
        orphan["spec"]["selector"] = {"matchLabels": {"app": "web"}}
        orphan["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
        reference = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": owner["name"],
            "uid": owner["uid"],
        }
        orphan["metadata"] |= {"labels": {"app": "web"}, "ownerReferences": [reference]}
        await world.call("POST", SETS, orphan)

        async def taken() -> bool:
            found = await world.call("GET", f"{SETS}/orphan")
            return controller_uid(found) == mine["metadata"]["uid"]

        await world.until(taken)
        found = await world.call("GET", f"{SETS}/orphan")
        assert len(found["metadata"]["ownerReferences"]) == owners
        await reads(world, replicas=1, readyReplicas=1)
        await stays_quiet(world)

    adopted()


@story
async def test_case_34_a_replica_set_that_leaves_by_its_labels_comes_back_by_them(world: World) -> None:
    await bring(world, 1)
    (mine,) = (await sets(world)).values()
    name = mine["metadata"]["name"]
    await world.patch(f"{SETS}/{name}", {"metadata": {"labels": {"app": "other"}}})

    async def owned(count: int) -> bool:
        return len([each for each in await world.items(SETS) if controller_uid(each)]) == count

    async def replaced() -> bool:
        everyone = await world.items(SETS)
        return len(everyone) == 2 and await owned(1)

    await world.until(replaced)
    assert (await get(world))["status"]["collisionCount"] == 1
    await world.patch(f"{SETS}/{name}", {"metadata": {"labels": {"app": "web"}}})

    async def back() -> bool:
        return await owned(2)

    await world.until(back)
    await completes(world, 1)
    await stays_quiet(world)


@story
async def test_case_28_overlapping_deployments_keep_to_their_own(world: World) -> None:
    await bring(world, 1)
    other = deployment("other", 1)
    other["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    other["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
    await world.call("POST", DEPLOYMENTS, other)
    await completes(world, 1, "other")
    assert len(await world.items(SETS)) == 2
    assert len(await world.items(PODS)) == 2
    await stays_quiet(world)


@story
async def test_case_33_and_case_8_scale_through_the_subresource(world: World) -> None:
    await bring(world, 1)
    for replicas in (6, 2, 0, 3):
        await world.patch(f"{WEB}/scale", {"spec": {"replicas": replicas}})
        await completes(world, replicas)
    assert len(await sets(world)) == 1
    await stays_quiet(world)


@story
async def test_case_11_and_case_12_a_status_that_was_overwritten_is_repaired_and_foreign_conditions_stay(
    world: World,
) -> None:
    found = await bring(world, 2)
    weather = {"type": "Weather", "status": "True", "reason": "Sun", "message": "m"}
    conditions = [*found["status"]["conditions"], weather]
    await world.patch(
        f"{WEB}/status", {"status": {"readyReplicas": 0, "availableReplicas": 0, "conditions": conditions}}
    )
    await completes(world, 2)
    await set_image(world, "2")
    found = await completes(world, 2)
    assert condition(found, "Weather")["reason"] == "Sun"
    await stays_quiet(world)


@story
async def test_case_1_a_deleted_deployment_takes_everything_along(world: World) -> None:
    await bring(world, 2)
    await world.call("DELETE", WEB)

    async def gone() -> bool:
        return await world.items(SETS) == [] and await world.items(PODS) == []

    await world.until(gone)
    await stays_quiet(world)


@story
async def test_a_refused_replica_set_is_a_condition_and_an_event_until_it_works(world: World) -> None:
    fault = world.api.faults.add(Fault(Refuse(403, message="exceeded quota"), "create", "replicasets"))
    await world.call("POST", DEPLOYMENTS, deployment("web", 1))

    async def reported() -> bool:
        return condition(await get(world), "Progressing").get("reason") == "ReplicaSetCreateError"

    await world.until(reported)
    found = condition(await get(world), "Progressing")
    assert found["status"] == "False"
    assert found["message"].startswith('Failed to create new replica set "web-')
    assert found["message"].endswith('": exceeded quota')
    assert (await told(world, "ReplicaSetCreateError"))[0] == found["message"]
    await world.clock.sleep(30.0)
    assert world.api.faults.met(fault) < 40
    world.api.faults.remove(fault)
    await completes(world, 1, within=120.0)
    await stays_quiet(world)


@story
async def test_case_15_a_quota_on_pods_shows_as_replica_failure(world: World) -> None:
    fault = world.api.faults.add(Fault(Refuse(403, message="exceeded quota"), "create", "pods", first=3))
    await world.call("POST", DEPLOYMENTS, deployment("web", 4))

    async def reported() -> bool:
        return condition(await get(world), "ReplicaFailure").get("reason") == "FailedCreate"

    await world.until(reported)
    world.api.faults.remove(fault)
    found = await completes(world, 4, within=120.0)
    assert condition(found, "ReplicaFailure") == {}
    await stays_quiet(world)


def test_both_controllers_may_share_a_process() -> None:
    # One replica for each reader's type of replica set, fed by one watch.
    shared = {name: ControllerConfig(process="workloads") for name in WORKLOADS}
    configuration = msgspec.structs.replace(quick_configuration(), controllers=shared)

    async def in_one_process() -> None:
        async with World(configuration=configuration) as world:
            daemon = world.start(WORKLOADS)
            await bring(world, 3)
            await set_image(world, "2")
            await completes(world, 3)
            await stays_quiet(world)
            assert len(daemon.launcher.handles) == 2  # theirs, and the recorder's
            await daemon.stop()

    run(in_one_process())


@story
async def test_a_rollout_meets_no_conflict_of_its_own_making(world: World) -> None:
    refused: list[str] = []
    handle = world.api.handle

    async def watched(request: Any) -> Any:
        answer = await handle(request)
        if answer.status == 409 and request.headers["user-agent"].endswith("/deployment"):
            refused.append(f"{request.method} {request.path} by {request.headers['user-agent']}")
        return answer

    world.api.handle = watched  # type: ignore[method-assign]  # to count answers, not to change them
    await bring(world, 10)
    await set_image(world, "2")
    await completes(world, 10)
    active = [pod for pod in await world.items(PODS) if is_active(pod)]
    assert len(active) == 10
    assert not refused

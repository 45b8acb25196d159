"""What people get wrong with Deployments: said as workloads 2 says it, tried seldom, at nobody else's cost.

Every story has a sound Deployment beside the wrong one, which must come up all the same, and ends
in quiet: no hot loop (issue 4, wrong input).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kcm.sandbox.api.faults import Fault, Refuse
from kcm.testing.invariants import controller_uid
from kcm.testing.virtual import run
from kcm.testing.world import WORKLOADS, Json, World, deployment, replica_set

PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
WEB = f"{DEPLOYMENTS}/web"
EVENTS = "/api/v1/namespaces/default/events"
PREFIX = "deployment.kubernetes.io"
REVISION = f"{PREFIX}/revision"
ONLY_DEPLOYMENTS = {"deployment": WORKLOADS["deployment"]}

Story = Callable[[World], Awaitable[None]]


def story(test: Story) -> Callable[[], None]:
    """Run an async test beside a Deployment that is all right, which must stay so."""

    def in_virtual_time() -> None:
        async def in_a_world() -> None:
            async with World() as world:
                daemon = world.start(WORKLOADS)
                try:
                    await test(world)
                    await bring(world, 2, "sound")
                    await stays_quiet(world)
                finally:
                    await daemon.stop()

        run(in_a_world())

    in_virtual_time.__name__ = test.__name__
    return in_virtual_time


async def completes(world: World, replicas: int, name: str = "web") -> Json:
    counts = ("replicas", "updatedReplicas", "availableReplicas")

    async def holds() -> bool:
        found = await world.call("GET", f"{DEPLOYMENTS}/{name}")
        status = found["status"]
        return all(status.get(count, 0) == replicas for count in counts) and (
            status["observedGeneration"] == found["metadata"]["generation"]
        )

    await world.until(holds, what=f"{name} has {replicas}")
    return await world.call("GET", f"{DEPLOYMENTS}/{name}")


async def bring(world: World, replicas: int, name: str = "web", **spec: Any) -> Json:
    await world.call("POST", DEPLOYMENTS, deployment(name, replicas, **spec))
    return await completes(world, replicas, name)


async def stays_quiet(world: World, seconds: float = 600.0) -> None:
    await world.clock.sleep(30.0)
    writes = world.writes
    await world.clock.sleep(seconds)
    assert world.writes == writes


async def sets(world: World) -> list[Json]:
    """Return the replica sets of the Deployment `web`, the oldest first."""
    uid = (await world.call("GET", WEB))["metadata"]["uid"]
    mine = [each for each in await world.items(SETS) if controller_uid(each) == uid]
    return sorted(mine, key=lambda each: (each["metadata"]["creationTimestamp"], each["metadata"]["name"]))


async def annotate(world: World, path: str, notes: dict[str, str | None]) -> None:
    await world.patch(path, {"metadata": {"annotations": notes}})


async def set_image(world: World, tag: str) -> None:
    containers = [{"name": "c", "image": f"example/web:{tag}"}]
    await world.patch(WEB, {"spec": {"template": {"spec": {"containers": containers}}}})


async def refused(world: World, method: str, path: str, body: Json) -> str:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    with pytest.raises(AssertionError) as told:
        await world.call(method, path, body, kind)
    return str(told.value)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"selector": {}}, id="an empty selector"),
        pytest.param(
            {"selector": {"matchLabels": {"app": "other"}}}, id="one that does not match the template"
        ),
        pytest.param({"replicas": -1}, id="fewer than none"),
        pytest.param({"minReadySeconds": -1}, id="less than no time"),
        pytest.param({"revisionHistoryLimit": -1}, id="less than no history"),
        pytest.param({"progressDeadlineSeconds": 5, "minReadySeconds": 10}, id="a deadline before readiness"),
        pytest.param(
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            id="no room to move",
        ),
        pytest.param({"strategy": {"type": "Canary"}}, id="a strategy that nobody knows"),
    ],
)
def test_what_the_server_refuses_leaves_nothing_behind(spec: Json) -> None:
    @story
    async def tried(world: World) -> None:
        assert ": 422 " in await refused(world, "POST", DEPLOYMENTS, deployment("web", 1) | _merged(spec))
        assert await world.items(SETS) == []

    tried()


def _merged(spec: Json) -> Json:
    return {"spec": {**deployment("web", 1)["spec"], **spec}}


@story
async def test_case_23_a_selector_cannot_be_changed(world: World) -> None:
    await bring(world, 1)
    changed = {"selector": {"matchLabels": {"app": "web", "tier": "x"}}}
    assert "immutable" in await refused(world, "PATCH", WEB, {"spec": changed})
    assert len(await sets(world)) == 1


@story
async def test_an_orphan_that_two_select_goes_to_one_of_them_without_a_fight(world: World) -> None:
    other = deployment("other", 1)
    other["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    other["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
    await world.call("POST", DEPLOYMENTS, other)
    await bring(world, 1)
    orphan = replica_set("web", 0)
    orphan["metadata"] |= {"name": "orphan", "labels": {"app": "web"}}
    orphan["spec"]["template"]["spec"]["containers"][0]["image"] = "example/orphan:1"
    await world.call("POST", SETS, orphan)
    await stays_quiet(world)
    found = await world.call("GET", f"{SETS}/orphan")
    (owner,) = found["metadata"]["ownerReferences"]
    assert owner["name"] in ("web", "other")


@pytest.mark.parametrize("size", [0, 5])
def test_a_size_that_somebody_edited_is_put_right(size: int) -> None:
    @story
    async def edited(world: World) -> None:
        await bring(world, 2)
        (mine,) = await sets(world)
        await world.patch(f"{SETS}/{mine['metadata']['name']}", {"spec": {"replicas": size}})
        await world.clock.sleep(10.0)
        await completes(world, 2)
        (mine,) = await sets(world)
        assert mine["spec"]["replicas"] == 2

    edited()


@story
async def test_an_old_replica_set_that_somebody_woke_goes_to_sleep_again(world: World) -> None:
    await bring(world, 2)
    await set_image(world, "2")
    await completes(world, 2)
    (old, _) = await sets(world)
    await world.patch(f"{SETS}/{old['metadata']['name']}", {"spec": {"replicas": 3}})
    await world.clock.sleep(30.0)
    await completes(world, 2)
    assert [each["spec"]["replicas"] for each in await sets(world)] == [0, 2]


@story
async def test_annotations_that_somebody_removed_come_back_and_nothing_restarts(world: World) -> None:
    await bring(world, 2)
    before = {pod["metadata"]["uid"] for pod in await world.items(PODS)}
    (mine,) = await sets(world)
    names = ("revision", "desired-replicas", "max-replicas")
    gone: dict[str, str | None] = {f"{PREFIX}/{name}": None for name in names}
    await annotate(world, f"{SETS}/{mine['metadata']['name']}", gone)
    await annotate(world, WEB, {REVISION: None})
    await stays_quiet(world)
    (mine,) = await sets(world)
    assert mine["metadata"]["annotations"][REVISION] == "1"
    assert (await world.call("GET", WEB))["metadata"]["annotations"][REVISION] == "1"
    assert {pod["metadata"]["uid"] for pod in await world.items(PODS)} == before


@story
async def test_a_revision_that_is_no_number_is_passed_over(world: World) -> None:
    await bring(world, 1)
    (mine,) = await sets(world)
    await annotate(world, f"{SETS}/{mine['metadata']['name']}", {REVISION: "latest"})
    await world.clock.sleep(5.0)
    await set_image(world, "2")
    await completes(world, 1)
    old, new = await sets(world)
    assert old["metadata"]["annotations"][REVISION] == "latest"
    assert new["metadata"]["annotations"][REVISION] == "1"
    await annotate(world, WEB, {"deprecated.deployment.rollback.to": "0"})
    await completes(world, 1)
    assert (await world.call("GET", WEB))["metadata"]["annotations"] == {REVISION: "1"}


ABSURD = ("-7", "99999999999999999999", "NaN", "1e3", " 3", "", "٣")


@pytest.mark.parametrize("text", ABSURD)
def test_numbers_in_annotations_that_are_none_change_no_size(text: str) -> None:
    @story
    async def noted(world: World) -> None:
        await bring(world, 3)
        (mine,) = await sets(world)
        names = ("desired-replicas", "max-replicas", "revision-history")
        notes: dict[str, str | None] = {f"{PREFIX}/{name}": text for name in names}
        await annotate(world, f"{SETS}/{mine['metadata']['name']}", notes)
        await annotate(world, WEB, {"deprecated.deployment.rollback.to": text or "x"})
        await world.clock.sleep(5.0)
        await world.patch(WEB, {"spec": {"replicas": 5}})
        await completes(world, 5)
        await set_image(world, "2")
        await completes(world, 5)
        assert [each["spec"]["replicas"] for each in await sets(world)] == [0, 5]

    noted()


@story
async def test_a_history_beyond_all_bounds_is_cut(world: World) -> None:
    await bring(world, 1)
    (mine,) = await sets(world)
    long = ",".join("9" * 100 for _ in range(1500))
    await annotate(world, f"{SETS}/{mine['metadata']['name']}", {f"{PREFIX}/revision-history": long})
    await set_image(world, "2")
    await completes(world, 1)
    await set_image(world, "1")
    await completes(world, 1)
    old = next(each for each in await sets(world) if each["spec"]["replicas"])
    history = old["metadata"]["annotations"][f"{PREFIX}/revision-history"]
    assert len(history) <= 2000
    assert history.endswith(",1")


@pytest.mark.parametrize(
    ("surge", "unavailable"), [(2**31 - 1, 0), ("100000000%", 0), (1, "100%"), (2**31 - 1, 2**31 - 1)]
)
def test_bounds_beyond_all_bounds_roll_out_all_the_same(surge: Any, unavailable: Any) -> None:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}

    @story
    async def rolled(world: World) -> None:
        await bring(world, 2, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
        await set_image(world, "2")
        await completes(world, 2)
        for each in await sets(world):
            assert 2 <= int(each["metadata"]["annotations"][f"{PREFIX}/max-replicas"]) < 2**31

    rolled()


def test_the_largest_number_of_replicas_overflows_nothing() -> None:
    async def asked() -> None:
        async with World() as world:
            daemon = world.start(ONLY_DEPLOYMENTS)
            await world.call("POST", DEPLOYMENTS, deployment("web", 2**31 - 1))
            await world.clock.sleep(5.0)
            (mine,) = await sets(world)
            assert mine["spec"]["replicas"] == 2**31 - 1
            assert mine["metadata"]["annotations"][f"{PREFIX}/max-replicas"] == str(2**31 - 1)
            await world.patch(WEB, {"spec": {"replicas": 1}})
            await world.clock.sleep(5.0)
            (mine,) = await sets(world)
            assert mine["spec"]["replicas"] == 1
            await daemon.stop()

    run(asked())


async def fails_for(world: World, seconds: float, fault: Fault) -> int:
    """Let a fault last; return how often it was met."""
    number = world.api.faults.add(fault)
    await world.clock.sleep(seconds)
    met = world.api.faults.met(number)
    world.api.faults.remove(number)
    return met


@pytest.mark.parametrize(
    ("code", "message"),
    [
        pytest.param(403, "exceeded quota", id="quota"),
        pytest.param(422, "spec.template is invalid", id="validation"),
        pytest.param(400, 'admission webhook "w" denied the request', id="a webhook says no"),
        pytest.param(500, 'failed calling webhook "w"', id="a webhook is down"),
    ],
)
def test_a_template_that_is_refused_is_told_tried_seldom_and_rolled_out_later(
    code: int, message: str
) -> None:
    @story
    async def refuses(world: World) -> None:
        fault = Fault(Refuse(code, message=message), "create", "replicasets", agent="kcm")
        await world.call("POST", DEPLOYMENTS, deployment("web", 1))
        assert await fails_for(world, 300.0, fault) < 40
        found = await world.call("GET", WEB)
        (told,) = (each for each in found["status"]["conditions"] if each["type"] == "Progressing")
        assert (told["status"], told["reason"]) == ("False", "ReplicaSetCreateError")
        assert message in told["message"]
        events = [each for each in await world.items(EVENTS) if each["reason"] == "ReplicaSetCreateError"]
        assert len(events) == 1
        await world.until(lambda: has_pods(world, 1), within=200.0)
        await completes(world, 1)

    refuses()


async def has_pods(world: World, count: int) -> bool:
    return len(await world.items(PODS)) == count


@story
async def test_pods_that_are_refused_show_as_replica_failure_and_are_tried_seldom(world: World) -> None:
    await world.call("POST", DEPLOYMENTS, deployment("web", 20))
    met = await fails_for(world, 300.0, Fault(Refuse(403, message="exceeded quota"), "create", "pods"))
    assert met < 60
    found = await world.call("GET", WEB)
    (told,) = (each for each in found["status"]["conditions"] if each["type"] == "ReplicaFailure")
    assert (told["status"], told["reason"], told["message"]) == ("True", "FailedCreate", "exceeded quota")
    await world.until(lambda: has_pods(world, 20), within=200.0)
    await completes(world, 20)


@story
async def test_replica_sets_that_may_not_be_changed_are_tried_seldom(world: World) -> None:
    await bring(world, 2)
    await set_image(world, "2")
    fault = Fault(Refuse(403, message="no"), "patch", "replicasets", agent="deployment")
    assert await fails_for(world, 300.0, fault) < 40
    await world.until(lambda: rolled_out(world), within=200.0)
    await completes(world, 2)


async def rolled_out(world: World) -> bool:
    return [each["spec"]["replicas"] for each in await sets(world)] == [0, 2]

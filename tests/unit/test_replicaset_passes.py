"""Whole passes of the replica set controller against an API server in memory.

Nothing wakes the controller here: old views, lost answers and cuts between two writes are
arranged exactly (`kcm.testing.bench`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from controllers.replicaset import ReplicaSetController
from kcm import ApiError, Done, Key, RequeueAfter, TerminalError, Waiting
from kcm.client.transport import Unanswered
from kcm.objects import Pod, ReplicaSet
from kcm.sandbox.api.faults import Delay, DropAfter, DropBefore, Fault, Refuse
from kcm.testing.bench import Bench as PlainBench
from kcm.testing.bench import Host
from kcm.testing.virtual import run

Json = dict[str, Any]

Scene = Callable[["Bench"], Coroutine[Any, Any, None]]

KEY = Key("default", "web")
PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
WEB = f"{SETS}/web"


class Bench(PlainBench):
    """A bench for replica sets."""

    def __init__(self) -> None:
        super().__init__(ReplicaSetController, KEY)

    async def apply(self, replicas: int, *, namespace: str = "default", **spec: Any) -> Json:
        template = {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
        wanted = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
        body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"}}
        path = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
        return await self.call("POST", path, {**body, "spec": {**wanted, **spec}})

    async def scale(self, replicas: int) -> None:
        await self.call("PATCH", WEB, {"spec": {"replicas": replicas}})

    async def orphan(self, name: str, **metadata: Any) -> Json:
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}}}
        body["metadata"] = {**body["metadata"], **metadata}  # type: ignore[dict-item]  # plain JSON
        return await self.call("POST", PODS, {**body, "spec": {"containers": [{"name": "c", "image": "i"}]}})

    async def be(self, name: str, *, phase: str = "Running", ready_since: str | None = None) -> None:
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": ready_since}
        status = {"phase": phase, "conditions": [ready] if ready_since else []}
        await self.call("PATCH", f"{PODS}/{name}/status", {"status": status})

    async def pods(self) -> list[Json]:
        listed = await self.call("GET", PODS)
        found: list[Json] = listed["items"]
        return found

    async def owned(self) -> list[str]:
        """Return the names of the pods that the replica set controls and that are not on their way out."""
        uid = (await self.call("GET", WEB))["metadata"]["uid"]
        return [
            pod["metadata"]["name"]
            for pod in await self.pods()
            if any(
                each["uid"] == uid and each.get("controller")
                for each in pod["metadata"].get("ownerReferences", ())
            )
            and "deletionTimestamp" not in pod["metadata"]
            and pod.get("status", {}).get("phase") not in ("Failed", "Succeeded")
        ]

    async def status(self) -> Json:
        found: Json = (await self.call("GET", WEB)).get("status", {})
        return found


def scenario(test: Scene) -> Callable[[], None]:
    """Run an async test on a bench of its own, in virtual time."""

    def in_virtual_time() -> None:
        async def on_a_bench() -> None:
            await test(Bench())

        run(on_a_bench())

    in_virtual_time.__name__ = test.__name__
    return in_virtual_time


@scenario
async def test_40_pods_are_created_counted_and_told(bench: Bench) -> None:
    await bench.apply(3)
    host = await bench.fresh_host()
    assert await host.make_pass() == Done()
    names = await bench.owned()
    assert len(names) == 3
    status = await bench.status()
    assert status == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "terminatingReplicas": 0,
        "observedGeneration": 1,
        **{name: 0 for name in ("readyReplicas", "availableReplicas") if name in status},
    }
    assert sorted(host.events) == sorted(
        ("Normal", "SuccessfulCreate", f"Created pod: {name}") for name in names
    )


@scenario
async def test_a_second_pass_on_own_writes_alone_does_nothing(bench: Bench) -> None:
    await bench.apply(3)
    host = await bench.fresh_host()
    await host.make_pass()
    writes = host.writes
    assert await host.make_pass() == Done()
    assert host.writes == writes


@scenario
async def test_48_pods_too_many_are_deleted_and_told(bench: Bench) -> None:
    await bench.apply(3)
    host = await bench.fresh_host()
    await host.make_pass()
    await bench.scale(1)
    await host.refresh()
    host.events.clear()
    assert await host.make_pass() == Done()
    assert len(await bench.owned()) == 1
    assert [event[:2] for event in host.events] == [("Normal", "SuccessfulDelete")] * 2
    assert (await bench.status())["replicas"] == 1


@scenario
async def test_62_a_large_difference_is_made_up_in_bursts_at_once(bench: Bench) -> None:
    await bench.apply(1100)
    host = await bench.fresh_host()
    assert await host.make_pass() == RequeueAfter(0.0)
    assert len(await bench.owned()) == 500
    assert await host.make_pass() == RequeueAfter(0.0)
    assert await host.make_pass() == Done()
    assert len(await bench.owned()) == 1100
    assert (await bench.status())["replicas"] == 1100
    await bench.scale(0)
    await host.refresh()
    assert [await host.make_pass() for _ in range(3)] == [RequeueAfter(0.0), RequeueAfter(0.0), Done()]
    assert await bench.owned() == []


@scenario
async def test_54_and_71_creates_start_slowly_and_stop_at_a_refusal(bench: Bench) -> None:
    fault = bench.api.faults.add(Fault(Refuse(403, message="exceeded quota"), "create", "pods", first=11))
    await bench.apply(100)
    host = await bench.fresh_host()
    with pytest.raises(ApiError, match="exceeded quota"):
        await host.make_pass()
    assert len(await bench.owned()) == 10
    assert bench.api.faults.met(fault) <= 15


@scenario
async def test_70_a_refused_create_is_a_condition_an_event_and_an_error_until_it_works(bench: Bench) -> None:
    fault = bench.api.faults.add(Fault(Refuse(403, message="exceeded quota"), "create", "pods"))
    await bench.apply(2)
    host = await bench.fresh_host()
    with pytest.raises(ApiError):
        await host.make_pass()
    (condition,) = (await bench.status())["conditions"]
    assert (condition["type"], condition["status"]) == ("ReplicaFailure", "True")
    assert (condition["reason"], condition["message"]) == ("FailedCreate", "exceeded quota")
    assert host.events == [("Warning", "FailedCreate", "Error creating: exceeded quota")]
    bench.api.faults.remove(fault)
    await host.make_pass()
    status = await bench.status()
    assert "conditions" not in status or status["conditions"] == []
    assert status["replicas"] == 2


@scenario
async def test_12_and_20_conditions_of_others_survive(bench: Bench) -> None:
    fault = bench.api.faults.add(Fault(Refuse(403), "create", "pods"))
    await bench.apply(1)
    host = await bench.fresh_host()
    foreign = {"type": "Weather", "status": "True", "reason": "Sun", "message": "m"}
    await bench.call("PATCH", f"{WEB}/status", {"status": {"conditions": [foreign]}})
    await host.refresh()
    with pytest.raises(ApiError):
        await host.make_pass()
    types = [condition["type"] for condition in (await bench.status())["conditions"]]
    assert sorted(types) == ["ReplicaFailure", "Weather"]
    bench.api.faults.remove(fault)
    await host.make_pass()
    (left,) = (await bench.status())["conditions"]
    assert left.items() >= foreign.items()


@scenario
async def test_11_a_status_that_somebody_changed_is_put_right(bench: Bench) -> None:
    await bench.apply(1)
    host = await bench.fresh_host()
    await host.make_pass()
    await bench.call("PATCH", f"{WEB}/status", {"status": {"replicas": 7}})
    await host.refresh()
    await host.make_pass()
    assert (await bench.status())["replicas"] == 1


@scenario
async def test_61_a_status_is_not_written_over_a_change_that_was_not_seen(bench: Bench) -> None:
    await bench.apply(1)
    host = await bench.fresh_host()
    await bench.scale(2)
    with pytest.raises(ApiError) as refusal:
        await host.make_pass()
    assert refusal.value.code == 409
    assert (await bench.status()).get("observedGeneration", 0) == 0
    await host.settle()
    assert (await bench.status())["observedGeneration"] == 2
    assert len(await bench.owned()) == 2


@scenario
async def test_16_and_45_orphans_are_adopted_and_strays_released(bench: Bench) -> None:
    await bench.orphan("found")
    await bench.apply(1)
    host = await bench.fresh_host()
    assert await host.make_pass() == Done()
    assert await bench.owned() == ["found"]
    assert host.events == []
    await bench.call("PATCH", f"{PODS}/found", {"metadata": {"labels": {"app": "other"}}})
    await host.refresh()
    await host.make_pass()
    (replacement,) = await bench.owned()
    assert replacement != "found"
    assert "ownerReferences" not in (await bench.call("GET", f"{PODS}/found"))["metadata"]


@scenario
async def test_an_adoption_keeps_the_other_owners(bench: Bench) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "some-uid"}
    uid = (await bench.apply(1))["metadata"]["uid"]
    plain = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": uid}
    await bench.orphan("found", ownerReferences=[other, plain])
    host = await bench.fresh_host()
    await host.make_pass()
    references = (await bench.call("GET", f"{PODS}/found"))["metadata"]["ownerReferences"]
    assert references[0] == other
    assert references[1:] == [{**plain, "controller": True, "blockOwnerDeletion": True}]
    await bench.call("PATCH", f"{PODS}/found", {"metadata": {"labels": {"app": "other"}}})
    await host.refresh()
    await host.make_pass()
    assert (await bench.call("GET", f"{PODS}/found"))["metadata"]["ownerReferences"] == [other]


@scenario
async def test_68_a_replica_set_whose_deletion_was_not_seen_adopts_nothing(bench: Bench) -> None:
    await bench.apply(1, selector={"matchLabels": {"app": "web"}})
    await bench.call("PATCH", WEB, {"metadata": {"finalizers": ["example.com/hold"]}})
    host = await bench.fresh_host()
    await bench.call("DELETE", WEB)
    await bench.orphan("found")
    await host.refresh(Pod)
    result = await host.make_pass()
    assert isinstance(result, Waiting)
    assert "ownerReferences" not in (await bench.call("GET", f"{PODS}/found"))["metadata"]
    assert len(await bench.pods()) == 1


@scenario
async def test_an_orphan_that_is_gone_is_simply_not_claimed(bench: Bench) -> None:
    await bench.orphan("found")
    await bench.apply(1)
    host = await bench.fresh_host()
    await bench.call("DELETE", f"{PODS}/found")
    await host.make_pass()
    assert len(await bench.owned()) == 1


@scenario
async def test_a_namesake_of_an_orphan_that_is_gone_is_left_alone(bench: Bench) -> None:
    await bench.orphan("found")
    await bench.apply(1)
    host = await bench.fresh_host()
    await bench.call("DELETE", f"{PODS}/found")
    await bench.orphan("found", labels={"app": "other"})
    with pytest.raises(ApiError):
        await host.make_pass()
    assert "ownerReferences" not in (await bench.call("GET", f"{PODS}/found"))["metadata"]
    await host.settle()
    assert "found" not in await bench.owned()


@scenario
async def test_67_all_claims_are_tried_and_a_failed_one_ends_the_pass(bench: Bench) -> None:
    await bench.orphan("a")
    await bench.orphan("b")
    bench.api.faults.add(Fault(Refuse(500), "patch", "pods", name="^a$"))
    await bench.apply(5)
    host = await bench.fresh_host()
    with pytest.raises(ApiError):
        await host.make_pass()
    assert await bench.owned() == ["b"]
    assert await bench.status() in ({}, {"replicas": 0})


@scenario
async def test_66_pods_of_another_owner_are_never_touched(bench: Bench) -> None:
    stranger = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "u", "controller": True}
    await bench.orphan("theirs", ownerReferences=[stranger])
    await bench.apply(1)
    host = await bench.fresh_host()
    await host.make_pass()
    assert len(await bench.owned()) == 1
    assert (await bench.call("GET", f"{PODS}/theirs"))["metadata"]["ownerReferences"] == [stranger]


@scenario
async def test_41_failed_pods_are_replaced(bench: Bench) -> None:
    await bench.apply(2)
    host = await bench.fresh_host()
    await host.make_pass()
    for name in await bench.owned():
        await bench.be(name, phase="Failed")
    await host.refresh()
    await host.make_pass()
    assert len(await bench.owned()) == 2
    assert len(await bench.pods()) == 4


@scenario
async def test_46_ready_and_available_are_counted_and_waited_for(bench: Bench) -> None:
    await bench.apply(3, minReadySeconds=10)
    host = await bench.fresh_host()
    await host.make_pass()
    first, second, _ = await bench.owned()
    await bench.be(first, ready_since="2025-12-31T23:00:00Z")
    await bench.be(second, ready_since="2025-12-31T23:59:56Z")
    await host.refresh()
    assert await host.make_pass() == RequeueAfter(6.0)
    status = await bench.status()
    assert (status["replicas"], status["readyReplicas"], status["availableReplicas"]) == (3, 2, 1)
    await bench.clock.sleep(6.0)
    assert await host.make_pass() == Done()
    assert (await bench.status())["availableReplicas"] == 2


@scenario
async def test_39_an_absurd_replica_set_is_left_alone(bench: Bench) -> None:
    await bench.apply(2)
    host = await bench.fresh_host()
    replica = host.replicas.replica(host.controller.watches[0])
    present = host.cache.get(ReplicaSet, KEY)
    assert present is not None
    absurd = msgspec.structs.replace(present, spec=msgspec.structs.replace(present.spec, replicas=-1))
    replica.objects.put(absurd)
    with pytest.raises(TerminalError):
        await host.make_pass()
    assert host.writes == 0


@scenario
async def test_a_namespace_that_is_being_deleted_sees_one_create_and_no_complaint(bench: Bench) -> None:
    await bench.call("POST", "/api/v1/namespaces", {"metadata": {"name": "ending"}})
    await bench.apply(600, namespace="ending")
    host = bench.host(Key("ending", "web"))
    await host.refresh()
    await bench.call("DELETE", "/api/v1/namespaces/ending")
    assert await host.make_pass() == Done()
    assert host.events == []
    assert host.sent == ["POST", "PATCH"]


@scenario
async def test_pods_that_fail_at_once_do_not_make_a_storm(bench: Bench) -> None:
    await bench.apply(2)
    host = await bench.fresh_host()
    end = bench.clock.monotonic() + 600.0
    while bench.clock.monotonic() < end:
        result = await host.make_pass()
        for name in await bench.owned():
            await bench.be(name, phase="Failed")
        await bench.clock.sleep(max(0.05, result.seconds if isinstance(result, RequeueAfter) else 0.05))
        await host.refresh()
    assert 20 < len(await bench.pods()) < 100


# Old views, lost answers.
@scenario
async def test_an_old_view_creates_no_pod_twice(bench: Bench) -> None:
    await bench.apply(5)
    one, two = await bench.fresh_host(), await bench.fresh_host()
    await one.make_pass()
    with suppress(ApiError):
        await two.make_pass()
    assert len(await bench.owned()) == 5
    await two.settle()
    assert len(await bench.owned()) == 5


@pytest.mark.parametrize("effect", [DropBefore(), DropAfter(), Delay(30.0)], ids=["before", "after", "late"])
@pytest.mark.parametrize("first", [1, 2, 4, 5])
@pytest.mark.parametrize("times", [1, 2])
def test_a_create_whose_answer_is_lost_makes_one_pod(effect: Any, first: int, times: int) -> None:
    @scenario
    async def lost(bench: Bench) -> None:
        bench.api.faults.add(Fault(effect, "create", "pods", first=first, times=times))
        await bench.apply(5)
        host = await bench.fresh_host()
        with suppress(ApiError, Unanswered):
            await host.make_pass()
        assert len(await bench.owned()) <= 5
        await bench.clock.sleep(60.0)
        await host.settle()
        assert len(await bench.owned()) == 5
        assert len(await bench.pods()) == 5

    lost()


@scenario
async def test_a_name_that_a_stranger_took_is_passed_over_next_time(bench: Bench) -> None:
    await bench.apply(1)
    probe = await bench.fresh_host()
    fault = bench.api.faults.add(Fault(Refuse(500), "create", "pods"))
    with pytest.raises(ApiError):
        await probe.make_pass()
    bench.api.faults.remove(fault)
    name = next(note for _, reason, note in probe.events if reason == "FailedCreate") and await _chosen(bench)
    host = await bench.fresh_host()
    await bench.orphan(name, labels={"app": "stranger"})
    with pytest.raises(ApiError) as refusal:
        await host.make_pass()
    assert refusal.value.code == 409
    assert host.events == []
    await host.make_pass()
    assert len(await bench.owned()) == 1


@scenario
async def test_a_name_that_our_own_dying_pod_still_has_is_passed_over_next_time(bench: Bench) -> None:
    owner = await bench.apply(1)
    name = await _chosen(bench)
    host = await bench.fresh_host()
    uid = owner["metadata"]["uid"]
    ours = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": uid, "controller": True}
    await bench.orphan(name, ownerReferences=[ours], finalizers=["example.com/hold"])
    await bench.call("DELETE", f"{PODS}/{name}")
    with pytest.raises(ApiError) as refusal:
        await host.make_pass()
    assert refusal.value.code == 409
    await host.make_pass()
    alive = [pod for pod in await bench.pods() if "deletionTimestamp" not in pod["metadata"]]
    assert len(alive) == 1
    assert alive[0]["metadata"]["name"] != name


async def _chosen(bench: Bench) -> str:
    """Return the name that the next create would choose."""
    from controllers.replicaset.decide import decide
    from controllers.replicaset.observe import look

    host = await bench.fresh_host()
    seen = look(host.cache, KEY)
    assert seen is not None
    (create,) = decide(seen, bench.clock.wall()).actions
    name: str = create.object.metadata.name  # type: ignore[union-attr]  # one short: a create
    return name


@scenario
async def test_a_pod_that_changed_since_it_was_seen_is_not_deleted(bench: Bench) -> None:
    await bench.apply(1)
    host = await bench.fresh_host()
    await host.make_pass()
    await bench.scale(0)
    await host.refresh()
    (name,) = await bench.owned()
    await bench.be(name, ready_since="2025-12-31T23:00:00Z")
    with pytest.raises(ApiError) as refusal:
        await host.make_pass()
    assert refusal.value.code == 409
    assert await bench.owned() == [name]
    assert [event for event in host.events if event[0] == "Warning"] == []
    await host.settle()
    assert await bench.owned() == []


@scenario
async def test_s2_a_pod_that_was_orphaned_since_it_was_seen_is_not_deleted(bench: Bench) -> None:
    await bench.apply(1)
    host = await bench.fresh_host()
    await host.make_pass()
    await bench.scale(0)
    await host.refresh()
    (name,) = await bench.owned()
    labels = {"app": "somebody-elses"}
    await bench.call("PATCH", f"{PODS}/{name}", {"metadata": {"ownerReferences": None, "labels": labels}})
    with pytest.raises(ApiError):
        await host.make_pass()
    assert [pod["metadata"]["name"] for pod in await bench.pods()] == [name]


# Cut behind every write (issue 2, Tests): same end, no pod twice.
async def scale_up(bench: Bench) -> None:
    await bench.apply(6)


async def scale_down(bench: Bench) -> None:
    await bench.apply(6)
    await bench.host().settle()
    await bench.scale(2)


async def adopt_and_fill_up(bench: Bench) -> None:
    await bench.orphan("a")
    await bench.orphan("b")
    await bench.apply(4)


async def adopt_too_many(bench: Bench) -> None:
    for name in "abcd":
        await bench.orphan(name)
    await bench.apply(2)


async def release_and_replace(bench: Bench) -> None:
    await bench.apply(4)
    await bench.host().settle()
    for name in (await bench.owned())[:2]:
        await bench.call("PATCH", f"{PODS}/{name}", {"metadata": {"labels": {"app": "other"}}})


# The scene, and how few and how many pods the replica set may have at any time after it.
SCENES = [
    pytest.param(scale_up, 0, 6, id="scale up"),
    pytest.param(scale_down, 2, 6, id="scale down"),
    pytest.param(adopt_and_fill_up, 0, 4, id="adopt and fill up"),
    pytest.param(adopt_too_many, 0, 4, id="adopt too many"),
    pytest.param(release_and_replace, 2, 4, id="release and replace"),
]


async def _end(bench: Bench) -> Json:
    """Return what must be the same however often the run was cut."""
    status = await bench.status()
    return {
        "owned": len(await bench.owned()),
        "pods": len([pod for pod in await bench.pods() if "deletionTimestamp" not in pod["metadata"]]),
        "status": {name: value for name, value in status.items() if name != "conditions"},
        "conditions": status.get("conditions", []),
    }


@pytest.mark.parametrize("stale", [False, True], ids=["on a fresh view", "on the view of before"])
@pytest.mark.parametrize(("scene", "fewest", "most"), SCENES)
def test_a_crash_behind_any_write_ends_the_same(scene: Scene, fewest: int, most: int, stale: bool) -> None:
    async def uncut() -> tuple[Json, int]:
        bench = Bench()
        await scene(bench)
        host = bench.host()
        await host.settle()
        return await _end(bench), host.writes

    async def cut(after: int) -> Json:
        bench = Bench()
        await scene(bench)
        successor = await bench.fresh_host()
        await _die(bench.host(dies_after=after))
        assert fewest <= len(await bench.owned()) <= most
        if stale:
            with suppress(ApiError):
                await successor.make_pass()
            assert fewest <= len(await bench.owned()) <= most
        await successor.settle()
        return await _end(bench)

    expected, writes = run(uncut())
    assert writes > 2
    for after in range(1, writes + 1):
        assert run(cut(after)) == expected, f"cut behind write {after} of {writes}"


async def _die(host: Host) -> None:
    """Let the host work until it dies behind its last write."""
    living = asyncio.ensure_future(host.settle())
    dying = asyncio.ensure_future(host.dead.wait())
    await asyncio.wait((living, dying), return_when=asyncio.FIRST_COMPLETED)
    for task in (living, dying):
        task.cancel()
    await asyncio.wait((living, dying))

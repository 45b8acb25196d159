"""Whole passes of the deployment controller against an API server in memory, woken by hand.

What a pass writes, in which order, and what it does with an old view: the cases 23 and 82 to 88 of
workloads 5 that are about single passes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from controllers.deployment import DeploymentController
from kcm import Done, Key, TerminalError, Waiting
from kcm.cache.feed import ReplaceBegin, ReplaceEnd, ReplaceItems
from kcm.objects import Deployment, PodTrace, WholeReplicaSet
from kcm.testing.bench import Bench, Host
from kcm.testing.virtual import run
from kcm.testing.world import Json, deployment, replica_set

Scene = Callable[[Bench], Coroutine[Any, Any, None]]

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
WEB = f"{DEPLOYMENTS}/web"
STATUS = f"PATCH {WEB}/status"
HOLD = {"metadata": {"finalizers": ["example.com/hold"]}}


def scenario(test: Scene) -> Callable[[], None]:
    """Run an async test on a bench of its own, in virtual time."""

    def in_virtual_time() -> None:
        async def on_a_bench() -> None:
            await test(Bench(DeploymentController, Key("default", "web")))

        run(on_a_bench())

    in_virtual_time.__name__ = test.__name__
    return in_virtual_time


async def sets(bench: Bench) -> list[Json]:
    found: list[Json] = (await bench.call("GET", SETS))["items"]
    return found


def orphan(name: str, replicas: int = 0) -> Json:
    body = replica_set("web", replicas)
    body["metadata"] |= {"name": name, "labels": {"app": "web"}}
    return body


def image(tag: str) -> Json:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": f"example/web:{tag}"}]}}}}


@scenario
async def test_case_82_a_new_deployment_takes_one_create_and_one_status_write(bench: Bench) -> None:
    await bench.call("POST", DEPLOYMENTS, deployment("web", 1))
    host = await bench.fresh_host()
    await host.make_pass()
    assert host.asked == [f"POST {SETS}", STATUS]
    await host.refresh()
    await host.make_pass()
    assert len(host.asked) == 2


@scenario
async def test_case_83_while_being_deleted_it_only_counts(bench: Bench) -> None:
    await bench.call("POST", DEPLOYMENTS, deployment("web", 1))
    await bench.call("POST", SETS, orphan("found", 3))
    await bench.call("PATCH", WEB, HOLD)
    await bench.call("DELETE", WEB)
    host = await bench.fresh_host()
    assert isinstance(await host.make_pass(), Done)
    assert host.asked == [STATUS]
    assert len(await sets(bench)) == 1


@scenario
async def test_case_84_a_deployment_whose_deletion_was_not_seen_adopts_nothing(bench: Bench) -> None:
    await bench.call("POST", DEPLOYMENTS, deployment("web", 1))
    await bench.call("PATCH", WEB, HOLD)
    host = await bench.fresh_host()
    await bench.call("DELETE", WEB)
    await bench.call("POST", SETS, orphan("found"))
    await host.refresh(WholeReplicaSet)
    result = await host.make_pass()
    assert isinstance(result, Waiting)
    assert "being deleted" in result.reason
    assert host.asked == []
    (found,) = await sets(bench)
    assert "ownerReferences" not in found["metadata"]


@scenario
async def test_case_84_a_deployment_that_was_made_again_is_not_taken_for_the_old_one(bench: Bench) -> None:
    await bench.call("POST", DEPLOYMENTS, deployment("web", 1))
    host = await bench.fresh_host()
    await bench.call("DELETE", WEB)
    await bench.call("POST", DEPLOYMENTS, deployment("web", 1))
    await bench.call("POST", SETS, orphan("found"))
    await host.refresh(WholeReplicaSet)
    assert isinstance(await host.make_pass(), Waiting)
    assert host.asked == []


async def show(bench: Bench, host: Host, **spec: Any) -> None:
    """Show the host a Deployment that no server of today lets in, as a new version of what is there."""
    again = len(host.asked)
    made = await bench.call("PATCH", WEB, {"metadata": {"labels": {"again": f"a{again}"}}})
    made["spec"] |= spec
    watch = next(each for each in host.controller.watches if each.type is Deployment)
    replica = host.replicas.replica(watch)
    replica.feed(ReplaceBegin(0))
    replica.feed(ReplaceItems(0, (msgspec.Raw(msgspec.json.encode(made)),)))
    replica.feed(ReplaceEnd(0, made["metadata"]["resourceVersion"]))


@scenario
async def test_case_85_an_empty_selector_is_told_and_nothing_else_is_touched(bench: Bench) -> None:
    await bench.call("POST", DEPLOYMENTS, deployment("web", 1))
    await bench.call("POST", SETS, orphan("found"))
    host = bench.host()
    await host.refresh(WholeReplicaSet, PodTrace)
    await show(bench, host, selector={})
    await host.make_pass()
    note = "This deployment is selecting all pods. A non-empty selector is required."
    assert host.events == [("Warning", "SelectingAll", note)]
    assert host.asked == [STATUS]
    assert (await bench.call("GET", WEB))["status"]["observedGeneration"] == 1
    await show(bench, host, selector={})
    await host.make_pass()
    assert host.asked == [STATUS]


@scenario
async def test_case_86_a_rollback_is_one_write_of_the_deployment_wherever_it_is_cut(bench: Bench) -> None:
    await bench.call("POST", DEPLOYMENTS, deployment("web", 1))
    host = await bench.fresh_host()
    await host.settle()
    await bench.call("PATCH", WEB, image("2"))
    await host.settle()
    asked = {"metadata": {"annotations": {"deprecated.deployment.rollback.to": "0"}}}
    await bench.call("PATCH", WEB, asked)
    before = len(host.asked)
    await host.refresh()
    await host.make_pass()
    assert host.asked[before:] == [f"PATCH {WEB}"]
    await host.refresh()
    await host.settle()
    found = await bench.call("GET", WEB)
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "example/web:1"
    assert host.asked.count(f"PATCH {WEB}") == 1
    assert len(await sets(bench)) == 2


@scenario
async def test_case_88_every_orphan_is_tried_whatever_becomes_of_the_others(bench: Bench) -> None:
    await bench.call("POST", DEPLOYMENTS, deployment("web", 0))
    for name in ("a", "b", "c"):
        await bench.call("POST", SETS, orphan(name))
    host = await bench.fresh_host()
    await bench.call("DELETE", f"{SETS}/b")
    await host.make_pass()
    owned = {each["metadata"]["name"] for each in await sets(bench) if "ownerReferences" in each["metadata"]}
    assert {"a", "c"} <= owned


@scenario
async def test_an_old_view_of_the_deployment_writes_no_status(bench: Bench) -> None:
    await bench.call("POST", DEPLOYMENTS, deployment("web", 0))
    host = await bench.fresh_host()
    await host.settle()
    await bench.call("PATCH", WEB, {"spec": {"minReadySeconds": 5}})
    await bench.call("PATCH", f"{SETS}/{(await sets(bench))[0]['metadata']['name']}/status", ready(1))
    await host.refresh(WholeReplicaSet)
    before = await bench.call("GET", WEB)
    with pytest.raises(Exception, match="has been modified"):
        await host.make_pass()
    assert await bench.call("GET", WEB) == before


def ready(replicas: int) -> Json:
    return {"status": {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas}}


@scenario
async def test_an_unknown_strategy_is_one_keys_problem(bench: Bench) -> None:
    await bench.call("POST", DEPLOYMENTS, deployment("web", 1))
    host = await bench.fresh_host()
    await show(bench, host, strategy={"type": "Canary"})
    with pytest.raises(TerminalError, match="Canary"):
        await host.make_pass()
    assert host.asked == []

"""The garbage collector at work: the built-in one of the sandbox is off, kcm's own does it.

Judged by what the API server holds: what goes, what stays, and in which order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from kcm.testing import faults
from kcm.testing.virtual import run
from kcm.testing.world import WORKLOADS, Json, World, deployment

COLLECTOR = {"garbagecollector": "controllers.garbagecollector:GarbageCollectorController"}
PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SECRETS = "/api/v1/namespaces/default/secrets"
MAPS = "/api/v1/namespaces/default/configmaps"
EVERYTHING = {**WORKLOADS, **COLLECTOR}
WITH_EVENTS = {**COLLECTOR, "eventrecorder": "controllers.eventrecorder:EventRecorder"}
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.org/v1/namespaces/default/widgets"


def definition() -> Json:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


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


def collected(
    scenario: Callable[[World], Awaitable[None]], controllers: Mapping[str, str] = COLLECTOR
) -> None:
    """Run a scenario in a world whose garbage only kcm's controller collects."""

    async def main() -> None:
        async with world() as w:
            w.start(controllers)
            await scenario(w)

    run(main())


async def until_names(w: World, expected: set[str], path: str = MAPS) -> None:
    async def holds() -> bool:
        return await names(w, path) == expected

    await w.until(holds, within=30.0, what=f"{path} is {sorted(expected)}")


async def rest(w: World, seconds: float = 5.0) -> None:
    await w.clock.sleep(seconds)


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_deleting_a_deployment_takes_its_replica_sets_and_pods(propagation: str) -> None:
    async def scenario(w: World) -> None:
        await rolled_out(w, 3)
        await w.call("DELETE", f"{DEPLOYMENTS}/web", options(propagation))

        async def gone() -> bool:
            left = [await names(w, path) for path in (DEPLOYMENTS, SETS, PODS)]
            # In the foreground the owner is the last to go.
            assert propagation == "Background" or left[0] or not (left[1] or left[2])
            return not any(left)

        await w.until(gone, within=120.0)

    collected(scenario, EVERYTHING)


def test_orphaning_a_deployment_keeps_its_replica_sets_and_pods() -> None:
    async def scenario(w: World) -> None:
        await rolled_out(w, 3)
        pods = await names(w, PODS)
        await w.call("DELETE", f"{DEPLOYMENTS}/web", options("Orphan"))
        await until_names(w, set(), DEPLOYMENTS)
        await rest(w, 60.0)
        (left,) = await w.items(SETS)
        assert "ownerReferences" not in left["metadata"]
        assert await names(w, PODS) == pods

    collected(scenario, EVERYTHING)


def test_an_object_stays_as_long_as_one_of_its_owners_and_forgets_the_others() -> None:
    async def scenario(w: World) -> None:
        one, other = [await owned_map(w, name) for name in ("one", "other")]
        await owned_map(w, "child", one, other)
        await w.call("DELETE", f"{MAPS}/one")

        async def forgotten() -> bool:
            child = await w.call("GET", f"{MAPS}/child")
            return [each["name"] for each in child["metadata"]["ownerReferences"]] == ["other"]

        await w.until(forgotten)
        await w.call("DELETE", f"{MAPS}/other")
        await until_names(w, set())

    collected(scenario)


def test_an_owner_that_never_was_is_absent() -> None:
    async def scenario(w: World) -> None:
        await owned_map(w, "child", {"metadata": {"name": "nobody", "uid": "0-0"}})
        await until_names(w, set())

    collected(scenario)


def test_a_namesake_with_another_uid_is_no_owner() -> None:
    async def scenario(w: World) -> None:
        await owned_map(w, "owner")
        await owned_map(w, "child", {"metadata": {"name": "owner", "uid": "0-0"}})
        await until_names(w, {"owner"})

    collected(scenario)


@pytest.mark.parametrize(
    ("version", "kind"), [("example.org/v1", "ConfigMap"), ("v1", "Unheard"), ("v2", "ConfigMap")]
)
def test_an_owner_of_a_kind_that_the_server_does_not_have_is_not_taken_for_absent(
    version: str, kind: str
) -> None:
    async def scenario(w: World) -> None:
        owner = {"apiVersion": version, "kind": kind, "metadata": {"name": "owner", "uid": "0-0"}}
        await owned_map(w, "child", owner)
        await rest(w, 300.0)
        assert await names(w) == {"child"}

    collected(scenario)


def test_a_reference_that_calls_a_live_owner_something_else_leads_nowhere() -> None:
    async def scenario(w: World) -> None:
        owner = await owned_map(w, "owner")
        uid = owner["metadata"]["uid"]
        await owned_map(w, "misnamed", {"metadata": {"name": "other", "uid": uid}})
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "owner", "uid": uid}}
        await owned_map(w, "mistaken", secret)
        await until_names(w, {"owner"})

    collected(scenario)


def test_an_owner_in_another_namespace_owns_nothing_and_people_are_told() -> None:
    async def scenario(w: World) -> None:
        await w.call("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
        owner = await w.call("POST", "/api/v1/namespaces/other/configmaps", {"metadata": {"name": "owner"}})
        await rest(w)
        await owned_map(w, "child", owner)
        await until_names(w, set())
        assert "owner" in await names(w, "/api/v1/namespaces/other/configmaps")
        assert "OwnerRefInvalidNamespace" in await reasons(w)

    collected(scenario, WITH_EVENTS)


def test_a_cluster_scoped_object_cannot_be_owned_by_one_in_a_namespace_and_stays() -> None:
    async def scenario(w: World) -> None:
        owner = await owned_map(w, "owner")
        reference = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": "owner",
            "uid": owner["metadata"]["uid"],
        }
        await w.call(
            "POST", "/api/v1/namespaces", {"metadata": {"name": "owned", "ownerReferences": [reference]}}
        )
        await w.call("DELETE", f"{MAPS}/owner")
        await rest(w, 200.0)
        assert "owned" in await names(w, "/api/v1/namespaces")
        assert "OwnerRefInvalidNamespace" in await reasons(w)

    collected(scenario, WITH_EVENTS)


async def reasons(w: World) -> set[str]:
    await rest(w, 2.0)
    return {event["reason"] for event in await w.items("/api/v1/events")}


def test_a_cluster_scoped_owner_owns_in_every_namespace() -> None:
    async def scenario(w: World) -> None:
        owner = await w.call(
            "POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "o"}}
        )
        await owned_map(w, "child", owner)
        await rest(w)
        assert await names(w) == {"child"}
        await w.call("DELETE", "/apis/rbac.authorization.k8s.io/v1/clusterroles/o")
        await until_names(w, set())

    collected(scenario)


def test_foreground_deletion_waits_for_those_who_block_it_and_only_for_them() -> None:
    async def scenario(w: World) -> None:
        owner = await owned_map(w, "owner")
        await owned_map(w, "blocking", owner, blockOwnerDeletion=True)
        await owned_map(w, "free", owner)
        for name in ("blocking", "free"):
            await w.patch(f"{MAPS}/{name}", {"metadata": {"finalizers": ["example.org/hold"]}})
        await w.call("DELETE", f"{MAPS}/owner", options("Foreground"))
        await rest(w)
        assert await names(w) == {"owner", "blocking", "free"}
        await w.patch(f"{MAPS}/blocking", {"metadata": {"finalizers": None}})
        await until_names(w, {"free"})
        await w.patch(f"{MAPS}/free", {"metadata": {"finalizers": None}})
        await until_names(w, set())

    collected(scenario)


def test_a_dependent_that_is_let_go_blocks_no_more() -> None:
    async def scenario(w: World) -> None:
        owner = await owned_map(w, "owner")
        await owned_map(w, "child", owner, blockOwnerDeletion=True)
        await w.patch(f"{MAPS}/child", {"metadata": {"finalizers": ["example.org/hold"]}})
        await w.call("DELETE", f"{MAPS}/owner", options("Foreground"))
        await rest(w)
        await w.patch(f"{MAPS}/child", {"metadata": {"ownerReferences": None}})
        await until_names(w, {"child"})

    collected(scenario)


def test_a_chain_ends_in_the_foreground_from_its_far_end() -> None:
    async def scenario(w: World) -> None:
        previous = await owned_map(w, "n0")
        for number in range(1, 6):
            previous = await owned_map(w, f"n{number}", previous, blockOwnerDeletion=True)
        await w.call("DELETE", f"{MAPS}/n0", options("Foreground"))
        ends: list[set[str]] = []

        async def gone() -> bool:
            ends.append(await names(w))
            return not ends[-1]

        await w.until(gone)
        for left in ends:
            assert left == {f"n{number}" for number in range(len(left))}

    collected(scenario)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_circle_that_ends_in_the_foreground_ends(size: int) -> None:
    async def scenario(w: World) -> None:
        made = [await owned_map(w, f"n{number}") for number in range(size)]
        for number in range(size):
            owner = made[number - 1]["metadata"]
            reference = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": owner["name"],
                "uid": owner["uid"],
                "blockOwnerDeletion": True,
            }
            await w.patch(f"{MAPS}/n{number}", {"metadata": {"ownerReferences": [reference]}})
        await rest(w)
        assert len(await names(w)) == size
        await w.call("DELETE", f"{MAPS}/n0", options("Foreground"))
        await until_names(w, set())

    collected(scenario)


def test_custom_resources_own_and_are_owned_from_the_moment_they_are_defined() -> None:
    async def scenario(w: World) -> None:
        await rest(w)
        await w.call("POST", DEFINITIONS, definition())

        async def served() -> bool:
            try:
                await w.items(WIDGETS)
            except AssertionError:
                return False
            return True

        await w.until(served)
        widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"}}
        made = await w.call("POST", WIDGETS, widget)
        child = await owned_map(w, "child", made)
        reference = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": "child",
            "uid": child["metadata"]["uid"],
        }
        await w.call("POST", WIDGETS, {**widget, "metadata": {"name": "x", "ownerReferences": [reference]}})
        await rest(w, 3.0)
        assert await names(w) == {"child"}
        assert await names(w, WIDGETS) == {"w", "x"}
        await w.call("DELETE", f"{WIDGETS}/w")
        await until_names(w, set())
        await until_names(w, set(), WIDGETS)

    collected(scenario)


def test_dependents_of_a_kind_whose_definition_is_gone_are_left_alone() -> None:
    async def scenario(w: World) -> None:
        await w.call("POST", DEFINITIONS, definition())
        await rest(w)
        unseen = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w", "uid": "0-0"}}
        await w.call("DELETE", f"{DEFINITIONS}/widgets.example.org")
        await rest(w)
        await owned_map(w, "child", unseen)
        await rest(w, 200.0)
        assert await names(w) == {"child"}

    collected(scenario)


def test_a_namespace_ends_with_all_that_is_owned_in_it() -> None:
    async def scenario(w: World) -> None:
        await w.call("POST", "/api/v1/namespaces", {"metadata": {"name": "team"}})
        await rest(w)
        web = {**deployment("web", 3), "metadata": {"name": "web", "namespace": "team"}}
        await w.call("POST", "/apis/apps/v1/namespaces/team/deployments", web)
        await rest(w, 10.0)
        await w.call("DELETE", "/api/v1/namespaces/team")

        async def gone() -> bool:
            return "team" not in await names(w, "/api/v1/namespaces")

        await w.until(gone, within=120.0)

    collected(scenario, EVERYTHING)


def test_what_is_already_there_when_the_collector_starts_is_collected() -> None:
    async def main() -> None:
        async with world() as w:
            owner = await owned_map(w, "owner")
            await owned_map(w, "child", owner, blockOwnerDeletion=True)
            await owned_map(w, "orphan", {"metadata": {"name": "nobody", "uid": "0-0"}})
            await w.call("DELETE", f"{MAPS}/owner", options("Foreground"))
            w.start(COLLECTOR)
            await until_names(w, set())

    run(main())


def test_a_thousand_dependents_go_within_seconds() -> None:
    async def scenario(w: World) -> None:
        owner = await owned_map(w, "owner")
        for number in range(1000):
            await owned_map(w, f"child-{number}", owner)
        await rest(w)
        before = w.writes
        await w.call("DELETE", f"{MAPS}/owner")
        await until_names(w, set())
        # One DELETE each, and none for nothing.
        assert w.writes - before == 1000

    collected(scenario)


def test_nothing_is_written_while_nothing_changes() -> None:
    async def scenario(w: World) -> None:
        owner = await owned_map(w, "owner")
        await owned_map(w, "child", owner)
        await rest(w)
        before = w.writes
        await rest(w, 1200.0)
        assert w.writes == before

    collected(scenario)


def test_nobody_is_lost_to_an_orphaning_that_was_faster_than_their_watch() -> None:
    async def main() -> None:
        async with world() as w:
            w.api.faults.add(faults.Fault(faults.DelayEvents(4.0), "watch", "secrets"))
            w.start(COLLECTOR)
            owner = await owned_map(w, "owner")
            await rest(w, 30.0)
            reference = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": "owner",
                "uid": owner["metadata"]["uid"],
            }
            late = {"metadata": {"name": "late", "ownerReferences": [reference]}}
            await w.call("POST", SECRETS, late)
            await w.call("DELETE", f"{MAPS}/owner", options("Orphan"))
            await until_names(w, set())
            await rest(w, 60.0)
            (left,) = await w.items(SECRETS)
            assert "ownerReferences" not in left["metadata"]

    run(main())

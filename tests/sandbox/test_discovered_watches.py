"""Watches that nobody named: opened as types come, ended as they go, and unharmed by those that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kcm.serving.http import Response
from kcm.serving.status import HostStatus
from kcm.testing import faults
from kcm.testing.virtual import run
from kcm.testing.world import Daemon, Json, World

COLLECTOR = {"garbagecollector": "controllers.garbagecollector:GarbageCollectorController"}
MAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def played(
    scenario: Callable[[World, Daemon], Awaitable[None]], *ordered: faults.Fault, seconds: float = 15.0
) -> None:
    """Run a scenario some seconds after the daemon has started, the faults being there from the start."""

    async def main() -> None:
        async with World(collect_garbage=False, nodes=0) as w:
            for fault in ordered:
                w.api.faults.add(fault)
            daemon = w.start(COLLECTOR)
            await w.clock.sleep(seconds)
            await scenario(w, daemon)

    run(main())


def orphan(name: str) -> Json:
    nobody = {"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "0-0"}
    return {"metadata": {"name": name, "ownerReferences": [nobody]}}


async def count(w: World, path: str) -> int:
    found = {each["metadata"]["name"] for each in await w.items(path)}
    return len(found - {"kube-root-ca.crt"})


async def until_count(w: World, path: str, expected: int) -> None:
    async def holds() -> bool:
        return await count(w, path) == expected

    await w.until(holds, within=60.0, what=f"{expected} of {path}")


def watched(daemon: Daemon) -> set[str]:
    return {cache.resource for cache in daemon.manager.status().caches}


def collector(daemon: Daemon) -> HostStatus:
    return next(host for host in daemon.manager.status().hosts if host.name == "garbagecollector")


def widgets(plural: str) -> Json:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    kind = plural[:-1].title()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": plural[:-1], "kind": kind, "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


def test_a_resource_that_may_not_be_listed_stops_neither_the_others_nor_readiness_and_comes_back() -> None:
    refused = [faults.Fault(faults.Refuse(403), verb, "secrets", agent="kcm") for verb in ("list", "watch")]

    async def scenario(w: World, daemon: Daemon) -> None:
        status = daemon.manager.status()
        (secrets,) = (cache for cache in status.caches if cache.resource == "secrets")
        assert "not allowed" in secrets.reason
        assert status.failing == {}
        assert collector(daemon).state == "leading"
        for path in (MAPS, SECRETS):
            await w.call("POST", path, orphan("o"))
        await until_count(w, MAPS, 0)
        assert await count(w, SECRETS) == 1
        for fault in refused:
            w.api.faults.remove(fault)
        # A refused watch is tried again with growing back-off.
        await w.clock.sleep(60.0)
        await until_count(w, SECRETS, 0)

    played(scenario, *refused)


def test_an_owner_of_a_resource_that_may_not_be_listed_is_asked_for_and_keeps_its_dependents() -> None:
    refused = [faults.Fault(faults.Refuse(403), verb, "secrets", agent="kcm") for verb in ("list", "watch")]

    async def scenario(w: World, daemon: Daemon) -> None:
        owner = await w.call("POST", SECRETS, {"metadata": {"name": "owner"}})
        uid = owner["metadata"]["uid"]
        reference = {"apiVersion": "v1", "kind": "Secret", "name": "owner", "uid": uid}
        await w.call("POST", MAPS, {"metadata": {"name": "child", "ownerReferences": [reference]}})
        await w.clock.sleep(300.0)
        assert await count(w, MAPS) == 1
        await w.call("DELETE", f"{SECRETS}/owner")
        await w.clock.sleep(70.0)
        assert await count(w, MAPS) == 0

    played(scenario, *refused)


def test_an_owner_that_may_not_be_read_keeps_its_dependents() -> None:
    refused = [
        faults.Fault(faults.Refuse(403), verb, "secrets", agent="kcm") for verb in ("list", "watch", "get")
    ]

    async def scenario(w: World, daemon: Daemon) -> None:
        reference = {"apiVersion": "v1", "kind": "Secret", "name": "owner", "uid": "0-0"}
        await w.call("POST", MAPS, {"metadata": {"name": "child", "ownerReferences": [reference]}})
        await w.clock.sleep(300.0)
        assert await count(w, MAPS) == 1

    played(scenario, *refused)


def test_types_are_watched_soon_after_they_come_and_no_more_when_they_are_gone() -> None:
    async def scenario(w: World, daemon: Daemon) -> None:
        before = watched(daemon)
        await w.call("POST", DEFINITIONS, widgets("widgets"))
        await w.clock.sleep(2.0)
        assert watched(daemon) == before | {"widgets.example.org"}
        await w.call("DELETE", f"{DEFINITIONS}/widgets.example.org")
        await w.clock.sleep(3.0)
        assert watched(daemon) == before
        assert daemon.manager.status().failing == {}

    played(scenario)


def test_events_and_metrics_are_not_watched_and_the_rest_is_by_metadata_only() -> None:
    async def scenario(w: World, daemon: Daemon) -> None:
        assert {"pods", "deployments.apps", "clusterroles.rbac.authorization.k8s.io"} < watched(daemon)
        assert not [each for each in watched(daemon) if each.startswith("events") or "metrics" in each]
        assert {cache.selector for cache in daemon.manager.status().caches} == {"metadata only"}

    played(scenario)


def test_a_host_that_dies_is_fed_again_without_a_list() -> None:
    async def scenario(w: World, daemon: Daemon) -> None:
        listed = faults.Fault(faults.Delay(0.0), "list")
        w.api.faults.add(listed)
        pid = collector(daemon).pid
        next(handle for handle in daemon.launcher.handles if handle.pid == pid).kill()
        await w.clock.sleep(5.0)
        assert collector(daemon).state == "leading"
        assert w.api.faults.met(listed) == 0
        await w.call("POST", MAPS, orphan("o"))
        await until_count(w, MAPS, 0)

    played(scenario)


def test_a_daemon_that_nobody_asks_to_discover_does_not() -> None:
    async def main() -> None:
        async with World(nodes=0) as w:
            asked: list[str] = []
            served = w.api.handle

            async def handle(request):  # type: ignore[no-untyped-def]
                asked.append(request.path)
                return await served(request)

            w.api.handle = handle  # type: ignore[method-assign]
            w.start()
            await w.clock.sleep(120.0)
            assert not [path for path in asked if path in ("/api", "/apis")]

    run(main())


def test_discovery_that_fails_changes_nothing_and_is_tried_again() -> None:
    async def main() -> None:
        async with World(collect_garbage=False, nodes=0) as w:
            served, broken = w.api.handle, asyncio.Event()
            broken.set()

            async def handle(request):  # type: ignore[no-untyped-def]
                if broken.is_set() and request.path in ("/api", "/apis"):
                    return Response(503, b"no", "text/plain")
                return await served(request)

            w.api.handle = handle  # type: ignore[method-assign]
            daemon = w.start(COLLECTOR)
            await w.clock.sleep(20.0)
            assert collector(daemon).state == "filling"
            broken.clear()
            await w.clock.sleep(30.0)
            before = watched(daemon)
            assert "pods" in before
            broken.set()
            await w.clock.sleep(120.0)
            assert watched(daemon) == before
            await w.call("POST", MAPS, orphan("o"))
            await until_count(w, MAPS, 0)

    run(main())

"""Crash after every write of the collector, two managers, lost answers: the end is always the same.

Each mode is run once undisturbed to count the collector's writes, then once for every write,
with its host killed right behind it, before it sees the answer.
"""

from __future__ import annotations

from typing import Any

import pytest

from kcm.testing import faults
from kcm.testing.virtual import run
from kcm.testing.world import Json, World

COLLECTOR = {"garbagecollector": "controllers.garbagecollector:GarbageCollectorController"}
MAPS = "/api/v1/namespaces/default/configmaps"


async def family(w: World) -> None:
    """A grandparent, two parents of whom one is a stranger's too, and their children."""

    async def make(name: str, *owners: Json) -> Json:
        references = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "blockOwnerDeletion": True,
            }
            for owner in owners
        ]
        return await w.call("POST", MAPS, {"metadata": {"name": name, "ownerReferences": references}})

    elder = await make("elder")
    stranger = await make("stranger")
    parent = await make("parent", elder)
    shared = await make("shared", elder, stranger)
    for number in range(2):
        await make(f"child-{number}", parent)
    await make("kept", shared)


ENDS = {
    "Background": {"stranger", "shared", "kept"},
    "Foreground": {"stranger", "shared", "kept"},
    "Orphan": {"stranger", "shared", "kept", "parent", "child-0", "child-1"},
}


async def names(w: World) -> set[str]:
    return {each["metadata"]["name"] for each in await w.items(MAPS)} - {"kube-root-ca.crt"}


async def ended(w: World, propagation: str) -> None:
    """Delete the elder, wait for the end, and see that it is one."""
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
    await w.call("DELETE", f"{MAPS}/elder", body)

    async def holds() -> bool:
        left = await names(w)
        assert left >= ENDS[propagation], left
        return left == ENDS[propagation] and not await dangling(w)

    await w.until(holds, within=120.0)
    await w.clock.sleep(60.0)
    assert await holds()


async def dangling(w: World) -> list[str]:
    """Return who names an owner that is not there."""
    found = await w.items(MAPS)
    uids = {each["metadata"]["uid"] for each in found}
    return [
        each["metadata"]["name"]
        for each in found
        if any(one["uid"] not in uids for one in each["metadata"].get("ownerReferences", ()))
    ]


def undisturbed(propagation: str) -> int:
    async def main() -> int:
        async with World(collect_garbage=False, nodes=0) as w:
            daemon = w.start(COLLECTOR)
            await family(w)
            await ended(w, propagation)
            return daemon.writes

    return run(main())


@pytest.mark.parametrize("propagation", list(ENDS))
def test_a_crash_behind_any_write_changes_nothing_of_the_end(propagation: str) -> None:
    writes = undisturbed(propagation)
    assert writes >= 3
    for number in range(1, writes + 1):

        async def main(crash_after: int = number) -> None:
            async with World(collect_garbage=False, nodes=0) as w:
                w.start(COLLECTOR, crash_after=crash_after)
                await family(w)
                await ended(w, propagation)

        run(main())


@pytest.mark.parametrize("propagation", list(ENDS))
def test_a_standby_takes_over_in_the_middle(propagation: str) -> None:
    async def main() -> None:
        async with World(collect_garbage=False, nodes=0) as w:
            first = w.start(COLLECTOR, identity="one", may_fail=True)
            await w.clock.sleep(3.0)
            w.start(COLLECTOR, identity="two")
            await family(w)
            body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
            await w.call("DELETE", f"{MAPS}/elder", body)
            while not first.writes:
                await w.clock.sleep(0.001)
            first.kill()

            async def holds() -> bool:
                return await names(w) == ENDS[propagation] and not await dangling(w)

            await w.until(holds, within=120.0)

    run(main())


LOST = [
    faults.DropAfter(),
    faults.DropBefore(),
    faults.Refuse(500),
    faults.Refuse(409),
    faults.HangAfter(9.0),
]


@pytest.mark.parametrize("effect", LOST, ids=lambda effect: type(effect).__name__)
@pytest.mark.parametrize("propagation", list(ENDS))
@pytest.mark.parametrize("verb", ["delete", "patch", "get"])
def test_whatever_befalls_its_requests_the_end_is_the_same(verb: Any, propagation: str, effect: Any) -> None:
    async def main() -> None:
        async with World(collect_garbage=False, nodes=0) as w:
            w.start(COLLECTOR)
            await family(w)
            await w.clock.sleep(3.0)
            fault = faults.Fault(effect, verb, agent="garbagecollector", resource="configmaps", times=3)
            w.api.faults.add(fault)
            await ended(w, propagation)

    run(main())


@pytest.mark.parametrize("propagation", list(ENDS))
def test_a_history_that_is_forgotten_again_and_again_changes_nothing_of_the_end(propagation: str) -> None:
    async def main() -> None:
        async with World(collect_garbage=False, nodes=0) as w:
            w.start(COLLECTOR)
            await family(w)
            body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
            await w.call("DELETE", f"{MAPS}/elder", body)
            for _ in range(100):
                w.api.store.compact()
                await w.clock.sleep(0.01)

            async def holds() -> bool:
                return await names(w) == ENDS[propagation] and not await dangling(w)

            await w.until(holds, within=120.0)

    run(main())

"""The checkers of invariants find what they are there to find: each is shown one write that breaks it.

The writes are sent as a controller's, straight to the API server; a checker that lets one of them
pass would let a bug pass.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from kcm.serving.http import Request
from kcm.testing.invariants import NoSurplus, OneSetPerTemplate
from kcm.testing.rollout_bounds import RolloutBounds
from kcm.testing.virtual import run
from kcm.testing.world import WORKLOADS, Json, World, deployment

PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
WEB = f"{DEPLOYMENTS}/web"

Deed = Callable[[World, Json, Json], Awaitable[None]]


async def send(world: World, by: str, method: str, path: str, body: Json | None = None) -> None:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    headers = {"content-type": kind, "accept": "application/json", "user-agent": f"kcm/0 test/{by}"}
    encoded = msgspec.json.encode(body) if body is not None else b""
    answer = await world.api.handle(Request(method, path, (), headers, encoded))
    assert answer.status < 300, answer.body


def path_of(present: Json) -> str:
    return f"{SETS}/{present['metadata']['name']}"


async def grows_too_far(world: World, old: Json, new: Json) -> None:
    await send(world, "deployment", "PATCH", path_of(old), {"spec": {"replicas": 6}})


async def shrinks_too_far(world: World, old: Json, new: Json) -> None:
    await send(world, "deployment", "PATCH", path_of(old), {"spec": {"replicas": 2}})


async def takes_a_pod_that_has_to_stay(world: World, old: Json, new: Json) -> None:
    pods = [each for each in await world.items(PODS) if each["metadata"]["name"].startswith(name_of(old))]
    await send(world, "replicaset", "DELETE", f"{PODS}/{pods[0]['metadata']['name']}")


async def makes_a_twin(world: World, old: Json, new: Json) -> None:
    plain = {field: text for field, text in old["metadata"].items() if field in ("labels", "ownerReferences")}
    twin = {**old, "metadata": {**plain, "name": "twin"}}
    await send(world, "deployment", "POST", SETS, {**twin, "spec": {**old["spec"], "replicas": 0}})


async def deletes_one_in_use(world: World, old: Json, new: Json) -> None:
    await send(world, "deployment", "DELETE", path_of(old))


async def deletes_one_that_is_to_be_kept(world: World, old: Json, new: Json) -> None:
    await world.patch(path_of(new), {"spec": {"replicas": 0}})
    idle = {"replicas": 0, "fullyLabeledReplicas": 0, "observedGeneration": 9}
    await world.patch(f"{path_of(new)}/status", {"status": idle})
    await send(world, "deployment", "DELETE", path_of(new))


async def creates_a_pod_too_many(world: World, old: Json, new: Json) -> None:
    pod = next(each for each in await world.items(PODS) if each["metadata"]["name"].startswith(name_of(old)))
    plain = {field: pod["metadata"][field] for field in ("labels", "ownerReferences")}
    surplus = {
        "metadata": {**plain, "name": "surplus"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    await send(world, "replicaset", "POST", PODS, surplus)


def name_of(present: Json) -> str:
    name: str = present["metadata"]["name"]
    return name


@pytest.mark.parametrize(
    ("deed", "found"),
    [
        (grows_too_far, "S4"),
        (shrinks_too_far, "S4"),
        (takes_a_pod_that_has_to_stay, "S4"),
        (makes_a_twin, "S5"),
        (deletes_one_in_use, "S5"),
        (deletes_one_that_is_to_be_kept, "S5"),
        (creates_a_pod_too_many, "S1"),
    ],
)
def test_a_write_that_breaks_an_invariant_is_found(deed: Deed, found: str) -> None:
    async def done() -> dict[str, list[str]]:
        async with World() as world:
            checks: dict[str, Any] = {
                "S1": NoSurplus(world.api, exact=True),
                "S4": RolloutBounds(world.api),
                "S5": OneSetPerTemplate(world.api),
            }
            daemon = world.start(WORKLOADS)
            old, new = await a_rollout_that_stands_still(world)
            await daemon.stop()
            assert not any(map(_broken, checks.values()))
            await deed(world, old, new)
            return {name: _broken(check) for name, check in checks.items()}

    broken = run(done())
    assert broken.pop(found)
    assert not any(broken.values())


def _broken(check: Any) -> list[str]:
    broken: list[str] = check.surplus if isinstance(check, NoSurplus) else check.broken
    return broken


async def a_rollout_that_stands_still(world: World) -> tuple[Json, Json]:
    """Return the replica sets of a rollout of 4, one of which may be missing and one in addition."""
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    await world.call("POST", DEPLOYMENTS, deployment("web", 4, strategy=strategy))
    await world.clock.sleep(30.0)
    containers = [{"name": "c", "image": "example/web:nonexistent"}]
    await world.patch(WEB, {"spec": {"template": {"spec": {"containers": containers}}}})
    await world.clock.sleep(30.0)
    old, new = sorted(await world.items(SETS), key=lambda each: each["metadata"]["creationTimestamp"])
    assert [each["spec"]["replicas"] for each in (old, new)] == [3, 2]
    return old, new

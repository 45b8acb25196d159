"""What controllers decided travels from their hosts to the status, with reasons and outcomes."""

from __future__ import annotations

from collections.abc import Callable

from kcm.sandbox.api.faults import Fault, Refuse
from kcm.serving.status import DecisionStatus
from kcm.serving.statuspage import status_page
from kcm.testing.virtual import run
from kcm.testing.world import Daemon, World, replica_set

PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"


async def decided(
    world: World, daemon: Daemon, fits: Callable[[DecisionStatus], bool], what: str
) -> DecisionStatus:
    """Return the newest decision that fits, once there is one."""
    found: list[DecisionStatus] = []

    async def told() -> bool:
        found[:] = filter(fits, daemon.manager.status().decisions)
        return bool(found)

    await world.until(told, 60.0, what)
    return found[0]


def test_what_was_done_is_told_with_its_reason_and_shown() -> None:
    async def play() -> None:
        async with World() as world:
            daemon = world.start()
            await world.call("POST", SETS, replica_set("web", 40))
            done = await decided(world, daemon, lambda d: d.action == "create" and d.done == 40, "40 creates")
            assert (done.controller, done.keys) == ("replicaset", ("default/web",))
            assert (done.object, done.because, done.result) == ("pods", "0 of 40 pods", "done")
            await world.patch(f"{SETS}/web", {"spec": {"replicas": 39}})
            gone = await decided(world, daemon, lambda d: d.action == "delete", "a delete")
            assert gone.object.startswith("pods default/web-")
            assert gone.because == "40 of 39 pods"
            page = status_page(daemon.manager.status()).body
            assert isinstance(page, bytes)
            assert b"create 40 pods" in page
            assert b"40 of 39 pods" in page
            await daemon.stop()

    run(play())


def test_what_a_quota_refuses_and_what_fails_without_a_write_is_told_too() -> None:
    async def play() -> None:
        async with World() as world:
            quota = Refuse(403, reason="Forbidden", message="exceeded quota: pods")
            world.api.faults.add(Fault(quota, "create", "pods", first=3))
            daemon = world.start()
            await world.call("POST", SETS, replica_set("web", 10))
            partly = await decided(world, daemon, lambda d: d.result == "partly", "a part")
            assert (partly.wanted, partly.done) == (10, 2)
            assert "exceeded quota: pods" in partly.error
            failed = await decided(world, daemon, lambda d: d.result == "failed", "a failure")
            assert failed.done == 0
            # The reconcile raised what its write had said already: that is no news.
            assert not [d for d in daemon.manager.status().decisions if d.action == "reconcile"]
            await daemon.stop()

    run(play())


def test_a_host_tells_what_it_decided_last_before_it_ends() -> None:
    async def play() -> None:
        async with World() as world:
            daemon = world.start()
            await world.call("POST", SETS, replica_set("web", 3))
            await decided(world, daemon, lambda d: d.action == "create", "creates")
            await world.patch(f"{SETS}/web", {"spec": {"replicas": 4}})

            async def four() -> bool:
                return len(await world.items(PODS)) == 4

            await world.until(four, 60.0, "four pods")
            await daemon.stop()
            assert "3 of 4 pods" in [d.because for d in daemon.manager.status().decisions]

    run(play())

"""Signs of life: what makes a process not alive, or a standby not ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from kcm.config.rules import broken_rules
from kcm.config.schema import Configuration
from kcm.sandbox.api.faults import Fault, Refuse, SilenceWatch
from kcm.testing.virtual import VirtualLoop, run
from kcm.testing.world import Daemon, World, quick_configuration

replace = msgspec.structs.replace


def with_health(**changes: Any) -> Configuration:
    plain = quick_configuration()
    return replace(plain, health=replace(plain.health, **changes))


def failing(daemon: Daemon) -> dict[str, str]:
    return daemon.manager.status().failing


def play(scene: Callable[[World], Awaitable[None]], configuration: Configuration | None = None) -> None:
    async def main() -> None:
        async with World(configuration=configuration or quick_configuration()) as world:
            await scene(world)

    run(main())


async def until_ready(world: World, *daemons: Daemon) -> None:
    async def ready() -> bool:
        return not any(failing(daemon) for daemon in daemons)

    await world.until(ready, what="all checks pass")


def test_a_standby_is_ready_and_takes_over_at_once() -> None:
    async def scene(world: World) -> None:
        first = world.start(identity="a")
        await until_ready(world, first)
        standby = world.start(identity="b")
        await until_ready(world, first, standby)
        assert not standby.manager.status().election.leading
        begun = world.clock.monotonic()
        await first.stop()

        async def leads() -> bool:
            return {host.state for host in standby.manager.status().hosts} == {"leading"}

        await world.until(leads)
        assert world.clock.monotonic() - begun < 1.0
        assert failing(standby) == {}

    play(scene)


def test_a_standby_that_cannot_read_the_lease_is_not_ready_until_it_can() -> None:
    async def scene(world: World) -> None:
        first = world.start(identity="a")
        await until_ready(world, first)
        world.api.faults.add(Fault(SilenceWatch(lines=1), "watch", "leases", agent=r"\(b\)"))
        standby = world.start(identity="b")
        await until_ready(world, standby)
        world.api.faults.add(Fault(Refuse(503), "get", "leases", agent=r"\(b\)"))
        await asyncio.sleep(25)
        assert failing(standby) == {}
        await asyncio.sleep(15)
        assert list(failing(standby)) == ["readyz/lease"]
        assert "the Lease was last read 3" in failing(standby)["readyz/lease"]
        assert failing(first) == {}
        world.api.faults.clear()
        await until_ready(world, standby)

    play(scene)


def test_a_process_that_has_never_read_the_lease_is_not_ready() -> None:
    async def scene(world: World) -> None:
        world.api.faults.add(Fault(Refuse(403), "get", "leases", agent="kcm"))
        daemon = world.start()
        await asyncio.sleep(20)
        assert list(failing(daemon)) == ["readyz/lease"]
        assert failing(daemon)["readyz/lease"].startswith("the Lease has not been read yet: ")

    play(scene)


def test_a_host_that_is_silent_makes_not_ready_before_it_is_killed() -> None:
    async def scene(world: World) -> None:
        daemon = world.start()
        await until_ready(world, daemon)
        daemon.launcher.handles[0].mute()
        await asyncio.sleep(12)
        assert list(failing(daemon)) == ["readyz/heartbeats"]
        assert failing(daemon)["readyz/heartbeats"].startswith("replicaset was not heard of for 1")
        await asyncio.sleep(10)
        await until_ready(world, daemon)
        assert len(daemon.launcher.handles) == 3, "with the recorder's, and the successor"

    play(scene)


def test_a_host_behind_its_feed_makes_not_ready_until_it_has_caught_up() -> None:
    async def scene(world: World) -> None:
        daemon = world.start()
        await until_ready(world, daemon)
        handle = daemon.launcher.handles[0]
        handle.delay(20)
        await asyncio.sleep(15)
        assert list(failing(daemon)) == ["readyz/feeds"]
        await asyncio.sleep(30)
        assert failing(daemon)["readyz/feeds"] == "replicaset is 20 s behind its feed"
        handle.delay(0)
        await until_ready(world, daemon)

    play(scene, with_health(feed_lag=10.0))


def test_a_watch_of_which_nothing_is_heard_makes_not_ready() -> None:
    async def scene(world: World) -> None:
        daemon = world.start()
        await until_ready(world, daemon)
        world.api.faults.add(Fault(SilenceWatch(lines=0), "watch", "pods", agent="kcm"))
        world.api.faults.add(Fault(Refuse(503), "list", "pods", agent="kcm"))

        async def old() -> bool:
            return "readyz/watches" in failing(daemon)

        # The watch that is open goes on until its time-out.
        await world.until(old, within=1500)
        assert "pods" in failing(daemon)["readyz/watches"]
        world.api.faults.clear()
        await world.until(lambda: well(daemon), within=300)

    play(scene, with_health(watch_age=120.0))


async def well(daemon: Daemon) -> bool:
    return not failing(daemon)


def test_a_blocked_loop_is_not_alive_at_the_first_probe_after_it() -> None:
    async def scene(world: World) -> None:
        daemon = world.start()
        await until_ready(world, daemon)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.block(9)
        assert "livez/loop" not in failing(daemon)
        await asyncio.sleep(30)
        loop.block(14)
        # No timer has run since: this is what the probe that waited sees.
        assert failing(daemon)["livez/loop"].startswith("the event loop was 1")
        await asyncio.sleep(30)
        assert "livez/loop" not in failing(daemon)

    play(scene)


def test_thresholds_that_would_flap_are_refused() -> None:
    assert broken_rules(with_health(heartbeat_age=3.0, lease_age=8.0)) == ()
    keys = [broken.key for broken in broken_rules(with_health(heartbeat_age=2.0, lease_age=7.0))]
    assert keys == ["health.heartbeatAge", "health.leaseAge"]

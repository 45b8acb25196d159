"""A bug in one part of the manager: it must not leave half a daemon behind, nor a second leader."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kcm.testing.invariants import NoSurplus
from kcm.testing.virtual import run
from kcm.testing.world import Daemon, World, replica_set

SETS = "/apis/apps/v1/namespaces/default/replicasets"


class Bug(Exception):
    """What nobody expected."""


async def fails(*_: Any) -> Any:
    raise Bug


def reflector(daemon: Daemon) -> None:
    """Let a running reflector fail at the next thing that it does."""
    informer = next(iter(daemon.manager._informers.informers.values()))
    informer.reflector._act = fails  # type: ignore[method-assign]  # the bug
    informer.reflector.refresh()


def supervisor(daemon: Daemon) -> None:
    """Let the supervision of a host fail when it has to be started again."""
    daemon.launcher.launch = fails  # type: ignore[method-assign]  # the bug
    daemon.launcher.handles[-1].kill()


def watchdog(daemon: Daemon) -> None:
    """Let the clock fail whoever sleeps next."""
    daemon.manager._observatory._vitals._clock = None  # type: ignore[assignment]  # the bug


@pytest.mark.parametrize("break_", [reflector, supervisor, watchdog])
def test_the_daemon_ends_with_the_error_its_hosts_are_gone_and_the_other_takes_over(break_: Any) -> None:
    async def play() -> None:
        async with World() as world:
            surplus = NoSurplus(world.api)
            first = world.start(identity="first", may_fail=True)
            await world.call("POST", SETS, replica_set("web", 30))

            async def led() -> bool:
                return first.writes >= 5

            await world.until(led, 60.0, "writes of the first")
            second = world.start(identity="second")
            break_(first)
            async with asyncio.timeout(10.0):
                await first.ended.wait()
            assert first.error is not None, "it ended as if it had been asked to"
            assert all(handle._task.done() for handle in first.launcher.handles)

            async def filled() -> bool:
                status = (await world.call("GET", f"{SETS}/web"))["status"]
                return bool(status.get("readyReplicas") == 30)

            await world.until(filled, 60.0, "30 pods")
            assert not surplus.surplus
            await second.stop()

    run(play())

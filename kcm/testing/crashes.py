"""Crash after every write: whatever a controller is cut at, it ends where it would have ended.

    crash_after_every_write({"mine": "mine.controller:Mine"}, scenario, ending)

runs a scenario undisturbed, to count the controller's writes, and then once for each of them with the
controller's host killed right behind it, before it sees the answer; the manager starts it again.
Guarantees that every run begins in a world of its own with the same seed, in virtual time. Finds
what a person does not think of: a second object made after a restart, a status that is never
written, a finalizer that stays. Does not cut between a read and a write: nothing has happened there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from kcm.testing.virtual import run
from kcm.testing.world import Daemon, World

Scenario = Callable[[World], Awaitable[None]]
Ending = Callable[[World], Awaitable[Any]]

QUIET_SECONDS = 30.0


async def _nothing(world: World) -> None:
    """Nothing has to be there before."""


def crash_after_every_write(
    controllers: Mapping[str, str],
    scenario: Scenario,
    ending: Ending,
    *,
    prepare: Scenario = _nothing,
    of: str = "",
    nodes: int = 0,
) -> int:
    """Return how many writes were cut at; AssertionError when a run ended otherwise than the undisturbed.

    `prepare` makes what is there before the controllers start; `scenario` changes the world and waits
    for what should come of it; `ending` returns what to compare: names, sizes, words, and no uids
    or times. `of`: the name of one of several controllers, whose writes alone are cut at. Every run must
    come to rest, with half a minute (virtual) in which nothing is written.
    """
    writes, undisturbed = run(_play(controllers, scenario, ending, prepare, of, nodes, None))
    assert writes > 0, "the scenario makes the controllers write nothing: there is nothing to cut at"
    for nth in range(1, writes + 1):
        try:
            _, cut = run(_play(controllers, scenario, ending, prepare, of, nodes, nth))
        except BaseException as error:
            error.add_note(f"when the host was killed behind write {nth} of {writes}")
            raise
        assert cut == undisturbed, f"cut behind write {nth} of {writes}: {cut!r}, undisturbed {undisturbed!r}"
    return writes


async def quiet(world: World, seconds: float = QUIET_SECONDS, within: float = 600.0) -> None:
    """Return when the daemons have written nothing for `seconds`; AssertionError after `within` seconds.

    What does not come to rest wakes itself: it writes what is there already.
    """
    end = world.clock.monotonic() + within
    while True:
        before = world.writes
        await world.clock.sleep(seconds)
        if world.writes == before:
            return
        assert world.clock.monotonic() < end, f"still writing after {within:g} virtual seconds"


async def _play(
    controllers: Mapping[str, str],
    scenario: Scenario,
    ending: Ending,
    prepare: Scenario,
    of: str,
    nodes: int,
    crash_after: int | None,
) -> tuple[int, Any]:
    async with World(nodes=nodes) as world:
        await prepare(world)
        daemon = world.start(controllers, crash_after=crash_after, crash_of=f"/{of}" if of else "")
        await scenario(world)
        await quiet(world)
        assert crash_after is None or _was_cut(daemon, crash_after), "nobody was cut: runs differ in writes"
        await daemon.stop()
        return daemon.writes, await ending(world)


def _was_cut(daemon: Daemon, nth: int) -> bool:
    return daemon.writes >= nth

"""The fence: what a process may write that slept, was paused or is about to end."""

from __future__ import annotations

import pytest

from kcm.runtime.fence import Fence, Fenced
from kcm.testing.virtual import VirtualClock, run


def test_no_write_before_the_first_deadline_nor_after_the_last() -> None:
    async def play() -> None:
        clock = VirtualClock()
        fence = Fence(clock)
        with pytest.raises(Fenced):
            fence.check()
        fence.extend(clock.boottime() + 10.0)
        fence.extend(clock.boottime() + 5.0)
        await clock.sleep(9.9)
        fence.check()
        await clock.sleep(0.1)
        with pytest.raises(Fenced):
            fence.check()
        assert fence.refused == 2

    run(play())


def test_a_machine_that_was_suspended_past_the_deadline_writes_nothing_when_it_wakes() -> None:
    async def play() -> None:
        clock = VirtualClock()
        fence = Fence(clock)
        fence.extend(clock.boottime() + 10.0)
        clock.suspend(60.0)
        with pytest.raises(Fenced):
            fence.check()

    run(play())


def test_the_time_of_day_has_no_say() -> None:
    async def play() -> None:
        clock = VirtualClock()
        fence = Fence(clock)
        fence.extend(clock.boottime() + 10.0)
        clock.step_wall(3600.0)
        fence.check()
        await clock.sleep(11.0)
        clock.step_wall(-7200.0)
        with pytest.raises(Fenced):
            fence.check()

    run(play())


def test_a_fence_that_was_closed_is_not_opened_by_a_late_renewal() -> None:
    async def play() -> None:
        clock = VirtualClock()
        fence = Fence(clock)
        fence.extend(clock.boottime() + 10.0)
        fence.close()
        fence.extend(clock.boottime() + 20.0)
        assert not fence.open
        with pytest.raises(Fenced):
            fence.check()

    run(play())

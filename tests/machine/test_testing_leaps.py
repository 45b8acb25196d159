"""A loop in real time that leaps: timers keep their order and their moments, sockets go on working."""

import asyncio
import socket

import pytest

from kcm.testing.leaping import LeapingClock, LeapingLoop


def run(scenario):
    loop = LeapingLoop()
    try:
        return loop.run_until_complete(scenario(loop, LeapingClock(loop)))
    finally:
        loop.close()


def test_timers_fire_in_order_each_at_its_own_moment():
    async def scenario(loop, clock):
        began, fired = clock.monotonic(), []
        for seconds in (30.0, 10.0, 20.0, 61.0):
            loop.call_later(seconds, lambda each=seconds: fired.append((each, clock.monotonic() - began)))
        await loop.leap(60)
        return fired, clock.monotonic() - began

    fired, passed = run(scenario)
    assert [each for each, _ in fired] == [10.0, 20.0, 30.0]
    assert all(at == pytest.approx(each, abs=0.5) for each, at in fired)
    assert passed == pytest.approx(60, abs=0.5)


def test_what_a_timer_starts_happens_within_the_leap():
    async def scenario(loop, clock):
        beats = []

        async def beat():
            while True:
                await clock.sleep(10)
                beats.append(clock.monotonic())

        task = loop.create_task(beat())
        await loop.leap(3605)
        task.cancel()
        return beats

    assert len(run(scenario)) == 360


def test_without_timers_the_seconds_pass_all_the_same():
    async def scenario(loop, clock):
        before = clock.wall(), clock.boottime()
        await loop.leap(86400)
        return (clock.wall() - before[0]).total_seconds(), clock.boottime() - before[1]

    for passed in run(scenario):
        assert passed == pytest.approx(86400, abs=1)


def test_sockets_are_served_during_a_leap():
    async def scenario(loop, clock):
        ours, theirs = socket.socketpair()
        for each in (ours, theirs):
            each.setblocking(False)
        echo = loop.create_task(loop.sock_recv(theirs, 10))
        loop.call_later(5, ours.send, b"hello")
        await loop.leap(10)
        heard = await echo
        ours.close()
        theirs.close()
        return heard

    assert run(scenario) == b"hello"


def test_two_leaps_at_once_are_refused():
    async def scenario(loop, clock):
        first = loop.create_task(loop.leap(10))
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="leaping already"):
            await loop.leap(10)
        await first

    run(scenario)


def test_the_time_of_day_is_set_without_the_timers_noticing():
    async def scenario(loop, clock):
        wall, monotonic = clock.wall(), clock.monotonic()
        clock.step_wall(-3600)
        return (clock.wall() - wall).total_seconds(), clock.monotonic() - monotonic

    stepped, passed = run(scenario)
    assert stepped == pytest.approx(-3600, abs=0.5)
    assert passed < 0.5

"""Virtual time and threads."""

import asyncio
import threading
import time

from kcm.testing.virtual import VirtualClock, run


def test_nothing_runs_out_while_a_thread_is_waited_for():
    async def scenario():
        clock = VirtualClock()
        before = clock.monotonic()
        async with asyncio.timeout(0.001):
            await asyncio.to_thread(time.sleep, 0.05)
        return clock.monotonic() - before

    assert run(scenario()) == 0.0


def test_a_thread_that_nobody_waits_for_any_more_has_ended_before_the_run_has():
    ended = threading.Event()

    async def scenario():
        work = asyncio.ensure_future(asyncio.to_thread(lambda: (time.sleep(0.05), ended.set())))
        await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait([work])

    run(scenario())
    assert ended.is_set()

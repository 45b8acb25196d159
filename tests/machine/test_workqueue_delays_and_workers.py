"""The queue with workers, in virtual time."""

import asyncio

import pytest

from kcm.base.backoff import Backoff
from kcm.base.rng import SeededRng
from kcm.testing.virtual import VirtualClock, run
from kcm.workqueue import Priority, ShutDown, WorkQueue


def queue(backoff: Backoff | None = None) -> WorkQueue[str]:
    return WorkQueue(clock=VirtualClock(), rng=SeededRng(1), backoff=backoff or Backoff(0.005, 60.0))


async def taken(work: WorkQueue[str]) -> tuple[str, float]:
    key = await work.get()
    return key, round(asyncio.get_running_loop().time(), 6)


def test_a_burst_of_adds_is_one_piece_of_work() -> None:
    async def scenario() -> None:
        work = queue()
        for _ in range(100):
            work.add("a")
        assert await work.get() == "a"
        assert len(work) == 0

    run(scenario())


def test_a_change_during_the_work_brings_the_key_back_after_done() -> None:
    async def scenario() -> None:
        work = queue()
        work.add("a")
        await work.get()
        work.add("a")
        work.add("a")
        assert len(work) == 0
        work.done("a")
        assert await work.get() == "a"
        work.done("a")
        assert len(work) == 0

    run(scenario())


def test_the_earliest_delay_wins_and_an_immediate_add_does_not_cancel_it() -> None:
    async def scenario() -> None:
        work = queue()
        work.add_after("a", 9.0)
        work.add_after("a", 3.0)
        work.add_after("a", 5.0)
        work.add("a")
        assert await taken(work) == ("a", 0.0)
        work.done("a")
        assert await taken(work) == ("a", 3.0)
        work.done("a")
        assert work.reading().delayed == 0

    run(scenario())


def test_delays_come_in_order_of_their_time() -> None:
    async def scenario() -> None:
        work = queue()
        for key, seconds in (("c", 3.0), ("a", 1.0), ("now", 0.0), ("b", 2.0), ("past", -1.0)):
            work.add_after(key, seconds)
        assert [await taken(work) for _ in range(5)] == [
            ("now", 0.0), ("past", 0.0), ("a", 1.0), ("b", 2.0), ("c", 3.0),
        ]  # fmt: skip

    run(scenario())


def test_a_delay_of_a_century_is_waited_for_in_slices_and_nan_is_now() -> None:
    async def scenario() -> None:
        work = queue()
        work.add_after("a", 40 * 86_400.0)
        work.add_after("b", float("nan"))
        assert await taken(work) == ("b", 0.0)
        assert await taken(work) == ("a", 40 * 86_400.0)

    run(scenario())


def test_failures_back_off_exponentially_up_to_the_cap_until_forgotten() -> None:
    async def scenario() -> None:
        work = queue(Backoff(0.005, 1.0))
        delays = [work.add_rate_limited("a") for _ in range(10)]
        assert delays == [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]
        assert work.failures("a") == 10
        assert work.failures("b") == 0
        work.forget("a")
        assert work.failures("a") == 0
        assert work.add_rate_limited("a") == 0.005

    run(scenario())


def test_the_default_back_off_is_spread_by_jitter() -> None:
    async def scenario() -> None:
        work: WorkQueue[str] = WorkQueue(clock=VirtualClock(), rng=SeededRng(1))
        delays = {work.add_rate_limited(f"k{number}") for number in range(50)}
        assert len(delays) == 50
        assert all(0.005 <= delay <= 0.006 for delay in delays)

    run(scenario())


def test_a_retry_keeps_the_priority_the_key_was_handed_out_with() -> None:
    async def scenario() -> None:
        work = queue()
        work.add("old", Priority.BACKLOG)
        await work.get()
        work.add_rate_limited("old")
        work.done("old")
        work.add_after("other", 0.0)
        await VirtualClock().sleep(1.0)
        assert (work.reading().fresh, work.reading().backlog) == (1, 1)

    run(scenario())


def test_waiting_workers_are_served_in_the_order_they_came() -> None:
    async def scenario() -> None:
        work = queue()
        served: list[int] = []

        async def worker(number: int) -> None:
            for _ in range(3):
                key = await work.get()
                served.append(number)
                await VirtualClock().sleep(0.1)
                work.done(key)

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(worker(number))
            for number in range(12):
                await VirtualClock().sleep(1.0)
                work.add(f"k{number}")
        assert served == [0, 1, 2, 3] * 3

    run(scenario())


def test_a_newcomer_does_not_snatch_the_key_of_a_worker_that_was_woken() -> None:
    async def scenario() -> None:
        work = queue()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(work.get())
            await VirtualClock().sleep(0)
            work.add("a")
            second = group.create_task(work.get())
            assert await first == "a"
            assert not second.done()
            work.add("b")
            assert await second == "b"

    run(scenario())


def test_cancelling_a_get_that_was_just_woken_gives_its_key_to_the_next() -> None:
    async def scenario() -> None:
        work = queue()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(work.get())
            second = group.create_task(work.get())
            await VirtualClock().sleep(0)
            work.add("a")
            first.cancel()
            assert await second == "a"
        assert first.cancelled()

    run(scenario())


def test_cancelling_the_only_get_leaves_the_key_in_the_queue() -> None:
    async def scenario() -> None:
        work = queue()
        async with asyncio.TaskGroup() as group:
            only = group.create_task(work.get())
            await VirtualClock().sleep(0)
            work.add("a")
            only.cancel()
        assert len(work) == 1
        assert await work.get() == "a"

    run(scenario())


def test_shut_down_refuses_adds_drops_delays_and_lets_workers_empty_the_queue() -> None:
    async def scenario() -> None:
        work = queue()
        work.add("a")
        work.add_after("later", 5.0)
        work.shut_down()
        work.add("b")
        work.add_after("c", 1.0)
        assert await work.get() == "a"
        with pytest.raises(ShutDown):
            await work.get()
        assert work.reading().delayed == 0

    run(scenario())


def test_shut_down_ends_every_waiting_get() -> None:
    async def scenario() -> None:
        work = queue()

        async def worker() -> str:
            try:
                return await work.get()
            except ShutDown:
                return "ended"

        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(worker()) for _ in range(3)]
            await VirtualClock().sleep(0)
            work.shut_down()
        assert [task.result() for task in workers] == ["ended"] * 3

    run(scenario())


def test_a_key_that_changed_during_its_work_is_still_worked_on_after_shut_down() -> None:
    async def scenario() -> None:
        work = queue()
        work.add("a")
        await work.get()
        work.add("a")
        work.shut_down()
        work.done("a")
        assert await work.get() == "a"
        work.done("a")
        with pytest.raises(ShutDown):
            await work.get()

    run(scenario())


def test_drain_waits_for_what_waits_and_for_what_is_being_worked_on() -> None:
    async def scenario() -> float:
        work = queue()
        for key in "abcd":
            work.add(key)

        async def worker() -> None:
            while True:
                try:
                    key = await work.get()
                except ShutDown:
                    return
                await VirtualClock().sleep(1.0)
                work.done(key)

        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(worker())
            await VirtualClock().sleep(0)
            await work.drain()
            return asyncio.get_running_loop().time()

    assert run(scenario()) == pytest.approx(2.0)


def test_discard_ends_a_drain_after_the_keys_that_are_out() -> None:
    async def scenario() -> None:
        work = queue()
        for key in "abcd":
            work.add(key)
        out = await work.get()
        work.add(out)
        async with asyncio.TaskGroup() as group:
            drained = group.create_task(work.drain())
            await VirtualClock().sleep(0)
            work.shut_down(discard=True)
            await VirtualClock().sleep(0)
            assert not drained.done()
            work.done(out)
        with pytest.raises(ShutDown):
            await work.get()

    run(scenario())


def test_done_without_get_is_an_error() -> None:
    async def scenario() -> None:
        with pytest.raises(ValueError, match="nobody is working on"):
            queue().done("a")

    run(scenario())


class Tally:
    def __init__(self) -> None:
        self.events: list[str] = []

    def added(self) -> None:
        self.events.append("added")

    def retried(self) -> None:
        self.events.append("retried")

    def taken(self, waited: float) -> None:
        self.events.append(f"taken after {waited:g}")

    def finished(self, worked: float) -> None:
        self.events.append(f"finished after {worked:g}")


def test_metrics_tell_adds_retries_waits_and_work() -> None:
    async def scenario() -> None:
        tally, clock = Tally(), VirtualClock()
        work: WorkQueue[str] = WorkQueue(clock=clock, rng=SeededRng(1), metrics=tally)
        work.add("a")
        work.add("a")
        await clock.sleep(2.0)
        await work.get()
        work.add("a")
        await clock.sleep(1.0)
        reading = work.reading()
        assert (reading.depth, reading.ready, reading.processing) == (1, 0, 1)
        assert (reading.unfinished_seconds, reading.longest_running_seconds) == (1.0, 1.0)
        work.done("a")
        await work.get()
        work.done("a")
        work.add_after("b", 4.0)
        await work.get()
        assert tally.events == [
            "added", "taken after 2", "added", "finished after 1", "taken after 1", "finished after 0",
            "retried", "added", "taken after 0",
        ]  # fmt: skip
        assert work.reading().depth == 0

    run(scenario())

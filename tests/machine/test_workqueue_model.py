"""The queue against a model: sets and lists that are obviously right, in virtual time."""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kcm.base.backoff import Backoff
from kcm.base.rng import SeededRng
from kcm.testing.virtual import VirtualClock, VirtualLoop
from kcm.workqueue import FRESH_RUN, Priority, ShutDown, WorkQueue

KEYS = st.sampled_from("abcdefg")
PRIORITIES = st.sampled_from(Priority)
BASE, CAP = 0.5, 8.0


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.queue: WorkQueue[str] = self.call(self.make())
        self.now = 0.0
        self.waiting: dict[Priority, list[str]] = {Priority.FRESH: [], Priority.BACKLOG: []}
        self.streak = 0
        self.out: dict[str, Priority] = {}
        self.again: dict[str, Priority] = {}
        self.later: dict[str, tuple[float, int, Priority]] = {}
        self.failures: dict[str, int] = {}
        self.gets: list[asyncio.Task[str]] = []
        self.served: list[str] = []
        self.number = 0
        self.shut = False

    async def make(self) -> WorkQueue[str]:
        return WorkQueue(clock=VirtualClock(), rng=SeededRng(1), backoff=Backoff(BASE, CAP))

    def call(self, coroutine):  # type: ignore[no-untyped-def]
        return self.loop.run_until_complete(coroutine)

    def do(self, act) -> None:  # type: ignore[no-untyped-def]
        async def scene() -> None:
            act()
            for _ in range(6):
                await asyncio.sleep(0)

        self.call(scene())
        self.serve()

    # --- the model

    def model_add(self, key: str, priority: Priority) -> None:
        if self.shut:
            return
        if key in self.out:
            self.again[key] = max(priority, self.again.get(key, priority))
        elif key in self.waiting[Priority.FRESH]:
            pass
        elif key in self.waiting[Priority.BACKLOG]:
            if priority is Priority.FRESH:
                self.waiting[Priority.BACKLOG].remove(key)
                self.waiting[Priority.FRESH].append(key)
        else:
            self.waiting[priority].append(key)

    def model_take(self) -> str:
        fresh, backlog = self.waiting[Priority.FRESH], self.waiting[Priority.BACKLOG]
        if backlog and (not fresh or self.streak >= FRESH_RUN):
            self.streak, lane, priority = 0, backlog, Priority.BACKLOG
        else:
            self.streak, lane, priority = (self.streak + 1 if backlog else 0), fresh, Priority.FRESH
        key = lane.pop(0)
        self.out[key] = priority
        return key

    def model_later(self, key: str, seconds: float, priority: Priority) -> None:
        if self.shut:
            return
        if seconds <= 0:
            self.model_add(key, priority)
            return
        self.number += 1
        new = (self.now + seconds, self.number, priority)
        old = self.later.get(key, new)
        self.later[key] = (*min(old, new)[:2], max(old[2], priority))

    def serve(self) -> None:
        """Let the model hand keys to the gets that wait, in their order, and compare."""
        while self.gets and any(self.waiting.values()):
            get = self.gets.pop(0)
            expected = self.model_take()
            assert get.done(), f"a get waits although {expected} does"
            assert get.result() == expected
        if self.shut:
            for get in self.gets:
                assert isinstance(get.exception(), ShutDown)
            self.gets.clear()
        assert not any(get.done() for get in self.gets)

    # --- moves

    @rule(key=KEYS, priority=PRIORITIES)
    def add(self, key: str, priority: Priority) -> None:
        self.model_add(key, priority)
        self.do(lambda: self.queue.add(key, priority))

    @rule(keys=st.lists(KEYS, max_size=12), priority=PRIORITIES)
    def add_many(self, keys: list[str], priority: Priority) -> None:
        for key in keys:
            self.add(key, priority)

    @rule(
        key=KEYS, seconds=st.sampled_from([-1.0, 0.0, 0.25, 1.0, 3.0, 10.0]), priority=st.none() | PRIORITIES
    )
    def add_after(self, key: str, seconds: float, priority: Priority | None) -> None:
        self.model_later(key, seconds, self.out.get(key, Priority.FRESH) if priority is None else priority)
        self.do(lambda: self.queue.add_after(key, seconds, priority))

    @rule(key=KEYS)
    def add_rate_limited(self, key: str) -> None:
        failed = self.failures.get(key, 0)
        self.failures[key] = failed + 1
        self.model_later(key, min(CAP, BASE * 2**failed), self.out.get(key, Priority.FRESH))
        self.do(lambda: self.queue.add_rate_limited(key))

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.failures.pop(key, None)
        self.do(lambda: self.queue.forget(key))

    @rule()
    def get(self) -> None:
        async def ask() -> asyncio.Task[str]:
            return asyncio.get_running_loop().create_task(self.queue.get())

        self.gets.append(self.call(ask()))
        self.do(lambda: None)

    @precondition(lambda self: self.gets)
    @rule(data=st.data())
    def cancel_a_get(self, data: st.DataObject) -> None:
        victim = data.draw(st.sampled_from(self.gets))
        self.gets.remove(victim)
        self.do(victim.cancel)

    @precondition(lambda self: self.gets and not self.shut and not any(self.waiting.values()))
    @rule(key=KEYS, data=st.data())
    def cancel_a_get_that_was_just_woken(self, key: str, data: st.DataObject) -> None:
        victim = data.draw(st.sampled_from(self.gets))
        self.gets.remove(victim)
        self.model_add(key, Priority.FRESH)

        def act() -> None:
            self.queue.add(key)
            victim.cancel()

        self.do(act)
        assert victim.cancelled()

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.out)))
        del self.out[key]
        if key in self.again:
            self.waiting[self.again.pop(key)].append(key)
        self.do(lambda: self.queue.done(key))

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 5.0, 100.0]))
    def pass_time(self, seconds: float) -> None:
        due = sorted((*entry, key) for key, entry in self.later.items() if entry[0] <= self.now + seconds)
        for moment in sorted({self.now + seconds, *(entry[0] for entry in due)}):
            for when, _, priority, key in due:
                if when == moment:
                    del self.later[key]
                    self.model_add(key, priority)
            self.call(asyncio.sleep(max(0.0, moment - self.loop.time())))
            self.now = max(self.now, moment)
            self.do(lambda: None)

    @precondition(lambda self: not self.shut)
    @rule(discard=st.booleans())
    def shut_down(self, discard: bool) -> None:
        self.shut = True
        self.later.clear()
        if discard:
            self.again.clear()
            for lane in self.waiting.values():
                lane.clear()
        self.do(lambda: self.queue.shut_down(discard=discard))

    @invariant()
    def counts_agree(self) -> None:
        async def read() -> None:
            reading = self.queue.reading()
            assert reading.fresh == len(self.waiting[Priority.FRESH])
            assert reading.backlog == len(self.waiting[Priority.BACKLOG])
            assert reading.processing == len(self.out)
            assert reading.delayed == len(self.later)
            assert reading.depth == len(self.queue) + len(self.again)
            assert all(self.queue.failures(key) == count for key, count in self.failures.items())

        self.call(read())

    def teardown(self) -> None:
        for get in self.gets:
            get.cancel()
        self.call(asyncio.sleep(0))
        self.loop.close()


TestQueueAgainstModel = QueueMachine.TestCase
TestQueueAgainstModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

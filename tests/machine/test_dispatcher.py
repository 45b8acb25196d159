"""The one retry switch: what becomes of a key after each way a reconcile can end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kcm.base.backoff import Backoff
from kcm.base.errors import RetryAfter, TerminalError
from kcm.base.rng import SeededRng
from kcm.cache.replica import Cache
from kcm.client.errors import Conflict, Status, TooManyRequests
from kcm.client.transport import NotSent, Unanswered
from kcm.objects import Key, ReplicaSet, ResourceType
from kcm.runtime.context import Context
from kcm.runtime.controller import Controller
from kcm.runtime.dispatcher import Dispatcher
from kcm.runtime.fence import Fenced
from kcm.runtime.reconcile_metrics import ReconcileMetrics
from kcm.runtime.result import Done, RequeueAfter, Result, Waiting
from kcm.runtime.watches import primary
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics
from kcm.testing.virtual import VirtualClock, run
from kcm.workqueue import WorkQueue

KEY = Key("default", "web")
PODS = ResourceType("v1", "Pod", "pods")

Step = Callable[[Context], Awaitable[Result]]


class Scripted(Controller[ReplicaSet, Key]):
    """Does one step of a script at each reconcile, and notes when."""

    name = "scripted"
    watches = (primary(ReplicaSet),)

    def __init__(self, stage: Stage, steps: list[Step], cost: float = 0.0) -> None:
        super().__init__()
        self._stage = stage
        self._steps = steps
        self._cost = cost

    def observe(self, cache: Cache, key: Key) -> Key | None:
        self._stage.clock.cost += self._cost
        return key

    async def reconcile(self, ctx: Context, seen: Key) -> Result:
        self._stage.times.append(round(asyncio.get_running_loop().time(), 3))
        step = self._steps.pop(0) if self._steps else done
        return await step(ctx)


class CostlyClock(VirtualClock):
    """A virtual clock on which computing takes time."""

    cost = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.cost


class Proof:
    """Passes every barrier after five seconds, and notes what was asked for."""

    def __init__(self, clock: VirtualClock) -> None:
        self.asked: list[frozenset[ResourceType]] = []
        self._clock = clock

    async def barrier(self, resources: frozenset[ResourceType]) -> None:
        self.asked.append(resources)
        await self._clock.sleep(5.0)


class Stage:
    """A dispatcher with a scripted controller, and what came of it."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.clock = CostlyClock()
        self.metrics = Metrics()
        self.proof = Proof(self.clock)
        self.queue: WorkQueue[Key] = WorkQueue(clock=self.clock, rng=SeededRng(1), backoff=Backoff(1.0, 60.0))

    async def play(
        self, *steps: Step, seconds: float = 300.0, cost: float = 0.0, timeout: float = 30.0
    ) -> None:
        log = logger("test")
        cache = Cache({})
        dispatcher = Dispatcher(
            Scripted(self, list(steps), cost),
            self.queue,
            cache,
            self.proof,
            lambda key: Context(key, self.clock, cache, None, None, None, log),  # type: ignore[arg-type]  # not used here
            ReconcileMetrics(self.metrics, "scripted", self.clock),
            self.clock,
            log,
            timeout,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(dispatcher.run(2))
            self.queue.add(KEY)
            await asyncio.sleep(seconds)
            self.queue.shut_down()

    def count(self, name: str, **labels: str) -> float:
        wanted = {"controller": "scripted", **labels}
        samples = (s for family in self.metrics.read() for s in family.samples)
        return next(s.value for s in samples if s.name == name and dict(s.labels) == wanted)


async def done(ctx: Context) -> Result:
    return Done()


async def cancels_itself(ctx: Context) -> Result:
    given_up = asyncio.get_running_loop().create_future()
    given_up.cancel()
    await given_up
    return Done()


def returns(result: Result) -> Step:
    async def step(ctx: Context) -> Result:
        return result

    return step


def raises(error: BaseException) -> Step:
    async def step(ctx: Context) -> Result:
        raise error

    return step


class Nameless(Exception):
    """An exception that cannot even say what it is."""

    def __str__(self) -> str:
        raise LookupError("no text")

    __repr__ = __str__


class Unheard(BaseException):
    """Nothing that `except Exception` would see."""


def group(*errors: BaseException) -> BaseException:
    return BaseExceptionGroup("all at once", errors)


async def hangs(ctx: Context) -> Result:
    await asyncio.get_running_loop().create_future()
    return Done()


async def is_not_answered(ctx: Context) -> Result:
    ctx.unsettled.add(PODS)
    raise Unanswered("the connection was lost")


def status(code: int) -> Status:
    return Status(code=code, message="no")


@pytest.mark.parametrize(
    ("step", "times"),
    [
        pytest.param(done, [0.0], id="done is left alone"),
        pytest.param(returns(RequeueAfter(7.5)), [0.0, 7.5], id="asked for again in a while"),
        pytest.param(returns(RequeueAfter(0.0)), [0.0, 0.0], id="asked for again at once"),
        pytest.param(returns(Waiting("for a friend")), [0.0, 1.0], id="waiting backs off"),
        pytest.param(raises(TerminalError("never")), [0.0], id="what cannot help is not tried again"),
        pytest.param(
            raises(Conflict("PATCH x", status(409))), [0.0, 1.0], id="a conflict is looked at again"
        ),
        pytest.param(
            raises(TooManyRequests("POST x", status(429), 12.0)), [0.0, 12.0], id="the server's own delay"
        ),
        pytest.param(raises(NotSent("refused")), [0.0, 1.0], id="an absent server"),
        pytest.param(raises(Fenced("late")), [0.0, 1.0], id="behind the fence"),
        pytest.param(raises(ZeroDivisionError()), [0.0, 1.0], id="a bug is one key's problem"),
        pytest.param(raises(SystemExit(3)), [0.0, 1.0], id="sys.exit()"),
        pytest.param(raises(KeyboardInterrupt()), [0.0, 1.0], id="somebody's Ctrl-C"),
        pytest.param(raises(GeneratorExit()), [0.0, 1.0], id="GeneratorExit"),
        pytest.param(raises(asyncio.CancelledError()), [0.0, 1.0], id="CancelledError, raised by hand"),
        pytest.param(raises(StopAsyncIteration()), [0.0, 1.0], id="StopAsyncIteration"),
        pytest.param(raises(Unheard()), [0.0, 1.0], id="what is no Exception"),
        pytest.param(raises(Nameless()), [0.0, 1.0], id="what cannot say what it is"),
        pytest.param(raises(TimeoutError("a client's own")), [0.0, 1.0], id="somebody else's time-out"),
        pytest.param(
            raises(group(TerminalError("never"), RetryAfter(9.0, "later"))),
            [0.0, 9.0],
            id="a group that says how: one of it is to be tried again",
        ),
        pytest.param(raises(group(TerminalError("never"))), [0.0], id="a group that cannot help"),
        pytest.param(
            raises(group(RetryAfter(9.0, "later"), group(Unheard()))), [0.0, 1.0], id="a group with a bug"
        ),
        pytest.param(cancels_itself, [0.0, 1.0], id="a cancelled future of its own is a bug like any other"),
        pytest.param(hangs, [0.0, 31.0], id="a reconcile that hangs is cut off"),
    ],
)
def test_a_key_is_tried_again_as_its_end_demands(step: Step, times: list[float]) -> None:
    async def play() -> list[float]:
        stage = Stage()
        await stage.play(step)
        return stage.times

    assert run(play()) == times


def test_failures_back_off_and_success_forgets_them() -> None:
    async def play() -> list[float]:
        stage = Stage()
        failing = raises(NotSent("refused"))
        await stage.play(failing, failing, failing, returns(RequeueAfter(100.0)), failing)
        return stage.times

    assert run(play()) == [0.0, 1.0, 3.0, 7.0, 107.0, 108.0]


def test_a_key_that_is_done_starts_its_back_off_anew() -> None:
    async def play() -> list[float]:
        stage = Stage()
        failing = raises(NotSent("refused"))

        async def event() -> None:
            await asyncio.sleep(100.0)
            stage.queue.add(KEY)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(event())
            tasks.create_task(stage.play(failing, failing, failing, done, failing))
        return stage.times

    assert run(play()) == [0.0, 1.0, 3.0, 7.0, 100.0, 101.0]


def test_a_controller_that_is_cancelled_by_its_own_doing_costs_no_worker() -> None:
    async def play() -> Stage:
        stage = Stage()
        await stage.play(*[cancels_itself] * 5)
        return stage

    stage = run(play())
    assert stage.times == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0], "two workers would be used up by the second"
    assert stage.count("controller_runtime_reconcile_panics_total") == 5


@pytest.mark.parametrize(
    ("error", "says"),
    [
        pytest.param(LookupError("x"), "LookupError('x')", id="a bug"),
        pytest.param(
            Nameless(),
            "Nameless (whose text cannot be had: LookupError)",
            id="one that cannot say what it is",
        ),
        pytest.param(group(LookupError("x")), "LookupError('x')", id="a group of one"),
    ],
)
def test_what_was_raised_is_told_with_its_place(
    error: BaseException, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        await Stage().play(raises(error))

    run(play())
    (record,) = [each for each in caplog.records if each.message == "reconcile raised"]
    fields = record.fields  # type: ignore[attr-defined]  # put there by our logger
    assert fields["error"] == says
    assert fields["at"].startswith("test_dispatcher.py:")
    assert fields["at"].endswith(" in step")


def test_an_object_that_is_gone_leaves_nothing_behind() -> None:
    async def play() -> Stage:
        stage = Stage()
        await stage.play(raises(NotSent("refused")), raises(TerminalError("never")), cost=0.002)
        return stage

    stage = run(play())
    assert stage.queue.failures(KEY) == 0, "a key that is not tried again is not remembered as failing"


def test_a_key_whose_write_was_never_answered_waits_until_the_replica_has_caught_up() -> None:
    async def play() -> Stage:
        stage = Stage()
        await stage.play(is_not_answered)
        return stage

    stage = run(play())
    assert stage.times == [0.0, 6.0]
    assert stage.proof.asked == [frozenset({PODS})]


def test_a_key_that_is_expensive_to_look_at_rests_between_events() -> None:
    async def play() -> Stage:
        stage = Stage()

        async def events() -> None:
            for _ in range(1000):
                await asyncio.sleep(0.001)
                stage.queue.add(KEY)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(events())
            tasks.create_task(stage.play(seconds=10.0, cost=0.002))
        return stage

    stage = run(play())
    # A thousand events in a second; looks that take 2 ms may follow each other every 20 ms.
    assert 25 <= len(stage.times) <= 60
    assert stage.times[-1] >= 1.0, "the last event was seen"


def test_every_end_is_counted_from_zero() -> None:
    async def play() -> Stage:
        stage = Stage()
        await stage.play(raises(ZeroDivisionError()), raises(TerminalError("never")))
        return stage

    stage = run(play())
    assert stage.count("controller_runtime_reconcile_total", result="error") == 2
    assert stage.count("controller_runtime_reconcile_total", result="success") == 0
    assert stage.count("controller_runtime_reconcile_panics_total") == 1
    assert stage.count("controller_runtime_terminal_reconcile_errors_total") == 1

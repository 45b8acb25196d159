"""Controllers whose reconcile blocks: each runs in a thread, and writes through the loop all the same.

A `BlockingController` is for code that cannot be awaited: a vendor's client, a long computation.
Guarantees: everything its `BlockingContext` does is done by the host's loop, behind the same fence,
rate limit and write-through as any other write; a key's next reconcile waits until the thread of
the last one has ended, even if that one was cut off; once a reconcile is cut off (deadline, end of
leadership), everything its thread still asks for raises `ReconcileEnded`. It cannot end a thread
that does not ask: such threads are logged, and once `MOST_ABANDONED` of them are left behind no other is
started (those under way then may join them). `observe` runs on the loop, as always: the cache belongs to
it. Owns one thread per reconcile.
"""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import copy_context
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from kcm.base.errors import KcmError
from kcm.base.held import HoldsTime
from kcm.objects.resource import Key, Resource
from kcm.runtime.controller import Controller
from kcm.runtime.finalizers import Stage, add_finalizer, remove_finalizer, stage_of
from kcm.runtime.result import Done, Result, Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kcm.runtime.context import Context
    from kcm.runtime.plan import Outcome, Plan

MOST_ABANDONED = 32

T = TypeVar("T")
R = TypeVar("R", bound=Resource[Any])
Primary = TypeVar("Primary", bound=Resource[Any])
Seen = TypeVar("Seen")


class ReconcileEnded(KcmError):
    """The reconcile was cut off; its thread may do nothing more through its context."""


class BlockingController(Controller[Primary, Seen]):
    """Like a `Controller`, with `reconcile_blocking` in the place of `reconcile`."""

    def __new__(cls, *args: Any, **kwargs: Any) -> BlockingController[Primary, Seen]:
        self = super().__new__(cls)
        self._bridges = {}
        return self

    _bridges: dict[Key, _Bridge]

    @abstractmethod
    def reconcile_blocking(self, ctx: BlockingContext, seen: Seen) -> Result:
        """Bring the world nearer to what `seen` asks for; may block, runs in a thread of its own."""

    async def reconcile(self, ctx: Context, seen: Seen) -> Result:
        """Run `reconcile_blocking` in a thread and do what it asks for."""
        self._bridges = {key: bridge for key, bridge in self._bridges.items() if bridge.at_work}
        if ctx.key in self._bridges:
            return Waiting("the thread of its last reconcile, which was cut off, is still at work")
        if sum(bridge.closed for bridge in self._bridges.values()) >= MOST_ABANDONED:
            return Waiting(f"{MOST_ABANDONED} threads of reconciles that were cut off are still at work")
        bridge = self._bridges[ctx.key] = _Bridge(asyncio.get_running_loop())
        try:
            return await bridge.run(lambda: self.reconcile_blocking(BlockingContext(ctx, bridge), seen))
        finally:
            if bridge.at_work:
                ctx.log.warning("thread left behind: its reconcile was cut off", key=str(ctx.key))


class _Bridge:
    """One thread and the loop that serves it. Its state changes on the loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.at_work = False
        self.closed = False
        self._loop = loop
        self._holding = False
        self._asked: asyncio.Queue[tuple[Callable[[], Awaitable[Any]], Future[Any]] | None] = asyncio.Queue()

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work in a thread, and on the loop what it asks for, until it ends or this is cancelled."""
        ended: Future[T] = Future()

        def body() -> None:
            try:
                ended.set_result(work())
            except BaseException as error:  # noqa: BLE001 - a thread's edge: told to the loop
                ended.set_exception(error)
            self._tell(self._end)

        self.at_work = True
        self._hold(True)
        # A daemon: a thread that never comes back must not keep the process from ending.
        known = copy_context()  # what it logs belongs to the trace of its reconcile
        threading.Thread(target=known.run, args=(body,), name="kcm reconcile", daemon=True).start()
        try:
            while (asked := await self._asked.get()) is not None:
                await self._answer(*asked)
            return _result_of(ended)
        finally:
            self._close()

    def ask(self, make: Callable[[], Awaitable[T]]) -> T:
        """From the thread: have the loop await what `make` returns, and wait for it."""
        answer: Future[T] = Future()
        if not self._tell(self._take, make, answer):
            raise ReconcileEnded("the host has ended")
        return answer.result()

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> bool:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            return False  # the loop is closed: nobody waits any more
        return True

    def _take(self, make: Callable[[], Awaitable[Any]], answer: Future[Any]) -> None:
        if self.closed:
            answer.set_exception(ReconcileEnded("the reconcile was cut off: its thread may do nothing more"))
            return
        self._hold(False)
        self._asked.put_nowait((make, answer))

    async def _answer(self, make: Callable[[], Awaitable[Any]], answer: Future[Any]) -> None:
        try:
            result = await make()
        except Exception as error:  # noqa: BLE001 - raised again in the thread that asked
            self._hold(True)
            answer.set_exception(error)
        except BaseException:
            answer.set_exception(ReconcileEnded("the reconcile was cut off while it wrote"))
            raise
        else:
            self._hold(True)
            answer.set_result(result)

    def _end(self) -> None:
        self.at_work = False
        self._hold(False)
        self._asked.put_nowait(None)

    def _close(self) -> None:
        self.closed = True
        self._hold(False)
        while not self._asked.empty():
            if (asked := self._asked.get_nowait()) is not None:
                asked[1].set_exception(ReconcileEnded("the reconcile was cut off"))

    def _hold(self, hold: bool) -> None:
        """Keep a loop of virtual time from jumping while the thread computes."""
        if hold == self._holding or not isinstance(self._loop, HoldsTime):
            return
        self._holding = hold
        self._loop.hold_time() if hold else self._loop.release_time()


class BlockingContext:
    """What a blocking reconcile is handed: a `Context` whose methods wait. For its own thread only.

    `key`: the object's; `log`: records of a message and keys; `dry_run`: nothing may be changed;
    `traceparent`: see `Context.traceparent`. What is asked of it after the reconcile was cut off raises
    `ReconcileEnded`.
    """

    def __init__(self, ctx: Context, bridge: _Bridge) -> None:
        self.key = ctx.key
        self.log = ctx.log
        self.dry_run = ctx.dry_run
        self.traceparent = ctx.traceparent
        self._ctx = ctx
        self._ask = bridge.ask

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return self._ask(lambda: _called(self._ctx.now))

    def apply(self, plan: Plan) -> Outcome:
        """Carry out a plan; what failed is in the outcome, nothing is raised for it."""
        return self._ask(lambda: self._ctx.apply(plan))

    def live(self, type_: type[R], key: Key) -> R | None:
        """Read one object from the API server itself, past every cache; None when it does not exist."""
        return self._ask(lambda: self._ctx.live(type_, key))

    def read(self, *segments: str, query: Mapping[str, str] | None = None, seconds: float = 10.0) -> bytes:
        """GET any path of the API server and return the body; see `Context.read`."""
        return self._ask(lambda: self._ctx.read(*segments, query=query, seconds=seconds))

    def newest(self, seen: R) -> R:
        """Return `seen` as this reconcile's own writes left it; see `Context.newest`."""
        return self._ask(lambda: _called(lambda: self._ctx.newest(seen)))

    def with_finalizer(
        self, seen: R, finalizer: str, *, ensure: Callable[[R], Result], cleanup: Callable[[R], Result]
    ) -> Result:
        """Do what `kcm.with_finalizer` does, for functions that block: they run in this thread."""
        match stage_of(self, seen, finalizer):
            case Stage.NOTHING:
                return Done()
            case Stage.ENSURE:
                return ensure(seen)
            case Stage.ADD:
                self.apply(add_finalizer(seen, finalizer)).raise_failure()
                return ensure(self.newest(seen))
            case Stage.CLEAN_UP:
                result = cleanup(seen)
                if isinstance(result, Done):
                    self.apply(remove_finalizer(self.newest(seen), finalizer)).raise_failure()
                return result

    def emit(self, about: Resource[Any], type_: Literal["Normal", "Warning"], reason: str, note: str) -> None:
        """Tell people what happened to an object, as an Event; see `Context.emit`."""
        self._ask(lambda: _called(lambda: self._ctx.emit(about, type_, reason, note)))


async def _called(function: Callable[[], T]) -> T:
    return function()


def _result_of(ended: Future[T]) -> T:
    error = ended.exception(timeout=0)
    if error is not None and not isinstance(error, Exception):
        # SystemExit and its like end a process when they are raised on a loop; a thread has no say in that.
        raise KcmError(f"the reconcile's thread ended with {error!r}") from error
    return ended.result(timeout=0)

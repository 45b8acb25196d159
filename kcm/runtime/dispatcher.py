"""Workers and the one retry switch.

A `Dispatcher` hands keys of one workqueue to N workers, each of which observes, reconciles,
and settles the key by what came of it. This is the only place that decides about retries, and
besides process edges the only one that catches `Exception`: a controller's bug is one key's
problem. Guarantees: every key that `get` returned is marked done on every path; a key whose
last write was never answered is not reconciled before the replica has caught up with the
server (DESIGN §2.3); a key that is expensive to observe rests between reconciles that events
ask for, and is never delayed when it was idle. Owns the set of unsettled and of resting keys;
the queue owns everything else.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from inspect import isawaitable, iscoroutine
from typing import Any, Protocol

from kcm.base.clock import Clock
from kcm.base.errors import DeadlineExceeded, KcmError, RetryAfter, TerminalError
from kcm.base.faults import message_of, place_of, said
from kcm.cache.replica import Cache
from kcm.client.errors import ApiError, Conflict, FieldsTaken, TooManyRequests
from kcm.client.transport import TransportError
from kcm.objects.resource import Key, ResourceType
from kcm.runtime.context import Context
from kcm.runtime.controller import Controller
from kcm.runtime.decisions import Journal
from kcm.runtime.fence import Fenced
from kcm.runtime.reconcile_metrics import ReconcileMetrics
from kcm.runtime.result import Done, RequeueAfter, Result, Waiting
from kcm.telemetry.logging import Logger
from kcm.telemetry.tracing import Trace, current, untraced
from kcm.workqueue import Priority, ShutDown, WorkQueue

# A key whose observation takes longer than this (seconds) rests before events may start the next
# one, ten times as long as it took: at most a tenth of the time goes into looking at one key.
CHEAP_SECONDS = 0.0005
REST_FACTOR = 10.0
LONGEST_REST = 0.1
# A bug that meets every key is one traceback in so many seconds, and one line for each key.
TRACEBACK_SECONDS = 60.0
MOST_PLACES = 64


class WrongAnswer(KcmError):
    """A controller's method returned what it must not: a mistake in its code."""

    def __init__(self, controller: Controller[Any, Any], method: str, answer: object, remedy: str) -> None:
        kind = type(controller)
        if iscoroutine(answer):
            answer.close()  # nobody will await it, and Python would complain later, elsewhere
        super().__init__(
            f"{kind.__module__}.{kind.__qualname__}.{method} returned {said(answer)[:100]}: {remedy}"
        )


class Freshness(Protocol):
    """Asks for proof that the replicas have caught up."""

    async def barrier(self, resources: frozenset[ResourceType]) -> None:
        """Return when the replicas hold everything the server had when this was called."""
        ...


class Dispatcher:
    """Runs one controller's reconciles."""

    def __init__(
        self,
        controller: Controller[Any, Any],
        queue: WorkQueue[Key],
        cache: Cache,
        freshness: Freshness,
        context: Callable[[Key], Context],
        metrics: ReconcileMetrics,
        clock: Clock,
        log: Logger,
        reconcile_timeout: float,
        journal: Journal | None = None,
        trace: Trace = untraced,
    ) -> None:
        self._controller = controller
        self._journal = journal or Journal(controller.name, clock)
        self._queue = queue
        self._cache = cache
        self._freshness = freshness
        self._context = context
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._timeout = reconcile_timeout
        self._primary = frozenset(
            watch.type.resource_type() for watch in controller.watches if watch.role == "primary"
        )
        self._unsettled: dict[Key, frozenset[ResourceType]] = {}
        self._rests: dict[Key, float] = {}
        self._traced: dict[str, float] = {}
        self._trace = trace

    async def run(self, workers: int) -> None:
        """Work until the queue is shut down."""
        self._metrics.workers(workers)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            try:
                key = await self._queue.get()
            except ShutDown:
                return
            try:
                if (rest := self._rest_of(key)) > 0:
                    self._queue.postpone(key, rest)
                    continue
                with self._metrics.reconciling(), self._trace(key, self._queue.waited(key)):
                    await self._process(key)
            finally:
                self._queue.done(key)

    def _rest_of(self, key: Key) -> float:
        """Return for how many seconds a key that is expensive to look at is still to be left alone."""
        until = self._rests.get(key)
        if until is None:
            return 0.0
        rest = until - self._clock.monotonic()
        if rest <= 0:
            del self._rests[key]
        return rest

    async def _process(self, key: Key) -> None:
        context = self._context(key)
        task = asyncio.current_task()
        deadline = asyncio.timeout(self._timeout)
        try:
            async with deadline:
                await self._settle(key)
                result = await self._reconcile(context, key)
        except TimeoutError as error:
            if not deadline.expired():
                # Somebody else's clock has run out: a client's of the controller's own, perhaps.
                self._failed(key, error)
                return
            self._metrics.ended("error")
            self._log.error("reconcile timed out", key=str(key), after=self._timeout)
            self._journal.failed(key, f"took longer than {self._timeout:g} s")
            self._queue.add_rate_limited(key)
        except BaseException as error:
            if _ends(task, error):
                raise
            # One key's bug ends no host and no worker: sys.exit() neither, nor a future that it cancelled.
            if context.rehearsed:
                self._succeeded(key, RequeueAfter(context.rehearsed))
            else:
                self._failed(key, error)
        else:
            # Whatever was decided behind a plan that was not sent must not bring it back at once.
            self._succeeded(key, RequeueAfter(context.rehearsed) if context.rehearsed else result)
        finally:
            if context.unsettled:
                self._unsettled[key] = self._unsettled.get(key, frozenset()) | context.unsettled

    async def _settle(self, key: Key) -> None:
        """Wait until the outcome of a write that was never answered can be seen."""
        if resources := self._unsettled.get(key):
            await self._freshness.barrier(resources)
            del self._unsettled[key]

    async def _reconcile(self, context: Context, key: Key) -> Result:
        if reason := self._cache.obstacle(key):
            # The replica has said so, loudly and once; this key only waits until it can be read.
            return Waiting(reason)
        begun = self._clock.monotonic()
        seen = self._controller.observe(self._cache, key)
        if isawaitable(seen):
            raise WrongAnswer(
                self._controller, "observe", seen, "it must not be async: it only reads the cache"
            )
        cost = self._clock.monotonic() - begun
        if seen is None:
            return Done()
        if cost > CHEAP_SECONDS:
            # Thousands of pods that become ready one by one must not each cost a look at all of them.
            self._rests[key] = begun + min(LONGEST_REST, cost * REST_FACTOR)
        result = await self._controller.reconcile(context, seen)
        if not _is_result(result):
            remedy = "return Done(), RequeueAfter(seconds, 0 or more) or Waiting(reason)"
            raise WrongAnswer(self._controller, "reconcile", result, remedy)
        return result

    def _succeeded(self, key: Key, result: Result) -> None:
        match result:
            case Done():
                self._queue.forget(key)
                self._metrics.ended("success")
            case RequeueAfter(seconds):
                self._queue.forget(key)
                if seconds > 0:
                    self._queue.add_after(key, seconds)
                else:
                    # What the controller itself asks for is not an event to rest from.
                    self._rests.pop(key, None)
                    self._queue.add(key, Priority.FRESH)
                self._metrics.ended("requeue_after")
            case Waiting(reason):
                self._log.debug("waiting", key=str(key), reason=reason)
                self._journal.waits(key, reason)
                self._queue.add_rate_limited(key)
                self._metrics.ended("requeue")

    def _failed(self, key: Key, error: BaseException) -> None:
        cause = _cause(error)
        self._journal.failed(key, cause)
        text = message_of(cause)
        if span := current():
            span.fail(text)
        match cause:
            case TerminalError():
                self._queue.forget(key)
                self._metrics.ended("error", terminal=True)
                self._log.error("reconcile failed for good", key=str(key), error=text)
                return
            case TooManyRequests(retry_after=float() as delay) if delay > 0:
                self._log.warning("throttled by the server", key=str(key), retry_after=delay)
                self._queue.add_after(key, delay)
            case RetryAfter(seconds=delay):
                self._log.warning("reconcile failed", key=str(key), error=text, retry_after=delay)
                self._queue.add_after(key, delay)
            case FieldsTaken():
                # Waiting does not help, and nobody would know: somebody has to give the fields up.
                self._log.warning("fields belong to another manager", key=str(key), error=text)
                self._queue.add_rate_limited(key)
            case Conflict():
                self._log.debug("conflict", key=str(key), error=text)
                if self._queue.failures(key):
                    # Twice in a row: what is seen does not catch up by itself.
                    self._unsettled[key] = self._unsettled.get(key, frozenset()) | self._primary
                self._queue.add_rate_limited(key)
            case Fenced():
                self._log.debug("fenced", key=str(key))
                self._queue.add_rate_limited(key)
            case WrongAnswer():
                self._metrics.panicked()
                self._log.error("controller is wrong", key=str(key), error=text)
                self._queue.add_rate_limited(key)
            case ApiError() | TransportError() | DeadlineExceeded():
                tries = self._queue.failures(key) + 1
                self._log.warning("reconcile failed", key=str(key), error=text, tries=tries)
                self._queue.add_rate_limited(key)
            case _:
                self._metrics.panicked()
                place = place_of(cause, error)
                traced = {"exception": error} if self._is_news(place) else {}
                self._log.error("reconcile raised", key=str(key), error=said(cause), at=place, **traced)
                self._queue.add_rate_limited(key)
        self._metrics.ended("error")

    def _is_news(self, place: str) -> bool:
        """Say whether nobody has seen the traceback from there for a while."""
        now = self._clock.monotonic()
        if place in self._traced and now - self._traced[place] < TRACEBACK_SECONDS:
            return False
        if len(self._traced) >= MOST_PLACES:
            self._traced.clear()
        self._traced[place] = now
        return True


def _is_result(result: object) -> bool:
    """Say whether a reconcile answered what it may."""
    match result:
        case Done() | Waiting():
            return True
        case RequeueAfter(int() | float() as seconds):
            return 0 <= seconds < math.inf
    return False


def _ends(task: asyncio.Task[Any] | None, error: BaseException) -> bool:
    """Say whether this worker itself is to end, and `error` is how it is told."""
    match error:
        case asyncio.CancelledError():
            return task is not None and task.cancelling() > 0
        case GeneratorExit():
            # Raised by a controller it comes in the middle of its step; else its coroutine is being closed.
            return _present_task() is not task
    return False


def _cause(error: BaseException) -> BaseException:
    """Return what decides about the retry: of a group that is all of our own errors, one of these."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = list(_leaves(error))
    if not all(isinstance(leaf, KcmError) for leaf in leaves):
        return leaves[0] if len(leaves) == 1 else error
    return next((leaf for leaf in leaves if not isinstance(leaf, TerminalError)), leaves[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _present_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # no loop runs any more

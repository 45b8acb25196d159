"""One controller at work in its host: its queue, its workers, its client, its events.

Fills the queue from the replicas' changes from the start, also on a standby; workers run only
between `start` and `stop`. Guarantees: `stop` returns when no worker will write any more:
workers that outlast the grace are cancelled, and the fence holds what a cancelled one may
still try. Owned by the agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec

from kcm.base.backoff import Backoff
from kcm.base.clock import Clock
from kcm.base.rng import Rng
from kcm.client.api import ApiClient
from kcm.host.messages import ControllerReport, ControllerTask
from kcm.host.replicas import Replicas
from kcm.objects.resource import Key, Resource
from kcm.runtime.applier import Applier
from kcm.runtime.context import Context
from kcm.runtime.controller import Controller, allowance_of
from kcm.runtime.decisions import Decision, Journal
from kcm.runtime.dispatcher import Dispatcher, Freshness
from kcm.runtime.enqueue import Change, keys_of
from kcm.runtime.events import EventSink, Outbox
from kcm.runtime.inbox import Inbox
from kcm.runtime.queue_metrics import PrometheusQueueMetrics
from kcm.runtime.reconcile_metrics import ReconcileMetrics
from kcm.runtime.rehearsal import Planned, Rehearsal, RehearsedReconcile
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics
from kcm.telemetry.tracing import Tracer, untraced
from kcm.workqueue import Priority, WorkQueue

SMALLEST_BACKOFF = 0.005


class ControllerRunner:
    """Runs one controller."""

    def __init__(
        self,
        task: ControllerTask,
        controller: Controller[Any, Any],
        replicas: Replicas,
        client: Callable[[str], ApiClient],
        freshness: Freshness,
        width: int,
        outbox: Outbox,
        instance: str,
        metrics: Metrics,
        clock: Clock,
        rng: Rng,
        rehearse: Callable[[Planned], None] | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._task = task
        self._controller = controller
        self._cache = replicas.cache(controller.watches)
        primaries = (watch.type for watch in controller.watches if watch.role == "primary")
        self._primary = next(primaries, None)
        self._allowance = allowance_of(controller)
        self._clock = clock
        self._metrics = metrics
        self._log = logger(f"controller.{task.name}")
        self._journal = Journal(task.name, clock)
        self._queue_metrics = PrometheusQueueMetrics(metrics, task.name)
        self._queue: WorkQueue[Key] = WorkQueue(
            clock=clock,
            rng=rng,
            backoff=Backoff(SMALLEST_BACKOFF, task.max_backoff, jitter=0.1),
            metrics=self._queue_metrics,
        )
        component = controller.component or task.name
        self._events = EventSink(task.name, component, instance, outbox, clock, metrics)
        self._inbox = (
            Inbox(controller.hears, self._queue.add, metrics, task.name) if controller.hears else None
        )
        api = client(task.name)
        make = self._rehearsed(api, rehearse) if rehearse is not None else self._real(api, replicas, width)
        self._dispatcher = Dispatcher(
            controller,
            self._queue,
            self._cache,
            freshness,
            make,
            ReconcileMetrics(metrics, task.name, clock),
            clock,
            self._log,
            task.reconcile_timeout or controller.reconcile_timeout,
            self._journal,
            partial(tracer.reconciling, task.name) if tracer is not None else untraced,
        )
        self._width = task.workers or controller.workers
        self._workers: asyncio.Task[None] | None = None
        self._touching = self._listen(replicas)

    @property
    def name(self) -> str:
        """Return its controller's name."""
        return self._task.name

    @property
    def hears(self) -> bool:
        """Say whether its controller hears what others emit."""
        return self._inbox is not None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Let the workers work, in the caller's task group."""
        self._workers = tasks.create_task(self._dispatcher.run(self._width))

    async def stop(self, grace: float) -> None:
        """End the workers: none starts another key, those under way get `grace` seconds."""
        # What waits is the successor's: a long queue must not keep it from leading. But nobody else
        # will tell what was heard.
        self._queue.shut_down(discard=self._inbox is None)
        if self._workers is not None:
            done, _ = await asyncio.wait((self._workers,), timeout=grace)
            if not done:
                self._workers.cancel()
                await asyncio.wait((self._workers,))
        if self._inbox is not None:
            self._inbox.give_up()
        self._events.flush()

    def hear(self, records: Iterable[msgspec.Raw]) -> None:
        """Take what controllers have emitted, if this one wants to hear it."""
        if self._inbox is not None:
            self._inbox.take(records)

    def resync(self) -> None:
        """Look at every primary again, and all that was discovered, behind everything fresh."""
        for present in self._cache.list(self._primary) if self._primary is not None else ():
            self._queue.add(present.key, Priority.BACKLOG)
        for change in self._touching:
            for found in self._cache.graph:
                for key in change(None, found):
                    self._queue.add(key, Priority.BACKLOG)

    def report(self) -> ControllerReport:
        """Return how the controller is doing."""
        reading = self._queue.reading()
        self._queue_metrics.show(reading)
        return ControllerReport(
            name=self._task.name,
            depth=reading.depth,
            active=reading.processing,
            delayed=reading.delayed,
            failing=reading.failing,
            workers=self._width,
        )

    def decided(self) -> tuple[tuple[Decision, ...], int]:
        """Return what was decided since the last time, and how many decisions had no room."""
        return self._journal.take()

    def _real(self, api: ApiClient, replicas: Replicas, width: int) -> Callable[[Key], Context]:
        """Return what makes the contexts of reconciles that write."""
        writer = Applier(api, replicas, self._events, width)
        return lambda key: self._context(key, api, writer, self._events)

    def _rehearsed(self, api: ApiClient, rehearse: Callable[[Planned], None]) -> Callable[[Key], Context]:
        """Return what makes the contexts of a dry run."""
        rehearsal = Rehearsal(self._task.name, rehearse, self._metrics, self._log, self._clock)
        return lambda key: self._context(key, api, rehearsal.begin(key), None)

    def _context(
        self, key: Key, api: ApiClient, applier: Applier | RehearsedReconcile, events: EventSink | None
    ) -> Context:
        return Context(
            *(key, self._clock, self._cache, applier, api, self._metrics, self._log.bind(key=str(key))),
            events=events,
            inbox=self._inbox,
            allowance=self._allowance,
            journal=self._journal,
        )

    def _listen(self, replicas: Replicas) -> list[Change]:
        """Have every change fill the queue; return what names the keys that discovered objects touch."""
        touching: list[Change] = []
        for watch in self._controller.watches:
            change = keys_of(watch, self._primary, self._cache)
            if watch.discovers is not None:
                touching.append(change)
                replicas.graph(watch).subscribe(self._handler(change))
            else:
                replicas.replica(watch).subscribe(self._handler(change))
        return touching

    def _handler(self, change: Change) -> Callable[[Resource[Any] | None, Resource[Any] | None, bool], None]:
        def enqueue(old: Resource[Any] | None, new: Resource[Any] | None, initial: bool) -> None:
            priority = Priority.BACKLOG if initial else Priority.FRESH
            for key in change(old, new):
                self._queue.add(key, priority)

        return enqueue

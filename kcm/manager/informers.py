"""The shared informer factory: one list and watch per (resource, selector) for the whole daemon.

Hosts subscribe with the projection they need; the first subscriber of a watch starts its
reflector, further ones share it. A subscriber that needs more fields than are kept makes the
reflector start anew with all fields that anyone needs; so that this is rare, the first watches
wait, for a second at most, until every host of the start has said what it needs. Guarantees:
hosts that die and come back are fed from the store, without a LIST; a barrier covers every watch
it names, and outlasts a server that is away. Owns the reflectors and the stores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count

from kcm.base.backoff import Backoff
from kcm.base.clock import Clock
from kcm.base.errors import KcmError
from kcm.base.rng import Rng
from kcm.cache.feed import FeedSink, Outlet
from kcm.cache.projection import Projection, union
from kcm.cache.reflector import Reflector
from kcm.cache.store import Store
from kcm.cache.watchspec import WatchSpec
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics

MakeReflector = Callable[[WatchSpec, Projection, Store], Reflector]

RETRY = Backoff(0.1, 5.0, jitter=0.2)
# Hosts of one start are ready within a second of each other; a slow one must not hold the others up.
LATECOMERS = 1.0

log = logger("manager.informers")


@dataclass(frozen=True, slots=True)
class Subscription:
    """One host's share of one watch."""

    spec: WatchSpec
    sink: FeedSink


@dataclass(slots=True)
class Informer:
    """One watch, its store and the task that keeps it current."""

    projection: Projection
    store: Store
    reflector: Reflector
    task: asyncio.Task[None]
    readers: int = 0


class Informers:
    """All watches of the daemon. `run` must be running before anyone subscribes."""

    def __init__(self, make_reflector: MakeReflector, clock: Clock, rng: Rng, metrics: Metrics) -> None:
        self._make_reflector = make_reflector
        self._clock = clock
        self._skips = metrics.counter(
            "kcm_feed_skips_total", "Times a host was so far behind that it got everything anew.", ("watch",)
        )
        self._rng = rng
        self._informers: dict[WatchSpec, Informer] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._expected: set[str] = set()
        self._first = asyncio.Event()
        self._all = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()

    def expect(self, hosts: Iterable[str]) -> None:
        """Start no watch before these hosts have declared theirs, or the first did a while ago."""
        self._expected = set(hosts)
        if self._expected:
            self._open.clear()

    def declared(self, host: str) -> None:
        """Note that a host has said all that it watches, or never will."""
        self._expected.discard(host)
        self._first.set()
        if not self._expected:
            self._all.set()

    async def run(self) -> None:
        """Keep the reflectors' tasks until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._open_when_declared())
            await asyncio.get_running_loop().create_future()

    @property
    def informers(self) -> Mapping[WatchSpec, Informer]:
        """Return every watch there is."""
        return self._informers

    def subscribe(self, spec: WatchSpec, projection: Projection, outlet: Outlet, number: int) -> Subscription:
        """Feed a watch to an outlet under the number that its host gave it."""
        informer = self._informers.get(spec)
        if informer is None:
            informer = self._start(spec, projection, Store(self._clock))
        elif (whole := union(informer.projection, projection)) != informer.projection:
            informer.task.cancel()
            readers = informer.readers
            informer = self._start(spec, whole, informer.store)
            informer.readers = readers
        subscription = Subscription(spec, FeedSink(number, outlet, self._skips.labels(str(spec)).inc))
        informer.store.subscribe(subscription.sink)
        informer.readers += 1
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop feeding; the watch goes on, for a successor."""
        informer = self._informers.get(subscription.spec)
        if informer is not None:
            informer.store.unsubscribe(subscription.sink)
            informer.readers -= 1

    def discard(self, spec: WatchSpec) -> None:
        """End the watch of a resource that is not served any more, unless somebody still reads it."""
        informer = self._informers.get(spec)
        if informer is not None and informer.readers == 0:
            informer.task.cancel()
            informer.reflector.retire()
            del self._informers[spec]
            log.info("watching no more", watch=str(spec))

    async def barrier(self, subscriptions: Iterable[Subscription]) -> None:
        """Return when all that the server had when this was called is on its way to the readers."""
        async with asyncio.TaskGroup() as tasks:
            for subscription in subscriptions:
                tasks.create_task(self._fresh(subscription))

    async def reached(self, subscriptions: Iterable[Subscription], versions: Mapping[str, str]) -> None:
        """Return when the version named for each resource, and all before it, is on its way."""
        async with asyncio.TaskGroup() as tasks:
            for subscription in subscriptions:
                if version := versions.get(str(subscription.spec.resource)):
                    tasks.create_task(self._reached(subscription, version))

    async def _open_when_declared(self) -> None:
        await self._first.wait()
        try:
            async with asyncio.timeout(LATECOMERS):
                await self._all.wait()
        except TimeoutError:
            log.debug("watches start without some hosts", hosts=", ".join(sorted(self._expected)))
        self._open.set()

    async def _follow(self, reflector: Reflector) -> None:
        await self._open.wait()
        # What was discovered is dozens of watches, which /statusz lists.
        if not reflector.spec.metadata_only:
            log.info("watching", watch=str(reflector.spec))
        await reflector.run()

    async def _fresh(self, subscription: Subscription) -> None:
        # Before that, a reflector may be replaced that has never run and tells nobody.
        await self._open.wait()
        for failures in count(1):
            informer = self._informers.get(subscription.spec)
            if informer is None:
                # The resource is gone from the server: nothing of it can be late.
                return
            try:
                await informer.reflector.barrier()
                break
            except KcmError as error:
                # The server is away or answers nonsense, or a reflector with more fields took over: none of
                # them may end the daemon.
                log.debug("barrier failed", watch=str(subscription.spec), error=str(error))
                await self._clock.sleep(RETRY.delay(failures, self._rng))
        # A reader that is behind gets what was proved only later: its answer has to come after it.
        await subscription.sink.delivered()

    async def _reached(self, subscription: Subscription, version: str) -> None:
        await self._open.wait()
        try:
            await self._informers[subscription.spec].reflector.reached(version)
        except KcmError:
            # What was to be reached is part of all that the server has.
            await self._fresh(subscription)
        await subscription.sink.delivered()

    def _start(self, spec: WatchSpec, projection: Projection, store: Store) -> Informer:
        assert self._tasks is not None, "run() has to be running first"
        reflector = self._make_reflector(spec, projection, store)
        informer = Informer(projection, store, reflector, self._tasks.create_task(self._follow(reflector)))
        self._informers[spec] = informer
        return informer

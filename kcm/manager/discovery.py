"""What the server has, kept current for whoever wants all of it.

One `Discoverer` for the daemon. It asks only while somebody listens: at once, every
`PERIOD` seconds, and soon after a definition or an aggregated API changed, which it sees in the
watches of those that its listeners open. Guarantees: a listener is told what there is before
anything else, then of each change; a group whose server is away keeps what it had; a failing
server changes nothing. Owns what was discovered last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from kcm.base.backoff import Backoff
from kcm.base.clock import Clock
from kcm.base.errors import KcmError
from kcm.base.rng import Rng
from kcm.cache.store import Change, Store
from kcm.client.api import ApiClient
from kcm.client.discovery import Discovery, discover
from kcm.manager.informers import Informers
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics

PERIOD = 30.0
# A definition changes several times in a row until it is served: wait for the last of them.
SETTLE = 0.25
RETRY = Backoff(0.5, 10.0, jitter=0.2)
# How often listeners look after watches that do not fill.
CHECK = 2.0

# Resources whose objects say that there are other resources.
_TELLING = frozenset(("customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io"))

log = logger("manager.discovery")


class Listener(Protocol):
    """One who wants to know what there is."""

    def discovered(self, discovery: Discovery) -> None:
        """Take what the server has now, all of it."""
        ...

    def check(self) -> None:
        """Look after what does not come along. Called every few seconds."""
        ...


class Discoverer:
    """Asks, remembers, and tells."""

    def __init__(
        self, client: ApiClient, informers: Informers, clock: Clock, rng: Rng, metrics: Metrics
    ) -> None:
        self._client = client
        self._informers = informers
        self._clock = clock
        self._rng = rng
        self._listeners: list[Listener] = []
        self._known: Discovery | None = None
        self._wanted = asyncio.Event()
        self._hint = asyncio.Event()
        self._heard: list[Store] = []
        self._rounds = metrics.counter("kcm_discovery_rounds_total", "Times the resources were asked for.")
        self._failures = metrics.counter("kcm_discovery_failures_total", "Times that gave no answer at all.")
        self._types = metrics.gauge("kcm_discovery_resources", "Resources of the server, by version.")
        self._failed = metrics.gauge(
            "kcm_discovery_failed_groups", "Group-versions that the server could not tell about."
        )

    def add(self, listener: Listener) -> None:
        """Tell someone what there is, now if it is known, and from now on."""
        self._listeners.append(listener)
        if self._known is not None:
            listener.discovered(self._known)
            # It may have been a while since anybody wanted to know.
            self._hint.set()
        self._wanted.set()

    def remove(self, listener: Listener) -> None:
        """Tell someone no more."""
        self._listeners = [other for other in self._listeners if other is not listener]
        if not self._listeners:
            self._wanted.clear()

    async def run(self) -> None:
        """Discover until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_after())
            failures = 0
            while True:
                await self._wanted.wait()
                self._hint.clear()
                failures = 0 if await self._round() else failures + 1
                await self._rest(RETRY.delay(failures, self._rng) if failures else PERIOD)

    async def _round(self) -> bool:
        self._rounds.inc()
        try:
            found = await discover(self._client)
        except (KcmError, ValueError, RecursionError) as error:
            self._failures.inc()
            log.warning("resources cannot be discovered", error=str(error)[:500])
            return False
        if found.failed and (self._known is None or found.failed != self._known.failed):
            log.warning("groups cannot be discovered", groups=", ".join(found.failed)[:500])
        before = self._known or Discovery()
        self._known = found.after(before)
        self._types.set(len(self._known.served))
        self._failed.set(len(found.failed))
        if self._known != before:
            for listener in self._listeners:
                listener.discovered(self._known)
        self._prune(self._known)
        self._hear()
        return True

    def _prune(self, known: Discovery) -> None:
        """End watches that a dead host left behind and that no successor can want."""
        served = {each.resource for each in known.served}
        for spec in list(self._informers.informers):
            if spec.metadata_only and spec.resource not in served:
                self._informers.discard(spec)

    async def _rest(self, seconds: float) -> None:
        """Wait for the next round, less when there is a hint that something changed."""
        try:
            async with asyncio.timeout(seconds):
                await self._hint.wait()
        except TimeoutError:
            return
        await self._clock.sleep(SETTLE)

    async def _look_after(self) -> None:
        while True:
            await self._wanted.wait()
            await self._clock.sleep(CHECK)
            for listener in self._listeners:
                listener.check()

    def _hear(self) -> None:
        """Listen to the watches that tell of new resources."""
        informers = self._informers.informers.items()
        stores = [informer.store for spec, informer in informers if str(spec.resource) in _TELLING]
        for store in stores:
            if not any(store is heard for heard in self._heard):
                store.subscribe(_Hint(self._hint))
        self._heard = stores


class _Hint:
    """A sink that only notes that something changed. Implements `kcm.cache.store.Sink`."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    def replaced(self, store: Store, rolled_back: bool) -> None:
        self._event.set()

    def changed(self, changes: Sequence[Change], version: str) -> None:
        self._event.set()

    def progressed(self, version: str) -> None:
        pass

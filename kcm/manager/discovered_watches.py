"""The watches of one host that nobody named: one for each resource that was discovered.

Opened and closed as resources come and go, each under a number of its own. Guarantees: the host
hears of a watch before its data, and of all that there is behind the watches it opens; a
resource that cannot be listed is excused after `PATIENCE` seconds, shown with its reason, and
keeps neither the host nor /readyz waiting; the watch of a resource that is gone is ended.
Owns its subscriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from kcm.base.clock import Clock
from kcm.cache.feed import Outlet
from kcm.cache.projection import Projection, decode
from kcm.cache.watchspec import WatchSpec
from kcm.client.discovery import Discovery, ResourceFilter, select
from kcm.host.messages import DiscoveryDeclaration, KindsFound, WatchClosed, WatchExcused, WatchOpened
from kcm.manager.informers import Informers, Subscription
from kcm.objects.resource import ResourceType
from kcm.telemetry.logging import logger

PATIENCE = 5.0
MOST_OPEN = 2000

log = logger("manager.discovery")


@dataclass(slots=True)
class _Open:
    number: int
    subscription: Subscription
    since: float
    excuse: str = ""


@dataclass(frozen=True, slots=True)
class _Wanted:
    filter: ResourceFilter
    projection: Projection


class DiscoveredWatches:
    """One host's discovered watches. Implements `kcm.manager.discovery.Listener`."""

    def __init__(
        self,
        declared: Sequence[DiscoveryDeclaration],
        first: int,
        informers: Informers,
        outlet: Outlet,
        send: Callable[[msgspec.Struct], None],
        clock: Clock,
    ) -> None:
        """Start without any. ValueError for a projection that makes no sense."""
        self._wanted = [_Wanted(each.wanted, decode(bytes(each.projection))) for each in declared]
        self._next = first
        self._informers = informers
        self._outlet = outlet
        self._send = send
        self._clock = clock
        self._open: dict[tuple[int, ResourceType], _Open] = {}

    @property
    def subscriptions(self) -> list[Subscription]:
        """Return what is open."""
        return [each.subscription for each in self._open.values()]

    @property
    def excused(self) -> dict[WatchSpec, str]:
        """Return the watches that do without, and why."""
        return {each.subscription.spec: each.excuse for each in self._open.values() if each.excuse}

    def discovered(self, discovery: Discovery) -> None:
        """Open what is new, close what is gone, then say what there is."""
        for number, wanted in enumerate(self._wanted):
            self._follow(number, wanted, select(discovery.served, wanted.filter))
        self._send(KindsFound(tuple(each.resource for each in discovery.served if "get" in each.verbs)))

    def check(self) -> None:
        """Excuse what was not filled in time; take back what was."""
        now = self._clock.monotonic()
        for each in self._open.values():
            informer = self._informers.informers[each.subscription.spec]
            if informer.store.synced:
                each.excuse = ""
                continue
            reason = informer.reflector.health().trouble
            if reason and now - each.since >= PATIENCE and not each.excuse:
                each.excuse = reason
                log.warning("doing without a resource", reason=reason)
                self._send(WatchExcused(each.number, reason[:1000]))

    def close(self) -> None:
        """The host is gone: feed it no more. The watches go on, for its successor."""
        for each in self._open.values():
            self._informers.unsubscribe(each.subscription)
        self._open = {}

    def _follow(self, number: int, wanted: _Wanted, resources: Iterable[ResourceType]) -> None:
        present = set(resources)
        for discovery, resource in list(self._open):
            if discovery == number and resource not in present:
                closed = self._open.pop((discovery, resource))
                self._informers.unsubscribe(closed.subscription)
                self._informers.discard(closed.subscription.spec)
                self._send(WatchClosed(closed.number))
        for resource in sorted(present, key=str):
            if (number, resource) in self._open:
                continue
            if len(self._open) >= MOST_OPEN:
                log.error("too many resources: the rest is not watched", most=MOST_OPEN)
                return
            self._begin(number, wanted, resource)

    def _begin(self, number: int, wanted: _Wanted, resource: ResourceType) -> None:
        spec = WatchSpec(resource, metadata_only=True)
        watch, self._next = self._next, self._next + 1
        self._send(WatchOpened(watch, number, spec))
        subscription = self._informers.subscribe(spec, wanted.projection, self._outlet, watch)
        self._open[number, resource] = _Open(watch, subscription, self._clock.monotonic())

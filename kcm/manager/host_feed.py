"""What one process of a host is fed: the watches that it declared, named or discovered.

Attached when the host declares, detached when it has ended, so that a successor gets everything
anew. Guarantees that a declaration is bounded, and that barriers which a host asks for pile up
only so far. Measures how far the host is behind. Owns the subscriptions of one host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from kcm.base.clock import Clock
from kcm.cache.projection import decode
from kcm.cache.watchspec import WatchSpec
from kcm.host.messages import MOST_BARRIERS, MOST_DISCOVERIES, MOST_WATCHES, Declare, Mark
from kcm.manager.discovered_watches import DiscoveredWatches
from kcm.manager.discovery import Discoverer
from kcm.manager.informers import Informers, Subscription
from kcm.manager.launcher import Channel
from kcm.objects.resource import ResourceType


class HostFeed:
    """The subscriptions of one host."""

    def __init__(self, informers: Informers, discoverer: Discoverer, clock: Clock) -> None:
        self._informers = informers
        self._discoverer = discoverer
        self._clock = clock
        self._named: list[Subscription] = []
        self._discovered: DiscoveredWatches | None = None
        self._barriers = 0
        self._send: Callable[[msgspec.Struct], None] | None = None
        self._marks = 0
        self._asked: float | None = None
        self._told = False
        self._took = 0.0

    @property
    def watches(self) -> tuple[WatchSpec, ...]:
        """Return what the host has declared by name."""
        return tuple(subscription.spec for subscription in self._named)

    @property
    def excused(self) -> Mapping[WatchSpec, str]:
        """Return the discovered watches that cannot be read and are not waited for, and why."""
        return self._discovered.excused if self._discovered is not None else {}

    def attach(
        self, host: str, declared: Declare, channel: Channel, send: Callable[[msgspec.Struct], None]
    ) -> None:
        """Feed a host what it declares; ValueError for too much, and for a second declaration."""
        too_many = len(declared.watches) > MOST_WATCHES or len(declared.discoveries) > MOST_DISCOVERIES
        if too_many or self._named or self._discovered is not None:
            raise ValueError("declared too many watches, or twice")
        for number, watch in enumerate(declared.watches):
            projection = decode(bytes(watch.projection))
            self._named.append(self._informers.subscribe(watch.spec, projection, channel, number))
        self._send = send
        self._informers.declared(host)
        if declared.discoveries:
            self._discovered = DiscoveredWatches(
                declared.discoveries, len(declared.watches), self._informers, channel, send, self._clock
            )
            self._discoverer.add(self._discovered)

    def detach(self) -> None:
        """Feed it no more."""
        for subscription in self._named:
            self._informers.unsubscribe(subscription)
        self._named = []
        if self._discovered is not None:
            self._discoverer.remove(self._discovered)
            self._discovered.close()
            self._discovered = None
        self._send, self._asked, self._took = None, None, 0.0

    def probe(self) -> None:
        """Begin to measure how far the host is behind, unless that is under way. Call it now and then."""
        if self._send is None:
            return
        if self._asked is None:
            self._asked, self._told = self._clock.monotonic(), False
            self._marks += 1
        # What waits in front of a full channel is part of the lag: the mark has to go behind it.
        if not self._told and not any(one.sink.behind for one in self._subscriptions()):
            self._told = True
            self._send(Mark(self._marks))

    def marked(self, number: int) -> None:
        """The host has taken in all that was before a mark; that of an earlier process is ignored."""
        if number == self._marks and self._asked is not None:
            self._took, self._asked = self._clock.monotonic() - self._asked, None

    @property
    def lag(self) -> float:
        """Return for how many seconds the host has been behind; when it is not, how long it last was."""
        return self._took if self._asked is None else max(self._took, self._clock.monotonic() - self._asked)

    async def fresh(self, handover: Mapping[str, str] | None) -> None:
        """Return when what was declared by name is fresh enough to lead.

        `handover`: what a predecessor wrote last, by resource; None asks the server. What was discovered is
        left out: proof for each of a hundred resources would take long, one that cannot be read would take
        for ever, and who reads all there is has to ask anyway.
        """
        if handover is None:
            await self._informers.barrier(self._named)
        else:
            await self._informers.reached(self._named, handover)

    def begin_barrier(self) -> bool:
        """Count a barrier that the host asks for; False when too many are under way already."""
        if self._barriers >= MOST_BARRIERS:
            return False
        self._barriers += 1
        return True

    async def barrier(self, resources: Iterable[ResourceType]) -> None:
        """Return when all that the server has of these is on its way to the host; ends a counted one."""
        try:
            asked = frozenset(resources)
            await self._informers.barrier(
                [one for one in self._subscriptions() if one.spec.resource in asked]
            )
        finally:
            self._barriers -= 1

    def _subscriptions(self) -> Iterator[Subscription]:
        yield from self._named
        if self._discovered is not None:
            yield from self._discovered.subscriptions

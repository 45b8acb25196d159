"""Barriers, as a host asks for them.

A barrier proves that the feed has caught up with the server: the manager answers in the same
ordered channel that carries the data, so that when the answer is here the data is too. Owns
the barriers that are under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kcm.host.messages import Barrier
from kcm.objects.resource import ResourceType


class FeedFreshness:
    """Asks the manager for barriers and wakes who waits for them."""

    def __init__(self, send: Callable[[Barrier], None]) -> None:
        self._send = send
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._last = 0

    async def barrier(self, resources: frozenset[ResourceType]) -> None:
        """Return when the replicas hold everything the server had when this was called."""
        self._last += 1
        number = self._last
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._send(Barrier(number, tuple(sorted(resources, key=str))))
            await future
        finally:
            self._waiting.pop(number, None)

    def passed(self, number: int) -> None:
        """Wake who waits for a barrier; one that nobody waits for any more is ignored."""
        future = self._waiting.get(number)
        if future is not None and not future.done():
            future.set_result(None)

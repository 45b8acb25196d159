"""A bounded set of connections to one server.

Guarantees: never more than `limit` connections; requests that must wait are served in the order
they came, and a newcomer never overtakes them; a connection that has been idle for longer than
`idle_seconds` is not used again, because servers and load balancers drop those without a word.
The pool owns its connections while they are idle; a borrower gives back what it took.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from kcm.client.exchange import ExchangeConnection
from kcm.client.transport import NotSent

Connect = Callable[[], Awaitable[ExchangeConnection]]


class Pool:
    """Lends connections that `connect` makes."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connect: Connect, limit: int, idle_seconds: float
    ) -> None:
        self._loop = loop
        self._connect = connect
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._idle: deque[ExchangeConnection] = deque()
        self._waiters: deque[asyncio.Future[ExchangeConnection | None]] = deque()
        self._all: set[ExchangeConnection] = set()
        self._connecting = 0
        self._closed = False

    def borrow_idle(self) -> ExchangeConnection | None:
        """Return a connection if one is free and nobody waits: the short way for most requests."""
        return None if self._closed or self._waiters else self._take_idle()

    async def borrow(self) -> ExchangeConnection:
        """Return a connection for one exchange. `NotSent` when none can be made."""
        if self._closed:
            raise NotSent("transport is closed")
        connection = self.borrow_idle()
        if connection is not None:
            return connection
        if not self._waiters and len(self._all) + self._connecting < self._limit:
            return await self._add()
        waiter: asyncio.Future[ExchangeConnection | None] = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            given = await waiter
        except asyncio.CancelledError:
            self._pass_on(waiter)
            raise
        return given if given is not None else await self._add(reserved=True)

    def give_back(self, connection: ExchangeConnection) -> None:
        """Return what was borrowed, in whatever state it is."""
        if self._closed or not connection.usable:
            self._forget(connection)
            return
        connection.reused = True
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(connection)
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def drop_idle(self) -> None:
        """End the idle connections: one of their kind has turned out to be dead."""
        while self._idle:
            self._forget(self._idle.pop())

    def retire(self) -> None:
        """Take no new requests; let those under way end. Those who wait get `NotSent`."""
        self._closed = True
        self.drop_idle()
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(NotSent("credentials changed while waiting for a connection"))

    def close(self) -> None:
        """End all connections. Those who wait get `NotSent`, those who were sent to `Unanswered`."""
        self.retire()
        for connection in list(self._all):
            connection.hang_up("transport was closed")
        self._all.clear()

    def _take_idle(self) -> ExchangeConnection | None:
        while self._idle:
            connection = self._idle.pop()
            fresh = self._loop.time() - connection.idle_since < self._idle_seconds
            if fresh and connection.usable:
                return connection
            self._forget(connection)
        return None

    async def _add(self, *, reserved: bool = False) -> ExchangeConnection:
        if not reserved:
            self._connecting += 1
        try:
            connection = await self._connect()
        except BaseException:
            self._connecting -= 1
            self._offer_slot()
            raise
        self._connecting -= 1
        if self._closed:
            connection.abort()
            raise NotSent("transport is closed")
        self._all.add(connection)
        return connection

    def _forget(self, connection: ExchangeConnection) -> None:
        self._all.discard(connection)
        connection.abort()
        if not self._closed:
            self._offer_slot()

    def _offer_slot(self) -> None:
        """Let the next in line make a connection of its own; the slot is taken in its name."""
        if len(self._all) + self._connecting >= self._limit:
            return
        waiter = self._next_waiter()
        if waiter is not None:
            self._connecting += 1
            waiter.set_result(None)

    def _next_waiter(self) -> asyncio.Future[ExchangeConnection | None] | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _pass_on(self, waiter: asyncio.Future[ExchangeConnection | None]) -> None:
        """Give to the next what a cancelled waiter had already been given."""
        if not waiter.done() or waiter.cancelled() or waiter.exception() is not None:
            return
        given = waiter.result()
        if given is not None:
            self.give_back(given)
            return
        self._connecting -= 1
        self._offer_slot()

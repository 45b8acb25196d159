"""A TCP relay that can go silent, both ways or one way, as a network does that is partitioned.

Silence loses no byte by itself: what was sent waits, as it waits in a kernel that sends it again and
again, and arrives when the silence ends. What a client has taken back by a reset is gone; what it has
left behind with an orderly end still arrives. Connections can be made during a silence, but say
nothing. A `Tap` sees and may change what passes. The relay owns its connections and ends them with it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

_PIECE = 64 * 1024
_RESET = struct.pack("ii", 1, 0)

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Tap(Protocol):
    """Sees one connection."""

    def forwarded(self, data: bytes) -> bytes:
        """Take bytes of the client; return what to send to the server now."""
        ...

    def answered(self, data: bytes) -> None:
        """Take bytes that the server has sent."""
        ...

    def delivered(self) -> None:
        """All that was answered so far goes to the client now."""
        ...


class _Plain:
    def forwarded(self, data: bytes) -> bytes:
        return data

    def answered(self, data: bytes) -> None:
        """Nobody wants to know."""

    def delivered(self) -> None:
        """Nobody wants to know."""


class Relay:
    """One way to one server. `port` is on 127.0.0.1, once `serving` has begun."""

    def __init__(self, dial: Dial, tap: Callable[[], Tap] = _Plain) -> None:
        self._dial = dial
        self._tap = tap
        self._to_server = asyncio.Event()
        self._to_client = asyncio.Event()
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.speak()

    def silence(self, *, to_server: bool = True, to_client: bool = True) -> None:
        """Let nothing pass any more in these directions."""
        if to_server:
            self._to_server.clear()
        if to_client:
            self._to_client.clear()

    def speak(self) -> None:
        """Let everything pass again."""
        self._to_server.set()
        self._to_client.set()

    def reset(self) -> int:
        """Reset all connections of the client; return how many there were."""
        for client in self._clients:
            _abort(client)
        return len(self._clients)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Relay]:
        """Relay as long as the context lasts."""
        server = await asyncio.start_server(self._begin, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._clients.add(writer)
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            # Whoever has ended it knows why; asyncio would only log it.
            pass
        finally:
            self._tasks.discard(task)
            self._clients.discard(writer)
            _abort(writer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await self._dial()
        tap = self._tap()
        there = asyncio.ensure_future(self._forward(reader, far_writer, tap))
        back = asyncio.ensure_future(self._answer(far_reader, writer, tap))
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            if there.done() and there.exception() is None:
                # The client has said all; the server may have more to say.
                await asyncio.wait((back,), timeout=5.0)
            elif back.done() and back.exception() is None:
                writer.close()
        finally:
            for way in (there, back):
                way.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            _abort(far_writer)

    async def _forward(self, reader: asyncio.StreamReader, far: asyncio.StreamWriter, tap: Tap) -> None:
        while data := await reader.read(_PIECE):
            await self._to_server.wait()
            if (gone := reader.exception()) is not None:
                raise gone
            far.write(tap.forwarded(data))
            await far.drain()
        await self._to_server.wait()
        if far.can_write_eof():
            far.write_eof()

    async def _answer(self, far: asyncio.StreamReader, writer: asyncio.StreamWriter, tap: Tap) -> None:
        while data := await far.read(_PIECE):
            tap.answered(data)
            await self._to_client.wait()
            tap.delivered()
            writer.write(data)
            await writer.drain()


def _abort(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset."""
    plug = writer.get_extra_info("socket")
    if plug is not None and not writer.transport.is_closing():
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()

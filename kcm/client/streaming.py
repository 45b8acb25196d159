"""A connection of its own for one answer that is read as it comes.

Guarantees: at most `HIGH_WATER` bytes and one read wait for a slow reader, then reading from
the socket stops until it has caught up; silence is noticed only while the reader waits, so a
slow reader is never taken for a dead server; a body that is cut ends in `Unanswered`, never in
a normal end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from kcm.client.connection import Connection
from kcm.client.tls import TlsFilter
from kcm.client.transport import Request, TransportError, Unanswered

HIGH_WATER = 512 * 1024


class StreamConnection(Connection):
    """Implements `kcm.client.transport.Stream`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tls: TlsFilter | None) -> None:
        super().__init__(loop, tls)
        self._opened: asyncio.Future[None] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._pieces: list[bytes] = []
        self._held = 0
        self._paused = False
        self._complete = False
        self._defect: TransportError | None = None
        self._idle = 0.0

    @property
    def status(self) -> int:
        return self._status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    def expect_within(self, seconds: float) -> None:
        self._idle = seconds

    async def begin(self, data: bytes, request: Request, deadline: float) -> None:
        """Send the request; return when the headers are there. `deadline` is loop time."""
        self._idle = request.idle
        opened = self._opened = self._loop.create_future()
        if request.guard is not None:
            request.guard()
        self.send_now(data)
        late = Unanswered(f"no answer within {request.timeout:g}s")
        timer = self._loop.call_at(deadline, self._fail, late)
        try:
            await opened
        finally:
            timer.cancel()

    async def read(self) -> bytes:
        """Return what has come since the last call, b"" at the end. `Unanswered` when it was cut."""
        while not self._pieces:
            if self._complete:
                return b""
            if self._defect is not None:
                raise self._defect
            await self._wait()
        pieces, self._pieces, self._held = self._pieces, [], 0
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await self.read()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def _wait(self) -> None:
        self._wake = self._loop.create_future()
        try:
            async with asyncio.timeout(self._idle or None):
                await self._wake
        except TimeoutError:
            self._fail(Unanswered(f"nothing came for {self._idle:g}s"))
        finally:
            self._wake = None

    def _begun(self) -> None:
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    def _body(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._stir()

    def _ended(self, keep_alive: bool) -> None:
        self._complete = True
        self.abort()
        self._stir()

    def _failed(self, error: TransportError) -> None:
        self._defect = error
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(error)
        self._stir()

    def _stir(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

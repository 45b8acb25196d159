"""A pooled connection: one request, one complete answer, again and again.

Guarantees: the answer is complete or there is none; its body never exceeds the request's cap;
`exchange` ends by its deadline however slowly bytes drip in; a cancelled or failed exchange
leaves no connection behind that could deliver its late answer to somebody else.
"""

from __future__ import annotations

import asyncio

from kcm.client.connection import Connection, Refused
from kcm.client.tls import TlsFilter
from kcm.client.transport import Request, Response, TransportError, Unanswered


class ExchangeConnection(Connection):
    """Carries one exchange at a time. `idle_since` is loop time, for the pool."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tls: TlsFilter | None) -> None:
        super().__init__(loop, tls)
        self._answer: asyncio.Future[Response] | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._max_body = 0
        self.idle_since = 0.0
        self.reused = False

    async def exchange(self, data: bytes, request: Request, deadline: float) -> Response:
        """Send `data`, which renders `request`; return the answer. `deadline` is loop time.

        Raises what `request.guard` raises, `NotSent` or `Unanswered`.
        """
        self._max_body = request.max_body
        answer: asyncio.Future[Response] = self._loop.create_future()
        self._answer = answer
        if request.guard is not None:
            request.guard()
        self.give_up_after(request.timeout)
        self.send_now(data)
        timer = self._loop.call_at(deadline, self._expire, request.timeout)
        try:
            return await answer
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            timer.cancel()
            self._answer = None

    def _expire(self, timeout: float) -> None:
        self._fail(Unanswered(f"no complete answer within {timeout:g}s"))

    def _begun(self) -> None:
        self._pieces = []
        self._size = 0
        length = self._headers.get("content-length", "")
        # int() of a hostile length is bounded by the header cap, but its digits are not free.
        if len(length) > 18 or (length.isdigit() and int(length) > self._max_body):
            raise Refused(f"answer is longer than {self._max_body} bytes")

    def _body(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max_body:
            raise Refused(f"answer is longer than {self._max_body} bytes")
        self._pieces.append(piece)

    def _ended(self, keep_alive: bool) -> None:
        pieces = self._pieces
        self._pieces = []
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if not keep_alive:
            self.abort()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Response(self._status, self._headers, body))

    def _failed(self, error: TransportError) -> None:
        self._pieces = []
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

"""An HTTP server whose handlers see plain values.

`HttpServer` turns every request into a `Request`, calls one handler, and writes the `Response`
it returns: bytes, or a stream that is flushed as it comes. Guarantees: bodies, heads and the
time to send them are bounded; a handler that fails costs its own request a 500 and nobody else
anything; a stream is closed when its reader goes away. Does not route, authenticate or parse
bodies. The server owns its sockets and the tasks of its connections; the handler owns everything
else.
"""

from __future__ import annotations

import asyncio
import ssl

from kcm.serving.connection import Connection
from kcm.serving.messages import ClientCertificate, ConnectionLost, Handler, Request, Response

__all__ = ["MAX_BODY", "ClientCertificate", "ConnectionLost", "Handler", "HttpServer", "Request", "Response"]

MAX_BODY = 3 * 1024 * 1024 + 4096
_SWEEP_SECONDS = 5.0
_STOP_SECONDS = 1.0


class HttpServer:
    """Serves one handler on one address."""

    def __init__(self, handler: Handler, *, max_body: int = MAX_BODY) -> None:
        self._handler = handler
        self._max_body = max_body
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._connections: set[Connection] = set()

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen; return the port that was bound (useful with port 0). OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect, host, port, ssl=tls, backlog=1024)
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Stop listening, let answers under way be finished for a second, end what is still open."""
        if self._server is None or self._sweeper is None:
            return
        self._server.close()
        self._server = None
        self._sweeper.cancel()
        tasks = [connection.task for connection in self._connections if connection.task is not None]
        for connection in tuple(self._connections):
            connection.shut()
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        for connection in tuple(self._connections):
            connection.abort()
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_STOP_SECONDS)

    def _connect(self) -> Connection:
        return Connection(self._handler, self._max_body, self._connections)

    def _sweep(self) -> None:
        """End connections whose other side neither sends nor reads: they would pile up for ever."""
        loop = asyncio.get_running_loop()
        for connection in tuple(self._connections):
            if connection.overdue(loop.time()):
                connection.abort()
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep)

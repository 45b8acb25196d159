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
    """Serves one handler on one address.

    Past `max_connections` (None: no bound) the one that has sent nothing whole for longest makes room;
    where all are being served, the new one is turned away. `request_seconds`: time to send a request
    (None: 30).
    """

    def __init__(
        self,
        handler: Handler,
        *,
        max_body: int = MAX_BODY,
        max_connections: int | None = None,
        request_seconds: float | None = None,
    ) -> None:
        self._handler = handler
        self._max_body = max_body
        self._max_connections = max_connections
        self._request_seconds = request_seconds
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._connections: set[Connection] = set()

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen; return the port that was bound (useful with port 0). OSError when it is taken."""
        loop = asyncio.get_running_loop()
        # Without TLS there is no handshake, and asyncio takes no time for one.
        handshake = self._request_seconds if tls is not None else None
        self._server = await loop.create_server(
            self._connect, host, port, ssl=tls, backlog=1024, ssl_handshake_timeout=handshake
        )
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
        return Connection(
            self._handler, self._max_body, self._connections, self._request_seconds, self._make_room
        )

    def _make_room(self) -> None:
        if self._max_connections is None or len(self._connections) <= self._max_connections:
            return
        idle = [connection for connection in self._connections if connection.idle_since is not None]
        # The newest is idle too, and the last to go: a probe must get in past those who hold connections.
        min(idle, key=lambda connection: connection.idle_since or 0.0).abort()

    def _sweep(self) -> None:
        """End connections whose other side neither sends nor reads: they would pile up for ever."""
        loop = asyncio.get_running_loop()
        for connection in tuple(self._connections):
            if connection.overdue(loop.time()):
                connection.abort()
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep)

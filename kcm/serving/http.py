"""An HTTP server whose handlers see plain values.

`HttpServer` turns every request into a `Request`, calls one handler, and writes the `Response`
it returns: bytes, or a stream that is flushed as it comes. Guarantees: bodies, headers and
header time are bounded; a handler that fails costs its own request a 500 and nobody else
anything; a stream is closed when its reader goes away. Does not route, authenticate or parse
bodies. The server owns its sockets; the handler owns everything else.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from aiohttp import web

from kcm.telemetry.logging import logger

log = logger("serving.http")

MAX_BODY = 3 * 1024 * 1024 + 4096


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are lower case; `query` keeps order and repeats."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: str = ""

    def parameter(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        for key, value in self.query:
            if key == name:
                return value
        return default


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. A body that is an async generator is sent chunk by chunk, each flushed at once."""

    status: int = 200
    body: bytes | AsyncGenerator[bytes, None] = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class ConnectionLost(Exception):
    """A handler (or its stream) raises this to break the connection off without an answer."""


Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Serves one handler on one address."""

    def __init__(self, handler: Handler, *, max_body: int = MAX_BODY) -> None:
        self._handler = handler
        self._max_body = max_body
        self._runner: web.ServerRunner | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen; return the port that was bound (useful with port 0). OSError when it is taken."""
        server = web.Server(
            self._answer, keepalive_timeout=75.0, access_log=None, client_max_size=self._max_body
        )
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=tls, backlog=1024)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Stop listening and end what is still open."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = Request(
            method=request.method,
            path=request.rel_url.path,
            query=tuple(request.rel_url.query.items()),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read() if request.can_read_body else b"",
            peer=request.remote or "",
        )
        try:
            answer = await self._handler(asked)
        except ConnectionLost:
            _abort(request)
            raise web.HTTPException from None
        except Exception as error:  # noqa: BLE001 - an edge, see below
            # A process edge: one broken request must not take the connection's other requests along.
            log.error("handler failed", path=asked.path, error=repr(error))
            return web.Response(status=500, text="internal error\n")
        if isinstance(answer.body, bytes):
            return web.Response(
                status=answer.status,
                body=answer.body,
                headers={**answer.headers, "Content-Type": answer.content_type},
            )
        return await _stream(request, answer, answer.body)


async def _stream(
    request: web.BaseRequest, answer: Response, body: AsyncGenerator[bytes, None]
) -> web.StreamResponse:
    response = web.StreamResponse(
        status=answer.status,
        headers={**answer.headers, "Content-Type": answer.content_type},
    )
    async with aclosing(body) as chunks:
        await response.prepare(request)
        try:
            async for chunk in chunks:
                await response.write(chunk)
            await response.write_eof()
        except ConnectionLost:
            _abort(request)
        except (ConnectionError, ConnectionResetError):
            log.debug("reader went away", path=request.path)
    return response


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()

"""A transport without sockets: requests go straight into a sandbox in the same loop.

Implements `kcm.client.transport.Transport`, so that the real client, reflector and controllers
run against the sandbox in virtual time. Guarantees the same distinction as the real one: what
the guard refuses never arrives; a time-out or a connection that the sandbox drops is
`Unanswered`. `after_write` may say that the caller died right behind a write, which is how
crash tests cut a run between any two writes. Owns nothing but its counters.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, unquote, urlsplit

from kcm.client.transport import NotSent, Request, Response, Stream, Unanswered
from kcm.serving import http
from kcm.serving.messages import ConnectionLost

Server = Callable[[http.Request], Awaitable[http.Response]]

_WRITES = frozenset(("POST", "PUT", "PATCH", "DELETE"))


class LoopbackTransport:
    """Carries requests to a handler. `after_write` is called behind every write; True: the caller is dead."""

    def __init__(self, server: Server, after_write: Callable[[Request], bool] | None = None) -> None:
        self._server = server
        self._after_write = after_write
        self._closed = False

    @property
    def host(self) -> str:
        return "sandbox"

    async def send(self, request: Request) -> Response:
        answer = await self._ask(request)
        body = answer.body
        if not isinstance(body, bytes):
            body = b"".join([chunk async for chunk in body])
        if self._after_write is not None and request.method in _WRITES and self._after_write(request):
            # The caller has died: it never sees the answer.
            await asyncio.get_running_loop().create_future()
        return Response(answer.status, _lower(answer), body)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Stream]:
        answer = await self._ask(request)
        stream = _LoopbackStream(answer, request.idle)
        try:
            yield stream
        finally:
            await stream.close()

    async def close(self) -> None:
        self._closed = True

    async def _ask(self, request: Request) -> http.Response:
        if self._closed:
            raise NotSent("transport is closed")
        if request.guard is not None:
            request.guard()
        parts = urlsplit(request.target)
        asked = http.Request(
            method=request.method,
            path=unquote(parts.path),
            query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in request.headers}
            | ({"traceparent": request.traceparent} if request.traceparent else {}),
            body=request.body,
            peer="127.0.0.1",
        )
        try:
            async with asyncio.timeout(request.timeout):
                return await self._server(asked)
        except TimeoutError:
            raise Unanswered(f"sandbox: no answer within {request.timeout:g}s") from None
        except ConnectionLost as error:
            raise Unanswered(f"sandbox: {error}") from None


class _LoopbackStream:
    """An answer's body, with the idle deadline of the real transport."""

    def __init__(self, answer: http.Response, idle: float) -> None:
        self.status = answer.status
        self.headers = _lower(answer)
        self._idle = idle
        self._body = _single(answer.body) if isinstance(answer.body, bytes) else answer.body

    def expect_within(self, seconds: float) -> None:
        self._idle = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._idle or None):
                    chunk = await anext(self._body)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Unanswered(f"sandbox: nothing came for {self._idle:g}s") from None
            except ConnectionLost as error:
                raise Unanswered(f"sandbox: {error}") from None
            yield chunk

    async def close(self) -> None:
        await self._body.aclose()


async def _single(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


def _lower(answer: http.Response) -> Mapping[str, str]:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return {"content-type": answer.content_type, **headers}

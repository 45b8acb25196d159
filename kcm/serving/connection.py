"""One HTTP/1.1 connection: bytes in, requests to the handler, responses out.

A `Connection` parses with httptools and serves its requests one after the other in one task, so
a request costs a parse, a wake-up and a write. Guarantees: head, body, waiting requests and the
time to send a request or take an answer are bounded (`overdue`, asked by the server); a handler
that fails costs its own request a 500; a stream is closed when its reader goes away, a request
that is being served is not cut short. Does not speak HTTP/2 or WebSocket. Owns its transport.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qsl, unquote

import httptools

from kcm.serving.messages import ClientCertificate, ConnectionLost, Handler, Request, Response
from kcm.telemetry.logging import logger

log = logger("serving.http")

MAX_HEAD = 64 * 1024
_MOST_FIELDS = 256
_MOST_WAITING = 16
# A body this small is sent in one piece with its head.
_SMALL = 64 * 1024
# After a chunk of more than this a stream lets others run.
_TURN = 8 * 1024
IDLE_SECONDS = 75.0
REQUEST_SECONDS = 30.0
WRITE_SECONDS = 60.0

_REQUEST_LINE = re.compile(rb"(?P<method>[A-Z]{1,32}) (?P<path>/[^\s?]*)\S* HTTP/1\.[01]\r\n")
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class _Refused(Exception):
    """A request that cannot be read: answered once, then the connection is closed."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Connection(asyncio.Protocol):
    """The server's side of one connection."""

    def __init__(
        self,
        handler: Handler,
        max_body: int,
        connections: set[Connection],
        request_seconds: float | None = None,
        joined: Callable[[], None] = lambda: None,
    ) -> None:
        self._handler = handler
        self._max_body = max_body
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._requests: deque[tuple[Request, bool] | _Refused] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport
        self._peer = ""
        self._certificate: ClientCertificate | None = None
        self._streaming = False
        self._serving = False
        self._closing = False
        self._completed = 0
        self._reset()
        self._request_seconds = request_seconds or REQUEST_SECONDS
        self._joined = joined
        self._idle_from = self._loop.time()
        self._deadline = self._idle_from + self._request_seconds
        self.task: asyncio.Task[None] | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        self._certificate = _certificate_of(transport)
        self._connections.add(self)
        # The connection owns this task and the server ends it: see HttpServer.stop.
        self.task = self._loop.create_task(self._serve(), name="http connection")
        self._joined()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._connections.discard(self)
        self._wake()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._streaming and self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        completed = self._completed
        try:
            self._parser.feed_data(data)
            if self._in_head and completed == self._completed:
                self._head_size += len(data)
                if self._head_size > MAX_HEAD:
                    raise _Refused(431, "the request's head is too large")
        except _Refused as refused:
            self._refuse(refused)
        except httptools.HttpParserUpgrade:
            # The request was parsed and gets its answer; what follows is not HTTP.
            self._transport.pause_reading()
        except httptools.HttpParserError as error:
            cause = error.__context__
            refusal = cause if isinstance(cause, _Refused) else _Refused(400, "the request is not HTTP/1.1")
            line = _REQUEST_LINE.match(data)
            if line and isinstance(error, httptools.HttpParserInvalidMethodError):
                # The parser knows a list of methods; what another one means is the handler's to say.
                self._hand_on(line["method"].decode(), line["path"].decode("latin-1"))
            else:
                self._refuse(refusal)
        if len(self._requests) > _MOST_WAITING:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()
        self._deadline = self._loop.time() + WRITE_SECONDS

    def resume_writing(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
        self._deadline = float("inf")

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._reset()
        if not self._requests and self._arrived is not None:
            self._deadline = self._loop.time() + self._request_seconds

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if len(self._headers) > _MOST_FIELDS:
            raise _Refused(431, "the request has too many header fields")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_size = 0
        length = self._headers.get("content-length", "")
        if length and (len(length) > 12 or int(length) > self._max_body):
            raise _Refused(413, "the request's body is too large")
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._max_body:
            raise _Refused(413, "the request's body is too large")
        self._body.append(body)

    def on_message_complete(self) -> None:
        path, _, query = self._url.partition(b"?")
        text = path.decode("latin-1")
        request = Request(
            method=self._parser.get_method().decode("ascii"),
            path=unquote(text) if "%" in text else text,
            query=_parse_query(query),
            headers=self._headers,
            body=self._body[0] if len(self._body) == 1 else b"".join(self._body),
            peer=self._peer,
            certificate=self._certificate,
        )
        keep = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._requests.append((request, keep))
        self._completed += 1
        self._in_head = True
        self._deadline = float("inf")
        self._wake()

    # Serving.

    async def _serve(self) -> None:
        """Answer request after request until the connection ends."""
        try:
            while True:
                while not self._requests:
                    if self._closing:
                        return
                    self._arrived = self._loop.create_future()
                    await self._arrived
                    self._arrived = None
                waiting = self._requests.popleft()
                if isinstance(waiting, _Refused):
                    self._write(Response(waiting.status, f"{waiting}\n".encode(), "text/plain"), False)
                    break
                request, keep = waiting
                self._serving = True
                if not await self._respond(request, keep) or not keep or self._closing:
                    break
                self._idle_from = self._loop.time()
                self._deadline = self._idle_from + IDLE_SECONDS
                self._serving = False
                if len(self._requests) == _MOST_WAITING:
                    self._transport.resume_reading()
        except ConnectionLost:
            self._transport.abort()
        except ConnectionError:
            log.debug("reader went away", peer=self._peer)
        finally:
            self._closing = True
            self._transport.close()

    async def _respond(self, request: Request, keep: bool) -> bool:
        """Serve one request; say whether the connection can go on."""
        try:
            response = await self._handler(request)
        except ConnectionLost:
            raise
        except Exception as error:  # noqa: BLE001 - a process edge: one broken request must not end the server
            log.error("handler failed", path=request.path, error=repr(error))
            response = Response(500, b"internal error\n", "text/plain")
        if isinstance(response.body, bytes):
            if not self._closing:
                self._write(response, keep, bodiless=request.method == "HEAD")
                await self._drain()
            return True
        return await self._stream(response, response.body)

    def _write(self, response: Response, keep: bool, *, bodiless: bool = False) -> None:
        body = cast(bytes, response.body)
        head = _head(response, f"Content-Length: {len(body)}\r\n" + ("" if keep else "Connection: close\r\n"))
        if bodiless:
            self._transport.write(head)
        elif len(body) < _SMALL:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    async def _stream(self, response: Response, body: AsyncGenerator[bytes, None]) -> bool:
        async with aclosing(body) as chunks:
            if self._closing:
                return False
            self._streaming = True
            try:
                self._transport.write(_head(response, "Transfer-Encoding: chunked\r\n"))
                async for chunk in chunks:
                    if chunk:
                        self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                        await self._drain()
                        if len(chunk) > _TURN:
                            await self._turn()
                self._transport.write(b"0\r\n\r\n")
            except ConnectionLost:
                # What was sent before the break must still arrive: a cut watch ends mid-line, not empty.
                self._transport.close()
                return False
            except Exception as error:  # noqa: BLE001 - a process edge, as above
                log.error("stream failed", error=repr(error))
                self._transport.abort()
                return False
            finally:
                self._streaming = False
        return True

    async def _turn(self) -> None:
        """Let others run: a stream with a quick reader would otherwise have the loop to itself."""
        turned = self._loop.create_future()
        self._loop.call_soon(_finish, turned)
        await turned

    async def _drain(self) -> None:
        if self._drained is not None:
            await self._drained

    # The server's view.

    @property
    def idle_since(self) -> float | None:
        """Return since when (loop time) no whole request has come; None while one is being served."""
        return None if self._serving or self._requests else self._idle_from

    def overdue(self, now: float) -> bool:
        """Say whether the other side has taken too long to send or to read (loop time)."""
        return now > self._deadline

    def abort(self) -> None:
        """Break the connection off."""
        self._transport.abort()

    def shut(self) -> None:
        """Close when nothing is being served; otherwise after the answer under way."""
        self._closing = True
        if self._arrived is not None or self._streaming:
            self._transport.close()
            self._wake()

    def _hand_on(self, method: str, path: str) -> None:
        """Let the handler answer a request of which nothing but its first line was read."""
        self._requests.append((Request(method, unquote(path), peer=self._peer), False))
        self._transport.pause_reading()
        self._wake()

    def _refuse(self, refused: _Refused) -> None:
        self._requests.append(refused)
        self._transport.pause_reading()
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._head_size = 0
        self._in_head = True


def _certificate_of(transport: asyncio.BaseTransport) -> ClientCertificate | None:
    """Return the certificate that the other side has shown, which TLS has verified; None for none."""
    tls = transport.get_extra_info("ssl_object")
    shown = tls.getpeercert(binary_form=True) if tls is not None else None
    if not shown:
        return None
    subject = [pair for part in tls.getpeercert().get("subject", ()) for pair in part]
    name = next((value for key, value in subject if key == "commonName"), "")
    organizations = tuple(value for key, value in subject if key == "organizationName")
    return ClientCertificate(name, organizations, hashlib.sha256(shown).hexdigest())


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _parse_query(query: bytes) -> tuple[tuple[str, str], ...]:
    if not query:
        return ()
    try:
        return tuple(parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise _Refused(400, "the query has too many fields") from None


def _head(response: Response, framing: str) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}\r\n"]
    lines.append(f"Content-Type: {response.content_type}\r\n{framing}")
    for name, value in (*response.headers.items(), *response.repeats):
        # A line break inside a value would let it write headers of its own.
        safe = value if "\n" not in value and "\r" not in value else " ".join(value.split())
        lines.append(f"{name}: {safe}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1", "replace")

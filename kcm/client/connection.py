"""One HTTP/1.1 connection: bytes in, parsed pieces out.

`Connection` feeds the parser, bounds what an answer may cost before it is understood, and sends
each request with one system call. Guarantees: at most `MAX_HEAD` bytes of header or chunk
framing are held; after any failure the socket is gone and `_failed` was called exactly once;
`send_now` either hands the bytes to the kernel at once or says that none were sent. It does not
know what is asked: `kcm.client.exchange` and `kcm.client.streaming` do. One task at a time.

What was given up must not arrive later: the kernel of a machine that was cut off would send the bytes
of a timed-out write again and again, also for a process that is gone, and deliver them when somebody
else has the Lease. So a connection that ends is reset, which drops what was not delivered, and while
its process stands still the kernel gives up when the request's time is out.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import cast

import httptools

from kcm.client.tls import TlsFilter
from kcm.client.transport import NotSent, Reset, TransportError, Unanswered

MAX_HEAD = 64 * 1024

_KEEPALIVE_IDLE = 15
_KEEPALIVE_INTERVAL = 5
_KEEPALIVE_PROBES = 3
_USER_TIMEOUT_MS = 30_000
_RESET = struct.pack("ii", 1, 0)


class Refused(Exception):
    """A parser callback does not accept the answer; the text says why."""


class Connection(asyncio.Protocol):
    """What both kinds of exchange need from a socket."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tls: TlsFilter | None) -> None:
        self._loop = loop
        self._tls = tls
        self._ready: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._status = 0
        self._head_bytes = 0
        self._unexplained = 0
        self._until_close = False
        self._heard = False
        self.expecting = False
        self.on_lost: Callable[[], None] | None = None
        self._plug: socket.socket | None = None
        self._kernel_seconds = 0.0

    # --- what the two kinds of exchange implement

    def _begun(self) -> None:
        """The final status and all headers are known."""

    def _body(self, piece: bytes) -> None:
        """A piece of the body has come."""

    def _ended(self, keep_alive: bool) -> None:
        """The body is complete."""

    def _failed(self, error: TransportError) -> None:
        """Nothing more will come."""

    # --- life

    async def ready(self) -> None:
        """Wait until requests can be sent. `NotSent` when the connection or TLS fails."""
        await self._ready

    @property
    def usable(self) -> bool:
        """Say whether another request may be sent, as far as is known."""
        return self._descriptor >= 0 and not self.expecting

    def abort(self) -> None:
        """Drop the connection now."""
        self._descriptor = -1
        self.expecting = False
        if self._transport is not None:
            self._transport.abort()

    def hang_up(self, reason: str) -> None:
        """Drop the connection; who waits for an answer learns the reason."""
        self._fail(Unanswered(reason))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but ancestry.
        self._transport = cast(asyncio.Transport, transport)
        plug = transport.get_extra_info("socket")
        self._descriptor = plug.fileno()
        self._plug = plug
        _tune(plug)
        if self._tls is None:
            self._ready.set_result(None)
        else:
            self._transport.write(self._tls.start())

    def give_up_after(self, seconds: float) -> None:
        """Let the kernel, too, end the connection when what was sent is not acknowledged for so long."""
        if seconds != self._kernel_seconds and self._plug is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            self._kernel_seconds = seconds
            milliseconds = min(max(1, int(seconds * 1000)), _USER_TIMEOUT_MS)
            self._plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._descriptor = -1
        self._plug = None
        if self.on_lost is not None:
            # The loop closes the socket behind this call: then its descriptor is free.
            self._loop.call_soon(self.on_lost)
        whole = exc is None and (self._tls is None or self._tls.ended)
        if self.expecting and self._until_close and whole:
            self.expecting = False
            self._ended(keep_alive=False)
            return
        why = f": {exc}" if exc else ""
        if self._heard:
            self._fail(Unanswered(f"connection closed in the middle of an answer{why}"))
        else:
            self._fail(Reset(f"connection closed before an answer came{why}"))

    # --- sending

    def send_now(self, data: bytes) -> None:
        """Hand `data` to the kernel. `NotSent` when not one byte went out.

        The loop's own write may wait for the end of the loop turn; what passed the fence must
        not. What the kernel does not take at once is left to the loop.
        """
        transport = self._transport
        if transport is None or self._descriptor < 0 or transport.is_closing():
            raise NotSent("connection is closed")
        if self._tls is not None:
            data = self._tls.encrypt(data)
        self._heard = False
        self._unexplained = 0
        self.expecting = True
        sent = 0
        try:
            sent = os.write(self._descriptor, data)
        except BlockingIOError:
            pass
        except OSError as error:
            self.abort()
            self.expecting = False
            raise NotSent(f"connection is gone: {error.strerror}") from None
        if sent < len(data):
            transport.write(data[sent:])

    # --- receiving

    def data_received(self, data: bytes) -> None:
        if self._descriptor < 0:
            return
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
            if not data:
                return
        if not self.expecting:
            # Nobody asked: an answer to nothing would be taken for that of the next request.
            self.abort()
            return
        self._heard = True
        self._unexplained += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Unanswered("server wants to change the protocol"))
        except httptools.HttpParserError as error:
            cause = error.__context__
            reason = str(cause) if isinstance(cause, Refused) else f"not HTTP: {error}"
            self._fail(Unanswered(reason))
        if self._unexplained > MAX_HEAD + len(data):
            self._fail(Unanswered(f"more than {MAX_HEAD} bytes of header or chunk framing"))
        if self._tls is not None and self._tls.ended and self._transport is not None:
            self._transport.close()

    def _decrypt(self, tls: TlsFilter, data: bytes) -> bytes:
        try:
            plain = tls.feed(data)
        except ssl.SSLError as error:
            self._refuse_tls(error)
            return b""
        if (answer := tls.to_send()) and self._transport is not None:
            self._transport.write(answer)
        if tls.established and not self._ready.done():
            self._ready.set_result(None)
        if tls.ended and not plain and self._transport is not None:
            self._transport.close()
        return plain

    def _refuse_tls(self, error: ssl.SSLError) -> None:
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = f"server certificate refused: {error.verify_message}"
        else:
            reason = f"TLS failed: {error.reason or error}"
        if self._ready.done():
            self._fail(Unanswered(reason))
        else:
            self._fail(NotSent(reason))

    def _fail(self, error: TransportError) -> None:
        if not self._ready.done():
            unsent = error if isinstance(error, NotSent) else NotSent(f"could not connect: {error}")
            self._ready.set_exception(unsent)
            self._ready.exception()  # nobody may be waiting any more
        if self.expecting:
            self.expecting = False
            self._failed(error)
        self.abort()

    # --- parser callbacks

    def on_message_begin(self) -> None:
        if not self.expecting:
            raise Refused("an answer to nothing")
        self._headers = {}
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD:
            raise Refused(f"headers are longer than {MAX_HEAD} bytes")
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status < 200:
            return
        headers = self._headers
        if headers.get("content-encoding", "identity") != "identity":
            raise Refused(f"answer is {headers['content-encoding'][:20]}, which was not asked for")
        framed = "content-length" in headers or "transfer-encoding" in headers
        self._until_close = not framed and self._status not in (204, 304)
        self._begun()

    def on_body(self, piece: bytes) -> None:
        self._unexplained = 0
        self._body(piece)

    def on_message_complete(self) -> None:
        if self._status < 200:
            return
        self.expecting = False
        self._ended(self._parser.should_keep_alive())


def _tune(plug: socket.socket) -> None:
    """Make a dead peer noticeable within half a minute, small requests go out at once, and an end a reset."""
    plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    for name, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", _KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", _USER_TIMEOUT_MS),
    ):
        if hasattr(socket, name):  # not every system has every one
            plug.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

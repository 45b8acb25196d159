"""What it means to send a request, whoever carries it.

`Transport` is implemented by `kcm.client.http.HttpTransport` (sockets) and by in-process
transports of tests and the sandbox. Every implementation guarantees: a request ends within its
`timeout`; `guard` is called right before the bytes of the request leave, and what it raises
refuses the request and reaches the caller unchanged; a failure says whether the server may have
acted: `NotSent` (certainly not) or `Unanswered` (unknown). A status code is never an error here,
redirects are never followed, nothing is repeated except once after a 401 that new credentials
can cure. Values are frozen; a transport owns its connections.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from kcm.base.errors import KcmError

Headers = tuple[tuple[str, str], ...]

MAX_BODY = 16 * 1024 * 1024


class TransportError(KcmError):
    """No complete answer came back. The type says whether the request may have had an effect."""


class NotSent(TransportError):
    """Certainly not processed: refused, unresolved, no credentials, fenced before sending."""


class Unanswered(TransportError):
    """Sent, or partly; whether the server acted is unknown: time-out, nonsense, cut connection."""


class Reset(Unanswered):
    """The connection ended before any byte of the answer. A read may be repeated."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """One request. `target` is path and query, percent-encoded; `timeout` is seconds for all of it.

    For a stream, `timeout` ends with the response headers, and `idle` is the longest silence
    (seconds) that is accepted after them; 0 accepts any. `max_body` is bytes; a larger answer
    is an error (not for streams, which are read piece by piece). `traceparent`, if any, is sent as the
    header of that name: it differs for every request, and headers do not.
    """

    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""
    timeout: float = 10.0
    guard: Callable[[], None] | None = None
    max_body: int = MAX_BODY
    idle: float = 0.0
    traceparent: str = ""


class Response(msgspec.Struct, frozen=True):
    """One complete answer. Header names are lower case; of a repeated header the last one counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Stream(Protocol):
    """An answer whose body is read as it comes, in pieces of any size.

    Iteration ends when the server ends the body; it raises `Unanswered` when the body is cut
    or nothing comes for the idle time.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def expect_within(self, seconds: float) -> None:
        """Change the longest accepted silence; 0 accepts any."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Transport(Protocol):
    """Carries requests to one server."""

    @property
    def host(self) -> str:
        """Return host and port, as metrics name them."""
        ...

    async def send(self, request: Request) -> Response:
        """Send and wait for the complete answer. Raises `NotSent`, `Unanswered`, or what `guard` raised."""
        ...

    def open(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """Send and return when the headers are there; leaving the context ends the stream."""
        ...

    async def close(self) -> None:
        """End all connections; requests in flight fail."""
        ...

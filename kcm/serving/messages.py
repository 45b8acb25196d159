"""Requests and responses as plain values, and the contract of a handler.

Everything that serves HTTP in kcm is a function from `Request` to `Response`; what carries the
bytes is `kcm.serving.http`. Owns no state.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Whom a verified client certificate names; `fingerprint` is the SHA-256 of the whole, in hex."""

    common_name: str
    organizations: tuple[str, ...] = ()
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `path` is decoded; header names are lower case; `query` keeps order and repeats.

    `certificate` is the client's, where the connection is TLS and asks for one.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: str = ""
    certificate: ClientCertificate | None = None

    def parameter(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        for key, value in self.query:
            if key == name:
                return value
        return default


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. A body that is an async generator is sent chunk by chunk, each flushed at once.

    `repeats` are header fields whose names are there once more than `headers` can hold.
    """

    status: int = 200
    body: bytes | AsyncGenerator[bytes, None] = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    repeats: tuple[tuple[str, str], ...] = ()


class ConnectionLost(Exception):
    """A handler (or its stream) raises this to break the connection off without an answer."""


Handler = Callable[[Request], Awaitable[Response]]

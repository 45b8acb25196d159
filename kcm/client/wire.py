"""The bytes of a request's head.

Guarantees that nothing but visible ASCII gets into the request line and no line break into a
header, so that no value from an object or a token file can smuggle in a second request. Heads
are cached by their header tuple, because a client sends the same few for ever.
"""

from __future__ import annotations

import re

from kcm.client.transport import Headers, NotSent, Request

_TARGET = re.compile(r"/[!-~]*")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t -~]*")

_CACHED_HEADS = 64


def header_lines(headers: Headers) -> bytes:
    """Return the header block without its closing empty line; `NotSent` for illegal text."""
    for name, value in headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            # The value stays out of the message: it may be a token.
            raise NotSent(f"header {name!r} has characters that HTTP does not allow")
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("ascii")


class Heads:
    """Renders requests for one server; `common` goes into every one (host, authorization)."""

    def __init__(self, prefix: str, common: Headers) -> None:
        self._prefix = prefix
        self._common = header_lines(common)
        self._cache: dict[Headers, bytes] = {}

    def render(self, request: Request) -> bytes:
        """Return the whole request, head and body, as one piece. `NotSent` for illegal text."""
        target = self._prefix + request.target
        if not _TARGET.fullmatch(target):
            raise NotSent(f"not a request target: {target[:200]!r}")
        lines = self._cache.get(request.headers)
        if lines is None:
            lines = self._remember(request.headers)
        if request.traceparent:
            lines += header_lines((("traceparent", request.traceparent),))
        body = request.body
        if body or request.method in ("POST", "PUT", "PATCH"):
            length = b"Content-Length: %d\r\n\r\n" % len(body)
        else:
            length = b"\r\n"
        line = f"{request.method} {target} HTTP/1.1\r\n".encode("ascii")
        return b"".join((line, lines, length, body))

    def _remember(self, headers: Headers) -> bytes:
        if len(self._cache) >= _CACHED_HEADS:
            self._cache.clear()
        lines = self._cache[headers] = self._common + header_lines(headers)
        return lines

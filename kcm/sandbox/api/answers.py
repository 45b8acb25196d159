"""What every answer carries beside what it says: its audit id, how long it may be kept, its coding.

Guarantees: an answer is compressed only for who asks for it, only when it is long, and never if
it is a watch (reference: apiserver §3). Owns no state.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

from kcm.base.rng import Rng
from kcm.sandbox.api.errors import ApiFailure
from kcm.sandbox.api.records import encode
from kcm.serving.http import Request, Response

_UNKEPT = "no-cache, private"
_LONG = 128 * 1024
_LEVEL = 1
_MOST_WARNINGS = 10
# zlib's way to ask for a gzip header around the largest window.
_GZIP = 16 + zlib.MAX_WBITS
_CODING: Mapping[str, str] = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}


def stamped(response: Response, request: Request, rng: Rng) -> Response:
    """Return the response with the headers that all have; its own go before them."""
    audit = request.headers.get("audit-id") or rng.uuid()
    headers = {"Audit-Id": audit, "Cache-Control": _UNKEPT, **response.headers}
    return replace(response, headers=headers)


def refused(failure: ApiFailure) -> Response:
    """Return the answer that a failure is."""
    if failure.plain:
        headers = {"X-Content-Type-Options": "nosniff"}
        return Response(failure.code, failure.message.encode(), "text/plain; charset=utf-8", headers)
    headers, repeats = warning_fields(failure.warnings)
    if failure.retry_after is not None:
        headers["Retry-After"] = str(failure.retry_after)
    return Response(failure.code, encode(failure.status()), headers=headers, repeats=repeats)


def warning_fields(warnings: Sequence[str]) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """Return the header fields that tell warnings, one for each: `headers` and `repeats` of a response."""
    if not warnings:
        return {}, ()
    texts = [text.replace("\\", "\\\\").replace('"', '\\"') for text in warnings[:_MOST_WARNINGS]]
    first, *others = [f'299 - "{text}"' for text in texts]
    return {"Warning": first}, tuple(("Warning", text) for text in others)


def squeezed(response: Response, request: Request) -> Response:
    """Return a response that is no watch, compressed if that was asked for and is worth it."""
    body = response.body
    if isinstance(body, bytes) and len(body) <= _LONG:
        return response
    if not _wants_gzip(request.headers.get("accept-encoding", "")):
        return response
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    headers = {**response.headers, **_CODING}
    if isinstance(body, bytes):
        return replace(response, body=packer.compress(body) + packer.flush(), headers=headers)
    return replace(response, body=_packed(body, packer), headers=headers)


def _wants_gzip(text: str) -> bool:
    return any(part.partition(";")[0].strip() == "gzip" for part in text.split(","))


async def _packed(pieces: AsyncGenerator[bytes, None], packer: zlib._Compress) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in pieces:
            if packed := packer.compress(piece):
                yield packed
        yield packer.flush()
    finally:
        await pieces.aclose()

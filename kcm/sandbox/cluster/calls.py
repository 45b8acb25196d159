"""The API as the simulated components call it: in process, through the server's own handler.

`Api` builds requests like those of a real scheduler or kubelet and turns answers into bytes or
`Refused`. Guarantees: no socket is involved, so it runs in virtual time; nothing is cached or
repeated here. Speaks JSON only. Owns no state.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from kcm.base.errors import KcmError
from kcm.serving.http import ConnectionLost, Handler, Request, Response

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON = "application/json"

_encode = msgspec.json.Encoder().encode


class _Reason(msgspec.Struct, frozen=True):
    reason: str = ""
    message: str = ""


_read_status = msgspec.json.Decoder(_Reason).decode


class Refused(KcmError):
    """The API server said no. `code` is the HTTP status (0: no answer), `reason` the Status's reason."""

    def __init__(self, what: str, code: int, reason: str, message: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{what}: {code} {reason}: {message}")


class Api:
    """Calls one handler in the name of one component."""

    def __init__(self, handler: Handler, component: str) -> None:
        self._handler = handler
        self._headers = {"user-agent": f"{component}/sandbox", "accept": JSON}

    async def get(self, path: str, **query: str) -> bytes:
        """Return an object or a list; Refused when there is none."""
        return await self._call("GET", path, b"", "", query)

    async def create(self, path: str, body: Any) -> bytes:
        """POST; return the created object."""
        return await self._call("POST", path, _encode(body), JSON, {})

    async def patch(self, path: str, body: Any, kind: str = STRATEGIC) -> bytes:
        """PATCH; return the object after it."""
        return await self._call("PATCH", path, _encode(body), kind, {})

    async def delete(self, path: str, options: Any) -> bytes:
        """DELETE with options."""
        return await self._call("DELETE", path, _encode(options), JSON, {})

    async def watch(self, path: str, **query: str) -> AsyncGenerator[bytes, None]:
        """Open a watch; return its body, which the caller must close."""
        answer = await self._send("GET", path, b"", "", {**query, "watch": "true"})
        if isinstance(answer.body, bytes):
            raise _refusal(f"watch {path}", answer.status, answer.body)
        if answer.status != 200:
            await answer.body.aclose()
            raise Refused(f"watch {path}", answer.status, "", "no body")
        return answer.body

    async def _call(self, method: str, path: str, body: bytes, kind: str, query: dict[str, str]) -> bytes:
        answer = await self._send(method, path, body, kind, query)
        got = answer.body
        if not isinstance(got, bytes):
            # A long list comes in pieces.
            got = b"".join([piece async for piece in got])
        if answer.status >= 300:
            raise _refusal(f"{method} {path}", answer.status, got)
        return got

    async def _send(self, method: str, path: str, body: bytes, kind: str, query: dict[str, str]) -> Response:
        headers = {**self._headers, "content-type": kind} if kind else self._headers
        request = Request(method=method, path=path, query=tuple(query.items()), headers=headers, body=body)
        try:
            return await self._handler(request)
        except ConnectionLost as error:
            raise Refused(f"{method} {path}", 0, "ConnectionLost", str(error)) from error


def _refusal(what: str, code: int, body: bytes) -> Refused:
    try:
        status = _read_status(body)
    except msgspec.MsgspecError:
        status = _Reason(message=body[:200].decode(errors="replace"))
    return Refused(what, code, status.reason, status.message)

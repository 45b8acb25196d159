"""A trivial HTTP server that answers every request with a created pod: the client's counterpart.

Run as a process; prints its port. It answers each complete request, whatever it says.
"""

from __future__ import annotations

import asyncio

import uvloop

ANSWER_BODY = b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":"%s"}' % (b"x" * 1700)
ANSWER = (
    b"HTTP/1.1 201 Created\r\nAudit-Id: 7b0b1f2e-1111-4222-8333-444455556666\r\n"
    b"Cache-Control: no-cache, private\r\nContent-Type: application/json\r\n"
    b"X-Kubernetes-Pf-Flowschema-Uid: 7b0b1f2e-1111-4222-8333-444455556666\r\n"
    b"X-Kubernetes-Pf-Prioritylevel-Uid: 7b0b1f2e-1111-4222-8333-444455556666\r\n"
    b"Date: Mon, 01 Jan 2026 00:00:00 GMT\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(ANSWER_BODY), ANSWER_BODY)
)


class Answering(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            start = self._held.lower().find(b"content-length:", 0, end)
            length = int(self._held[start + 15 : self._held.find(b"\r\n", start)]) if start >= 0 else 0
            if len(self._held) < end + 4 + length:
                return
            self._held = self._held[end + 4 + length :]
            self._transport.write(ANSWER)  # type: ignore[attr-defined]  # uvloop's has it


async def serve() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())

"""The network service, over HTTP. A real one would have a client of its own; here, forty lines do."""

from __future__ import annotations

import asyncio

import msgspec

LONGEST_ANSWER = 64 * 1024


class Refused(Exception):
    """The service understood, and does not want to."""


class External(msgspec.Struct, frozen=True):
    """A network as the service has it."""

    cidr: str
    gateway: str = ""
    owner: str = ""

    def suits(self, wanted: External) -> bool:
        """Say whether it is as wanted; a gateway that nobody asked for is the service's choice."""
        return self.cidr == wanted.cidr and wanted.gateway in ("", self.gateway)


class HttpNetworks:
    """Asks the service; each question has a connection of its own."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.rpartition(":")

    async def find(self, identity: str) -> External | None:
        """Return a network, None when there is none."""
        status, body = await self._ask("GET", identity)
        return msgspec.json.decode(body, type=External) if status == 200 else None

    async def put(self, identity: str, network: External) -> None:
        """Make or change a network."""
        await self._ask("PUT", identity, msgspec.json.encode(network))

    async def remove(self, identity: str) -> None:
        """Remove a network; that there is none is fine."""
        await self._ask("DELETE", identity)

    async def _ask(self, method: str, identity: str, body: bytes = b"") -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(self._host, int(self._port))
        try:
            head = f"{method} /networks/{identity} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = b""
            while piece := await reader.read(LONGEST_ANSWER):
                answer += piece
                if len(answer) > LONGEST_ANSWER:
                    raise OSError("the answer is too long")
        finally:
            writer.close()
        first, _, content = answer.partition(b"\r\n\r\n")
        words = first.split(None, 2)
        if len(words) < 2 or not words[1].isdigit():
            raise OSError("the answer is not HTTP")
        status = int(words[1])
        if 400 <= status < 500 and status != 404:
            raise Refused(content.decode("utf-8", "replace").strip()[:256])
        if status >= 500:
            raise OSError(f"it answered {status}")
        return status, content

"""What a client has given up, its kernel must not deliver later: it takes back what it sent."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uvloop

from kcm.client.credentials import Credentials, FixedCredentials
from kcm.client.http import HttpTransport
from kcm.client.reserve import Reserve
from kcm.client.transport import Request, Unanswered

LOOPS = pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.new_event_loop])


def transport_to(port: int, reserve: Reserve | None = None) -> HttpTransport:
    source = FixedCredentials(Credentials(server=f"http://127.0.0.1:{port}"))
    return HttpTransport(source, reserve=reserve)


def read_to_the_end(peer: socket.socket) -> tuple[bytes, str]:
    """Return what arrived and how it ended: a kernel that still holds unsent bytes ends in order."""
    peer.settimeout(60)
    data = b""
    try:
        while piece := peer.recv(10_000):
            data += piece
    except ConnectionResetError:
        return data, "reset"
    return data, "in order"


@LOOPS
def test_a_write_whose_time_is_out_is_taken_back(factory: Any) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            transport = transport_to(listening.getsockname()[1])
            with pytest.raises(Unanswered):
                await transport.send(Request("POST", "/pods", body=b"{}", timeout=0.05))
            peer, _ = await asyncio.to_thread(listening.accept)
            with peer:
                data, end = await asyncio.to_thread(read_to_the_end, peer)
            assert end == "reset"
            assert data in (b"", b"POST /pods") or data.startswith(b"POST /pods HTTP/1.1\r\n")
            await transport.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(scenario())


def test_a_process_that_is_killed_takes_back_what_was_not_answered() -> None:
    source = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from kcm.client.credentials import Credentials, FixedCredentials
from kcm.client.http import HttpTransport
from kcm.client.transport import Request
transport = HttpTransport(FixedCredentials(Credentials(server=sys.argv[1])))
asyncio.run(transport.send(Request("POST", "/pods", body=b"{{}}", timeout=60.0)))
"""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with subprocess.Popen([sys.executable, "-c", source, url]) as child:
            try:
                peer, _ = listening.accept()
                with peer:
                    peer.settimeout(60)
                    assert peer.recv(10_000).startswith(b"POST /pods")
                    os.kill(child.pid, signal.SIGKILL)
                    assert read_to_the_end(peer) == (b"", "reset")
            finally:
                child.kill()


@LOOPS
def test_with_a_reserve_requests_work_as_without_and_nothing_is_left_open(factory: Any) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reserve = Reserve(3)
        transport = transport_to(server.sockets[0].getsockname()[1], reserve)
        for _ in range(3):
            assert (await transport.send(Request("GET", "/x"))).status == 200
        assert reserve.spares == 3
        await transport.close()
        assert reserve.spares == 0
        server.close()

    before = len(os.listdir("/proc/self/fd"))
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(scenario())
    assert len(os.listdir("/proc/self/fd")) == before

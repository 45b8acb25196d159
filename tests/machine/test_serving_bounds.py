"""A server under people who hold its connections open, and whose certificate rotates."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from kcm.base.errors import ConfigurationError
from kcm.serving.certificates import ServerCertificate
from kcm.serving.http import HttpServer, Request, Response
from kcm.telemetry.metrics import Metrics

T = TypeVar("T")
PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs openssl to make certificates"
)


def on_real_sockets(scenario: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(scenario)


async def fine(request: Request) -> Response:
    return Response(200, b"ok", "text/plain")


async def ask(port: int, request: bytes = PROBE, tls: ssl.SSLContext | None = None) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def closed(reader: asyncio.StreamReader) -> bool:
    """Say whether the other side ends the connection within a moment."""
    try:
        async with asyncio.timeout(1.0):
            return await reader.read(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_those_who_send_slowly_and_hold_every_connection_keep_no_probe_out() -> None:
    async def scenario() -> None:
        server = HttpServer(fine, max_connections=8)
        port = await server.start("127.0.0.1", 0)
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        try:
            for _, writer in slow:
                writer.write(b"GET /livez HTTP/1.1\r\nX-")
            for _ in range(30):
                async with asyncio.timeout(60.0):
                    assert (await ask(port)).startswith(b"HTTP/1.1 200")
            gone = await asyncio.gather(*(closed(reader) for reader, _ in slow))
            assert sum(gone) >= 12
        finally:
            for _, writer in slow:
                writer.close()
            await server.stop()

    on_real_sockets(scenario())


def test_where_all_are_being_served_a_new_one_is_turned_away_and_nobody_is_cut_off() -> None:
    async def scenario() -> None:
        go, all_there = asyncio.Event(), asyncio.Event()
        there: list[Request] = []

        async def slowly(request: Request) -> Response:
            there.append(request)
            if len(there) == 8:
                all_there.set()
            await go.wait()
            return Response(200, b"ok", "text/plain")

        server = HttpServer(slowly, max_connections=8)
        port = await server.start("127.0.0.1", 0)
        served = [asyncio.ensure_future(ask(port)) for _ in range(8)]
        async with asyncio.timeout(60.0):
            await all_there.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await closed(reader)
        go.set()
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in await asyncio.gather(*served))
        writer.close()
        await server.stop()

    on_real_sockets(scenario())


def make_pair(folder: Path, name: str) -> None:
    """Put a certificate of that name into c.pem and k.pem."""
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", str(folder / "k.new"), "-out", str(folder / "c.new"), "-days", "2"]
    command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    os.replace(folder / "k.new", folder / "k.pem")
    os.replace(folder / "c.new", folder / "c.pem")


@needs_openssl
def test_a_rotated_certificate_is_served_and_one_that_does_not_fit_is_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        make_pair(tmp_path, "first")
        pair = ServerCertificate(str(tmp_path / "c.pem"), str(tmp_path / "k.pem"), Metrics())
        server = HttpServer(fine)
        port = await server.start("127.0.0.1", 0, pair.context)

        async def shown() -> bytes:
            # A thread that waits for a server which serves no more would keep the loop from closing.
            pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port), timeout=20.0)
            return ssl.PEM_cert_to_DER_cert(pem)

        assert b"first" in await shown()
        trust = ssl.create_default_context(cafile=str(tmp_path / "c.pem"))
        trust.check_hostname = False
        assert (await ask(port, PROBE, trust)).startswith(b"HTTP/1.1 200")
        make_pair(tmp_path, "second")
        pair.look()
        assert b"second" in await shown()
        key = (tmp_path / "k.pem").read_bytes()
        make_pair(tmp_path, "third")
        (tmp_path / "k.pem").write_bytes(key)
        pair.look()
        assert b"second" in await shown(), "certificate and key of different pairs"
        (tmp_path / "c.pem").unlink()
        pair.look()
        (tmp_path / "c.pem").write_text("torn")
        pair.look()
        assert b"second" in await shown()
        make_pair(tmp_path, "fourth")
        pair.look()
        assert b"fourth" in await shown()
        await server.stop()

    on_real_sockets(scenario())


def test_a_certificate_that_cannot_be_used_at_the_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"serving\.tlsCertFile"):
        ServerCertificate(str(tmp_path / "none"), str(tmp_path / "none"), Metrics())

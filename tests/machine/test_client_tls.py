"""TLS: who is trusted, and what a cut or refused session looks like."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
import uvloop

from kcm.base.errors import ConfigurationError
from kcm.client.credentials import Credentials, FixedCredentials, address_of, ssl_context
from kcm.client.http import HttpTransport
from kcm.client.transport import NotSent, Request, Unanswered

T = TypeVar("T")

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make certificates")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and `api.test`, as c.pem and k.pem."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", str(folder / "k.pem"), "-out", str(folder / "c.pem"), "-days", "2", "-subj", "/CN=kcm",
            "-addext", "subjectAltName=IP:127.0.0.1,DNS:api.test",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return folder


def on_real_sockets(scenario: Coroutine[Any, Any, T], factory: Any = uvloop.new_event_loop) -> T:
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(scenario)


@asynccontextmanager
async def serving(
    folder: Path, reply: bytes, *, close: bool = False, mutual: bool = False
) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c.pem", folder / "k.pem")
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "c.pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(reply)
                await writer.drain()
                if close:
                    writer.transport.abort()
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def ask(credentials: Credentials, times: int = 1) -> bytes:
    transport = HttpTransport(FixedCredentials(credentials))
    try:
        for _ in range(times):
            response = await transport.send(Request("GET", "/x", timeout=5.0))
        return response.body
    finally:
        await transport.close()


BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_server_whose_authority_is_known_is_trusted(authority: Path, factory: Any) -> None:
    async def scenario() -> None:
        async with serving(authority, BIG) as port:
            ca = (authority / "c.pem").read_text()
            body = await ask(Credentials(server=f"https://127.0.0.1:{port}", ca_pem=ca), times=3)
            assert len(body) == 1_000_000

    on_real_sockets(scenario(), factory)


def test_an_unknown_authority_or_another_name_is_refused_before_anything_is_sent(authority: Path) -> None:
    async def scenario() -> None:
        async with serving(authority, OK) as port:
            server = f"https://127.0.0.1:{port}"
            ca = (authority / "c.pem").read_text()
            with pytest.raises(NotSent, match="certificate refused"):
                await ask(Credentials(server=server))
            with pytest.raises(NotSent, match="certificate refused"):
                await ask(Credentials(server=server, ca_pem=ca, tls_server_name="other.test"))
            assert await ask(Credentials(server=server, ca_pem=ca, tls_server_name="api.test")) == b"ok"
            assert await ask(Credentials(server=server, insecure=True)) == b"ok"

    on_real_sockets(scenario())


def test_a_client_certificate_is_shown(authority: Path) -> None:
    async def scenario() -> None:
        async with serving(authority, OK, mutual=True) as port:
            pem, private = (authority / "c.pem").read_text(), (authority / "k.pem").read_text()
            known = Credentials(server=f"https://127.0.0.1:{port}", ca_pem=pem)
            with pytest.raises((NotSent, Unanswered)):
                await ask(known)
            mine = msgspec.structs.replace(known, client_certificate_pem=pem, client_key_pem=private)
            assert await ask(mine) == b"ok"

    on_real_sockets(scenario())


def test_an_answer_that_tls_did_not_end_properly_is_not_taken_as_whole(authority: Path) -> None:
    async def scenario() -> None:
        async with serving(authority, b"HTTP/1.1 200 OK\r\n\r\nhalf", close=True) as port:
            ca = (authority / "c.pem").read_text()
            with pytest.raises(Unanswered):
                await ask(Credentials(server=f"https://127.0.0.1:{port}", ca_pem=ca))

    on_real_sockets(scenario())


def test_a_server_that_does_not_speak_tls_is_an_error_in_time() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NotSent, match="TLS failed"):
            await ask(Credentials(server=f"https://127.0.0.1:{port}", insecure=True))
        server.close()

    on_real_sockets(scenario())


def test_pem_that_is_none_is_a_configuration_error_without_the_secret(authority: Path) -> None:
    pem = (authority / "c.pem").read_text()
    with pytest.raises(ConfigurationError):
        ssl_context(Credentials(server="https://h", ca_pem="rubbish"))
    with pytest.raises(ConfigurationError) as refusal:
        ssl_context(Credentials(server="https://h", client_certificate_pem=pem, client_key_pem="secret"))
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "server",
    [
        *("", "ftp://h", "https://", "https://u:p@h", "https://h:99999", "h:6443"),
        pytest.param(f"https://{'a' * 64}.example", id="a name that no resolver takes"),
        pytest.param("https://a..b", id="an empty label"),
    ],
)
def test_a_server_that_is_no_url_is_refused(server: str) -> None:
    with pytest.raises(ConfigurationError):
        address_of(server)


def test_credentials_travel_as_json_and_never_show_a_secret() -> None:
    mine = Credentials(server="https://h", authorization="Bearer hidden", client_key_pem="hidden")
    assert msgspec.json.decode(msgspec.json.encode(mine), type=Credentials) == mine
    assert "hidden" not in repr(mine)
    assert "hidden" not in str(mine)

"""Certificates, authorities and tokens of a kubeconfig that are replaced while kcm runs (fault 37)."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from kcm.base.clock import SystemClock
from kcm.client.http import HttpTransport
from kcm.client.kubeconfig import KubeconfigCredentials
from kcm.client.transport import NotSent, Request, Unanswered

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make certificates")


class MovableClock(SystemClock):
    """Time that tests push."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders, each with a self-signed certificate for 127.0.0.1: c.pem and k.pem."""
    folders = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    for folder in folders:
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-nodes", "-keyout", str(folder / "k.pem"), "-out", str(folder / "c.pem"), "-days", "2"]
        command += ["-subj", "/CN=kcm", "-addext", "subjectAltName=IP:127.0.0.1"]
        subprocess.run(command, check=True, capture_output=True)
    return folders


@asynccontextmanager
async def serving(folder: Path, seen: list[str], port: int = 0) -> AsyncIterator[int]:
    """Serve with that certificate, to those who show it, too; `seen` gets their Authorization."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c.pem", folder / "k.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(folder / "c.pem")

    served: dict[asyncio.Task[Any] | None, asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served[asyncio.current_task()] = writer
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                seen.extend(line[15:] for line in head.decode().split("\r\n") if line.startswith("Authoriz"))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in served.values():
            writer.transport.abort()
        await asyncio.gather(*filter(None, served), return_exceptions=True)
        await asyncio.sleep(0)


def give(folder: Path, pair: Path, *names: str) -> None:
    """Put these files of a pair into the folder of the kubeconfig."""
    for name in names or ("c.pem", "k.pem"):
        (folder / name).write_bytes((pair / name).read_bytes())


def kubeconfig(folder: Path, port: int, token: str, **user: object) -> str:
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": "c.pem"}
    who = {"client-certificate": "c.pem", "client-key": "k.pem", "token": token, **user}
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": cluster}],
        "users": [{"name": "u", "user": who}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def play(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def test_authority_certificate_and_key_are_replaced_together_or_not_at_all(
    tmp_path: Path, pairs: tuple[Path, Path]
) -> None:
    one, two = pairs

    async def scenario() -> None:
        give(tmp_path, one)
        clock = MovableClock()
        async with serving(one, []) as port:
            source = await KubeconfigCredentials.open([kubeconfig(tmp_path, port, "t")], clock, {})
            transport = HttpTransport(source)
            assert (await transport.send(Request("GET", "/x"))).status == 200
        async with serving(two, [], port):
            # The certificate is there, its key is not yet: what was good stays, and does not fit any more.
            give(tmp_path, two, "c.pem")
            clock.ahead += 20.0
            with pytest.raises((NotSent, Unanswered)):
                await transport.send(Request("GET", "/x"))
            give(tmp_path, two, "k.pem")
            with pytest.raises((NotSent, Unanswered)):
                await transport.send(Request("GET", "/x"))
            clock.ahead += 20.0
            assert (await transport.send(Request("GET", "/x"))).status == 200
        await transport.close()

    play(scenario)


def test_another_token_in_the_kubeconfig_is_used_and_another_way_to_log_in_is_not(
    tmp_path: Path, pairs: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    one, _ = pairs

    async def scenario() -> None:
        give(tmp_path, one)
        seen: list[str] = []
        async with serving(one, seen) as port:
            source = await KubeconfigCredentials.open(
                [kubeconfig(tmp_path, port, "first")], SystemClock(), {}
            )
            transport = HttpTransport(source)
            await transport.send(Request("GET", "/x"))
            for token in ("second", "", "third"):
                if token:
                    kubeconfig(tmp_path, port, token)
                else:
                    (tmp_path / "config").write_text("{torn")
                await source.refresh()
                await transport.send(Request("GET", "/x"))
            plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/false"}
            kubeconfig(tmp_path, port, "", exec=plugin)
            assert await source.refresh() is await source.current()
            await transport.send(Request("GET", "/x"))
            await transport.close()
        assert seen == ["Bearer first", "Bearer second", "Bearer second", "Bearer third", "Bearer third"]

    play(scenario)
    assert "kubeconfig cannot be used, keeping what it said before" in caplog.text

"""Credential plugins: programs that print an ExecCredential.

A kubeconfig that names a plugin runs code, so `ExecPolicy` has to allow the command, by its
absolute path, before it is run. Guarantees: no shell; a time limit, after which the plugin and
its children are killed; bounded output; no terminal; the answer is checked before it is used.
The plugin gets our environment without what steers Python and the dynamic loader, because a
virtual environment must not leak into another program. Blocks nothing: it runs beside the loop.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from kcm.base.errors import ConfigurationError
from kcm.base.timestamps import parse_time
from kcm.client.kubeconfig_file import ExecPlugin, Login
from kcm.client.token_file import looks_like_pem, looks_like_token
from kcm.client.transport import NotSent

_LONGEST_OUTPUT = 1024 * 1024
_LAST_WORDS = 2.0
_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_LOADER = ("LD_", "PYTHON", "VIRTUAL_ENV", "__PYVENV")


class ExecPolicy(msgspec.Struct, frozen=True):
    """Which plugins may run: all, or those in `allowed` (absolute paths, or names found on PATH)."""

    allow_all: bool = False
    allowed: tuple[str, ...] = ()

    def resolve(self, plugin: ExecPlugin, where: str) -> str:
        """Return the absolute path of the command. `ConfigurationError`: refused or not found."""
        key = "exec.command"
        path = _find(plugin.command, plugin.directory)
        if path is None:
            hint = f": {plugin.install_hint[:200]}" if plugin.install_hint else ""
            raise ConfigurationError(where, key, f"{plugin.command[:200]!r} is not an executable file{hint}")
        if self.allow_all or any(_find(entry, "/") == path for entry in self.allowed):
            return path
        reason = f"refused to run credential plugin {path}: to allow it, add it to client.execPlugins"
        raise ConfigurationError(where, key, reason)


class ExecAnswer(msgspec.Struct, frozen=True):
    """What a plugin gave. `expires` None: keep it until the server refuses it."""

    token: str = ""
    client_certificate_pem: str = ""
    client_key_pem: str = ""
    expires: datetime | None = None

    def __repr__(self) -> str:
        return f"ExecAnswer(expires={self.expires})"


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: str = ""


class _ExecCredential(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    status: _Status | None = None


def check_plugin(plugin: ExecPlugin, where: str) -> None:
    """Refuse what cannot work in a daemon. `ConfigurationError`."""
    if plugin.api_version not in _VERSIONS:
        reason = f"{plugin.api_version[:100]!r} is not supported: {' or '.join(_VERSIONS)}"
        raise ConfigurationError(where, "exec.apiVersion", reason)
    if plugin.interactive_mode == "Always":
        raise ConfigurationError(
            where, "exec.interactiveMode", "the plugin needs a terminal; a daemon has none"
        )


async def run_plugin(
    path: str, plugin: ExecPlugin, login: Login, environment: Mapping[str, str], timeout: float
) -> ExecAnswer:
    """Run it for at most `timeout` seconds. `NotSent` when it gives no usable credentials."""
    name = os.path.basename(path)
    try:
        process = await asyncio.create_subprocess_exec(
            path,
            *(plugin.args or ()),
            env=_environment(plugin, login, environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise NotSent(f"credential plugin {name} cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(timeout):
            output = await _output(process)
            code = await process.wait()
    except TimeoutError:
        raise NotSent(f"credential plugin {name} gave nothing within {timeout:g}s") from None
    finally:
        if process.returncode is None:
            await _end(process)
    if code != 0:
        raise NotSent(f"credential plugin {name} failed with exit code {code}")
    return read_answer(output, name, plugin.api_version)


def read_answer(output: bytes, name: str, version: str) -> ExecAnswer:
    """Return the checked content of an ExecCredential. `NotSent` when it is none."""
    try:
        answer = msgspec.json.decode(output, type=_ExecCredential)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotSent(f"credential plugin {name} printed no ExecCredential") from None
    status = answer.status
    if answer.kind != "ExecCredential" or answer.api_version != version or status is None:
        raise NotSent(f"credential plugin {name} printed no ExecCredential of {version} with a status")
    if bool(status.client_certificate_data) != bool(status.client_key_data):
        raise NotSent(f"credential plugin {name}: certificate and key belong together")
    if not status.token and not status.client_certificate_data:
        raise NotSent(f"credential plugin {name} gave neither token nor certificate")
    if status.token and not looks_like_token(status.token):
        raise NotSent(f"credential plugin {name}: the token has characters no token has")
    if status.client_certificate_data and not looks_like_pem(status.client_certificate_data.strip()):
        raise NotSent(f"credential plugin {name}: the certificate is not PEM")
    try:
        expires = parse_time(status.expiration_timestamp) if status.expiration_timestamp else None
    except ValueError:
        raise NotSent(f"credential plugin {name}: expirationTimestamp is not a time") from None
    return ExecAnswer(status.token, status.client_certificate_data, status.client_key_data, expires)


async def _output(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    pieces = []
    size = 0
    while piece := await process.stdout.read(65536):
        size += len(piece)
        if size > _LONGEST_OUTPUT:
            raise NotSent(f"a credential plugin printed more than {_LONGEST_OUTPUT} bytes")
        pieces.append(piece)
    return b"".join(pieces)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill it and wait until it is reaped; output that nobody read would keep `wait` from returning."""
    _kill(process)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_LAST_WORDS):
            while await process.stdout.read(65536):
                pass
            await process.wait()
    except TimeoutError:
        pass  # a grandchild in a session of its own holds the pipe: that is not ours to wait for


def _kill(process: asyncio.subprocess.Process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _environment(plugin: ExecPlugin, login: Login, ours: Mapping[str, str]) -> dict[str, str]:
    result = {name: value for name, value in ours.items() if not name.startswith(_LOADER)}
    result.update({variable.name: variable.value for variable in plugin.env or ()})
    spec: dict[str, Any] = {"interactive": False}
    if plugin.provide_cluster_info:
        cluster: dict[str, Any] = {"server": login.server}
        if login.ca_pem:
            cluster["certificate-authority-data"] = base64.b64encode(login.ca_pem.encode()).decode()
        if login.tls_server_name:
            cluster["tls-server-name"] = login.tls_server_name
        if login.insecure:
            cluster["insecure-skip-tls-verify"] = True
        spec["cluster"] = cluster
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    result["KUBERNETES_EXEC_INFO"] = msgspec.json.encode(info).decode()
    return result


def _find(command: str, directory: str) -> str | None:
    """Return the absolute path: as given, relative to the kubeconfig when it has a slash, else on PATH."""
    if "/" in command:
        command = os.path.join(directory, command)
    found = shutil.which(command)
    return os.path.realpath(found) if found is not None and os.path.isabs(found) else None

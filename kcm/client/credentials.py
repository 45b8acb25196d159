"""How to reach a server and prove who is asking, as one value.

`Credentials` is frozen and travels as JSON from the manager to its hosts, so that only one
process reads kubeconfigs and runs plugins. Its repr shows no secret. A `CredentialSource` gives
the present ones and, after a 401 or before expiry, newer ones. Guarantees: `ssl_context` never
turns verification off unless `insecure` says so, and private keys touch the disk only as an
anonymous in-memory file, where the system has those.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from kcm.base.errors import ConfigurationError


class Credentials(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Where and as whom. PEM fields are text; `authorization` is the whole header value.

    `server` is an http or https URL, whose path is put before every request's. `ca_pem` empty:
    the system's authorities. `expires` None: never, as far as is known.
    """

    server: str
    ca_pem: str = ""
    client_certificate_pem: str = ""
    client_key_pem: str = ""
    authorization: str = ""
    tls_server_name: str = ""
    insecure: bool = False
    expires: datetime | None = None

    def __repr__(self) -> str:
        return f"Credentials(server={self.server!r}, as={self._means()}, expires={self.expires})"

    def _means(self) -> str:
        if self.client_certificate_pem:
            return "client certificate"
        return (self.authorization.partition(" ")[0] or "unknown") if self.authorization else "anonymous"


class CredentialSource(Protocol):
    """Gives the credentials that hold now."""

    def current(self) -> Coroutine[Any, Any, Credentials]:
        """Return the present ones: the same object until something changes. `NotSent`: there are none."""
        ...

    def refresh(self) -> Coroutine[Any, Any, Credentials]:
        """Look for newer ones, because the server refused the present ones. The same when there are none."""
        ...


class FixedCredentials:
    """A source whose credentials never change by themselves; `replace` puts in others.

    Hosts use it: the manager sends them what its own source has, and `ask` (if given) is how a
    host tells the manager that the server refused it.
    """

    def __init__(
        self, credentials: Credentials, ask: Callable[[], Awaitable[Credentials]] | None = None
    ) -> None:
        self._credentials = credentials
        self._ask = ask

    def replace(self, credentials: Credentials) -> None:
        """Use other credentials from the next request on."""
        if credentials != self._credentials:
            self._credentials = credentials

    async def current(self) -> Credentials:
        return self._credentials

    async def refresh(self) -> Credentials:
        if self._ask is not None:
            self.replace(await self._ask())
        return self._credentials


class Address(msgspec.Struct, frozen=True):
    """A server URL taken apart."""

    host: str
    port: int
    tls: bool
    prefix: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def address_of(server: str, where: str = "server URL") -> Address:
    """Return the parts of a server URL. `ConfigurationError` when it is none that can be used."""
    try:
        parts = urlsplit(server)
        host, port = parts.hostname, parts.port
        # A name that cannot be looked up at all is no passing trouble: it raises where it is first used.
        (host or "").encode("idna")
    except ValueError as error:
        raise ConfigurationError(where, "server", f"{server[:200]!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(where, "server", f"{server[:200]!r} is not an http or https URL")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError(where, "server", "must have no user, query or fragment")
    tls = parts.scheme == "https"
    return Address(host, port or (443 if tls else 80), tls, parts.path.rstrip("/"))


def ssl_context(credentials: Credentials) -> ssl.SSLContext:
    """Return the TLS settings these credentials ask for. `ConfigurationError` for PEM that is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        if credentials.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif credentials.ca_pem:
            context.load_verify_locations(cadata=credentials.ca_pem)
        else:
            context.load_default_certs()
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(credentials.server, "certificate authority", f"not PEM: {error}") from None
    if credentials.client_certificate_pem:
        _load_client_certificate(context, credentials)
    return context


def _load_client_certificate(context: ssl.SSLContext, credentials: Credentials) -> None:
    pem = credentials.client_certificate_pem.rstrip() + "\n" + credentials.client_key_pem
    try:
        with _file_of(pem.encode()) as path:
            # A password callback, or OpenSSL would ask on the terminal and block for ever.
            context.load_cert_chain(path, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        reason = f"certificate and key cannot be used together: {getattr(error, 'reason', None) or error}"
        raise ConfigurationError(credentials.server, "client certificate", reason) from None


@contextmanager
def _file_of(content: bytes) -> Iterator[str]:
    """Give `content` a path for as long as OpenSSL needs to read it."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("kcm", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.name

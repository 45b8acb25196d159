"""The transport over sockets: HTTP/1.1 with keep-alive, TLS and bounded everything.

Guarantees on top of `kcm.client.transport`: at most `connections` at a time for requests
(streams have one each); one write per request; no redirect, no proxy, no compression. After a
401 it asks its source for other credentials once, and repeats once. New credentials of the
same server keep the connections when only the authorization changed. An instance is cheap and
shares nothing with others: Lease traffic has one of its own, and with a `Reserve` it connects also
when the process has no descriptor left. It owns its pool.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from kcm.base.errors import ConfigurationError
from kcm.client.connection import Connection
from kcm.client.credentials import Address, Credentials, CredentialSource, address_of, ssl_context
from kcm.client.exchange import ExchangeConnection
from kcm.client.pool import Pool
from kcm.client.reserve import Reserve
from kcm.client.streaming import StreamConnection
from kcm.client.tls import TlsFilter
from kcm.client.transport import NotSent, Request, Reset, Response, Stream
from kcm.client.wire import Heads

C = TypeVar("C", bound=Connection)
# Family, kind, protocol and address, as a resolver says them.
_Place = tuple[int, int, int, Any]

_UNAUTHORIZED = 401


class _Endpoint:
    """One server as seen with one set of credentials."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.address: Address = address_of(credentials.server)
        self.context: ssl.SSLContext | None = ssl_context(credentials) if self.address.tls else None
        self.server_name = credentials.tls_server_name or self.address.host
        common = [("Host", str(self.address))]
        if credentials.authorization:
            common.append(("Authorization", credentials.authorization))
        self.heads = Heads(self.address.prefix, tuple(common))

    def same_connections(self, other: Credentials) -> bool:
        """Say whether only the authorization differs."""
        mine = self.credentials
        return (
            mine.server == other.server
            and mine.ca_pem == other.ca_pem
            and mine.client_certificate_pem == other.client_certificate_pem
            and mine.client_key_pem == other.client_key_pem
            and mine.tls_server_name == other.tls_server_name
            and mine.insecure == other.insecure
        )


class HttpTransport:
    """Carries requests to the server that `source` names. Durations are seconds."""

    def __init__(
        self,
        source: CredentialSource,
        *,
        connections: int = 32,
        connect_timeout: float = 3.0,
        idle_seconds: float = 60.0,
        reserve: Reserve | None = None,
    ) -> None:
        self._source = source
        self._limit = connections
        self._connect_timeout = connect_timeout
        self._idle_seconds = idle_seconds
        self._reserve = reserve
        self._resolved: tuple[_Place, ...] = ()
        self._endpoint: _Endpoint | None = None
        self._pool: Pool | None = None
        self._streams: set[StreamConnection] = set()
        self._closed = False

    @property
    def host(self) -> str:
        return str(self._endpoint.address) if self._endpoint is not None else "unknown"

    async def send(self, request: Request) -> Response:
        deadline = asyncio.get_running_loop().time() + request.timeout
        credentials = await _within(deadline, self._source.current())
        response = await self._send_as(credentials, request, deadline)
        if response.status != _UNAUTHORIZED:
            return response
        newer = await _within(deadline, self._source.refresh())
        if newer == credentials:
            return response
        return await self._send_as(newer, request, deadline)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Stream]:
        deadline = asyncio.get_running_loop().time() + request.timeout
        credentials = await _within(deadline, self._source.current())
        stream = await self._open_as(credentials, request, deadline)
        try:
            if stream.status == _UNAUTHORIZED:
                newer = await _within(deadline, self._source.refresh())
                if newer != credentials:
                    self._streams.discard(stream)
                    stream.abort()
                    stream = await self._open_as(newer, request, deadline)
            yield stream
        finally:
            self._streams.discard(stream)
            stream.abort()

    async def close(self) -> None:
        self._closed = True
        if self._pool is not None:
            self._pool.close()
        for stream in list(self._streams):
            stream.hang_up("transport was closed")
        if self._reserve is not None:
            self._reserve.close()

    async def _send_as(self, credentials: Credentials, request: Request, deadline: float) -> Response:
        endpoint, pool = self._use(credentials)
        data = endpoint.heads.render(request)
        try:
            connection = pool.borrow_idle() or await _borrow(pool, deadline)
        except TimeoutError:
            raise NotSent(f"{endpoint.address}: no connection within {request.timeout:g}s") from None
        try:
            return await connection.exchange(data, request, deadline)
        except Reset:
            if connection.reused:
                # The server dropped its idle connections; the others are as dead as this one.
                pool.drop_idle()
            raise
        finally:
            pool.give_back(connection)

    async def _open_as(self, credentials: Credentials, request: Request, deadline: float) -> StreamConnection:
        endpoint, _ = self._use(credentials)
        data = endpoint.heads.render(request)
        stream = await self._connect(endpoint, StreamConnection)
        self._streams.add(stream)
        try:
            await stream.begin(data, request, deadline)
        except BaseException:
            self._streams.discard(stream)
            stream.abort()
            raise
        return stream

    def _use(self, credentials: Credentials) -> tuple[_Endpoint, Pool]:
        if self._closed:
            raise NotSent("transport is closed")
        endpoint = self._endpoint
        if endpoint is None or endpoint.credentials is not credentials:
            endpoint = self._change(endpoint, credentials)
        assert self._pool is not None
        return endpoint, self._pool

    def _change(self, old: _Endpoint | None, credentials: Credentials) -> _Endpoint:
        try:
            endpoint = _Endpoint(credentials)
        except (ConfigurationError, OSError) as error:
            # OSError: a certificate is read through a descriptor, and there may be none left.
            raise NotSent(str(error)) from None
        self._endpoint = endpoint
        if old is not None and old.address != endpoint.address:
            self._resolved = ()
        if old is None or self._pool is None or not old.same_connections(credentials):
            if self._pool is not None:
                self._pool.retire()
            self._pool = self._new_pool(endpoint)
        return endpoint

    def _new_pool(self, endpoint: _Endpoint) -> Pool:
        async def connect() -> ExchangeConnection:
            return await self._connect(endpoint, ExchangeConnection, self._reserve)

        return Pool(asyncio.get_running_loop(), connect, self._limit, self._idle_seconds)

    async def _connect(self, endpoint: _Endpoint, kind: type[C], reserve: Reserve | None = None) -> C:
        loop = asyncio.get_running_loop()
        address = endpoint.address
        tls = TlsFilter(endpoint.context, endpoint.server_name) if endpoint.context is not None else None
        connection = kind(loop, tls)
        try:
            async with asyncio.timeout(self._connect_timeout):
                if reserve is None:
                    await loop.create_connection(lambda: connection, address.host, address.port)
                else:
                    connection.on_lost = reserve.refill
                    await self._adopt(connection, await self._plug(address, reserve))
                await connection.ready()
        except TimeoutError:
            connection.abort()
            raise NotSent(f"{address}: no connection within {self._connect_timeout:g}s") from None
        except OSError as error:
            connection.abort()
            raise NotSent(f"{address}: {error.strerror or error}") from None
        except NotSent as error:
            connection.abort()
            raise NotSent(f"{address}: {error}") from None
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _adopt(self, connection: Connection, plug: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, sock=plug)
        except BaseException:
            plug.close()
            raise

    async def _plug(self, address: Address, reserve: Reserve) -> socket.socket:
        """Return a connected socket, made from the reserve if need be. OSError when nobody is there."""
        failure: OSError | None = None
        for family, kind, protocol, where in await self._places(address):
            reserve.refill()
            plug = reserve.socket(family, kind, protocol)
            try:
                plug.setblocking(False)
                await asyncio.get_running_loop().sock_connect(plug, where)
                return plug
            except OSError as error:
                failure = error
                plug.close()
            except BaseException:
                plug.close()
                raise
        raise failure or OSError(f"{address.host} has no address")

    async def _places(self, address: Address) -> tuple[_Place, ...]:
        """Look the server up; where looking up fails, for want of descriptors too, it is where it was."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM
            )
        except OSError:
            if not self._resolved:
                raise
            return self._resolved
        self._resolved = tuple((family, kind, protocol, where) for family, kind, protocol, _, where in found)
        return self._resolved


async def _within(deadline: float, asked: Coroutine[Any, Any, Credentials]) -> Credentials:
    """Wait for credentials no longer than the request has time: a plugin may take long."""
    try:
        async with asyncio.timeout_at(deadline):
            return await asked
    except TimeoutError:
        raise NotSent("no credentials in time") from None


async def _borrow(pool: Pool, deadline: float) -> ExchangeConnection:
    async with asyncio.timeout_at(deadline):
        return await pool.borrow()

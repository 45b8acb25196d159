"""The transport and the verbs against servers on real sockets that misbehave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
import uvloop

from kcm.base.clock import SystemClock
from kcm.base.rng import SeededRng
from kcm.client import errors
from kcm.client.api import ApiClient, Timeouts
from kcm.client.credentials import Credentials, FixedCredentials
from kcm.client.http import HttpTransport
from kcm.client.transport import NotSent, Request, Reset, Unanswered
from kcm.objects import Key, Pod
from kcm.telemetry.metrics import Metrics

T = TypeVar("T")
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PODS = Pod.resource_type()
POD = Key("ns", "a")


def on_real_sockets(scenario: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(scenario)


class Server:
    """Answers the nth request with the nth talk (the last one for all further), counting."""

    def __init__(self, *talks: bytes | Talk) -> None:
        self._talks = talks
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line[15:])
                self.requests.append(head + await reader.readexactly(length))
                talk = self._talks[min(len(self.requests), len(self._talks)) - 1]
                if isinstance(talk, bytes):
                    writer.write(talk)
                else:
                    await talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*talks: bytes | Talk) -> AsyncIterator[Server]:
    server = Server(*talks)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


@asynccontextmanager
async def transport_to(server: Server, **options: Any) -> AsyncIterator[HttpTransport]:
    source = FixedCredentials(Credentials(server=f"http://127.0.0.1:{server.port}"))
    transport = HttpTransport(source, **options)
    try:
        yield transport
    finally:
        await transport.close()


def client_of(transport: HttpTransport, **options: Any) -> ApiClient:
    return ApiClient(
        transport,
        user_agent="kcm-test",
        metrics=options.pop("metrics", Metrics()),
        clock=SystemClock(),
        rng=SeededRng(1),
        timeouts=Timeouts(read=2.0, write=2.0, watch_open=2.0),
        **options,
    )


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers))
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head + body + (b"0\r\n\r\n" if end else b"")


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    raise ConnectionError


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(1)


def then_close(data: bytes) -> Talk:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        raise ConnectionError

    return talk


def byte_by_byte(data: bytes, pause: float) -> Talk:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for place in range(len(data)):
            writer.write(data[place : place + 1])
            await asyncio.sleep(pause)

    return talk


@pytest.mark.parametrize(
    ("talk", "body"),
    [
        pytest.param(answer(b"{}"), b"{}", id="content length"),
        pytest.param(chunked(b"ab", b"cd"), b"abcd", id="chunked"),
        pytest.param(then_close(b"HTTP/1.1 200 OK\r\n\r\nabc"), b"abc", id="until close"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"x"), b"x", id="after 100"),
        pytest.param(byte_by_byte(answer(b"{}"), 0.0), b"{}", id="one byte at a time"),
        pytest.param(answer(b"", "204 No Content"), b"", id="no content"),
    ],
)
def test_every_framing_of_a_complete_answer_is_understood(talk: bytes | Talk, body: bytes) -> None:
    async def scenario() -> None:
        async with serving(talk) as server, transport_to(server) as transport:
            for _ in range(2):
                response = await transport.send(Request("GET", "/x", timeout=5.0))
                assert response.body == body

    on_real_sockets(scenario())


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        pytest.param(reset, "before an answer", id="reset"),
        pytest.param(then_close(b"HTTP/1.1 200 OK\r\nConte"), "middle of an answer", id="half a head"),
        pytest.param(
            then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), "middle", id="body too short"
        ),
        pytest.param(then_close(chunked(b"abc", end=False)), "middle", id="chunks without end"),
        pytest.param(silence, "within 0.2s", id="silence"),
        pytest.param(byte_by_byte(answer(b"x" * 500), 0.01), "within 0.2s", id="slow loris"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 500_000, "header", id="endless header"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 40_000 + b"\r\n", "header", id="countless headers"
        ),
        pytest.param(answer(b"x" * 2000), "longer than 1000", id="body over the cap by its length"),
        pytest.param(chunked(b"x" * 600, b"x" * 600), "longer than 1000", id="body over the cap by chunks"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", "not HTTP", id="another protocol"),
        pytest.param(answer(b"x", "200 OK", "Content-Encoding: gzip"), "gzip", id="gzip"),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
            "change the protocol",
            id="upgrade",
        ),
    ],
)
def test_what_is_not_a_complete_answer_is_unanswered_and_costs_only_itself(
    talk: bytes | Talk, reason: str
) -> None:
    async def scenario() -> None:
        async with serving(talk, answer(b"ok")) as server, transport_to(server) as transport:
            with pytest.raises(Unanswered, match=reason):
                await transport.send(Request("POST", "/x", body=b"{}", timeout=0.2, max_body=1000))
            assert (await transport.send(Request("GET", "/x", timeout=5.0))).body == b"ok"

    on_real_sockets(scenario())


def test_a_refused_connection_was_not_sent() -> None:
    async def scenario() -> None:
        async with serving(b"") as server:
            pass
        async with transport_to(server) as transport:
            with pytest.raises(NotSent):
                await transport.send(Request("POST", "/x", body=b"{}"))

    on_real_sockets(scenario())


def test_a_name_that_does_not_resolve_was_not_sent() -> None:
    async def scenario() -> None:
        transport = HttpTransport(FixedCredentials(Credentials(server="http://no-such-host.invalid")))
        with pytest.raises(NotSent, match=r"no-such-host\.invalid"):
            await transport.send(Request("GET", "/x"))
        await transport.close()

    on_real_sockets(scenario())


def test_connections_are_kept_and_their_number_is_bounded_and_waiters_are_served_in_order() -> None:
    async def scenario() -> None:
        drip = byte_by_byte(answer(b"{}"), 0.0)
        async with serving(drip) as server, transport_to(server, connections=2) as transport:
            done: list[int] = []

            async def one(number: int) -> None:
                await transport.send(Request("GET", f"/{number}", timeout=10.0))
                done.append(number)

            async with asyncio.TaskGroup() as tasks:
                for number in range(10):
                    tasks.create_task(one(number))
            asked = [int(head.split()[1][1:]) for head in server.requests]
            # The first two go out on two new connections, which race.
            assert sorted(asked[:2]) + asked[2:] == list(range(10))
            assert server.connections == 2

    on_real_sockets(scenario())


def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    async def scenario() -> None:
        last = then_close(answer(b"{}", "200 OK", "Connection: close"))
        async with serving(last) as server, transport_to(server) as transport:
            for _ in range(3):
                await transport.send(Request("POST", "/x", body=b"{}", timeout=5.0))
            assert server.connections == 3

    on_real_sockets(scenario())


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next() -> None:
    async def scenario() -> None:
        twice = answer(b"first") + answer(b"forged")
        async with serving(twice, answer(b"second")) as server, transport_to(server) as transport:
            assert (await transport.send(Request("GET", "/x"))).body == b"first"
            assert (await transport.send(Request("GET", "/x"))).body == b"second"

    on_real_sockets(scenario())


def test_a_cancelled_request_leaves_no_late_answer_for_the_next() -> None:
    async def scenario() -> None:
        slow = byte_by_byte(answer(b"late"), 0.01)
        async with serving(slow, answer(b"mine")) as server, transport_to(server) as transport:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await transport.send(Request("GET", "/x"))
            assert (await transport.send(Request("GET", "/x"))).body == b"mine"

    on_real_sockets(scenario())


def test_a_reset_read_is_repeated_once_and_a_reset_write_never() -> None:
    async def scenario() -> None:
        talks = (answer(b"{}"), reset, answer(b"again"), reset)
        async with serving(*talks) as server, transport_to(server) as transport:
            client = client_of(transport)
            await client.get(PODS, POD)
            assert await client.get(PODS, POD) == b"again"
            with pytest.raises(Reset):
                await client.create(PODS, "ns", b"{}")
            assert len(server.requests) == 4
            with pytest.raises(Reset):
                await client.get(PODS, POD)
            assert len(server.requests) == 6

    on_real_sockets(scenario())


def test_a_guard_that_refuses_keeps_every_byte_back() -> None:
    class Fenced(Exception):
        pass

    def guard() -> None:
        raise Fenced

    async def scenario() -> None:
        async with serving(answer(b"{}")) as server, transport_to(server) as transport:
            client = client_of(transport, guard=guard)
            for _ in range(3):
                with pytest.raises(Fenced):
                    await client.create(PODS, "ns", b"{}")
            assert await client.get(PODS, POD) == b"{}"
            assert len(server.requests) == 1

    on_real_sockets(scenario())


def test_a_redirect_is_an_error_and_not_followed() -> None:
    async def scenario() -> None:
        elsewhere = answer(b"", "302 Found", "Location: /elsewhere")
        async with serving(elsewhere) as server, transport_to(server) as transport:
            with pytest.raises(errors.ApiError, match="302 Redirect"):
                await client_of(transport).get(PODS, POD)
            assert len(server.requests) == 1

    on_real_sockets(scenario())


def test_a_read_waits_when_asked_to_and_a_write_hands_the_wait_to_its_caller() -> None:
    async def scenario() -> None:
        busy = answer(b"slow down", "429 Too Many Requests", "Retry-After: 0")
        async with serving(busy, answer(b"{}"), busy) as server, transport_to(server) as transport:
            metrics = Metrics()
            client = client_of(transport, metrics=metrics)
            assert await client.get(PODS, POD) == b"{}"
            with pytest.raises(errors.TooManyRequests) as refusal:
                await client.create(PODS, "ns", b"{}")
            assert refusal.value.retry_after == 0.0
            assert len(server.requests) == 3
            assert b'[["code","429"],["verb","GET"]' in metrics.snapshot()

    on_real_sockets(scenario())


def test_a_read_does_not_wait_for_ever() -> None:
    async def scenario() -> None:
        busy = answer(b"slow down", "429 Too Many Requests", "Retry-After: 0")
        async with serving(busy) as server, transport_to(server) as transport:
            with pytest.raises(errors.TooManyRequests):
                await client_of(transport).get(PODS, POD)
            assert len(server.requests) == 4

    on_real_sockets(scenario())


def test_a_401_is_cured_once_by_newer_credentials() -> None:
    async def scenario() -> None:
        refusal = answer(b"", "401 Unauthorized")
        async with serving(refusal, answer(b"{}"), refusal) as server:
            old = Credentials(server=f"http://127.0.0.1:{server.port}", authorization="Bearer old")
            new = Credentials(server=old.server, authorization="Bearer new")

            async def ask() -> Credentials:
                return new

            transport = HttpTransport(FixedCredentials(old, ask))
            client = client_of(transport)
            assert await client.create(PODS, "ns", b"{}") == b"{}"
            assert b"Bearer new" in server.requests[1]
            assert server.connections == 1
            with pytest.raises(errors.Unauthorized):
                await client.create(PODS, "ns", b"{}")
            assert len(server.requests) == 3
            await transport.close()

    on_real_sockets(scenario())


def test_a_delete_carries_its_preconditions() -> None:
    async def scenario() -> None:
        async with serving(answer(b"{}")) as server, transport_to(server) as transport:
            client = client_of(transport)
            await client.delete(PODS, POD, uid="u", resource_version="7", grace_seconds=0)
            head, _, body = server.requests[0].partition(b"\r\n\r\n")
            assert head.startswith(b"DELETE /api/v1/namespaces/ns/pods/a HTTP/1.1")
            assert b'"preconditions":{"uid":"u","resourceVersion":"7"},"gracePeriodSeconds":0' in body

    on_real_sockets(scenario())


def test_a_watch_gives_whole_lines_and_ends_cleanly() -> None:
    async def scenario() -> list[bytes]:
        stream = then_close(chunked(b'{"a":1}\n{"b"', b":2}", b"\n"))
        async with serving(stream) as server, transport_to(server) as transport:
            async with client_of(transport).watch(PODS, resource_version="5") as watch:
                lines = [line async for line in watch]
            assert b"watch=true&allowWatchBookmarks=true&resourceVersion=5" in server.requests[0]
            return lines

    assert on_real_sockets(scenario()) == [b'{"a":1}', b'{"b":2}']


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        pytest.param(then_close(chunked(b'{"a":1}\n{"b"', end=False)), "middle", id="cut in a line"),
        pytest.param(then_close(chunked(b'{"a":1}\n{"b"')), "middle of an event", id="ended in a line"),
        pytest.param(then_close(chunked(b'{"a":1}\n', end=False)), "middle of an answer", id="cut after one"),
        pytest.param(chunked(b'{"a":1}\n', end=False), "nothing came for", id="silent"),
    ],
)
def test_a_watch_that_is_cut_or_silent_gives_its_lines_and_then_fails(
    talk: bytes | Talk, reason: str
) -> None:
    async def scenario() -> None:
        async with serving(talk) as server, transport_to(server) as transport:
            lines: list[bytes] = []

            async def follow() -> None:
                async with client_of(transport).watch(PODS, idle=0.2) as watch:
                    async for line in watch:
                        lines.append(line)

            with pytest.raises(Unanswered, match=reason):
                await follow()
            assert lines == [b'{"a":1}']

    on_real_sockets(scenario())


def test_a_watch_that_is_refused_raises_the_typed_error() -> None:
    async def scenario() -> None:
        gone = answer(b'{"kind":"Status","code":410,"reason":"Expired"}', "410 Gone")
        async with serving(gone) as server, transport_to(server) as transport:
            with pytest.raises(errors.Expired):
                async with client_of(transport).watch(PODS):
                    pass

    on_real_sockets(scenario())


def test_a_slow_reader_stops_the_server_and_loses_nothing() -> None:
    size = 20_000_000
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < size:
            writer.write(b"x" * 99_999 + b"\n")
            await writer.drain()
            sent += 100_000
        raise ConnectionError

    async def scenario() -> None:
        async with (
            serving(flood) as server,
            transport_to(server) as transport,
            client_of(transport).watch(PODS, idle=0.2) as watch,
        ):
            first = await anext(watch)
            await asyncio.sleep(0.4)
            # What fits into socket buffers may have left; the whole must not have.
            assert sent < size
            lines = [first, *[line async for line in watch]]
        assert len(lines) == size // 100_000

    on_real_sockets(scenario())


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_request_that_passed_the_guard_has_left_before_the_loop_turns(factory: Any) -> None:
    """A process stopped after the check must not send when it goes on (DESIGN §2.6)."""

    async def scenario() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        transport = HttpTransport(FixedCredentials(Credentials(server=f"http://127.0.0.1:{port}")))
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(transport.send(Request("GET", "/first")))
            peer, _ = await asyncio.to_thread(listening.accept)
            await asyncio.to_thread(peer.recv, 10_000)
            peer.sendall(answer(b"{}"))
        assert first.result().status == 200
        request = transport.send(Request("POST", "/second", body=b"{}", guard=lambda: None))
        request.send(None)
        peer.setblocking(False)
        assert peer.recv(10_000).startswith(b"POST /second")
        request.close()
        peer.close()
        listening.close()
        await transport.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(scenario())


def test_credentials_that_take_too_long_are_an_error_of_a_request_that_was_not_sent() -> None:
    class Slow:
        async def current(self) -> Credentials:
            await asyncio.sleep(60.0)
            raise AssertionError

        async def refresh(self) -> Credentials:
            return await self.current()

    async def scenario() -> None:
        transport = HttpTransport(Slow())
        with pytest.raises(NotSent, match="no credentials in time"):
            await transport.send(Request("POST", "/x", timeout=0.05))
        await transport.close()

    on_real_sockets(scenario())

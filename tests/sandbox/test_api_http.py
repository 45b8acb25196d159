"""The HTTP edge, over real sockets on 127.0.0.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from kcm.serving.http import ConnectionLost, HttpServer, Request, Response


async def _echo(request: Request) -> Response:
    return Response(200, request.body, "text/plain", {"X-Path": request.path, "X-Method": request.method})


def serve(
    handler: Callable[[Request], Awaitable[Response]],
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    async def main() -> None:
        server = HttpServer(handler, max_body=1000)
        port = await server.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(10):
                await talk(reader, writer)
        finally:
            writer.close()
            await server.stop()

    asyncio.run(main())


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers["content-length"])) if "content-length" in headers else b""
    return int(head[0].split()[1]), headers, body


def test_two_requests_share_a_connection_and_keep_their_order() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST /a%20b?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
        writer.write(
            b"POST /second HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
        )
        status, headers, body = await answer(reader)
        assert (status, headers["x-path"], body) == (200, "/a b", b"abc")
        status, headers, body = await answer(reader)
        assert (status, headers["x-path"], body) == (200, "/second", b"de")

    serve(_echo, talk)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"nonsense\r\n\r\n", 400, id="not HTTP"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n", 413, id="declared too large"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000,
            413,
            id="grows too large",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000, 431, id="head without end"),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: 1\r\n" % n for n in range(300)), 431, id="many fields"
        ),
    ],
)
def test_a_request_out_of_bounds_is_refused_and_its_connection_closed(sent: bytes, status: int) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        assert (await answer(reader))[0] == status
        assert await reader.read() == b""

    serve(_echo, talk)


def test_a_failing_handler_costs_only_its_own_request() -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/broken":
            raise RuntimeError("no")
        return Response(200, b"fine")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /broken HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await answer(reader))[0] == 500
        assert (await answer(reader))[2] == b"fine"

    serve(handler, talk)


def test_a_streams_head_and_chunks_are_flushed_at_once_and_it_ends_when_its_reader_goes() -> None:
    ended = asyncio.Event()

    async def chunks() -> AsyncGenerator[bytes, None]:
        try:
            await begin.wait()
            yield b"first\n"
            await asyncio.Event().wait()
        finally:
            ended.set()

    begin = asyncio.Event()

    async def handler(request: Request) -> Response:
        return Response(200, chunks())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await answer(reader))[0] == 200
        begin.set()
        assert await reader.readuntil(b"first\n\r\n") == b"6\r\nfirst\n\r\n"
        writer.close()
        await ended.wait()

    serve(handler, talk)


def test_a_stream_of_large_chunks_lets_others_run_between_them() -> None:
    turns: list[int] = []

    async def chunks() -> AsyncGenerator[bytes, None]:
        for index in range(5):
            asyncio.get_running_loop().call_soon(turns.append, index)
            yield b"x" * 10_000
            assert turns[-1] == index

    async def handler(request: Request) -> Response:
        return Response(200, chunks())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await reader.readuntil(b"\r\n0\r\n\r\n")

    serve(handler, talk)
    assert turns == [0, 1, 2, 3, 4]


def test_a_lost_connection_is_closed_without_an_answer() -> None:
    async def handler(request: Request) -> Response:
        raise ConnectionLost

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await answer(reader)

    serve(handler, talk)


def test_a_stream_that_is_cut_delivers_what_came_before_and_no_proper_end() -> None:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"half a li"
        raise ConnectionLost

    async def handler(request: Request) -> Response:
        return Response(200, chunks())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await answer(reader)
        assert await reader.read() == b"9\r\nhalf a li\r\n"

    serve(handler, talk)


def test_a_header_value_cannot_add_headers() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, b"", headers={"Warning": "a\r\nSet-Cookie: b"})

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        headers = (await answer(reader))[1]
        assert headers["warning"] == "a Set-Cookie: b"
        assert "set-cookie" not in headers

    serve(handler, talk)


def test_a_connection_that_sends_half_a_request_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kcm.serving.connection.REQUEST_SECONDS", 0.05)
    monkeypatch.setattr("kcm.serving.http._SWEEP_SECONDS", 0.05)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await answer(reader)

    serve(_echo, talk)


def test_a_method_unheard_of_is_the_handlers_to_answer() -> None:
    async def judge(request: Request) -> Response:
        return Response(405, f"{request.method} {request.path}".encode())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"BREW /pot%20one?x=1 HTTP/1.1\r\nHost: h\r\n\r\n")
        status, _, body = await answer(reader)
        assert (status, body) == (405, b"BREW /pot one")
        assert await reader.read() == b""

    serve(judge, talk)

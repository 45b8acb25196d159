"""What one POST of a pod costs the client in CPU: ours against aiohttp, in the same run.

    python benchmarks/client_post.py [--requests 5000] [--concurrency 16]

The server is a trivial one in a child process, so that only the client's CPU is counted here.
Prints a table and one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import uvloop

from kcm.base.clock import SystemClock
from kcm.base.rng import SeededRng
from kcm.client.api import ApiClient
from kcm.client.credentials import Credentials, FixedCredentials
from kcm.client.http import HttpTransport
from kcm.client.transport import Request
from kcm.objects import Pod
from kcm.telemetry.metrics import Metrics

PATH = "/api/v1/namespaces/default/pods"
BODY = b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":"%s"}' % (b"x" * 640)
ANSWER_BODY = b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":"%s"}' % (b"x" * 1700)
ANSWER = (
    b"HTTP/1.1 201 Created\r\nAudit-Id: 7b0b1f2e-1111-4222-8333-444455556666\r\n"
    b"Cache-Control: no-cache, private\r\nContent-Type: application/json\r\n"
    b"X-Kubernetes-Pf-Flowschema-Uid: 7b0b1f2e-1111-4222-8333-444455556666\r\n"
    b"X-Kubernetes-Pf-Prioritylevel-Uid: 7b0b1f2e-1111-4222-8333-444455556666\r\n"
    b"Date: Mon, 01 Jan 2026 00:00:00 GMT\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(ANSWER_BODY), ANSWER_BODY)
)


class Answering(asyncio.Protocol):
    """Answers each complete request, whatever it says."""

    def __init__(self) -> None:
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            start = self._held.lower().find(b"content-length:", 0, end)
            length = int(self._held[start + 15 : self._held.find(b"\r\n", start)]) if start >= 0 else 0
            if len(self._held) < end + 4 + length:
                return
            self._held = self._held[end + 4 + length :]
            self._transport.write(ANSWER)  # type: ignore[attr-defined]  # uvloop's has it


def serve(report: int) -> None:
    """Serve until killed; write the port to the descriptor `report`."""

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
        os.write(report, str(server.sockets[0].getsockname()[1]).encode())
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(forever())


async def measure(
    send: Callable[[], Awaitable[object]], requests: int, concurrency: int
) -> tuple[float, float]:
    """Return CPU milliseconds per request, and requests per second."""
    left = requests

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await send()

    for _ in range(200):
        await send()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    after, took = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1000 / requests, requests / took


async def compare(port: int, requests: int, concurrency: int) -> dict[str, tuple[float, float]]:
    """Measure every way to send."""
    server = f"http://127.0.0.1:{port}"
    transport = HttpTransport(FixedCredentials(Credentials(server=server, authorization="Bearer x" * 100)))
    headers = (("User-Agent", "kcm"), ("Accept", "application/json"), ("Content-Type", "application/json"))
    client = ApiClient(
        transport,
        user_agent="kcm",
        metrics=Metrics(),
        clock=SystemClock(),
        rng=SeededRng(1),
        guard=lambda: None,
    )
    pods = Pod.resource_type()
    results = {
        "kcm transport": await measure(
            lambda: transport.send(Request("POST", PATH, headers, BODY)), requests, concurrency
        ),
        "kcm ApiClient": await measure(lambda: client.create(pods, "default", BODY), requests, concurrency),
    }
    await transport.close()

    async def by_aiohttp() -> bytes:
        async with session.post(
            server + PATH, data=BODY, headers=dict(headers), allow_redirects=False
        ) as answer:
            return await answer.read()

    async with aiohttp.ClientSession(headers={"Authorization": "Bearer x" * 100}) as session:
        results["aiohttp"] = await measure(by_aiohttp, requests, concurrency)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=16)
    options = parser.parse_args()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        serve(writing)
        return 0
    try:
        port = int(os.read(reading, 16))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results = runner.run(compare(port, options.requests, options.concurrency))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    print(f"{'POST of a pod by':<20}{'CPU ms':>10}{'requests/s':>14}")
    for name, (cpu, rate) in results.items():
        print(f"{name:<20}{cpu:>10.3f}{rate:>14.0f}")
    numbers = {
        name: {"cpu_ms": round(cpu, 4), "per_second": round(rate)} for name, (cpu, rate) in results.items()
    }
    print(json.dumps({"benchmark": "client_post", "body_bytes": len(BODY), **numbers}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

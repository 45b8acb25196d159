"""What one POST of a pod costs the client in CPU: ours against aiohttp, in the same run.

The server is a trivial one in a child process, so that only the client's CPU is counted here.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp

from benchmarks.options import Options
from benchmarks.reporting import Report
from kcm.base.clock import SystemClock
from kcm.base.rng import SeededRng
from kcm.client.api import ApiClient
from kcm.client.credentials import Credentials, FixedCredentials
from kcm.client.http import HttpTransport
from kcm.client.transport import Request
from kcm.objects import Pod
from kcm.telemetry.metrics import Metrics

REQUESTS = 5000
CONCURRENCY = 16
WARM_UP = 200
PATH = "/api/v1/namespaces/default/pods"
BODY = b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":"%s"}' % (b"x" * 640)
HEADERS = (("User-Agent", "kcm"), ("Accept", "application/json"), ("Content-Type", "application/json"))
AUTHORIZATION = "Bearer " + "x" * 800


async def run(options: Options) -> Report:
    """Measure every way to send."""
    requests = options.scaled(REQUESTS)
    report = Report("client_post", "client_post: one POST of a pod", facts={"requests": requests})
    report.facts["bodyBytes"] = len(BODY)
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.answering", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(await server.stdout.readline())}"
        samples = [await _compare(url, requests) for _ in range(options.repeat)]
    finally:
        server.kill()
        await server.wait()
    for name in samples[0]:
        key = name.lower().replace(" ", "_")
        report.add(f"{key}_cpu_ms", f"{name}, CPU", [sample[name][0] for sample in samples], "ms")
        report.add(f"{key}_per_s", f"{name}, rate", [sample[name][1] for sample in samples], "/s")
    return report


async def _measure(send: Callable[[], Awaitable[object]], requests: int) -> tuple[float, float]:
    """Return CPU milliseconds per request, and requests per second."""
    left = requests

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await send()

    for _ in range(WARM_UP):
        await send()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONCURRENCY):
            tasks.create_task(work())
    after, took = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1000 / requests, requests / took


async def _compare(url: str, requests: int) -> dict[str, tuple[float, float]]:
    transport = HttpTransport(FixedCredentials(Credentials(server=url, authorization=AUTHORIZATION)))
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
        "transport": await _measure(lambda: transport.send(Request("POST", PATH, HEADERS, BODY)), requests),
        "ApiClient": await _measure(lambda: client.create(pods, "default", BODY), requests),
    }
    await transport.close()

    async def by_aiohttp() -> bytes:
        async with session.post(
            url + PATH, data=BODY, headers=dict(HEADERS), allow_redirects=False
        ) as answer:
            return await answer.read()

    async with aiohttp.ClientSession(headers={"Authorization": AUTHORIZATION}) as session:
        results["aiohttp"] = await _measure(by_aiohttp, requests)
    return results

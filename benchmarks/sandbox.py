"""The sandbox as a server: creates a second, event latency, LIST, memory, start.

The server is a process of its own; requests and ten watchers are in this one, so that on two cores
each side has one. An event's latency is counted from before the POST is sent to the event's line
at a watcher. Memory is PSS with pods as kubelets leave them, history included.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from benchmarks.cluster import PATIENCE, Cluster, Refused, cluster, environment
from benchmarks.objects import running_status, template
from benchmarks.options import Options
from benchmarks.processes import pss_mib
from benchmarks.reporting import Report, percentile
from kcm.client.transport import Request

WATCHERS = 10
CREATES = 10_000
WRITES_A_SECOND = 300
LATENCY_SECONDS = 20
HELD = 50_000


async def run(options: Options) -> Report:
    """Measure everything on one sandbox, then the start of fresh ones."""
    creates, held = options.scaled(CREATES, 20), options.scaled(HELD, 20)
    report = Report("sandbox", "sandbox: the embedded API server", facts={"watchers": WATCHERS})
    async with cluster(options.kubeconfig) as server:
        await _creates(server, report, creates)
        lists = [await _list(server, creates) for _ in range(options.repeat)]
        report.add("list_s", f"LIST of {creates} pods", lists, "s", most=1.0)
        writes = max(20, round(WRITES_A_SECOND * LATENCY_SECONDS * min(1.0, options.size)))
        await _latency(server, report, writes)
        if server.server_pid:
            await _fill(server, creates, held)
            await asyncio.sleep(options.pause)
            report.add(
                "pss_mib", f"memory with {held} pods, PSS", pss_mib(server.server_pid), "MiB", most=600
            )
            lists = [await _list(server, held) for _ in range(options.repeat)]
            report.add("list_all_s", f"LIST of {held} pods", lists, "s")
    if not options.kubeconfig:
        async with cluster(durable=True) as server:
            await _creates(server, report, creates, "durable_", " on a data directory")
        starts = [await _start() for _ in range(options.repeat)]
        report.add("start_s", "start of the process to the first answer", starts, "s", most=1.0)
    return report


class Watchers:
    """Ten watches of the benchmark's pods; each counts what it is shown, one notes when."""

    def __init__(self) -> None:
        self.counts = [0] * WATCHERS
        self.arrived: dict[str, float] = {}

    @property
    def least(self) -> int:
        """Return how many events the slowest has seen."""
        return min(self.counts)

    def note(self, number: int, piece: bytes) -> None:
        """Take what one watch has read."""
        self.counts[number] += piece.count(b'{"type":"')

    def timed(self, line: bytes) -> None:
        """Note when an object was first seen."""
        at = line.find(b'"name":"lat-')
        if at >= 0:
            name = line[at + 8 : line.find(b'"', at + 8)].decode()
            self.arrived.setdefault(name, time.perf_counter())

    async def saw(self, count: int) -> float:
        """Return when (perf_counter) every watcher has seen so many events."""
        async with asyncio.timeout(PATIENCE):
            while self.least < count:
                await asyncio.sleep(0.001)
        return time.perf_counter()


@asynccontextmanager
async def _watched(server: Cluster) -> AsyncIterator[Watchers]:
    version = (await server.ask("GET", f"{server.pods}?limit=1"))["metadata"]["resourceVersion"]
    target = f"{server.pods}?watch=true&resourceVersion={version}&timeoutSeconds=3600"
    watchers, opened = Watchers(), [asyncio.Event() for _ in range(WATCHERS)]

    async def follow(number: int) -> None:
        headers = (("User-Agent", "kcm-benchmark"), ("Accept", "application/json"))
        async with server.transport.open(Request("GET", target, headers)) as stream:
            if stream.status != 200:
                raise Refused(f"GET {target}: {stream.status}")
            opened[number].set()
            rest = b""
            async for piece in stream:
                watchers.note(number, piece)
                if number == 0:
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        watchers.timed(line)

    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        following = [tasks.create_task(follow(number)) for number in range(WATCHERS)]
        for event in opened:
            await event.wait()
        try:
            yield watchers
        finally:
            for task in following:
                task.cancel()


async def _creates(server: Cluster, report: Report, count: int, key: str = "", where: str = "") -> None:
    requests = [("POST", server.pods, _pod(f"made-{number}")) for number in range(count)]
    async with _watched(server) as watchers:
        busy, began = server.server_cpu(), time.perf_counter()
        await server.many(requests)
        took = time.perf_counter() - began
        last = await watchers.saw(count) - began
        busy = server.server_cpu() - busy
    text = f"pods created with {WATCHERS} watchers{where}"
    report.add(f"{key}creates_per_s", text, count / took, "/s", least=None if key else 1000)
    report.add(f"{key}seen_per_s", "… and seen by the slowest watcher", count / last, "/s")
    if server.server_pid:
        report.add(f"{key}create_cpu_ms", "server CPU of one", busy * 1000 / count, "ms")


async def _latency(server: Cluster, report: Report, count: int) -> None:
    sent: dict[str, float] = {}
    late: list[float] = []
    async with _watched(server) as watchers, asyncio.TaskGroup() as tasks:
        began = time.perf_counter()
        for number in range(count):
            due = began + number / WRITES_A_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            name = f"lat-{number}"
            sent[name] = time.perf_counter()
            late.append(sent[name] - due)
            tasks.create_task(_post(server, name))
        await watchers.saw(count)
        spans = [(watchers.arrived[name] - sent[name]) * 1000 for name in sent]
    text = f"POST to event at {WRITES_A_SECOND} writes/s"
    report.add("event_p50_ms", f"{text}, p50", percentile(spans, 0.5), "ms")
    report.add("event_p99_ms", f"{text}, p99", percentile(spans, 0.99), "ms", most=10)
    report.facts["sentLateMs"] = round(percentile(late, 0.99) * 1000, 1)


async def _post(server: Cluster, name: str) -> None:
    answer = await server.send("POST", server.pods, _pod(name))
    if answer.status != 201:
        raise Refused(f"POST {server.pods}: {answer.status} {answer.body[:200]!r}")


async def _list(server: Cluster, least: int) -> float:
    began = time.perf_counter()
    answer = await server.send("GET", server.pods)
    took = time.perf_counter() - began
    if answer.status != 200 or answer.body.count(b'"uid"') < least:
        raise Refused(f"GET {server.pods}: {answer.status}, {len(answer.body)} bytes")
    return took


async def _fill(server: Cluster, present: int, wanted: int) -> None:
    """Have so many pods, each with the status of one that runs."""
    for first in range(present, wanted, 5000):
        numbers = range(first, min(wanted, first + 5000))
        await server.many([("POST", server.pods, _pod(f"made-{number}")) for number in numbers])
    for first in range(0, wanted, 5000):
        numbers = range(first, min(wanted, first + 5000))
        await server.many(
            [
                (
                    "PATCH",
                    f"{server.pods}/made-{number}/status",
                    json.dumps({"status": running_status(number)}).encode(),
                )
                for number in numbers
            ]
        )


async def _start() -> float:
    """Return the seconds from the start of a sandbox's process to its first answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="kcm-bench-") as directory:
        path = Path(directory) / "kubeconfig"
        arguments = ("sandbox", "--no-manager", "--port", str(port), "--kubeconfig-out", str(path))
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kcm", *arguments, env=environment(), stdout=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(PATIENCE):
                while not await _answers(port):
                    await asyncio.sleep(0.005)
            return time.perf_counter() - began
        finally:
            process.terminate()
            await process.wait()


async def _answers(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET /api/v1/namespaces/default HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return b" 200 " in await reader.readline()
    finally:
        writer.close()


def _pod(name: str) -> bytes:
    made = template("bench")
    whole = {"metadata": {"name": name, "labels": made["metadata"]["labels"]}, "spec": made["spec"]}
    return json.dumps(whole, separators=(",", ":")).encode()

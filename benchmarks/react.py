"""Pod deleted → replacement created, one at a time, on an idle manager.

Measured at one watch of the benchmark: from the arrival of the event that tells of the pod's end to
that of the replacement's ADDED. It contains the manager, the feed, the host and the POST, the server's
work on the POST, and nothing of the DELETE; so it is a little more than "replacement POST sent".
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.cluster import Cluster, cluster
from benchmarks.managers import manager
from benchmarks.objects import replica_set
from benchmarks.options import Options
from benchmarks.reporting import Report, percentile

DELETIONS = 300
REPLICAS = 100
REST = 0.03


class Deaths:
    """Pairs each deletion with the creation that follows it."""

    def __init__(self) -> None:
        self.alive: dict[str, None] = {}
        self.died = self.replaced = 0.0
        self.done: asyncio.Event = asyncio.Event()

    def note(self, kind: str, line: bytes) -> None:
        """Take one event of the watch."""
        now = time.perf_counter()
        # A real server tells of a pod's end twice, and the first time is enough to replace it.
        dies = kind == "DELETED" or (kind == "MODIFIED" and b'"deletionTimestamp"' in line)
        if not dies and kind != "ADDED":
            return
        name = name_in(line)
        if dies:
            if self.alive.pop(name, "unknown") is None:
                self.died = now
        else:
            self.replaced = now
            self.alive[name] = None
            self.done.set()


def name_in(line: bytes) -> str:
    """Return the object's name of a watch event."""
    metadata = line.find(b'"metadata":')
    begin = line.find(b'"name":"', metadata) + 8
    return line[begin : line.find(b'"', begin)].decode()


async def run(options: Options) -> Report:
    """Measure single deletions."""
    count, replicas = options.scaled(DELETIONS, 5), options.scaled(REPLICAS, 5)
    report = Report("react", "react: pod deleted → replacement seen")
    report.facts = {"deletions": count, "replicas": replicas}
    async with cluster(options.kubeconfig) as server, manager(server) as kcm:
        await kcm.leading()
        deaths = Deaths()
        async with server.watching(server.pods, deaths.note):
            await server.ask("POST", server.replica_sets, replica_set("watched", replicas))
            async with asyncio.timeout(60):
                while len(deaths.alive) < replicas:
                    await asyncio.sleep(0.05)
            await kcm.tree.quiet(options.pause)
            cpu = kcm.tree.cpu()
            spans, whole = await _delete_one_by_one(server, deaths, count)
            cpu = kcm.tree.cpu() - cpu
    report.add("p50_ms", "DELETED seen → ADDED seen, p50", percentile(spans, 0.5), "ms")
    report.add("p99_ms", "DELETED seen → ADDED seen, p99", percentile(spans, 0.99), "ms", most=20)
    report.add("max_ms", "DELETED seen → ADDED seen, longest", max(spans), "ms")
    report.add("request_p50_ms", "DELETE sent → ADDED seen, p50", percentile(whole, 0.5), "ms")
    report.add("cpu_ms", "CPU of all kcm processes", cpu * 1000 / count, "ms each")
    return report


async def _delete_one_by_one(server: Cluster, deaths: Deaths, count: int) -> tuple[list[float], list[float]]:
    spans, whole = [], []
    for _ in range(count):
        await asyncio.sleep(REST)
        deaths.done.clear()
        sent = time.perf_counter()
        await server.send("DELETE", f"{server.pods}/{next(iter(deaths.alive))}", b'{"gracePeriodSeconds":0}')
        async with asyncio.timeout(30):
            await deaths.done.wait()
        spans.append((deaths.replaced - deaths.died) * 1000)
        whole.append((deaths.replaced - sent) * 1000)
    return spans, whole

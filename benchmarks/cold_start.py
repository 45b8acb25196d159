"""Start of kcm in front of many pods: CPU, time until ready, memory.

The pods are owned by ReplicaSets of 100, running and counted, so that first reconciles find
nothing to write; one ReplicaSet lacks a pod, and its creation shows that first reconciles run.
CPU counts from process start until nothing happens any more. Starts of the same kcm in front of
no objects, in the same run, tell what interpreters and imports cost. The bare time is what
kcm's transport needs to fetch the list whole, or as the stream (WatchList) that kcm uses.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Any

from benchmarks.cluster import Cluster, cluster
from benchmarks.managers import ManagerProcess, manager
from benchmarks.objects import counted_status, pod_body, replica_set, running_status
from benchmarks.options import Options
from benchmarks.reporting import Report
from kcm.client.transport import Request

PODS = 30_000
PER_SET = 100
FETCHES = 5
MERGE = "PATCH"


async def run(options: Options) -> Report:
    """Measure starts in front of nothing, then in front of everything."""
    pods = max(2, options.scaled(PODS))
    report = Report("cold_start", "cold_start: start in front of many pods", facts={"pods": pods})
    async with cluster(options.kubeconfig) as server:
        async with manager(server) as kcm:
            # Byte code is compiled and files are read for the first time here.
            await kcm.ready()
        empty = [await _start(server, options, wait_for_write=False) for _ in range(options.repeat)]
        sets = await _populate(server, pods)
        report.facts["replicaSets"] = len(sets)
        bare_list, bytes_a_pod = await _fetch_list(server, pods)
        bare_stream = await _fetch_stream(server)
        report.facts["bytesAPod"] = bytes_a_pod
        full = []
        for _ in range(options.repeat):
            full.append(await _start(server, options, wait_for_write=True))
            await _lack_one(server)
    _tell(report, empty, full, bare_list, bare_stream)
    return report


def _tell(
    report: Report,
    empty: list[dict[str, float]],
    full: list[dict[str, float]],
    bare_list: float,
    bare_stream: float,
) -> None:
    def all_of(samples: list[dict[str, float]], key: str) -> list[float]:
        return [sample[key] for sample in samples]

    fixed = statistics.median(all_of(empty, "cpu"))
    report.add("cpu_s", "CPU of all kcm processes, start to idle", all_of(full, "cpu"), "s", most=0.8)
    report.add("fixed_cpu_s", "  of it with no objects (interpreters, imports)", all_of(empty, "cpu"), "s")
    report.add("data_cpu_s", "  rest: the objects", [cpu - fixed for cpu in all_of(full, "cpu")], "s")
    for role in ("manager", "host", "fork server", "tracker"):
        key = role.replace(" ", "_")
        report.add(f"{key}_cpu_s", f"  {role}", all_of(full, f"{role} cpu"), "s")
    report.add("bare_list_s", "bare time to fetch the list", bare_list, "s")
    report.add("bare_stream_s", "bare time to fetch it as a stream", bare_stream, "s")
    fetching = all_of(full, "fetch_to_ready")
    report.add("fetch_to_ready_s", "first request → ready", fetching, "s")
    report.add("ratio", "  over the bare list", [value / bare_list for value in fetching], "", most=1.5)
    report.add("stream_ratio", "  over the bare stream", [value / bare_stream for value in fetching], "")
    report.add("start_to_ready_s", "process start → ready", all_of(full, "ready"), "s")
    report.add("empty_start_to_ready_s", "process start → ready, no objects", all_of(empty, "ready"), "s")
    report.add("start_to_write_s", "process start → missing pod created", all_of(full, "write"), "s")
    report.add("pss_mib", "PSS of all kcm processes afterwards", all_of(full, "pss"), "MiB", most=180)
    for role in ("manager", "host", "fork server", "tracker"):
        report.add(f"{role.replace(' ', '_')}_mib", f"  {role}", all_of(full, f"{role} pss"), "MiB")
    report.add("idle_pss_mib", "PSS with no objects", all_of(empty, "pss"), "MiB", most=110)
    for role in ("manager", "host", "fork server", "tracker"):
        report.add(f"idle_{role.replace(' ', '_')}_mib", f"  {role}", all_of(empty, f"{role} pss"), "MiB")


async def _start(server: Cluster, options: Options, *, wait_for_write: bool) -> dict[str, float]:
    """Start kcm once; return what it took."""
    written: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def note(kind: str, line: bytes) -> None:
        if kind == "ADDED" and not written.done():
            written.set_result(time.perf_counter())

    async with server.watching(server.pods, note), manager(server) as kcm:
        ready = await kcm.ready()
        took = await written - kcm.started if wait_for_write else 0.0
        await kcm.tree.quiet(options.pause)
        return {
            "ready": ready,
            "write": took,
            "fetch_to_ready": ready - _first_request(kcm),
            "cpu": kcm.tree.cpu(),
            "pss": kcm.tree.pss(),
            **_by_role(kcm),
        }


def _by_role(kcm: ManagerProcess) -> dict[str, float]:
    found = {f"{role} {what}": 0.0 for role in ("host", "fork server", "tracker") for what in ("cpu", "pss")}
    for role, (cpu, memory) in kcm.tree.by_role().items():
        found[f"{role} cpu"] = cpu
        found[f"{role} pss"] = memory
    return found


def _first_request(kcm: ManagerProcess) -> float:
    """Return the seconds from process start to the first list, by kcm's own log."""
    logged = kcm.logged("watching")
    return logged.timestamp() - kcm.started_at if logged else 0.0


async def _populate(server: Cluster, pods: int) -> list[dict[str, Any]]:
    """Create the replica sets, their pods and both their statuses; the last one lacks a pod."""
    sizes = [min(PER_SET, pods - begin) for begin in range(0, pods, PER_SET)]
    sets = [
        await server.ask("POST", server.replica_sets, replica_set(f"app-{number:04}", size))
        for number, size in enumerate(sizes)
    ]
    names = [
        (owner, f"{owner['metadata']['name']}-{number:04}")
        for owner, size in zip(sets, sizes, strict=True)
        for number in range(size)
    ]
    await server.many([("POST", server.pods, pod_body(owner, name)) for owner, name in names])
    await server.many(
        [
            (MERGE, f"{server.pods}/{name}/status", json.dumps({"status": running_status(number)}).encode())
            for number, (_, name) in enumerate(names)
        ]
    )
    for owner, size in zip(sets, sizes, strict=True):
        path = f"{server.replica_sets}/{owner['metadata']['name']}/status"
        await server.ask(MERGE, path, {"status": counted_status(size)})
    await _lack_one(server)
    return sets


async def _lack_one(server: Cluster) -> None:
    """Delete a pod while no manager runs."""
    (pod,) = (await server.ask("GET", f"{server.pods}?limit=1"))["items"]
    await server.send("DELETE", f"{server.pods}/{pod['metadata']['name']}", b'{"gracePeriodSeconds":0}')


async def _fetch_list(server: Cluster, pods: int) -> tuple[float, int]:
    """Return the median seconds of a LIST of all pods, and the bytes a pod has in it."""
    times, size = [], 0
    for _ in range(FETCHES):
        began = time.perf_counter()
        size = len((await server.send("GET", "/api/v1/pods?resourceVersion=0")).body)
        times.append(time.perf_counter() - began)
    return statistics.median(times), size // pods


async def _fetch_stream(server: Cluster) -> float:
    """Return the median seconds until a WatchList of all pods is complete."""
    target = (
        "/api/v1/pods?watch=true&allowWatchBookmarks=true&sendInitialEvents=true"
        "&resourceVersionMatch=NotOlderThan&timeoutSeconds=60"
    )
    times = []
    for _ in range(FETCHES):
        began = time.perf_counter()
        async with server.transport.open(Request("GET", target)) as stream:
            tail = b""
            async for piece in stream:
                tail = tail[-4096:] + piece
                if b"k8s.io/initial-events-end" in tail:
                    break
        times.append(time.perf_counter() - began)
    return statistics.median(times)

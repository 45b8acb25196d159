"""One ReplicaSet 0 → N → 0, against what the server can do with a bare client.

The ceiling is measured in the same run: the same POSTs and DELETEs (bodies and preconditions
as the controller sends them) with 32 requests at a time and two watches on the pods, the second
in place of the manager's. Both are timed from the first request to the N-th event that the
benchmark's watch sees. CPU is that of all kcm processes from the scale request until the status
tells N; the sandbox and the benchmark are separate.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Any

from benchmarks.cluster import Cluster, Tally, cluster
from benchmarks.managers import ManagerProcess, manager
from benchmarks.objects import pod_body, replica_set
from benchmarks.options import Options
from benchmarks.reporting import Report

PODS = 5000
# Up and down so often, bare and by kcm, in each repetition; a repetition's number is their median.
CYCLES = 3


async def run(options: Options) -> Report:
    """Measure, as often as `options` says; return medians."""
    size = options.scaled(PODS)
    report = Report("scale", f"scale: one ReplicaSet 0 → {size} → 0", facts={"pods": size})
    samples: list[dict[str, float]] = []
    async with cluster(options.kubeconfig) as server:
        for number in range(options.repeat):
            bare = [await _bare(server, size, f"bare-{number}-{cycle}") for cycle in range(CYCLES)]
            samples.append({**_medians(bare), **_medians(await _kcm(server, options, number))})
    _tell(report, samples)
    return report


def _medians(samples: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}


def _tell(report: Report, samples: list[dict[str, float]]) -> None:
    def all_of(key: str) -> list[float]:
        return [sample[key] for sample in samples]

    for way, verb in (("up", "created"), ("down", "deleted")):
        ratios = [sample[f"{way}_per_s"] / sample[f"{way}_ceiling"] for sample in samples]
        report.add(f"{way}_ceiling", f"bare client, {verb}", all_of(f"{way}_ceiling"), "pods/s")
        report.add(f"{way}_per_s", f"kcm, {verb}", all_of(f"{way}_per_s"), "pods/s")
        report.add(f"{way}_ratio", "  of the ceiling", ratios, "", least=0.9)
        most = 0.30 if way == "up" else None
        report.add(f"{way}_cpu_ms", "CPU of all kcm processes", all_of(f"{way}_cpu_ms"), "ms/pod", most=most)
        report.add(f"{way}_manager_ms", "  of it the manager", all_of(f"{way}_manager_ms"), "ms/pod")
        report.add(f"{way}_host_ms", "  of it the host", all_of(f"{way}_host_ms"), "ms/pod")
        report.add(f"{way}_server_ms", "CPU of the server", all_of(f"{way}_server_ms"), "ms/pod")
        report.add(
            f"{way}_bare_server_ms", "  with the bare client", all_of(f"{way}_bare_server_ms"), "ms/pod"
        )


async def _bare(server: Cluster, size: int, name: str) -> dict[str, float]:
    owner = await server.ask("POST", server.replica_sets, replica_set(name, 0))
    posts = [
        ("POST", server.pods, pod_body(owner, f"{name}-{number:05}", controlled=False))
        for number in range(size)
    ]
    seen = Tally()
    async with (
        server.watching(server.pods, seen.note),
        server.watching(server.pods, lambda kind, line: None),
    ):
        cpu, began = server.server_cpu(), time.perf_counter()
        finished = asyncio.ensure_future(seen.expect("ADDED", size))
        answers = await server.many(posts)
        up, up_cpu = await finished - began, server.server_cpu() - cpu
        made = [json.loads(answer.body)["metadata"] for answer in answers]
        deletes = [("DELETE", f"{server.pods}/{meta['name']}", _delete_options(meta)) for meta in made]
        await asyncio.sleep(1.0)
        cpu, began = server.server_cpu(), time.perf_counter()
        finished = asyncio.ensure_future(seen.expect("DELETED", size))
        await server.many(deletes)
        down, down_cpu = await finished - began, server.server_cpu() - cpu
    return {
        "up_ceiling": size / up,
        "down_ceiling": size / down,
        "up_bare_server_ms": up_cpu * 1000 / size,
        "down_bare_server_ms": down_cpu * 1000 / size,
    }


def _delete_options(metadata: dict[str, Any]) -> bytes:
    preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    whole = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}
    return json.dumps(whole, separators=(",", ":")).encode()


async def _kcm(server: Cluster, options: Options, run: int) -> list[dict[str, float]]:
    size, name = options.scaled(PODS), f"scaled-{run}"
    await server.ask("POST", server.replica_sets, replica_set(name, 0))
    cycles = []
    async with manager(server) as kcm:
        await kcm.leading()
        await kcm.tree.quiet(options.pause)
        seen = Tally()
        async with server.watching(server.pods, seen.note):
            for _ in range(CYCLES):
                up = await _scale(server, kcm, seen, name, size, "up")
                await kcm.tree.quiet(options.pause)
                down = await _scale(server, kcm, seen, name, size, "down")
                await kcm.tree.quiet(options.pause)
                cycles.append({**up, **down})
    return cycles


async def _scale(
    server: Cluster, kcm: ManagerProcess, seen: Tally, name: str, size: int, way: str
) -> dict[str, float]:
    goal, kind = (size, "ADDED") if way == "up" else (0, "DELETED")
    path = f"{server.replica_sets}/{name}"
    roles, cpu, began = kcm.tree.by_role(), server.server_cpu(), time.perf_counter()
    finished = asyncio.ensure_future(seen.expect(kind, size))
    await server.ask("PATCH", path, {"spec": {"replicas": goal}})
    took = await finished - began
    server_cpu = server.server_cpu() - cpu
    async with asyncio.timeout(60):
        while (await server.ask("GET", path))["status"].get("replicas", 0) != goal:
            await asyncio.sleep(0.05)
    after = kcm.tree.by_role()
    spent = {role: after[role][0] - roles.get(role, (0.0, 0.0))[0] for role in after}
    return {
        f"{way}_per_s": size / took,
        f"{way}_cpu_ms": sum(spent.values()) * 1000 / size,
        f"{way}_manager_ms": spent.get("manager", 0.0) * 1000 / size,
        f"{way}_host_ms": spent.get("host", 0.0) * 1000 / size,
        f"{way}_server_ms": server_cpu * 1000 / size,
    }

"""The same work by kcm, by kopf and by a loop on the official client's informer.

N custom resources each own one ConfigMap. Cold: all are there when the process starts; timed from its
start to the last ConfigMap. Change: the text of each is changed, 32 requests at a time; timed from the
first request to the last ConfigMap. CPU is that of the whole process tree until it rests; memory its
PSS when it rests. Then 10 N pods of some 5 KB are cached by kcm and by the informer. Each contender
has a sandbox of its own, with the same contents. Peers need a Python that has them (`--peers-python`,
`pip install kopf kubernetes`); without it they are skipped. Programs: benchmarks/peer_programs.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.cluster import Cluster, Tally, cluster, environment
from benchmarks.options import Options
from benchmarks.processes import Tree
from benchmarks.reporting import Report
from kcm.objects.definitions import definition_of

WIDGETS = 1000
PROGRAMS = Path(__file__).parent / "peer_programs"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

_KCM = """
apiVersion: kcm.dev/v1alpha1
kind: ManagerConfiguration
client: {qps: 0}
serving: {enabled: false}
controllers:
  NAME: {implementation: "benchmarks.peer_programs.with_kcm:CLASS", workers: 16}
"""


async def run(options: Options) -> Report:
    """Measure each contender that is there."""
    widgets = options.scaled(WIDGETS)
    pods = 10 * widgets
    report = Report(
        "peers", f"peers: {widgets} custom resources, a ConfigMap each", facts={"widgets": widgets}
    )
    found = ["kcm", *(name for name in ("kopf", "informer") if _has(options.peers_python, name))]
    report.facts["contenders"] = " ".join(found)
    numbers: dict[str, list[dict[str, float]]] = {name: [] for name in found}
    for _ in range(options.repeat):
        for name in found:
            numbers[name].append(await _converge(name, options, widgets))
    for name, samples in numbers.items():
        for key, text, unit in _ROWS:
            values = [sample[key] for sample in samples]
            report.add(f"{name}_{key}", f"{name}, {text}", values, unit)
    cached = {name: await _cached(name, options, pods) for name in found if name != "kopf"}
    for name, mib in cached.items():
        report.add(f"{name}_pods_mib", f"{name}, {pods} pods cached, memory", mib, "MiB")
    _ratios(report)
    return report


_ROWS = (
    ("cold_s", "cold, to the last ConfigMap", "s"),
    ("cold_cpu_s", "cold, CPU", "s"),
    ("change_s", "change of all, to the last ConfigMap", "s"),
    ("change_cpu_s", "change of all, CPU", "s"),
    ("pss_mib", "memory at rest", "MiB"),
)


def _ratios(report: Report) -> None:
    """Add what the peers need more than kcm, with the targets of the issue."""
    rows = {row.key: row.value for row in report.rows}
    for key, text, least in (
        ("cold_cpu_s", "kopf / kcm, CPU cold", 3.0),
        ("change_cpu_s", "kopf / kcm, CPU of the change", 3.0),
    ):
        if f"kopf_{key}" in rows:
            ratio = rows[f"kopf_{key}"] / max(rows[f"kcm_{key}"], 0.01)
            report.add(f"ratio_{key}", text, ratio, "", least=least)
    if "informer_pods_mib" in rows:
        ratio = rows["informer_pods_mib"] / rows["kcm_pods_mib"]
        report.add("ratio_pods_mib", "informer / kcm, memory with the pods", ratio, "", least=5.0)


def _has(python: str, name: str) -> bool:
    module = "kopf" if name == "kopf" else "kubernetes.informer"
    if not python:
        return False
    asked = [python, "-c", f"import {module}, kubernetes"]
    return subprocess.run(asked, capture_output=True, check=False, env=environment()).returncode == 0


async def _converge(name: str, options: Options, count: int) -> dict[str, float]:
    async with cluster(options.kubeconfig) as server:
        # Only peers may be measured here, so that kcm itself is not imported before it is needed.
        from benchmarks.peer_programs.with_kcm import Widget  # noqa: PLC0415

        await _define(server, definition_of(Widget))
        widgets = f"/apis/bench.kcm.dev/v1/namespaces/{server.namespace}/widgets"
        maps = f"/api/v1/namespaces/{server.namespace}/configmaps"
        bodies = [_widget(number) for number in range(count)]
        await server.many([("POST", widgets, body) for body in bodies])
        seen = Tally()
        async with server.watching(maps, seen.note):
            began = time.perf_counter()
            cold = asyncio.ensure_future(seen.expect("ADDED", count))
            async with _contender(name, options, server, "widgets") as tree:
                cold_s = await cold - began
                await tree.quiet(options.pause)
                cold_cpu = tree.cpu()
                began = time.perf_counter()
                changed = asyncio.ensure_future(seen.expect("MODIFIED", count))
                change = json.dumps({"spec": {"text": "two"}}).encode()
                await server.many(
                    [("PATCH", f"{widgets}/widget-{number:05}", change) for number in range(count)]
                )
                change_s = await changed - began
                await tree.quiet(options.pause)
                return {
                    "cold_s": cold_s,
                    "cold_cpu_s": cold_cpu,
                    "change_s": change_s,
                    "change_cpu_s": tree.cpu() - cold_cpu,
                    "pss_mib": tree.pss(),
                }


async def _cached(name: str, options: Options, count: int) -> float:
    async with cluster(options.kubeconfig) as server:
        await server.many([("POST", server.pods, _pod(number)) for number in range(count)])
        async with _contender(name, options, server, "pods") as tree:
            await tree.quiet(max(1.0, options.pause), within=300.0)
            return tree.pss()


async def _define(server: Cluster, definition: dict[str, object]) -> None:
    await server.ask("POST", DEFINITIONS, definition)
    async with asyncio.timeout(10):
        while (await server.send("GET", "/apis/bench.kcm.dev/v1/widgets")).status != 200:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def _contender(name: str, options: Options, server: Cluster, work: str) -> AsyncIterator[Tree]:
    """Run one contender; it has ended when the context is left."""
    with tempfile.TemporaryDirectory(prefix="kcm-bench-") as directory:
        command = _command(name, options, server, work, Path(directory))
        kept = {**environment(), "KUBECONFIG": str(server.kubeconfig), "PYTHONPATH": str(PROGRAMS.parents[1])}
        if name != "kcm":
            del kept["PYTHONPATH"]
        process = _start(command, Path(directory) / "log", kept)
        try:
            yield Tree(process.pid)
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended: {(Path(directory) / 'log').read_text()[-2000:]}")
        except TimeoutError:
            raise RuntimeError(f"{name}: {(Path(directory) / 'log').read_text()[-2000:]}") from None
        finally:
            process.kill()
            process.wait()


def _start(command: list[str], log: Path, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=variables)


def _command(name: str, options: Options, server: Cluster, work: str, directory: Path) -> list[str]:
    match name:
        case "kcm":
            file = directory / "kcm.yaml"
            kind = "WidgetController" if work == "widgets" else "PodWatcher"
            file.write_text(_KCM.replace("NAME", work).replace("CLASS", kind))
            command = [sys.executable, "-m", "kcm", "run", "--kubeconfig", str(server.kubeconfig)]
            return [*command, "--config", str(file), "--controllers", work]
        case "kopf":
            script = str(PROGRAMS / "with_kopf.py")
            return [options.peers_python, "-m", "kopf", "run", "--standalone", "-A", "--quiet", script]
        case _:
            script = str(PROGRAMS / "with_informer.py")
            return [options.peers_python, script, *(["pods"] if work == "pods" else [])]


def _widget(number: int) -> bytes:
    head = {"apiVersion": "bench.kcm.dev/v1", "kind": "Widget", "metadata": {"name": f"widget-{number:05}"}}
    return json.dumps({**head, "spec": {"text": "one"}}).encode()


def _pod(number: int) -> bytes:
    """Return a pod of some 5 KB: environment, probes, annotations, as pods have them."""
    container = {
        "name": "main",
        "image": "registry.example/team/service:1.2.3",
        "env": [{"name": f"SETTING_{each}", "value": "x" * 60} for each in range(24)],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5},
    }
    metadata = {
        "name": f"pod-{number:05}",
        "labels": {"app": f"app-{number % 100}", "tier": "backend"},
        "annotations": {f"example.dev/note-{each}": "y" * 80 for each in range(10)},
    }
    return json.dumps(
        {"metadata": metadata, "spec": {"schedulerName": "nobody", "containers": [container]}}
    ).encode()

"""Autoscalers: what evaluating a thousand of them costs, and whether their periods are kept.

1,000 HorizontalPodAutoscalers over 1,000 Deployments and 10,000 running pods, each measured by
the CPU of its pods, which is just on target: every evaluation does all its reading and nothing
has to be written. CPU is that of all kcm processes in percent of one core, over four periods.
Lateness is how long after it was due an evaluation began, from kcm's own histogram.

Then 40 more which ask an external metrics API that takes 5 s for each answer: the lateness of
all, which it must not touch. Needs the sandbox: a real cluster's metrics cannot be set.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

from benchmarks.cluster import Cluster, cluster
from benchmarks.deployments import OFTEN, Statuses, deployments
from benchmarks.kubelets import instant_kubelets
from benchmarks.managers import ManagerProcess, manager
from benchmarks.objects import template
from benchmarks.options import Options
from benchmarks.reporting import Report

COUNT, SIZE, SLOW = 1000, 10, 40
PERIOD, PERIODS = 15.0, 4
SLOW_SECONDS = 5
LATE = re.compile(r'kcm_hpa_late_seconds_bucket\{.*?le="(?P<bound>[^"]+)".*?\} (?P<count>\S+)')


async def run(options: Options) -> Report:
    """Measure."""
    report = Report("autoscalers", "autoscalers: a thousand of them, and a slow metrics API beside")
    count = options.scaled(COUNT, 2)
    period, periods = (PERIOD, PERIODS) if options.size >= 0.01 else (1.0, 2)
    report.facts = {"autoscalers": count, "pods": count * SIZE, "seconds": periods * period}
    settings = f"controllers: {{hpa: {{settings: {{syncPeriod: {period}}}}}}}\n"
    async with (
        cluster() as server,
        manager(server, OFTEN + settings, controllers="replicaset,deployment,hpa,eventrecorder") as kcm,
        instant_kubelets(server),
    ):
        await kcm.leading()
        statuses = Statuses(SIZE, complete=True)
        async with server.watching(deployments(server), statuses.note):
            await _create(server, deployments(server), (_deployment(f"web-{n}") for n in range(count)))
            await statuses.all(count)
        await kcm.tree.quiet(options.pause, within=300.0)
        before = kcm.tree.cpu()
        await asyncio.sleep(period)
        idle = (kcm.tree.cpu() - before) / period * 100

        await _create(server, _autoscalers(server), (_autoscaler(f"web-{n}", _cpu()) for n in range(count)))
        await asyncio.sleep(3 * period)
        plain = await _measure(kcm, period, periods)

        await server.ask("POST", "/sandbox/faults", _slow())
        names = [f"slow-{number}" for number in range(SLOW)]
        await _create(server, deployments(server), map(_deployment, names))
        await _create(server, _autoscalers(server), (_autoscaler(name, _queue()) for name in names))
        await asyncio.sleep(2 * period)
        beside = await _measure(kcm, period, periods)
    report.add("cpu_percent", "CPU of all kcm processes, of one core", plain["cpu"], "%", most=10.0)
    report.add("idle_percent", "the same without autoscalers", idle, "%")
    report.add("evaluations", "evaluations in each period, of one an autoscaler", plain["share"])
    report.add("late_s", "begun at most so late", plain["late"], "s", most=1.0)
    report.add(
        "slow_late_s", f"… beside {SLOW} whose metrics take {SLOW_SECONDS} s", beside["late"], "s", most=1.0
    )
    return report


async def _measure(kcm: ManagerProcess, period: float, periods: int) -> dict[str, float]:
    """Return CPU, share of the evaluations that were due, and the bound of the lateness."""
    late_before, cpu, began = _late(await kcm.metrics()), kcm.tree.cpu(), time.perf_counter()
    await asyncio.sleep(periods * period)
    seconds, spent = time.perf_counter() - began, kcm.tree.cpu() - cpu
    text = await kcm.metrics()
    late = {bound: number - late_before.get(bound, 0.0) for bound, number in _late(text).items()}
    total = late[float("inf")]
    known = float(re.findall(r"^horizontal_pod_autoscaler_controller_num_\S+ (\S+)$", text, re.M)[0])
    return {
        "cpu": spent / seconds * 100,
        "share": total / (known * seconds / period),
        "late": min(bound for bound, number in late.items() if number >= total),
    }


def _late(text: str) -> dict[float, float]:
    return {float(found["bound"]): float(found["count"]) for found in LATE.finditer(text)}


async def _create(server: Cluster, path: str, objects: Any) -> None:
    await server.many([("POST", path, json.dumps(each).encode()) for each in objects])


def _autoscalers(server: Cluster) -> str:
    return f"/apis/autoscaling/v2/namespaces/{server.namespace}/horizontalpodautoscalers"


def _deployment(name: str) -> dict[str, Any]:
    pod = template(name)
    pod["metadata"] = {"labels": {"app": name}, "annotations": {"sandbox.kcm.dev/usage-cpu": "80m"}}
    spec = {"replicas": SIZE, "selector": {"matchLabels": {"app": name}}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def _autoscaler(name: str, metric: dict[str, Any]) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 50, "metrics": [metric]},
    }


def _cpu() -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": 80}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _queue() -> dict[str, Any]:
    target = {"type": "AverageValue", "averageValue": "1"}
    return {"type": "External", "external": {"metric": {"name": "queue"}, "target": target}}


def _slow() -> dict[str, Any]:
    return {"effect": {"type": "delay", "seconds": SLOW_SECONDS}, "resource": "queue"}

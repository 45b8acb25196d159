"""What a key's way through the workqueue costs: add, get, done; and adding what is queued already."""

from __future__ import annotations

import resource

from benchmarks.options import Options
from benchmarks.reporting import Report
from kcm.base.backoff import Backoff
from kcm.base.clock import SystemClock
from kcm.base.rng import SeededRng
from kcm.objects.resource import Key
from kcm.workqueue import WorkQueue

KEYS = 50_000


async def run(options: Options) -> Report:
    """Measure one pass over many keys."""
    keys = [Key("default", f"object-{number}") for number in range(options.scaled(KEYS))]
    queue: WorkQueue[Key] = WorkQueue(clock=SystemClock(), rng=SeededRng(1), backoff=Backoff(0.005, 60.0))
    report = Report("queue", "queue: CPU of one key's way", facts={"keys": len(keys)})
    began = _cpu()
    for key in keys:
        queue.add(key)
    added = _cpu()
    for key in keys:
        queue.add(key)
    again = _cpu()
    for _ in keys:
        queue.done(await queue.get())
    done = _cpu()
    report.add("add_us", "add", (added - began) * 1e6 / len(keys), "us")
    report.add("add_again_us", "add what waits already", (again - added) * 1e6 / len(keys), "us")
    report.add("get_done_us", "get and done", (done - again) * 1e6 / len(keys), "us")
    return report


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

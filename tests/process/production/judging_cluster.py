"""A secure sandbox process that writes down what it was asked, by whom, and what came of it.

Run as a script: `judging_cluster.py KUBECONFIG RECORD`; it prints `ready PORT`, the port of a second
door without TLS where the test itself goes in and out (as the administrator, and not written down).
The record has one JSON object a line, in the order in which this one process did it; `at` is seconds
since the machine was started:

    {"request": ...}  answered: agent, who, method, path, query, status, began, preconditions, at
    {"commit": ...}   stored: revision, verb, resource, name, agent, what the judges look at, at
    {"broken": ...}   an invariant that does not hold: its name, and what broke it
"""

import asyncio
import contextvars
import json
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

from kcm.base.clock import SystemClock
from kcm.base.rng import SeededRng
from kcm.host.process import die_with_parent
from kcm.sandbox.clock import SteppableClock
from kcm.sandbox.cluster import ClusterSettings, Pace
from kcm.sandbox.process import Sandbox, SandboxSettings
from kcm.serving.http import HttpServer
from kcm.telemetry.writer import LineWriter
from kcm.testing import invariants, rollout_bounds

# Real processes need real time to learn of a change, and a machine may stall.
LAG = timedelta(seconds=5)
SELF = "kcm"
WORKLOADS = ("deployments.apps", "replicasets.apps")
WHO = contextvars.ContextVar("who", default="")


def now():
    return round(time.clock_gettime(time.CLOCK_BOOTTIME), 6)


class Judging(Sandbox):
    """The sandbox, with a witness at the door and one at the store."""

    def __init__(self, kubeconfig, record):
        # Silent nodes and evictions are not the subject; the nodes of the pods of kcm are the test's own.
        cluster = ClusterSettings(nodes=2, pace=Pace(speed=50.0), lifecycle=False)
        settings = SandboxSettings(cluster=cluster, secure=True, kubeconfig_out=kubeconfig, narrate=False)
        writer = LineWriter(sys.stdout, lambda count: f"({count} lines left out)")
        super().__init__(settings, SteppableClock(SystemClock()), SeededRng(), writer, colour=False)
        self._record = record
        self._server = HttpServer(self._answer)
        self.door = HttpServer(self.api.handle)
        admit = self.api.gate.admit

        def admitted(request):
            user = admit(request)
            WHO.set(user.name)
            return user

        self.api.gate.admit = admitted
        invariants.LAG = rollout_bounds.LAG = LAG
        self._judges = {
            "no surplus": invariants.NoSurplus(self.api).surplus,
            "one set a template": invariants.OneSetPerTemplate(self.api).broken,
            "rollout bounds": rollout_bounds.RolloutBounds(self.api, SELF).broken,
        }
        self.api.audit.subscribe(self._commit)

    async def _answer(self, request):
        began = now()
        WHO.set("")
        answer = await self.api.handle_secured(request)
        self._note(
            "request",
            agent=request.headers.get("user-agent", ""),
            who=WHO.get(),
            method=request.method,
            path=request.path,
            query=dict(request.query),
            status=answer.status,
            began=began,
            preconditions=preconditions(request),
        )
        return answer

    def _commit(self, mutation):
        facts = {}
        if mutation.resource.startswith("leases") and mutation.after is not None:
            spec = mutation.after["spec"]
            facts = {
                "holder": spec.get("holderIdentity") or "",
                "transitions": spec.get("leaseTransitions", 0),
            }
        elif mutation.resource in WORKLOADS and mutation.after is not None:
            facts = {"replicas": mutation.after["spec"]["replicas"]}
        if not mutation.resource.startswith("events"):
            self._note(
                "commit",
                revision=mutation.revision,
                event=mutation.event,
                verb=mutation.verb,
                resource=mutation.resource.partition(".")[0],
                subresource=mutation.subresource,
                namespace=mutation.namespace,
                name=mutation.name,
                agent=mutation.user_agent,
                **facts,
            )
        for name, broken in self._judges.items():
            for text in broken:
                self._note("broken", invariant=name, text=text)
            broken.clear()

    def _note(self, kind, **fields):
        self._record.write(json.dumps({kind: {**fields, "at": now()}}) + "\n")


def preconditions(request):
    """Return what a deletion is bound to."""
    if request.method != "DELETE" or not request.body:
        return {}
    try:
        return json.loads(request.body).get("preconditions") or {}
    except ValueError:
        return {}


async def main(kubeconfig, record):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sandbox = Judging(Path(kubeconfig), record)
    door = await sandbox.door.start("127.0.0.1", 0)
    await sandbox.serve(stop, lambda ready: print(f"ready {door}", flush=True))
    await sandbox.door.stop()


if __name__ == "__main__":
    # A test process that is killed leaves nothing behind.
    die_with_parent()
    with open(sys.argv[2], "a", buffering=1, encoding="utf-8") as lines:
        asyncio.run(main(sys.argv[1], lines))

"""A sandbox process that writes down every request it answers, and every pod too many.

Run as a script: `observed_sandbox.py PORT RECORD`. The record has one JSON object a line.
"""

import asyncio
import json
import signal
import sys
import time

from kcm.base.clock import SystemClock
from kcm.base.rng import SeededRng
from kcm.sandbox.cluster import ClusterSettings, Pace
from kcm.sandbox.process import Sandbox, SandboxSettings
from kcm.serving.http import HttpServer
from kcm.telemetry.writer import LineWriter
from kcm.testing.invariants import NoSurplus


class Observed(Sandbox):
    """The sandbox, with a witness at the door."""

    def __init__(self, port, record):
        settings = SandboxSettings(port=port, cluster=ClusterSettings(nodes=2, pace=Pace(speed=50.0)))
        writer = LineWriter(sys.stdout, lambda count: f"({count} lines left out)")
        super().__init__(settings, SystemClock(), SeededRng(), writer, colour=False)
        self._record = record
        self._server = HttpServer(self._answer)
        self._invariant = NoSurplus(self.api)

    async def _answer(self, request):
        answer = await self.api.handle(request)
        if request.headers.get("user-agent") != "test":
            self.note(
                at=time.clock_gettime(time.CLOCK_BOOTTIME),
                method=request.method,
                path=request.path,
                query=dict(request.query),
                agent=request.headers.get("user-agent", ""),
                status=answer.status,
            )
        for surplus in self._invariant.surplus:
            self.note(surplus=surplus)
        self._invariant.surplus.clear()
        return answer

    def note(self, **fields):
        self._record.write(json.dumps(fields) + "\n")


async def main(port, record):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sandbox = Observed(port, record)
    await sandbox.serve(stop, lambda ready: print(f"ready {ready.port}", flush=True))


if __name__ == "__main__":
    with open(sys.argv[2], "a", buffering=1, encoding="utf-8") as lines:
        asyncio.run(main(int(sys.argv[1]), lines))

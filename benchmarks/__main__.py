"""Measure kcm: `python -m benchmarks [NAME …] [--kubeconfig F] [--size X] [--repeat N]`.

Each benchmark prints a table, then one line of JSON. Without --kubeconfig each starts a sandbox
of its own. A target that is missed is printed, not failed: the exit code is 0 when all ran.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys

import uvloop

from benchmarks import (
    autoscalers,
    cache,
    client_post,
    cold_start,
    deployments,
    failover,
    peers,
    queue,
    react,
    sandbox,
    scale,
)
from benchmarks.options import Options

BENCHMARKS = {
    "scale": scale.run,
    "cold_start": cold_start.run,
    "autoscalers": autoscalers.run,
    "deployments": deployments.run,
    "react": react.run,
    "failover": failover.run,
    "client_post": client_post.run,
    "cache": cache.run,
    "queue": queue.run,
    "peers": peers.run,
    "sandbox": sandbox.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--kubeconfig", default="", metavar="F", help="cluster to measure on")
    parser.add_argument("--size", type=float, default=1.0, metavar="X", help="factor on every amount")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="repetitions of the large ones")
    parser.add_argument(
        "--peers-python", default="", metavar="PATH", help="a Python with kopf and kubernetes"
    )
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if options.size <= 0 or options.repeat < 1:
        parser.error("--size and --repeat must be positive")
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    chosen = Options(options.kubeconfig, options.size, options.repeat, options.peers_python)
    for name in options.names or BENCHMARKS:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            report = runner.run(BENCHMARKS[name](chosen))
        print(report.table())
        print(report.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

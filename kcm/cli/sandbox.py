"""`kcm sandbox`: the embedded control plane, and the manager beside it.

The control plane runs in this process, the manager in one of its own, started exactly as
`kcm run` would be. Guarantees: Ctrl-C stops the manager first, so that it can release its
Lease, then the control plane, and leaves no process behind; if this process is killed, the
manager dies with it; if the manager ends, so does the sandbox, with its exit code. Garbage is
collected by the manager's controller where that runs (always, unless a configuration file says
otherwise), else by the control plane itself: never by both.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import signal
import socket
import sys
from pathlib import Path

import uvloop

from kcm.base.errors import ConfigurationError, KcmError
from kcm.cli.run import installed
from kcm.cli.targets import find_controller
from kcm.config.loader import check_config
from kcm.config.schema import ServingConfig
from kcm.config.selection import select
from kcm.sandbox.cluster import ClusterSettings, NodeShape, Pace
from kcm.sandbox.process import Ready, SandboxSettings, serve

SAMPLE = Path("config/samples/replicaset.yaml")
PR_SET_PDEATHSIG = 1
STOP_SECONDS = 15.0
COLLECTOR = "garbagecollector"


def sandbox(options: argparse.Namespace) -> int:
    """Run the sandbox until it is told to stop; return the exit code."""
    settings = _settings(options)
    if options.controller is not None:
        if options.no_manager:
            raise ConfigurationError("--no-manager", "", f"nobody would run {options.controller}")
        find_controller(options.controller)
    # A file that the manager would refuse is refused before anything has started.
    serving = check_config(options.config).serving if options.config else ServingConfig(port=0)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(settings, options, serving))
    except Exception as error:  # noqa: BLE001 - a process edge: one line instead of a traceback
        cause = _first(error)
        if isinstance(cause, ConfigurationError):
            raise cause from None
        print(
            f"kcm sandbox: failed: {cause if isinstance(cause, KcmError) else repr(cause)}", file=sys.stderr
        )
        return 1


async def _run(settings: SandboxSettings, options: argparse.Namespace, serving: ServingConfig) -> int:
    return await _Together(settings, options, serving).run()


def _settings(options: argparse.Namespace) -> SandboxSettings:
    if not 0 <= options.port <= 65535:
        raise ConfigurationError("--port", "", "must be between 0 and 65535")
    if not 0 <= options.nodes <= 1000:
        raise ConfigurationError("--nodes", "", "must be between 0 and 1000")
    if not 0.01 <= options.speed <= 1000:
        raise ConfigurationError("--speed", "", "must be between 0.01 and 1000")
    shape = NodeShape(cpu=options.node_cpu, memory=options.node_memory, pods=options.node_pods)
    return SandboxSettings(
        port=options.port,
        cluster=ClusterSettings(nodes=options.nodes, shape=shape, pace=Pace(speed=options.speed)),
        kubeconfig_out=Path(options.kubeconfig_out).absolute(),
        data_dir=Path(options.data_dir).absolute() if options.data_dir else None,
        metrics_file=Path(options.metrics_file) if options.metrics_file else None,
        secure=options.secure,
        collect_garbage=not _manager_collects(options),
    )


def _manager_collects(options: argparse.Namespace) -> bool:
    """Say whether the manager beside this control plane runs the garbage collector."""
    available = installed()
    if options.no_manager or COLLECTOR not in {each.name for each in available}:
        return False
    if not options.config:
        return True
    return COLLECTOR in select(check_config(options.config), available, where=options.config).enabled


class _Together:
    """Control plane and manager, side by side."""

    def __init__(
        self, settings: SandboxSettings, options: argparse.Namespace, serving: ServingConfig
    ) -> None:
        self._settings = settings
        self._options = options
        self._serving = serving
        self._asked = asyncio.Event()
        self._close = asyncio.Event()
        self._ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._code = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, number)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(self._settings, stop=self._close, ready=self._ready.set_result))
            ready = await self._ready
            try:
                if self._options.no_manager:
                    print(_banner(ready, "", self._settings.data_dir, alone=True), flush=True)
                    await self._asked.wait()
                else:
                    await self._with_manager(ready)
            finally:
                self._close.set()
        return self._code

    async def _with_manager(self, ready: Ready) -> None:
        # The banner names the port, so it is chosen here where the file leaves it open.
        port = (self._serving.port or _free_port()) if self._serving.enabled else 0
        scheme = "https" if self._serving.tls_cert_file else "http"
        pages = f"{scheme}://127.0.0.1:{port}" if port else ""
        print(_banner(ready, pages, self._settings.data_dir), flush=True)
        # A secured server takes nobody without the credentials of the kubeconfig.
        where = ["--kubeconfig", str(ready.kubeconfig)] if self._settings.secure else ["--master", ready.url]
        command = [sys.executable, "-m", "kcm", "run", *where, "--port", str(port), "--status-page"]
        command += ["--config", self._options.config] if self._options.config else ["--kube-api-qps", "0"]
        if not self._options.config and not self._settings.collect_garbage:
            command += ["--controllers", f"*,{COLLECTOR}"]
        elif self._options.controller is not None:
            command += ["--controllers", "*"]
        command += [self._options.controller] if self._options.controller is not None else []
        # A session of its own: a terminal's Ctrl-C must reach the manager once, from us.
        # Without KUBECONFIG: whatever a person is logged in to must not leak into the sandbox.
        environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        manager = await asyncio.create_subprocess_exec(
            *command, env=environment, start_new_session=True, preexec_fn=_die_with_parent
        )
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(manager.wait())
            asked = tasks.create_task(self._asked.wait())
            await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if ended.done():
                self._code = ended.result() or 1
                print(f"kcm sandbox: the manager ended with exit code {ended.result()}", file=sys.stderr)
                return
            manager.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await asyncio.shield(ended)
            except TimeoutError:
                manager.kill()

    def _signalled(self, number: signal.Signals) -> None:
        if self._asked.is_set():
            # Asked twice: whoever asks does not want to wait. The manager dies with us.
            os._exit(128 + number)
        self._asked.set()


def _banner(ready: Ready, pages: str, data_dir: Path | None, *, alone: bool = False) -> str:
    kept = f"everything is kept in {data_dir}" if data_dir else "nothing is kept when it ends"
    manager = f", manager {pages}/statusz" if pages else ""
    page = f"In a browser: {pages}/\n" if pages else ""
    start = (
        f"  kcm run --kubeconfig {ready.kubeconfig}  # a manager, in a terminal of its own\n" if alone else ""
    )
    sample = SAMPLE if SAMPLE.exists() else Path("replicaset.yaml")
    return (
        f"kcm sandbox is ready: API server {ready.url}, {ready.nodes} nodes"
        f"{manager}\n"
        f"For development and tests only: {kept}. Ctrl-C ends it.\n{page}\n"
        f"{start}"
        f"  export KUBECONFIG={ready.kubeconfig}\n"
        f"  kubectl apply -f {sample}\n"
        "  kubectl get pods -w\n"
        "  kubectl scale replicaset web --replicas=1000\n"
    )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

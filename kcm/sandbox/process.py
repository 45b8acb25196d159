"""The sandbox as a process: API server, simulated cluster and HTTP server together.

`serve` runs them until it is told to stop; `main` is the whole process with its signals.
Guarantees: listens on 127.0.0.1 only; the kubeconfig is there before `ready` is called;
SIGINT and SIGTERM end it within a few seconds, a second signal at once; what is printed never
holds anything up. Knows nothing of the manager: `kcm sandbox` starts that beside it. With a
data directory, nothing that was acknowledged is lost however it ends, and it ends when the disk
fails; without one all is gone with the process. For development and tests only.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import uvloop

from kcm.base.clock import Clock, SystemClock
from kcm.base.errors import ConfigurationError
from kcm.base.memory import calm_collector
from kcm.base.rng import Rng, SeededRng
from kcm.sandbox import kubeconfig
from kcm.sandbox.api.durable import Durability
from kcm.sandbox.api.metrics.file import MetricsFile
from kcm.sandbox.api.server import ApiServer
from kcm.sandbox.clock import SteppableClock
from kcm.sandbox.cluster import Cluster, ClusterSettings, Narrator
from kcm.sandbox.secure import Security, prepare
from kcm.serving.http import HttpServer
from kcm.telemetry.logging import logger
from kcm.telemetry.writer import LineWriter

log = logger("sandbox")

HOST = "127.0.0.1"
_TELL_OFTEN, _TELL_SELDOM = 0.25, 1.0
_STOP_WITHIN = 3.0
_LAST_LINES = 1.0
# More than the API takes: what is over its limit is read, and refused with its Status.
_MOST_READ = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """What a sandbox is to be.

    Port 0 takes a free one. `collect_garbage` and `empty_namespaces` False leave that work to real
    controllers. `narrate` prints what happens. `metrics_file` sets values of the metrics APIs.
    `data_dir` keeps everything in a directory; None: in memory. `secure` serves TLS, asks everybody
    who they are, and lets them do what the stored roles allow.
    """

    port: int = 0
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    kubeconfig_out: Path | None = None
    collect_garbage: bool = True
    empty_namespaces: bool = True
    narrate: bool = True
    metrics_file: Path | None = None
    data_dir: Path | None = None
    secure: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """Where the sandbox can be reached."""

    url: str
    port: int
    nodes: int
    seconds: float
    kubeconfig: Path | None

    @property
    def line(self) -> str:
        """Return the line to print."""
        where = f", kubeconfig {self.kubeconfig}" if self.kubeconfig else ""
        return f"sandbox ready at {self.url} after {self.seconds:.2f} s: {self.nodes} nodes{where}"


class Sandbox:
    """One sandbox; `serve` may be called once."""

    def __init__(
        self, settings: SandboxSettings, clock: Clock, rng: Rng, output: LineWriter, *, colour: bool
    ):
        self._settings = settings
        self._clock = clock
        self._output = output
        self._durability = Durability(settings.data_dir, clock) if settings.data_dir else None
        self._security = prepare(clock.wall(), settings.data_dir) if settings.secure else None
        self.api = ApiServer(
            clock,
            rng,
            collect_garbage=settings.collect_garbage,
            empty_namespaces=settings.empty_namespaces,
            speed=settings.cluster.pace.speed,
            durability=self._durability,
            access=self._security.access if self._security else None,
        )
        path = settings.metrics_file
        self._metrics_file = MetricsFile(path, self.api.metrics.book, clock) if path else None
        handler = self.api.handle_secured if self._security else self.api.handle
        guarded = self._durability.guard(handler) if self._durability else handler
        self._server = HttpServer(guarded, max_body=_MOST_READ)
        self._cluster = Cluster(self.api.handle, settings.cluster, clock, rng)
        self._narrator = Narrator(colour=colour)
        if settings.narrate:
            self._cluster.narrate(self._narrator)

    async def serve(self, stop: asyncio.Event, ready: Callable[[Ready], None]) -> None:
        """Serve until `stop` is set; ConfigurationError when it cannot start as it was told."""
        begun = self._clock.monotonic()
        target = self._settings.kubeconfig_out
        try:
            if target is not None:
                kubeconfig.check_target(target)
            if self._durability is not None:
                await self._durability.flushed()
            port = await self._listen()
            url = f"{'https' if self._security else 'http'}://{HOST}:{port}"
            async with asyncio.TaskGroup() as group:
                parts = group.create_task(self._run_parts())
                await self._cluster.register()
                await self._cluster.settled()
                if target is not None:
                    _write_kubeconfig(target, url, self._security)
                seconds = self._clock.monotonic() - begun
                ready(Ready(url, port, self._settings.cluster.nodes, seconds, target))
                await stop.wait()
                parts.cancel()
        finally:
            await self._close()

    async def _listen(self) -> int:
        try:
            tls = self._security.tls if self._security else None
            return await self._server.start(HOST, self._settings.port, tls)
        except OSError as error:
            reason = f"cannot listen on {HOST}:{self._settings.port}: {error.strerror or error}"
            raise ConfigurationError("--port", "", reason) from error

    async def _run_parts(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.api.run())
            if self._durability is not None:
                group.create_task(self._durability.run())
            if self._metrics_file is not None:
                group.create_task(self._metrics_file.run())
            if self._settings.narrate:
                group.create_task(self._tell())
            group.create_task(self._cluster.run())

    async def _tell(self) -> None:
        while True:
            await self._clock.sleep(_TELL_SELDOM if self._narrator.crowded else _TELL_OFTEN)
            for line in self._narrator.tell(self._clock.wall().astimezone()):
                self._output.put(line)

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(_STOP_WITHIN):
                await self._server.stop()
        except TimeoutError:
            log.warning("server did not stop in time", seconds=_STOP_WITHIN)
        if self._durability is not None:
            await self._durability.close()


async def serve(
    settings: SandboxSettings,
    *,
    clock: Clock | None = None,
    rng: Rng | None = None,
    output: TextIO | None = None,
    stop: asyncio.Event | None = None,
    ready: Callable[[Ready], None] | None = None,
) -> None:
    """Run a sandbox until `stop` is set. Lines go to `output` (stdout); `ready` replaces the ready line."""
    # A store of pods has no cycles, and is walked through in vain at each thousand of them.
    calm_collector()
    stream = output or sys.stdout
    writer = LineWriter(stream, lambda count: f"({count} lines left out)")
    colour = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    sandbox = Sandbox(
        settings, clock or SteppableClock(SystemClock()), rng or SeededRng(), writer, colour=colour
    )
    try:
        await sandbox.serve(stop or asyncio.Event(), ready or (lambda facts: writer.put(facts.line)))
    finally:
        writer.close(_LAST_LINES)


def main(settings: SandboxSettings) -> int:
    """Run a sandbox as this process; return its exit code (0 asked to stop, 1 failed, 2 bad settings)."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_signal(settings))
    except ConfigurationError as error:
        print(f"kcm sandbox: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # noqa: BLE001 - a process edge: one line instead of a traceback
        print(f"kcm sandbox: failed: {_cause(error)}", file=sys.stderr)
        return 1
    return 0


async def _until_signal(settings: SandboxSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked(number: signal.Signals) -> None:
        if stop.is_set():
            # Asked twice: whoever asks does not want to wait.
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked, number)
    await serve(settings, stop=stop)


def _write_kubeconfig(path: Path, url: str, security: Security | None) -> None:
    credentials = None
    if security is not None:
        credentials = kubeconfig.Credentials(
            security.ca_pem, security.admin_certificate, security.admin_key, security.admin_token
        )
    try:
        kubeconfig.write(path, url, credentials)
    except OSError as error:
        raise ConfigurationError(str(path), "", f"cannot be written: {error.strerror}") from error


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

"""What runs inside a `ControlPlane`'s thread: API server, simulated cluster, controllers, one loop.

`Engine` owns the thread, the loop and every task on it. Guarantees: when `start` returns the
server answers and its nodes are there; when `stop` returns the thread has ended and the port is
free; an error of any part is raised by `stop` and by every later `call`, not lost in the thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, TypeVar

import msgspec

from kcm.base.rng import SeededRng
from kcm.client.credentials import Credentials, FixedCredentials
from kcm.client.transport import Transport
from kcm.config.schema import Configuration
from kcm.manager.daemon import Manager
from kcm.sandbox.api.server import ApiServer
from kcm.sandbox.cluster import Cluster, ClusterSettings, Pace
from kcm.serving.http import HttpServer
from kcm.telemetry.logging import logger
from kcm.testing.launcher import LoopLauncher
from kcm.testing.leaping import LeapingClock, LeapingLoop
from kcm.testing.loopback import LoopbackTransport

T = TypeVar("T")

log = logger("testing")

HOST = "127.0.0.1"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class PlaneSettings:
    """What a control plane is to be.

    `nodes` 0: neither scheduler nor kubelet, pods stay Pending. `speed` divides the times that pods
    take. `controllers` None: those that come with kcm; () none at all; or some of their names.
    `collect_garbage` and `empty_namespaces` False leave that work to somebody else.
    """

    nodes: int = 2
    speed: float = 20.0
    controllers: tuple[str, ...] | None = None
    collect_garbage: bool = True
    empty_namespaces: bool = True
    port: int = 0


class Engine:
    """One thread with one control plane on it."""

    def __init__(self, settings: PlaneSettings) -> None:
        # Before the loop is made: what is refused here would leave it open.
        self._controllers = shipped_controllers(settings.controllers)
        self.port = 0
        self.loop = LeapingLoop()
        self.clock = LeapingClock(self.loop)
        self._settings = settings
        self._rng = SeededRng()
        self.api = ApiServer(
            self.clock,
            self._rng,
            collect_garbage=settings.collect_garbage,
            empty_namespaces=settings.empty_namespaces,
            speed=settings.speed,
        )
        self._stop = asyncio.Event()
        self._ready: Future[None] = Future()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="kcm control plane", daemon=True)

    def start(self) -> None:
        """Start the thread; whatever keeps the server from starting is raised here."""
        self._thread.start()
        self._ready.result(_START_SECONDS)

    def stop(self) -> None:
        """End the thread; raise what it died of, if it did."""
        if self._thread.ident is None:
            self.loop.close()
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError(f"the control plane did not stop within {_STOP_SECONDS:g} s")
        self.check()

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._error is not None:
            raise RuntimeError(f"the control plane has died: {self._error!r}") from self._error

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return its result. Not to be called from the loop itself."""
        self.check()
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def _live(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._run())
        except BaseException as error:  # noqa: BLE001 - a thread's edge: told to whoever asks next
            self._error = _cause(error)
            if not self._ready.done():
                self._ready.set_exception(self._error)
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()

    async def _run(self) -> None:
        server = HttpServer(self.api.handle)
        cluster = Cluster(self.api.handle, self._cluster_settings(), self.clock, self._rng)
        self.port = await server.start(HOST, self._settings.port)
        try:
            async with asyncio.TaskGroup() as group:
                parts = [group.create_task(self.api.run())]
                await cluster.register()
                parts.append(group.create_task(cluster.run()))
                manager = (
                    group.create_task(self._manager(group).run(self._stop)) if self._controllers else None
                )
                self._ready.set_result(None)
                await self._stop.wait()
                if manager is not None:
                    await manager
                for part in parts:
                    part.cancel()
        finally:
            await server.stop()

    def _cluster_settings(self) -> ClusterSettings:
        return ClusterSettings(nodes=self._settings.nodes, pace=Pace(speed=self._settings.speed))

    def _manager(self, group: asyncio.TaskGroup) -> Manager:
        def connect(source: object, connections: int, *, spares: int = 0) -> Transport:
            return LoopbackTransport(self.api.handle)

        return Manager(
            quiet_configuration(),
            self._controllers,
            "control-plane",
            FixedCredentials(Credentials(server="http://sandbox")),
            connect,
            LoopLauncher(group, connect, self.clock, self._rng),
            self.clock,
            self._rng,
        )


def quiet_configuration() -> Configuration:
    """Return a manager's configuration without election, rate limit and pages."""
    plain = Configuration()
    return msgspec.structs.replace(
        plain,
        client=msgspec.structs.replace(plain.client, qps=0.0),
        serving=msgspec.structs.replace(plain.serving, enabled=False),
        leader_election=msgspec.structs.replace(plain.leader_election, enabled=False),
    )


def shipped_controllers(names: tuple[str, ...] | None) -> dict[str, str]:
    """Return kcm's own controllers of those names (None: all); ValueError for an unknown one."""
    points = entry_points(group="kcm.controllers")
    shipped = {point.name: point.value for point in points if point.dist and point.dist.name == "kcm"}
    if names is None:
        return shipped
    if unknown := [name for name in names if name not in shipped]:
        raise ValueError(f"no controller {', '.join(unknown)}; there are {', '.join(sorted(shipped))}")
    return {name: shipped[name] for name in names}


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

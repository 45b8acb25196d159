"""A whole world in one loop and in virtual time: sandbox, simulated cluster, managers.

`World` is what controller tests stand on. It makes objects through the API, runs one or more
daemons against it, and is asked about what the API server holds: tests judge the world, not
the calls. Guarantees: an hour passes in milliseconds; the same seed gives the same run;
`Crash` stops a daemon's host right behind its n-th write, whose answer it never sees; a controller that
changes what its cache has handed it fails the test. The world owns every task it starts and ends them
when it is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec

from kcm.base.rng import SeededRng
from kcm.client import transport
from kcm.client.credentials import Credentials, FixedCredentials
from kcm.config.schema import Configuration
from kcm.manager.daemon import Manager
from kcm.sandbox.api.server import ApiServer
from kcm.sandbox.cluster import Cluster, ClusterSettings
from kcm.serving.http import ConnectionLost, Request, Response
from kcm.testing.launcher import LoopLauncher
from kcm.testing.loopback import LoopbackTransport, Server
from kcm.testing.virtual import VirtualClock
from kcm.testing.watchful import Ledger

Json = dict[str, Any]

REPLICASET = {"replicaset": "controllers.replicaset:ReplicaSetController"}
RECORDER = {"eventrecorder": "controllers.eventrecorder:EventRecorder"}
WORKLOADS = {**REPLICASET, "deployment": "controllers.deployment:DeploymentController"}


class Daemon:
    """One manager of the world, with its hosts. `writes` counts those that may crash it.

    `manager` and its `launcher` are kcm's own; `ended` is set when it has, with its `error` if it `may_fail`;
    `killed`: it reaches the server no more.
    """

    def __init__(self, manager: Manager, launcher: LoopLauncher) -> None:
        self.manager = manager
        self.launcher = launcher
        self.writes = 0
        self.error: Exception | None = None
        self.ended = asyncio.Event()
        self.killed = False
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, tasks: asyncio.TaskGroup, may_fail: bool) -> asyncio.Task[None]:
        """Let it run in a task group, which its own failure ends unless it `may_fail`."""
        self._task = tasks.create_task(self._live(may_fail))
        return self._task

    async def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        self._stop.set()
        await self.ended.wait()

    def kill(self) -> None:
        """End it as kill -9 would: nothing is released, nothing is flushed."""
        self.killed = True
        for handle in self.launcher.handles:
            handle.kill()
        if self._task is not None:
            self._task.cancel()

    async def _live(self, may_fail: bool) -> None:
        try:
            await self.manager.run(self._stop)
        except Exception as error:
            if not may_fail:
                raise
            self.error = error
        finally:
            self.ended.set()


class World:
    """Use it as an async context, inside `kcm.testing.virtual.run`.

    `api`: the API server, with its `faults` and its `audit`; `clock` and `rng`: everybody's time and chance;
    `writes`: how many the daemons have sent; `configuration`: what the daemons run with.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        nodes: int = 2,
        configuration: Configuration | None = None,
        collect_garbage: bool = True,
    ) -> None:
        self.clock = VirtualClock()
        self.rng = SeededRng(seed)
        self.api = ApiServer(self.clock, self.rng, collect_garbage=collect_garbage)
        self.writes = 0
        self.configuration = configuration or quick_configuration()
        self._cluster = (
            Cluster(self.api.handle, ClusterSettings(nodes=nodes), self.clock, self.rng) if nodes else None
        )
        self._group = asyncio.TaskGroup()
        self._background: list[asyncio.Task[Any]] = []
        self._ledgers: list[Ledger] = []

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._background.append(self._group.create_task(self.api.run()))
        if self._cluster is not None:
            await self._cluster.register()
            self._background.append(self._group.create_task(self._cluster.run()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._background:
            task.cancel()
        await self._group.__aexit__(kind, error, trace)
        for ledger in self._ledgers:
            ledger.check()

    def start(
        self,
        controllers: Mapping[str, str] = REPLICASET,
        *,
        identity: str = "one",
        crash_after: int | None = None,
        crash_of: str = "",
        may_fail: bool = False,
        dry_run: bool = False,
        prepare: Callable[[Manager], object] = lambda manager: None,
        recorder: bool = True,
    ) -> Daemon:
        """Start a daemon. With `crash_after`, its hosts die behind that many writes (once).

        `crash_of` names one controller, whose writes alone are counted for that. With `may_fail`,
        the daemon's own error is kept in its `error`; else it ends the world. `prepare` gets
        its manager before that runs. With `dry_run` it writes nothing. What the controllers tell is
        recorded, as in a daemon that nobody configured; without `recorder` it is dropped.
        """
        daemon: Daemon
        launcher: LoopLauncher

        def after_write(request: transport.Request) -> bool:
            agent = dict(request.headers).get("User-Agent", "")
            if agent.endswith("/eventrecorder") and crash_of != "eventrecorder":
                # Telling is no work: a settled world stays settled while the last counts are written.
                return False
            self.writes += 1
            if not agent.endswith(crash_of):
                return False
            daemon.writes += 1
            if daemon.writes != crash_after:
                return False
            for handle in launcher.handles:
                handle.kill()
            return True

        reach = _reached_while(lambda: not daemon.killed, self.api.handle)

        def connect(source: object, connections: int, *, spares: int = 0) -> transport.Transport:
            return LoopbackTransport(reach)

        def connect_host(source: object, connections: int) -> transport.Transport:
            return LoopbackTransport(reach, after_write)

        launcher = LoopLauncher(self._group, connect_host, self.clock, self.rng)
        self._ledgers.append(launcher.ledger)
        manager = Manager(
            *(self.configuration, {**controllers, **RECORDER} if recorder else controllers, identity),
            *(FixedCredentials(Credentials(server="http://sandbox")), connect, launcher),
            *(self.clock, self.rng, dry_run),
        )
        prepare(manager)
        daemon = Daemon(manager, launcher)
        self._background.append(daemon.begin(self._group, may_fail))
        return daemon

    async def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Json:
        """Send one request to the API server as a user; AssertionError for an answer that is no success."""
        encoded = b"" if body is None else msgspec.json.encode(body)
        target, _, query = path.partition("?")
        pairs = tuple(
            (key, value) for key, _, value in (part.partition("=") for part in query.split("&") if part)
        )
        headers = {"content-type": content_type, "accept": "application/json", "user-agent": "test"}
        answer = await self.api.handle(Request(method, target, pairs, headers, encoded))
        content = (
            answer.body if isinstance(answer.body, bytes) else b"".join([part async for part in answer.body])
        )
        assert answer.status < 300, f"{method} {path}: {answer.status} {content.decode()}"
        decoded: Json = msgspec.json.decode(content)
        return decoded

    async def items(self, path: str) -> list[Json]:
        """Return the objects of a collection."""
        listed = await self.call("GET", path)
        found: list[Json] = listed["items"]
        return found

    async def patch(self, path: str, changes: Json) -> Json:
        """Merge changes into an object."""
        return await self.call("PATCH", path, changes, "application/merge-patch+json")

    async def until(self, holds: Callable[[], Any], within: float = 60.0, what: str = "") -> None:
        """Wait until an async condition holds; AssertionError when it does not within so many seconds."""
        end = self.clock.monotonic() + within
        while not await holds():
            assert self.clock.monotonic() < end, f"not within {within:g} virtual seconds: {what or holds}"
            await self.clock.sleep(0.05)


def _reached_while(alive: Callable[[], bool], server: Server) -> Server:
    async def answer(request: Request) -> Response:
        if not alive():
            # Its tasks are cancelled one after the other; what they would still say, a dead one cannot.
            raise ConnectionLost("the daemon was killed")
        return await server(request)

    return answer


def quick_configuration() -> Configuration:
    """Return a configuration for tests: no rate limit, no HTTP server."""
    plain = Configuration()
    return msgspec.structs.replace(
        plain,
        client=msgspec.structs.replace(plain.client, qps=0.0),
        serving=msgspec.structs.replace(plain.serving, enabled=False),
    )


def pod_of(replica_set: str, labels: Mapping[str, str]) -> Json:
    """Return a pod template for tests."""
    return {
        "metadata": {"labels": dict(labels)},
        "spec": {"containers": [{"name": "c", "image": f"example/{replica_set}:1"}]},
    }


def replica_set(name: str, replicas: int, **spec: Any) -> Json:
    """Return a ReplicaSet that selects app=<name>."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": pod_of(name, labels),
            **spec,
        },
    }


def deployment(name: str, replicas: int, **spec: Any) -> Json:
    """Return a Deployment of pods that are labelled app=<name>."""
    return {**replica_set(name, replicas, **spec), "kind": "Deployment"}

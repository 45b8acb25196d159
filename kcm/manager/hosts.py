"""Supervision of one host: launch, configure, feed, promote, listen, restart.

Drives the machine of `kcm.manager.host_life` with what the process and its channel do.
Guarantees: what a host sends is checked, and a host that sends rubbish is killed and started
again, not obeyed; its feed (`host_feed`) is attached when it declares and detached before its successor is
launched; it is promoted only behind a freshness barrier that began in this term and after its
predecessor was reaped. A host's death reaches nobody else. The supervisor owns its machine's state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from kcm.base.clock import Clock
from kcm.client.credentials import Credentials
from kcm.host.limits import HostLimits
from kcm.host.messages import (
    MOST_BARRIERS,
    Barrier,
    BarrierPassed,
    Configure,
    ControllerReport,
    Decided,
    Declare,
    Heartbeat,
    Lead,
    Marked,
    MetricsReport,
    NeedCredentials,
    NewCredentials,
    NotSent,
    Refuse,
    Renew,
    SetLevel,
    Stop,
    Stopped,
    Synced,
    Told,
    ToManager,
)
from kcm.manager import host_life as life
from kcm.manager.discovery import Discoverer
from kcm.manager.eventpost import EventPost
from kcm.manager.host_feed import HostFeed
from kcm.manager.informers import Informers
from kcm.manager.launcher import HostHandle, HostLauncher
from kcm.manager.usage import Usage
from kcm.objects.resource import ResourceType
from kcm.telemetry.exposition import Exposition
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics

decode_to_manager = msgspec.json.Decoder(ToManager).decode
encode = msgspec.json.encode

# A deadline that is noticed this late is the manager's own trouble, not the host's.
OVERSLEPT_SECONDS = 1.0

Level = Literal["debug", "info", "warning", "error"]

# A host that has failed gets so long to write down why.
LAST_WORDS_SECONDS = 1.5


class HostSupervisor:
    """Keeps one host alive. `configure` makes its first frame, given the epoch."""

    def __init__(
        self,
        name: str,
        controllers: tuple[str, ...],
        configure: Callable[[int], Configure],
        settings: life.LifeSettings,
        launcher: HostLauncher,
        informers: Informers,
        discoverer: Discoverer,
        exposition: Exposition,
        metrics: Metrics,
        need_credentials: Callable[[], None],
        clock: Clock,
        post: EventPost | None = None,
        limits: HostLimits = HostLimits(),  # noqa: B008 - frozen
    ) -> None:
        self._post = post or EventPost((name,), metrics)
        self.name = name
        self.controllers = controllers
        self.told: Callable[[Decided | NotSent], None] = lambda told: None
        self.state: life.State = life.Waiting(0.0)
        self.epoch = 0
        self.last_death = ""
        # Those that nobody asked for: a change of the configuration or of the leader is none.
        self.deaths = 0
        self.reports: tuple[ControllerReport, ...] = ()
        self.last_writes: Mapping[str, str] = {}
        self.vouches = False
        self.refused = asyncio.Event()
        self.refusal: tuple[str, str] | None = None
        self.limits = limits
        self.usage: Usage | None = None
        self._configure = configure
        self._settings = settings
        self._launcher = launcher
        self._informers = informers
        self.feed = HostFeed(informers, discoverer, clock)
        self._exposition = exposition
        self._restarts = metrics.counter(
            "kcm_host_restarts_total", "Ends of a host that nobody asked for.", ("host",)
        ).labels(name)
        self._need_credentials = need_credentials
        self._clock = clock
        self._log = logger("manager.hosts").bind(host=name)
        self._inputs: asyncio.Queue[life.Input] = asyncio.Queue()
        self._handle: HostHandle | None = None
        self._deadline: float | None = None
        self._handover: Mapping[str, str] | None = None
        self._promotion: asyncio.Task[None] | None = None
        self._stopped = False
        self._may_write = False
        self._declared = False
        self._killed_because = ""
        self._changed = asyncio.Event()

    @property
    def hears(self) -> bool:
        """Say whether it has a controller that hears what others emit."""
        return self._post.hears(self.name)

    @property
    def pid(self) -> int:
        """Return the process id, 0 when there is no process."""
        return self._handle.pid if self._handle is not None else 0

    async def run(self) -> None:
        """Supervise until the host was asked to stop and has ended. Cancelled, it kills the host first."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while not isinstance(self.state, life.Ended):
                    await self._advance(await self._next_input(), tasks)
                self._call_off_promotion()
        finally:
            try:
                if self._handle is not None:
                    await self._put_down(self._handle)
            finally:
                # Whoever waits for this host to write no more would wait for ever.
                self.state = life.Ended()
                self._may_write = False
                self._changed.set()

    def lead(self, deadline: float, handover: Mapping[str, str] | None) -> None:
        """The Lease is ours until `deadline`: promote the host as soon as it is ready and fresh.

        `handover` is what a predecessor that ended in order wrote last, by resource: having seen
        that is enough to be fresh. None: nobody knows, so ask the server.
        """
        # A barrier of an earlier term proves nothing about what others wrote since.
        self._call_off_promotion()
        self._deadline = deadline
        self._handover = handover
        self._inputs.put_nowait(life.Tick())

    def renew(self, deadline: float) -> None:
        """Writes are allowed until `deadline`."""
        self._deadline = deadline
        if isinstance(self.state, life.Leading):
            self._send(Renew(deadline))

    def stand_down(self) -> None:
        """The Lease is lost: end the workers, come back as a standby."""
        self._deadline = None
        self._call_off_promotion()
        self._inputs.put_nowait(life.DemotedNow())

    def stop(self, grace: float) -> None:
        """End the host for good."""
        self._inputs.put_nowait(life.StopAsked(grace))

    async def wait_until_not_leading(self) -> None:
        """Return when no process of this host can write any more."""
        # The machine may not have heard of the promotion yet when the host has.
        while self._may_write or isinstance(self.state, life.Stopping):
            self._changed.clear()
            await self._changed.wait()

    def measure(self) -> Usage | None:
        """Look at what the host uses now."""
        self.usage = self._handle.usage() if self._handle is not None else None
        return self.usage

    def put_down(self, because: str) -> None:
        """Kill the host; it is started again like one that died."""
        if not self._killed_because:
            self._kill(because)

    def update_credentials(self, credentials: Credentials) -> None:
        """Tell the host about newer credentials."""
        self._send(NewCredentials(credentials))

    def set_level(self, level: Level) -> None:
        """Have the host log from another level on."""
        self._send(SetLevel(level))

    async def _put_down(self, handle: HostHandle) -> None:
        self.vouches = False
        self._kill("its supervisor ends")
        try:
            async with asyncio.timeout(life.KILL_PATIENCE_SECONDS):
                await handle.ended()
        except TimeoutError:
            self._log.error("host cannot be reaped", pid=handle.pid)

    async def _next_input(self) -> life.Input:
        when = life.due(self.state, self._settings)
        if when is None:
            return await self._inputs.get()
        try:
            async with asyncio.timeout(max(0.0, when - self._clock.monotonic())):
                return await self._inputs.get()
        except TimeoutError:
            if not self._inputs.empty():
                # Said in time, and read late: the deadline must not come before it.
                return self._inputs.get_nowait()
            return life.Overslept() if self._clock.monotonic() - when > OVERSLEPT_SECONDS else life.Tick()

    async def _advance(self, input: life.Input, tasks: asyncio.TaskGroup) -> None:
        if isinstance(input, life.Gone):
            self._bury(input.how)
            input = life.Gone(self.last_death)
        before = self.state
        self.state, outputs = life.step(before, input, self._clock.monotonic(), self._settings)
        for output in outputs:
            await self._perform(output, tasks)
        if type(before) is not type(self.state):
            self._log.debug("host state", was=type(before).__name__, now=type(self.state).__name__)
            self._changed.set()
        waits_to_lead = isinstance(self.state, life.Ready) and not self._may_write
        if waits_to_lead and self._deadline is not None and self._promotion is None:
            self._promotion = tasks.create_task(self._promote())

    async def _perform(self, output: life.Output, tasks: asyncio.TaskGroup) -> None:
        match output:
            case life.Launch():
                await self._launch(tasks)
            case life.Kill(because):
                self._kill(because)
            case life.AskToStop(grace):
                self._post.flush(self.name)
                self._send(Stop(grace))

    async def _launch(self, tasks: asyncio.TaskGroup) -> None:
        self.epoch += 1
        self._stopped = False
        self._killed_because = ""
        epoch = self.epoch
        try:
            handle = await self._launcher.launch(
                self.name,
                lambda payload: self._receive(epoch, payload, tasks),
                lambda why: self._cut_off(epoch, why),
            )
        except OSError as error:
            self._inputs.put_nowait(life.Gone(f"cannot be started: {error}"))
            return
        self._handle = handle
        self._log.info("host started", pid=handle.pid, epoch=epoch)
        self._send(self._configure(epoch))
        tasks.create_task(self._await_end(handle))

    async def _await_end(self, handle: HostHandle) -> None:
        self._inputs.put_nowait(life.Gone(await handle.ended()))

    async def _promote(self) -> None:
        """Prove that the replicas are fresh, then let the workers work."""
        await self.feed.fresh(self._handover)
        self._promotion = None
        if isinstance(self.state, life.Ready) and self._deadline is not None:
            self._may_write = True
            self._send(Lead(self._deadline))
            if self._handle is not None:
                self._post.open(self.name, self._handle.channel)
            self.vouches = True
            self._log.info("host leads", epoch=self.epoch)
            self._inputs.put_nowait(life.Promoted())

    def _call_off_promotion(self) -> None:
        if self._promotion is not None:
            self._promotion.cancel()
            self._promotion = None

    def _receive(self, epoch: int, payload: bytes, tasks: asyncio.TaskGroup) -> None:
        if epoch != self.epoch or self._killed_because:
            return
        try:
            self._take(decode_to_manager(payload), tasks)
        except (ValueError, RecursionError) as error:
            self._kill(f"sent what makes no sense: {str(error)[:200]}")

    def _take(self, message: ToManager, tasks: asyncio.TaskGroup) -> None:
        match message:
            case Declare():
                assert self._handle is not None
                self.feed.attach(self.name, message, self._handle.channel, self._send)
                self._declared = True
                self._post.declared(self.name, message.hears)
                self._inputs.put_nowait(life.Declared())
            case Refuse(controller, key, reason):
                self._informers.declared(self.name)
                self._refused(f"controllers.{controller}" + (f".{key}" if key else ""), reason)
            case Synced():
                self._inputs.put_nowait(life.SyncedNow())
            case Heartbeat(controllers=reports, last_writes=last_writes):
                self.reports = reports
                self.last_writes = last_writes
                self._inputs.put_nowait(life.Heard())
            case Marked(number):
                self.feed.marked(number)
            case Stopped(last_writes, complete):
                self.last_writes = last_writes
                self.vouches = self.vouches and complete
                self._stopped = True
            case MetricsReport(snapshot):
                self._exposition.update(self.name, self.epoch, bytes(snapshot))
            case Told(records):
                self._post.take([bytes(record) for record in records])
            case Decided() | NotSent():
                self.told(message)
            case NeedCredentials():
                self._need_credentials()
            case Barrier(number, resources):
                if not self.feed.begin_barrier():
                    # The server is away and keys gave up waiting: each asks again when it is tried again.
                    self._log.warning("barrier not taken", under_way=MOST_BARRIERS)
                    return
                tasks.create_task(self._answer_barrier(self.epoch, number, resources))

    def _refused(self, where: str, reason: str) -> None:
        if self._declared:
            # It worked before with the same configuration: a passing trouble, which must not end the daemon.
            self._kill(f"{where}: {reason}"[:1000])
            return
        self._post.declared(self.name, False)
        self.refusal = (where[:256], reason[:1000])
        self._log.error("host refuses its configuration", where=where, reason=reason)
        self._inputs.put_nowait(life.RefusedNow(f"{where}: {reason}"[:1000]))
        self.refused.set()

    async def _answer_barrier(self, epoch: int, number: int, resources: Iterable[ResourceType]) -> None:
        await self.feed.barrier(resources)
        if epoch == self.epoch:
            self._send(BarrierPassed(number))

    def _send(self, message: msgspec.Struct) -> None:
        if self._handle is not None:
            self._handle.channel.send(encode(message))

    def _kill(self, because: str) -> None:
        if self._handle is not None:
            self._killed_because = because
            self._log.warning("host killed", pid=self._handle.pid, because=because)
            self._handle.kill()

    def _cut_off(self, epoch: int, why: str) -> None:
        """A host without its channel is of no use: it ends by itself, but a hung one might not."""
        if epoch != self.epoch or self._handle is None:
            return
        self._log.debug("channel closed", why=why)
        # One that was asked to stop closes it just before it ends; a deadline watches over that. One that
        # failed says why at this moment, and that would be lost with it.
        if not self._stopped:
            asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, self._handle.kill)

    def _bury(self, how: str) -> None:
        how = f"killed: {self._killed_because}" if self._killed_because else how
        self.last_death = how
        self.reports = ()
        self._may_write = False
        self._changed.set()
        expected = isinstance(self.state, life.Stopping | life.Demoted | life.Refused)
        # What a host wrote last is only known for sure when it has stopped as asked.
        self.vouches = self.vouches and self._stopped
        if expected:
            self._log.info("host ended", pid=self.pid, how=how)
        else:
            self._log.error("host ended", pid=self.pid, how=how)
            self.deaths += 1
            self._restarts.inc()
        self.feed.detach()
        self._exposition.drop(self.name)
        self._post.close(self.name)
        self._handle = None
        # Nobody knows what the dead one wrote last: its successor has to ask the server.
        self._handover = None
        self._call_off_promotion()

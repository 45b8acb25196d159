"""The life of a host: configured, declared, fed, leading, stopped.

Reacts to the manager's frames and reports to it; has no will of its own. Guarantees: workers
run only after `Lead`, which the manager sends behind a freshness barrier; the fence follows
the manager's deadlines; losing the feed ends the host at once (its writes are fenced first).
The agent owns the replicas, the runners and the fence of its process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec

from kcm.base.clock import Clock
from kcm.base.errors import ConfigurationError
from kcm.base.rng import Rng
from kcm.cache.feed import Changes, FeedData, Progress, ReplaceBegin, ReplaceEnd, ReplaceItems
from kcm.cache.replica import Cache
from kcm.client.api import ApiClient, Timeouts
from kcm.client.limiter import token_bucket
from kcm.client.transport import Transport
from kcm.host.credentials import FedCredentials
from kcm.host.freshness import FeedFreshness
from kcm.host.loading import load
from kcm.host.messages import (
    BarrierPassed,
    Configure,
    ControllerTask,
    ControlToHost,
    Decided,
    Declare,
    Hear,
    Heartbeat,
    KindsFound,
    Lead,
    Mark,
    Marked,
    MetricsReport,
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
    WatchClosed,
    WatchExcused,
    WatchOpened,
)
from kcm.host.replicas import Replicas
from kcm.host.runner import ControllerRunner
from kcm.host.traces import HostTraces
from kcm.runtime.controller import Controller, Rate
from kcm.runtime.events import Outbox
from kcm.runtime.fence import Fence
from kcm.runtime.rehearsal import Planned
from kcm.telemetry.logging import logger, set_level
from kcm.telemetry.metrics import Metrics
from kcm.telemetry.peak import loop_lag

ToHost = FeedData | ControlToHost
decode_to_host = msgspec.json.Decoder(ToHost).decode
encode = msgspec.json.encode

# A snapshot costs a millisecond or two; nobody scrapes every second.
BEATS_PER_SNAPSHOT = 5
ROUND_TRIP_SECONDS = 1.0
# A type that does not exist yet, or may not be read: after so long somebody should know whom that concerns.
PATIENCE_SECONDS = 10.0

log = logger("host")


class HostAgent:
    """Runs the controllers of one host between two ends of one channel."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        connect: Callable[[FedCredentials, int], Transport],
        clock: Clock,
        rng: Rng,
        prepare: Callable[[Configure], None] = lambda configure: None,
        view: Callable[..., Cache] = Cache,
        collect: Callable[[str], Transport] | None = None,
    ) -> None:
        self._collect = collect
        self._prepare = prepare
        self._view = view
        self._send_bytes = send
        self._connect = connect
        self._clock = clock
        self._rng = rng
        self._fence = Fence(clock)
        self._metrics = Metrics()
        self._lag = loop_lag(self._metrics, clock)
        self._outbox = Outbox(lambda records: self._send(Told(tuple(map(msgspec.Raw, records)))))
        self._freshness = FeedFreshness(self._send)
        self._credentials = FedCredentials(self._send)
        self._configured: asyncio.Future[Configure] = asyncio.get_running_loop().create_future()
        self._lead = asyncio.Event()
        self._stop = asyncio.Event()
        self._grace = 0.0
        self._replicas = Replicas(())
        self._runners: tuple[ControllerRunner, ...] = ()
        self._synced = False

    def receive(self, payload: bytes) -> None:
        """Take one frame; msgspec.DecodeError or IndexError when it makes no sense."""
        match decode_to_host(payload):
            case Changes(watch=watch) as changes:
                for replica in self._replicas.numbered(watch):
                    replica.feed(changes)
            case ReplaceBegin(watch=watch) | ReplaceItems(watch=watch) | ReplaceEnd(watch=watch) as part:
                for replica in self._replicas.numbered(watch):
                    replica.feed(part)
                self._check_synced()
            case Progress(watch=watch) as progress:
                for replica in self._replicas.numbered(watch):
                    replica.feed(progress)
            case WatchOpened() | WatchClosed() | WatchExcused() | KindsFound() as found:
                self._replicas.found(found)
                self._check_synced()
            case Hear(records):
                for runner in self._runners:
                    runner.hear(records)
            case Renew(deadline):
                self._fence.extend(deadline)
            case Lead(deadline):
                self._fence.extend(deadline)
                self._lead.set()
            case BarrierPassed(number):
                self._freshness.passed(number)
            case Mark(number):
                self._send(Marked(number))
            case SetLevel(level):
                set_level(level)
            case NewCredentials(credentials):
                self._credentials.put(credentials)
            case Configure() as configure:
                self._credentials.put(configure.credentials)
                if configure.dry_run:
                    # Whatever gets past the rehearsal, no write leaves this process.
                    self._fence.close()
                self._configured.set_result(configure)
            case Stop(grace):
                self._grace = grace
                self._stop.set()

    def lost(self) -> None:
        """The manager is gone: write nothing more and end."""
        self._fence.close()
        self._grace = 0.0
        self._stop.set()

    async def run(self) -> None:
        """Live the whole life; returns when the host may end."""
        configure = await self._configured
        self._prepare(configure)
        if not self._load(configure):
            return
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self._beat(configure.heartbeat_period)),
                tasks.create_task(self._resync(configure.resync_period)),
                tasks.create_task(self._start_when_leading(tasks)),
                tasks.create_task(self._traces.run()),
            ]
            await self._stop.wait()
            for task in background:
                task.cancel()
            await self._stop_runners()
            self._fence.close()
            self._outbox.flush()
        await self._traces.finish()
        self._tell_decisions()
        self._report_metrics()
        self._send(Stopped(self._replicas.last_writes, complete=not self._replicas.unconfirmed))

    async def _stop_runners(self) -> None:
        """Stop the controllers; those that hear events last, so that they hear what the others still tell."""
        time = self._clock.monotonic
        end = time() + self._grace
        emitting = [runner for runner in self._runners if not runner.hears]
        hearing = [runner for runner in self._runners if runner.hears]
        await asyncio.gather(*(runner.stop(self._grace) for runner in emitting))
        if emitting and hearing and self._grace > 0:
            self._outbox.flush()
            try:
                async with asyncio.timeout(max(0.0, min(ROUND_TRIP_SECONDS, end - time()))):
                    # The manager answers behind what it passes on.
                    await self._freshness.barrier(frozenset())
            except TimeoutError:
                pass
        await asyncio.gather(*(runner.stop(max(0.0, end - time())) for runner in hearing))

    def _load(self, configure: Configure) -> bool:
        try:
            controllers = [(task, load(task)) for task in configure.controllers]
        except ConfigurationError as error:
            self._send(Refuse(error.where.removeprefix("controllers."), error.key, error.reason))
            return False
        watches = [watch for _, controller in controllers for watch in controller.watches]
        self._replicas = Replicas(watches, self._view)
        self._traces = HostTraces(configure, self._collect, self._metrics, self._clock, self._rng)
        transport = self._connect(self._credentials, configure.connections)
        self._runners = tuple(
            ControllerRunner(
                task,
                controller,
                self._replicas,
                self._client_maker(configure, task, controller, transport),
                self._freshness,
                configure.connections,
                self._outbox,
                configure.instance,
                self._metrics,
                self._clock,
                self._rng,
                self._rehearse if configure.dry_run else None,
                self._traces.tracer,
            )
            for task, controller in controllers
        )
        hears = any(controller.hears for _, controller in controllers)
        self._send(Declare(self._replicas.declarations(), self._replicas.discoveries(), hears))
        self._check_synced()
        return True

    def _client_maker(
        self,
        configure: Configure,
        task: ControllerTask,
        controller: Controller[Any, Any],
        transport: Transport,
    ) -> Callable[[str], ApiClient]:
        # Without a limit for all, as in the sandbox, a controller's own is not held against it.
        told = task.paced or not task.qps
        rate = Rate(task.qps, task.burst) if told or controller.rate is None else controller.rate

        def make(component: str) -> ApiClient:
            return ApiClient(
                transport,
                user_agent=f"{configure.user_agent}/{component}",
                limiter=token_bucket(rate.qps, rate.burst, self._clock),
                guard=self._fence.check,
                metrics=self._metrics,
                clock=self._clock,
                rng=self._rng,
                timeouts=Timeouts(configure.read_timeout, configure.write_timeout),
            )

        return make

    async def _start_when_leading(self, tasks: asyncio.TaskGroup) -> None:
        await self._lead.wait()
        log.info("workers start", controllers=len(self._runners))
        for runner in self._runners:
            runner.start(tasks)

    async def _beat(self, period: float) -> None:
        for beat in count():
            due = self._clock.monotonic() + period
            await self._clock.sleep(period)
            self._lag.take(max(0.0, self._clock.monotonic() - due))
            if beat * period < PATIENCE_SECONDS <= (beat + 1) * period:
                self._tell_who_waits()
            self._send(
                Heartbeat(
                    leading=self._lead.is_set() and self._fence.open,
                    controllers=tuple(runner.report() for runner in self._runners),
                    last_writes=self._replicas.last_writes,
                )
            )
            self._tell_decisions()
            if beat % BEATS_PER_SNAPSHOT == 0:
                self._report_metrics()

    def _tell_who_waits(self) -> None:
        """Name the controllers that cannot begin, beside what the manager says of the watches."""
        if not self._synced:
            names = [runner.name for runner in self._runners]
            watches = list(self._replicas.unfilled)
            log.warning("controllers wait for their watches", controllers=names, watches=watches)

    async def _resync(self, period: float) -> None:
        if period <= 0:
            return
        # Drawn once, so that the hosts of many managers do not resync together (reference: workloads 3.1).
        period *= self._rng.uniform(1.0, 2.0)
        while True:
            await self._clock.sleep(period)
            for runner in self._runners:
                runner.resync()

    def _check_synced(self) -> None:
        if not self._synced and self._replicas.synced:
            self._synced = True
            self._send(Synced())

    def _rehearse(self, planned: Planned) -> None:
        self._send(NotSent(planned))

    def _tell_decisions(self) -> None:
        for runner in self._runners:
            decisions, left_out = runner.decided()
            if decisions:
                self._send(Decided(decisions, left_out))

    def _report_metrics(self) -> None:
        self._replicas.show(self._metrics)
        self._send(MetricsReport(msgspec.Raw(self._metrics.snapshot())))

    def _send(self, message: ToManager | Any) -> None:
        self._send_bytes(encode(message))

"""The daemon: every part in its place, started and stopped in order.

Start: pages → credentials → informers → hosts → election; workers start when the Lease is won.
Stop: the election is told to resign, which ends the workers, then releases the Lease; then
hosts, informers, pages. Guarantees: one task group holds every task; when `run` returns no
process of ours is left. A part that fails with an error nobody handles ends the daemon: better
a restart than half a daemon. Owns the wiring and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from kcm import __version__
from kcm.base.backoff import Backoff
from kcm.base.clock import Clock
from kcm.base.errors import ConfigurationError
from kcm.base.rng import Rng
from kcm.cache.projection import Projection
from kcm.cache.reflector import Reflector
from kcm.cache.store import Store
from kcm.cache.watchspec import WatchSpec
from kcm.client.api import ApiClient, Timeouts
from kcm.client.credentials import CredentialSource
from kcm.client.transport import Transport
from kcm.config.difference import fixed_differences
from kcm.config.schema import Configuration, ServingConfig
from kcm.election.access import ApiLease
from kcm.election.elector import Elector
from kcm.election.metrics import ElectionMetrics
from kcm.election.settings import ElectionSettings
from kcm.host.messages import Configure, ControllerTask
from kcm.manager.chronicle import Chronicle
from kcm.manager.coexistence import TRIES, Lookout, concerns, counterparts
from kcm.manager.credentials import CredentialKeeper
from kcm.manager.discovery import Discoverer
from kcm.manager.eventpost import EventPost
from kcm.manager.frontage import Frontage
from kcm.manager.host_life import LifeSettings
from kcm.manager.hosts import HostSupervisor, Level
from kcm.manager.informers import Informers
from kcm.manager.launcher import HostLauncher
from kcm.manager.leadership import Leadership, Solo
from kcm.manager.observatory import Observatory
from kcm.manager.reload import Desired, Reloader
from kcm.manager.roster import Roster
from kcm.manager.tasks import tasks_of, traces_of
from kcm.manager.trial import try_out
from kcm.manager.warden import Warden, limits_of
from kcm.objects.events import ObjectReference
from kcm.objects.leases import Lease
from kcm.objects.resource import Key
from kcm.runtime.events import EventSink, Outbox
from kcm.serving.debugging import debug_pages
from kcm.serving.delegation import Delegation
from kcm.serving.pages import pages, probes
from kcm.serving.status import Status
from kcm.telemetry.exposition import Exposition
from kcm.telemetry.logging import logger, set_level
from kcm.telemetry.metrics import Metrics


class Connect(Protocol):
    """Makes transports."""

    def __call__(self, source: CredentialSource, connections: int, *, spares: int = 0) -> Transport:
        """Return one of so many connections at a time, which holds so many descriptors aside for them."""
        ...


LEASE_CONNECTIONS = 2
# Descriptors: a process that has used up all others still renews.
LEASE_SPARES = 4
AUTH_CONNECTIONS = 4

log = logger("manager")


class Manager:
    """One daemon. `controllers` maps the name of each enabled controller to "module:Class"."""

    def __init__(
        self,
        configuration: Configuration,
        controllers: Mapping[str, str],
        identity: str,
        source: CredentialSource,
        connect: Connect,
        launcher: HostLauncher,
        clock: Clock,
        rng: Rng,
        dry_run: bool = False,
    ) -> None:
        self._dry_run = dry_run
        self._configuration = configuration
        self._controllers = controllers
        self._identity = identity
        # As a rule the host's name and a random part: events name the machine.
        self._instance = identity.partition("_")[0] or identity
        self._connect = connect
        self._source = source
        self._log_level: Level = configuration.logging.level
        self._clock = clock
        self._rng = rng
        self._metrics = Metrics()
        self._exposition = Exposition()
        self._exposition.own(self._metrics)
        self._credentials = CredentialKeeper(source, clock)
        self._user_agent = f"kcm/{__version__} ({_fit_for_header(identity)})"
        self._transport = connect(source, configuration.client.max_connections)
        self._watching = self._client("informers", self._transport)
        self._informers = Informers(self._reflector, clock, rng, self._metrics)
        self._discoverer = Discoverer(
            self._client("discovery", self._transport), self._informers, clock, rng, self._metrics
        )
        tasks = tasks_of(configuration, controllers)
        self._post = EventPost(tasks, self._metrics)
        self._outbox = Outbox(self._post.take)
        self._launcher = launcher
        self._epochs: dict[str, int] = {}
        self._reloader: Reloader | None = None
        self._chronicle = Chronicle(clock)
        self.hosts = Roster(self._supervisor(name, own) for name, own in tasks.items())
        self._informers.expect(tasks)
        self._leadership = self._make_leadership(configuration)
        self._elector = self._make_elector(connect(source, LEASE_CONNECTIONS, spares=LEASE_SPARES))
        self._observatory = Observatory(
            *(configuration, self.hosts, self._informers, self._elector),
            *(self._exposition, self._metrics, clock),
        )
        self._warden = Warden(self.hosts, configuration.hosts.heartbeat_period, self._metrics, clock)
        self._leadership.silent = dry_run
        self._lookout = Lookout(self._client("coexistence", self._transport), clock)
        self._elected = asyncio.Event()
        self._leadership.ask_first = self._elected.set
        self._observatory.add_readiness("coexistence", lambda: self._lookout.reason)
        self._observatory.chronicle = self._chronicle
        self._observatory.dry_run = dry_run
        self.frontage = self._make_frontage(configuration.serving)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. ConfigurationError when a controller refuses its configuration."""
        await self.frontage.start()
        try:
            await self._credentials.load()
            # A server that is away is asked again before we lead.
            await self._refuse_beside_another(self._configuration, self._controllers, tries=1)
            async with asyncio.TaskGroup() as tasks:
                informers = tasks.create_task(self._informers.run())
                discoverer = tasks.create_task(self._discoverer.run())
                keeper = tasks.create_task(self._credentials.run(self.hosts))
                watchdog = tasks.create_task(self._observatory.run())
                warden = tasks.create_task(self._warden.run())
                certificates = tasks.create_task(self.frontage.run())
                async with asyncio.TaskGroup() as hosts:
                    self.hosts.begin(hosts)
                    election = hosts.create_task(self._elector.run(self._leadership))
                    clearing = hosts.create_task(self._clear_the_way())
                    reloads = hosts.create_task(self._reloader.run() if self._reloader else _nothing())
                    await self._wait(stop, election)
                    # What it has under way would start hosts behind our back.
                    reloads.cancel()
                    clearing.cancel()
                    await asyncio.wait((reloads, clearing))
                    await self._stop(election)
                for task in (discoverer, informers, keeper, watchdog, warden, certificates):
                    task.cancel()
        finally:
            await self.frontage.stop()
        for host in self.hosts if self._nothing_left() else ():
            if host.refusal:
                raise ConfigurationError("configuration", *host.refusal)

    def _nothing_left(self) -> bool:
        """Say whether every host has refused its configuration: one that works is not ended for another."""
        return bool(self.hosts) and all(host.refusal for host in self.hosts)

    def status(self) -> Status:
        """Return what /statusz shows."""
        return self._observatory.status()

    def follow(self, path: str, text: bytes, understand: Callable[[bytes], Desired]) -> Reloader:
        """Let the configuration follow a file, whose `text` is in force; call it before `run`."""
        arguments = (path, text, understand, self._reconfigure, self._clock, self._metrics)
        self._reloader = Reloader(*arguments)
        self._observatory.reloads = self._reloader.state
        return self._reloader

    def _looks_out(self, configuration: Configuration, controllers: Iterable[str]) -> bool:
        return not self._dry_run and concerns(configuration, controllers)

    async def _refuse_beside_another(
        self, configuration: Configuration, controllers: Iterable[str], tries: int = TRIES
    ) -> None:
        """ConfigurationError when another manager works, and we are not to wait for it."""
        refuses = configuration.coexistence.other_manager == "refuse"
        if refuses and self._looks_out(configuration, controllers):
            await self._lookout.refuse(controllers, tries)

    async def _clear_the_way(self) -> None:
        """Whenever elected, let the hosts lead as soon as no other manager works; for ever."""
        while True:
            await self._elected.wait()
            self._elected.clear()
            await self._refuse_beside_another(self._configuration, self._controllers)
            waits = self._configuration.coexistence.other_manager == "wait"
            if waits and self._looks_out(self._configuration, self._controllers):
                await self._lookout.wait(self._controllers)
            self._leadership.cleared()

    async def _reconfigure(self, desired: Desired) -> None:
        """Change what differs. ConfigurationError when it cannot be; then nothing has changed."""
        new, old = desired.configuration, self._configuration
        if fixed := fixed_differences(old, new):
            reason = "cannot change while kcm runs; restart it"
            raise ConfigurationError("configuration", ", ".join(fixed)[:1000], reason)
        wanted = tasks_of(new, desired.controllers)
        running = tasks_of(old, self._controllers)
        changed = [name for name in wanted if wanted[name] != running.get(name)]
        if set(counterparts(desired.controllers)) - set(counterparts(self._controllers)):
            await self._refuse_beside_another(new, desired.controllers)
        for name in changed:
            epoch = self._epochs.get(name, 0)
            configure = self._configure(name, wanted[name], epoch)
            await try_out(configure, self._launcher, new.hosts.start_timeout)
        self._configuration, self._controllers = new, desired.controllers
        if new.logging.level != old.logging.level:
            self._set_level(new.logging.level)
        leaving = [name for name in running if name in changed or name not in wanted]
        for host in await self.hosts.retire(leaving, new.hosts.stop_grace):
            self._epochs[host.name] = host.epoch
            self._leadership.left(host)
            if host.name not in wanted:
                self._post.forget(host.name)
            log.info("host taken away", host=host.name, controllers=host.controllers)
        joining = [self._supervisor(name, wanted[name]) for name in changed]
        self.hosts.admit(joining)
        for host in joining:
            self._leadership.joined(host)
            log.info("host added", host=host.name, controllers=host.controllers)
        self._observatory.reconfigured(new)

    def _set_level(self, level: Level) -> None:
        set_level(level)
        self._log_level = level
        for host in self.hosts:
            host.set_level(level)

    def _make_frontage(self, serving: ServingConfig) -> Frontage:
        # Of its own: what the pages ask must not wait behind a list of thirty thousand pods.
        asking = self._client("serving", self._connect(self._source, AUTH_CONNECTIONS))
        sources = replace(
            self._observatory.sources,
            delegation=Delegation(asking, self._clock).admit if serving.delegated_auth else None,
            debug=debug_pages(self._level, self._set_level) if serving.debug else None,
            for_browsers=serving.status_page,
        )
        return Frontage(serving, pages(sources), probes(sources), self._metrics, self._clock)

    def _level(self) -> Level:
        return self._log_level

    async def _wait(self, stop: asyncio.Event, election: asyncio.Task[None]) -> None:
        async with asyncio.TaskGroup() as tasks:
            reasons: list[asyncio.Task[Any]] = [tasks.create_task(stop.wait())]
            if self.hosts:
                reasons.append(tasks.create_task(self._all_refused()))
            await asyncio.wait((*reasons, election), return_when=asyncio.FIRST_COMPLETED)
            for reason in reasons:
                reason.cancel()

    async def _all_refused(self) -> None:
        for host in self.hosts:
            await host.refused.wait()

    async def _stop(self, election: asyncio.Task[None]) -> None:
        log.info("stopping")
        self._leadership.stopping = True
        self._observatory.stopping = True
        if not election.done():
            await self._elector.resign()
        for host in self.hosts:
            host.stop(self._configuration.hosts.stop_grace)

    def _configure(self, name: str, tasks: tuple[ControllerTask, ...], epoch: int) -> Configure:
        configuration = self._configuration
        return Configure(
            host=name,
            epoch=epoch,
            user_agent=self._user_agent,
            controllers=tasks,
            credentials=self._credentials.current,
            read_timeout=configuration.client.read_timeout,
            write_timeout=configuration.client.write_timeout,
            connections=configuration.client.max_connections,
            resync_period=configuration.cache.resync_period,
            log_level=self._log_level,
            log_format=configuration.logging.format,
            heartbeat_period=configuration.hosts.heartbeat_period,
            dry_run=self._dry_run,
            instance=self._instance,
            limits=limits_of(configuration.hosts, name),
            tracing=traces_of(configuration),
        )

    def _supervisor(self, name: str, tasks: tuple[ControllerTask, ...]) -> HostSupervisor:
        hosts = self._configuration.hosts
        limits = limits_of(hosts, name)
        settings = LifeSettings(
            hosts.start_timeout,
            hosts.hang_deadline,
            Backoff(hosts.restart_backoff, hosts.restart_backoff_max),
            limits.restarts,
        )
        host = HostSupervisor(
            name,
            tuple(task.name for task in tasks),
            partial(self._configure, name, tasks),
            settings,
            self._launcher,
            self._informers,
            self._discoverer,
            self._exposition,
            self._metrics,
            self._credentials.want_newer,
            self._clock,
            self._post,
            limits,
        )
        # What it counts must not be taken for that of an earlier process of its name.
        host.epoch = self._epochs.get(name, 0)
        host.told = self._chronicle.take
        return host

    def _make_leadership(self, configuration: Configuration) -> Leadership:
        events = EventSink("kcm", "kcm", self._instance, self._outbox, self._clock, self._metrics)
        election = configuration.leader_election
        lease = ObjectReference(Lease.api, Lease.kind, election.resource_namespace, election.resource_name)
        return Leadership(self.hosts, configuration.hosts.stop_grace, lease, events, self._outbox.flush)

    def _make_elector(self, transport: Transport) -> Elector | Solo:
        election = self._configuration.leader_election
        if self._dry_run or not election.enabled:
            # A dry run never takes the Lease from those who work.
            return Solo(self._identity)
        settings = ElectionSettings(
            election.lease_duration,
            election.renew_deadline,
            election.retry_period,
            self._configuration.client.write_timeout,
            self._configuration.hosts.stop_time,
        )
        return Elector(
            ApiLease(
                self._client("leader-election", transport, settings.renew_timeout),
                Key(election.resource_namespace, election.resource_name),
            ),
            settings,
            self._identity,
            self._clock,
            self._rng,
            ElectionMetrics(self._metrics, election.resource_name),
            logger("election"),
        )

    def _client(self, component: str, transport: Transport, timeout: float | None = None) -> ApiClient:
        client = self._configuration.client
        return ApiClient(
            transport,
            user_agent=f"{self._user_agent}/{component}",
            metrics=self._metrics,
            clock=self._clock,
            rng=self._rng,
            timeouts=Timeouts(timeout or client.read_timeout, timeout or client.write_timeout),
        )

    def _reflector(self, spec: WatchSpec, projection: Projection, store: Store) -> Reflector:
        return Reflector(
            spec,
            projection,
            self._watching,
            store,
            self._clock,
            self._rng,
            self._metrics,
            logger("cache.reflector"),
        )


async def _nothing() -> None:
    """There is no file to follow."""


def _fit_for_header(identity: str) -> str:
    """Return the identity as a comment of a User-Agent: audit logs can tell two managers apart by it."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-._") else "-" for c in identity)[:128]

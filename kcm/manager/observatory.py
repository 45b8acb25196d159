"""What the manager shows of itself: probes, metrics, configuration, status.

Asks the parts when it is asked itself, and once a second for the metrics of its checks; keeps nothing.
Guarantees: /livez fails only for what a restart would cure (a blocked loop, a Lease that is
believed held but was not renewed); /readyz is true on a standby when it could take over at
once: every watch is followed and told of lately, every host is filled, heard of and not behind,
the Lease can be read, no other manager is in the way; a reason is always given in /statusz.
What counts as late is in the configuration. Decides nothing.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from kcm import __version__
from kcm.base.clock import Clock
from kcm.config.schema import Configuration
from kcm.election.elector import Elector
from kcm.host.limits import HostLimits
from kcm.manager import host_life as life
from kcm.manager.chronicle import Chronicle
from kcm.manager.hosts import HostSupervisor
from kcm.manager.informers import Informers
from kcm.manager.leadership import Solo
from kcm.manager.reload import ReloadState
from kcm.manager.vitals import Vitals, heard_ago
from kcm.serving.health import SLIS, Check, CheckMetrics, Checks
from kcm.serving.pages import Sources
from kcm.serving.status import (
    BuildStatus,
    CacheStatus,
    ConfigurationStatus,
    ControllerStatus,
    ElectionStatus,
    HostStatus,
    Status,
)
from kcm.serving.token import TokenFile
from kcm.telemetry.exposition import Exposition
from kcm.telemetry.metrics import Metrics

_OF_CONTROLLERS = "controller."


class Observatory:
    """Knows what the manager's pages show."""

    def __init__(
        self,
        configuration: Configuration,
        hosts: Sequence[HostSupervisor],
        informers: Informers,
        elector: Elector | Solo,
        exposition: Exposition,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.stopping = False
        self.chronicle = Chronicle(clock)
        self.dry_run = False
        self.reloads: Callable[[], ReloadState] | None = None
        self._configuration = configuration
        self._hosts = hosts
        self._informers = informers
        self._elector = elector
        self._exposition = exposition
        self._clock = clock
        self._started = clock.wall()
        self._vitals = Vitals(configuration, hosts, informers, metrics, clock)
        self._livez, self._readyz, self._healthz = Checks("livez"), Checks("readyz"), Checks("healthz")
        self._add_checks()
        results = CheckMetrics(metrics)
        for checks in (self._livez, self._readyz, self._healthz):
            checks.count(results)
        token_file = configuration.serving.token_file
        self.sources = Sources(
            livez=self._livez,
            readyz=self._readyz,
            healthz=self._healthz,
            metrics=exposition.render,
            slis=partial(exposition.render, SLIS),
            configs=self._configs,
            status=self.status,
            token=TokenFile(token_file) if token_file else lambda: "",
        )

    async def run(self) -> None:
        """Measure for ever, and look at every check for what the metrics show of it."""
        await self._vitals.run(self._look)

    def _look(self) -> None:
        for checks in (self._livez, self._readyz, self._healthz):
            checks.look()

    def status(self) -> Status:
        """Return what /statusz shows."""
        standing = self._elector.standing()
        leading = standing.leading
        election = self._configuration.leader_election
        return Status(
            build=BuildStatus(
                version=__version__,
                python=platform.python_version(),
                started=self._started,
                now=self._clock.wall(),
                pid=os.getpid(),
            ),
            election=ElectionStatus(
                enabled=election.enabled,
                identity=standing.identity,
                leading=leading,
                leader=standing.holder,
                term=standing.transitions,
                fence_in=standing.deadline - self._clock.boottime() if leading else None,
                lease=f"{election.resource_namespace}/{election.resource_name}" if election.enabled else "",
                acquired=standing.acquired,
                expires_in=None if standing.expires is None else standing.expires - self._clock.boottime(),
                troubles=standing.errors,
            ),
            hosts=tuple(self._host(host) for host in self._hosts),
            controllers=tuple(status for host in self._hosts for status in self._controllers_of(host)),
            caches=tuple(self._caches()),
            dry_run=self.dry_run,
            plans=self.chronicle.plans(),
            decisions=self.chronicle.decisions(),
            decisions_left_out=self.chronicle.left_out,
            configuration=self._file(),
            failing={
                f"{checks.endpoint}/{name}": reason
                for checks in (self._livez, self._readyz)
                for name, reason in checks.failures().items()
            },
        )

    def add_readiness(self, name: str, check: Check) -> None:
        """Let /readyz ask something else too."""
        self._readyz.add(name, check)

    def reconfigured(self, configuration: Configuration) -> None:
        """Show another configuration, and the controllers of the hosts that there are now."""
        self._configuration = configuration
        self._vitals.configuration = configuration
        for name in self._readyz.names():
            if name.startswith(_OF_CONTROLLERS):
                self._readyz.remove(name)
        self._add_controllers()

    def _file(self) -> ConfigurationStatus | None:
        if self.reloads is None:
            return None
        file = self.reloads()
        return ConfigurationStatus(
            file=file.file, hash=file.hash, in_force_since=file.in_force_since, refused=file.refused
        )

    def _configs(self) -> Mapping[str, object]:
        reload = {"reload": self.reloads()} if self.reloads is not None else {}
        return {"kcm": self._configuration, **reload}

    def _add_controllers(self) -> None:
        for host in self._hosts:
            for name in host.controllers:
                self._readyz.add(f"{_OF_CONTROLLERS}{name}", partial(self._trouble, host))

    def _add_checks(self) -> None:
        for checks in (self._livez, self._healthz):
            checks.add("loop", self._vitals.loop)
            checks.add("leader-election", self._check_lease)
        for checks in (self._readyz, self._healthz):
            checks.add("informers", self._check_informers)
            checks.add("watches", self._vitals.old)
            checks.add("hosts", self._check_hosts)
            checks.add("heartbeats", self._vitals.silent)
            checks.add("feeds", self._vitals.behind)
        self._readyz.add("lease", self._check_lease_is_read)
        self._readyz.add("shutdown", lambda: "stopping" if self.stopping else "")
        self._add_controllers()

    def _check_lease(self) -> str:
        standing = self._elector.standing()
        overdue = self._clock.boottime() - standing.deadline
        # A leader whose Lease is that long overdue is wrong about leading (reference: runtime §5).
        if standing.deadline and overdue > self._configuration.health.lease_overdue:
            return f"leading, but the Lease is {overdue:.0f} s overdue"
        return ""

    def _check_lease_is_read(self) -> str:
        """Return why this process could not take over the Lease: it knows nothing of it, or nothing new."""
        standing = self._elector.standing()
        if standing.deadline or self.stopping:
            return ""
        why = f": {'; '.join(standing.errors)}" if standing.errors else ""
        if standing.heard is None:
            return f"the Lease has not been read yet{why}"
        longest = self._configuration.health.lease_age
        if longest is None:
            longest = 2 * self._configuration.leader_election.lease_duration
        return f"the Lease was last read {standing.heard:.0f} s ago{why}" if standing.heard > longest else ""

    def _check_informers(self) -> str:
        if not self._hosts:
            return "no controller is enabled: see controllers in the file, and --controllers"
        if not self._informers.informers:
            return "no host has said what it watches yet"
        excused = {spec for host in self._hosts for spec in host.feed.excused}
        late = [
            str(spec)
            for spec, informer in self._informers.informers.items()
            if not informer.store.synced and spec not in excused
        ]
        return f"not synced: {', '.join(late)}" if late else ""

    def _check_hosts(self) -> str:
        late = [
            f"{host.name} is {_word(host.state)}"
            for host in self._hosts
            if not isinstance(host.state, life.Ready | life.Leading)
        ]
        return ", ".join(late)

    def _trouble(self, host: HostSupervisor) -> str:
        """Return what keeps a host's controllers from working: a watch that fails, or its own state."""
        watches = (self._informers.informers[spec].reflector.health() for spec in host.feed.watches)
        if troubles := [health.trouble for health in watches if health.trouble]:
            return "; ".join(troubles)
        if isinstance(host.state, life.Ready | life.Leading):
            return ""
        why = host.state.reason if isinstance(host.state, life.Refused | life.GivenUp) else host.last_death
        return f"host {host.name} is {_word(host.state)}" + (f": {why}" if why else "")

    def _host(self, host: HostSupervisor) -> HostStatus:
        usage = host.usage
        refused = host.state if isinstance(host.state, life.Refused | life.GivenUp) else None
        return HostStatus(
            name=host.name,
            state=_word(host.state),
            pid=host.pid or None,
            epoch=host.epoch,
            restarts=host.deaths,
            heartbeat_age=heard_ago(host.state, self._clock.monotonic()),
            memory_bytes=usage.memory if usage else None,
            cpu_seconds=usage.cpu_seconds if usage else None,
            open_files=usage.open_files if usage else None,
            processes=usage.processes if usage else None,
            limits=_limits(host.limits),
            reason=refused.reason if refused else host.last_death,
        )

    def _controllers_of(self, host: HostSupervisor) -> list[ControllerStatus]:
        reports = {report.name: report for report in host.reports}
        trouble = self._trouble(host)
        statuses = []
        for name in host.controllers:
            report = reports.get(name)
            statuses.append(
                ControllerStatus(
                    name=name,
                    ready=not trouble,
                    host=host.name,
                    workers=report.workers if report else 0,
                    active=report.active if report else 0,
                    depth=report.depth if report else 0,
                    delayed=report.delayed if report else 0,
                    failing=report.failing if report else 0,
                    reason=trouble,
                )
            )
        return statuses

    def _caches(self) -> list[CacheStatus]:
        caches = []
        for spec, informer in self._informers.informers.items():
            counts = informer.store.counts()
            health = informer.reflector.health()
            parts = "metadata only" if spec.metadata_only else ""
            limits = (spec.namespace, spec.label_selector, spec.field_selector, parts)
            caches.append(
                CacheStatus(
                    resource=str(spec.resource),
                    selector=" ".join(limit for limit in limits if limit),
                    state=health.phase,
                    objects=counts.objects,
                    position=counts.version,
                    event_age=counts.age,
                    readers=informer.readers,
                    reason=health.trouble,
                )
            )
        return caches


def _word(state: life.State) -> str:
    """Return a state as people call it."""
    match state:
        case life.Ready():
            return "standby"
        case life.Waiting():
            return "waiting to restart"
        case life.GivenUp():
            return "given up"
        case _:
            return type(state).__name__.lower()


def _limits(limits: HostLimits) -> dict[str, float]:
    """Return the limits that there are, by their names in the configuration."""
    every = {
        "memory": limits.memory,
        "cpu": limits.cores,
        "openFiles": limits.open_files,
        "processes": limits.processes,
        "restarts": limits.restarts,
    }
    return {name: limit for name, limit in every.items() if limit}

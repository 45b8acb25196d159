"""Watches what hosts use, and ends those that use too much.

Looks from outside, once a period at every host that has limits, at the others now and then.
Guarantees: a host beyond one of its limits is killed within about a period and reported with the
limit's name; its successor starts with a clean sheet; a host without limits is measured all the
same. Owns the averages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kcm.base.clock import Clock
from kcm.config.schema import HostsConfig, LimitsConfig
from kcm.host.limits import HostLimits
from kcm.manager.hosts import HostSupervisor
from kcm.manager.usage import Spending, excess
from kcm.objects.quantities import parse_quantity
from kcm.telemetry.metrics import Metrics

# The limits whose excess ends a host, as the configuration calls them.
LIMITS = ("memory", "cpu", "openFiles", "processes")


UNLIMITED = HostLimits()
# Whose numbers are only shown is looked at once in so many periods: it is the dearest thing at rest.
SELDOM = 5


def limits_of(hosts: HostsConfig, process: str) -> HostLimits:
    """Return what one process may use: its own entry over that of all."""
    own, common = hosts.limits_of.get(process, LimitsConfig()), hosts.limits

    def chosen(name: str, otherwise: Any) -> Any:
        for section in (own, common):
            if (value := getattr(section, name)) is not None:
                return value
        return otherwise

    return HostLimits(
        memory=int(parse_quantity(chosen("memory", "0"))),
        cores=chosen("cpu", 0.0),
        cpu_period=chosen("cpu_period", 60.0),
        open_files=chosen("open_files", 0),
        processes=chosen("processes", 0),
        restarts=chosen("restarts", 0),
    )


class Warden:
    """Keeps hosts within their limits."""

    def __init__(
        self,
        hosts: Sequence[HostSupervisor],
        period: float,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """`period` is in seconds."""
        self._hosts = hosts
        self._period = period
        self._clock = clock
        self._looks = 0
        self._spendings: dict[tuple[str, int], Spending] = {}
        self._shown: set[str] = set()
        label = ("host",)
        self._memory = metrics.gauge(
            "kcm_host_memory_bytes", "Resident memory of a host and of what it has started.", label
        )
        self._files = metrics.gauge("kcm_host_open_files", "File descriptors of a host.", label)
        self._processes = metrics.gauge("kcm_host_processes", "Processes that a host has started.", label)
        self._exceeded = metrics.counter(
            "kcm_host_limit_exceeded_total", "Ends of a host that used too much.", ("host", "limit")
        )

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            await self._clock.sleep(self._period)
            self._looks += 1
            for host in self._hosts:
                if host.limits != UNLIMITED or self._looks % SELDOM == 1:
                    self._look_at(host)
            alive = {(host.name, host.epoch) for host in self._hosts}
            self._spendings = {key: kept for key, kept in self._spendings.items() if key in alive}
            for name in self._shown - {host.name for host in self._hosts}:
                self._forget(name)

    def _forget(self, name: str) -> None:
        """Show nothing for a host that is not running: its last numbers would look like present ones."""
        if name in self._shown:
            self._shown.discard(name)
            for gauge in (self._memory, self._files, self._processes):
                gauge.remove(name)

    def _look_at(self, host: HostSupervisor) -> None:
        usage = host.measure()
        if usage is None:
            self._forget(host.name)
            return
        self._shown.add(host.name)
        self._memory.labels(host.name).set(usage.memory)
        self._files.labels(host.name).set(usage.open_files)
        self._processes.labels(host.name).set(usage.processes)
        limits: HostLimits = host.limits
        for limit in LIMITS:
            # There from the start: nobody sees a counter rise that begins at one.
            self._exceeded.labels(host.name, limit)
        spending = self._spendings.setdefault((host.name, host.epoch), Spending(limits.cpu_period))
        cores = spending.cores(self._clock.monotonic(), usage.cpu_seconds)
        if beyond := excess(usage, cores, limits):
            self._exceeded.labels(host.name, beyond.limit).inc()
            host.put_down(f"beyond its limit, hosts.limits.{beyond.limit}: {beyond.text}")

"""The signs of life: how late the loop is, how silent the hosts are, how far behind, how old the watches.

Looks once a second and keeps the worst of the last minute for /metrics, so that what was over before a
scrape is still seen. Each sign has a threshold in the configuration (`health`) and a method that returns
what is wrong, "" for nothing: the checks of `kcm.manager.observatory`. Guarantees: looking costs the
same whatever the cluster holds; a host or a watch that is no more is shown no more. Owns the
measurements; decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kcm.base.clock import Clock
from kcm.config.schema import Configuration
from kcm.manager import host_life as life
from kcm.manager.hosts import HostSupervisor
from kcm.manager.informers import Informers
from kcm.telemetry.metrics import Metrics
from kcm.telemetry.peak import Peak, loop_lag

TICK_SECONDS = 1.0
# A probe wakes every host: not at each look.
PROBE_SECONDS = 5.0


class Vitals:
    """Measures. `health` and `hosts` of the configuration say what counts as unwell."""

    def __init__(
        self,
        configuration: Configuration,
        hosts: Sequence[HostSupervisor],
        informers: Informers,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.configuration = configuration
        self._hosts = hosts
        self._informers = informers
        self._clock = clock
        self._due = clock.monotonic()
        self._late = 0.0
        self._probe_at = 0.0
        self._loop = loop_lag(metrics, clock)
        self._silences: dict[str, Peak] = {}
        self._lags: dict[str, Peak] = {}
        label = ("host",)
        self._silence_shown = metrics.gauge(
            "kcm_host_heartbeat_age_seconds",
            "For how long a host was not heard of, at worst in the last minute.",
            label,
        )
        self._lag_shown = metrics.gauge(
            "kcm_feed_lag_seconds",
            "How long a host took to take in what it was fed, at worst in the last minute.",
            label,
        )

    async def run(self, look: Callable[[], None]) -> None:
        """Measure for ever, and `look` each time."""
        while True:
            self._due = self._clock.monotonic() + TICK_SECONDS
            await self._clock.sleep(TICK_SECONDS)
            self._late = max(0.0, self._clock.monotonic() - self._due)
            self._loop.take(self._late)
            self._look_at_hosts()
            look()

    def loop(self) -> str:
        """Return whether the loop is too late; one that is blocked right now answers no probe at all."""
        # The probe may be answered before the timer that was to measure this.
        late = max(self._late, self._clock.monotonic() - self._due)
        return f"the event loop was {late:.1f} s late" if late > self.configuration.health.loop_lag else ""

    def silent(self) -> str:
        """Return which hosts were not heard of for too long."""
        health, hosts = self.configuration.health, self.configuration.hosts
        longest = hosts.hang_deadline / 2 if health.heartbeat_age is None else health.heartbeat_age
        now = self._clock.monotonic()
        ages = ((host.name, heard_ago(host.state, now)) for host in self._hosts)
        return ", ".join(
            f"{name} was not heard of for {age:.0f} s" for name, age in ages if age and age > longest
        )

    def behind(self) -> str:
        """Return which hosts are too far behind what they are fed."""
        longest = self.configuration.health.feed_lag
        late = ((host.name, host.feed.lag) for host in self._hosts)
        return ", ".join(f"{name} is {lag:.0f} s behind its feed" for name, lag in late if lag > longest)

    def old(self) -> str:
        """Return of which watches nothing was heard for too long."""
        longest = self.configuration.health.watch_age
        excused = {spec for host in self._hosts for spec in host.feed.excused}
        ages = ((spec, informer.store.age) for spec, informer in self._informers.informers.items())
        return ", ".join(
            f"{spec} for {age:.0f} s"
            for spec, age in ages
            if age is not None and age > longest and spec not in excused
        )

    def _look_at_hosts(self) -> None:
        now = self._clock.monotonic()
        probes = now >= self._probe_at
        if probes:
            self._probe_at = now + PROBE_SECONDS
        for host in self._hosts:
            if host.name not in self._silences:
                silence, lag = Peak(self._clock), Peak(self._clock)
                self._silences[host.name], self._lags[host.name] = silence, lag
                self._silence_shown.labels(host.name).set_function(silence.read)
                self._lag_shown.labels(host.name).set_function(lag.read)
            # While this process stood still nobody could be heard: that is no host's fault.
            self._silences[host.name].take(max(0.0, (heard_ago(host.state, now) or 0.0) - self._late))
            if probes or host.feed.lag > TICK_SECONDS:
                host.feed.probe()
            self._lags[host.name].take(max(0.0, host.feed.lag - self._late))
        for name in self._silences.keys() - {host.name for host in self._hosts}:
            del self._silences[name], self._lags[name]
            self._silence_shown.remove(name)
            self._lag_shown.remove(name)


def heard_ago(state: life.State, now: float) -> float | None:
    """Return for how many seconds a host was not heard of; None for one that is not to be heard."""
    match state:
        case life.Filling(heard) | life.Ready(heard) | life.Leading(heard):
            return now - heard
        case _:
            return None

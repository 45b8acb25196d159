"""What must hold between fields of the configuration.

`broken_rules` is pure: a configuration in, the broken rules out, each with the key to look at.
The first rule is the fence's: a write that was sent at the very last moment, and hosts that
stop as slowly as they may, must both be over before another process may lead
(reference: reliability 2, S7). Owns no state.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kcm.config.durations import format_duration as span
from kcm.config.schema import (
    ClientConfig,
    Configuration,
    HealthConfig,
    HostsConfig,
    LeaderElectionConfig,
    LimitsConfig,
    ServingConfig,
    TracingConfig,
)
from kcm.objects.quantities import parse_quantity

JITTER = 1.2
_LOCAL = ("127.0.0.1", "::1", "localhost")
LEAST_MEMORY = 64 * 1024 * 1024
LEAST_FILES = 32


class Broken(NamedTuple):
    """A rule that does not hold."""

    key: str
    reason: str


def broken_rules(configuration: Configuration) -> tuple[Broken, ...]:
    """Return every rule that the configuration breaks, most important first."""
    return (
        *_election(configuration.leader_election, configuration.client, configuration.hosts),
        *_serving(configuration.serving),
        *_hosts(configuration.hosts),
        *_health(configuration.health, configuration.hosts, configuration.leader_election),
        *_client(configuration.client),
        *_tracing(configuration.tracing),
    )


def _election(election: LeaderElectionConfig, client: ClientConfig, hosts: HostsConfig) -> Iterator[Broken]:
    if not election.enabled:
        return
    if election.lease_duration != int(election.lease_duration):
        yield Broken("leaderElection.leaseDuration", "must be whole seconds: a Lease holds no fractions")
    needed = election.renew_deadline + client.write_timeout + hosts.stop_time
    if needed >= election.lease_duration:
        yield Broken(
            "leaderElection.leaseDuration",
            f"is {span(election.lease_duration)} but must be longer than {span(needed)}: renewDeadline "
            f"({span(election.renew_deadline)}) + client.writeTimeout ({span(client.write_timeout)}) + "
            f"hosts.stopTime ({span(hosts.stop_time)}); otherwise a late write could meet a new leader",
        )
    if election.retry_period * JITTER >= election.renew_deadline:
        yield Broken(
            "leaderElection.renewDeadline",
            f"is {span(election.renew_deadline)} but must be longer than {JITTER} × retryPeriod "
            f"({span(election.retry_period)}), or one failed renewal loses the lease",
        )


def _serving(serving: ServingConfig) -> Iterator[Broken]:
    if bool(serving.tls_cert_file) != bool(serving.tls_key_file):
        missing = "tlsKeyFile" if serving.tls_cert_file else "tlsCertFile"
        yield Broken(f"serving.{missing}", "is missing: tlsCertFile and tlsKeyFile go together")
    local = serving.address in _LOCAL
    if serving.delegated_auth and not serving.tls_cert_file and not local:
        yield Broken("serving.delegatedAuth", "needs tlsCertFile: tokens would be sent in the clear")
    if serving.debug and not (serving.delegated_auth or serving.token_file or local):
        yield Broken("serving.debug", "needs delegatedAuth, a tokenFile, or the address 127.0.0.1")
    if serving.probe_port and serving.probe_port == serving.port:
        yield Broken("serving.probePort", "is the same as port; leave it out")


def _hosts(hosts: HostsConfig) -> Iterator[Broken]:
    if hosts.hang_deadline < 3 * hosts.heartbeat_period:
        yield Broken(
            "hosts.hangDeadline",
            f"is {span(hosts.hang_deadline)} but must be at least 3 × heartbeatPeriod "
            f"({span(hosts.heartbeat_period)}), or a short pause kills a sound host",
        )
    if hosts.restart_backoff > hosts.restart_backoff_max:
        yield Broken(
            "hosts.restartBackoffMax", f"is less than restartBackoff ({span(hosts.restart_backoff)})"
        )
    every = (
        ("hosts.limits", hosts.limits),
        *((f"hosts.limitsOf.{name}", own) for name, own in hosts.limits_of.items()),
    )
    for where, limits in every:
        yield from _limits(where, limits)


def _health(health: HealthConfig, hosts: HostsConfig, election: LeaderElectionConfig) -> Iterator[Broken]:
    least = 3 * hosts.heartbeat_period
    if health.heartbeat_age is not None and health.heartbeat_age < least:
        yield Broken(
            "health.heartbeatAge",
            f"is {span(health.heartbeat_age)} but must be at least 3 × hosts.heartbeatPeriod ({span(least)})",
        )
    # A standby that hears nothing reads the Lease after two retry periods.
    least = 4 * election.retry_period
    if election.enabled and health.lease_age is not None and health.lease_age < least:
        yield Broken(
            "health.leaseAge",
            f"is {span(health.lease_age)} but must be at least 4 × retryPeriod ({span(least)})",
        )


def _tracing(tracing: TracingConfig) -> Iterator[Broken]:
    if tracing.endpoint and not tracing.endpoint.startswith(("http://", "https://")):
        yield Broken("tracing.endpoint", f"{tracing.endpoint[:64]!r} is no http or https URL")
    if bool(tracing.endpoint) != bool(tracing.sampling_rate_per_million):
        missing = "samplingRatePerMillion" if tracing.endpoint else "endpoint"
        yield Broken(f"tracing.{missing}", "is missing: without it nothing is traced")


def _limits(where: str, limits: LimitsConfig) -> Iterator[Broken]:
    if limits.memory is not None and 0 < parse_quantity(limits.memory) < LEAST_MEMORY:
        yield Broken(f"{where}.memory", "is less than 64Mi, what a host needs")
    if limits.open_files is not None and 0 < limits.open_files < LEAST_FILES:
        yield Broken(f"{where}.openFiles", f"is less than {LEAST_FILES}, what a host needs")


def _client(client: ClientConfig) -> Iterator[Broken]:
    for path in client.exec_plugins:
        if not path.startswith("/"):
            yield Broken("client.execPlugins", f"{path[:64]!r} is no absolute path")
    if client.master and not client.master.startswith(("https://", "http://")):
        yield Broken("client.master", f"{client.master[:64]!r} is no http or https URL")

"""Everything that may stand in the configuration file.

One frozen Struct a section; the text below a field is its documentation, and
`config/kcm.yaml` shows each field with its default. Guarantees: the defaults are a working
configuration, and every number is bounded. Durations are seconds here; the file may write
"1m30s". What must hold between fields is checked in `kcm.config.rules`; how a file is read, in
`kcm.config.loader`. Each part of kcm gets only its own section.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

API_VERSION = "kcm.dev/v1alpha1"
KIND = "ManagerConfiguration"


class Span(msgspec.Struct, frozen=True):
    """Marks a field as a duration and bounds it; seconds."""

    low: float
    high: float


NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"

Name = Annotated[
    str, Meta(pattern=NAME, description="a name of lower-case letters, digits and -, at most 63")
]
Text = Annotated[str, Meta(max_length=1024)]
Implementation = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$",
        max_length=256,
        description='"module:Class"',
    ),
]
Port = Annotated[int, Meta(ge=0, le=65535)]
Rate = Annotated[float, Meta(ge=0, le=100_000)]
Burst = Annotated[int, Meta(ge=1, le=100_000)]
Memory = Annotated[
    str,
    Meta(
        pattern=r"^(0|[1-9][0-9]{0,14}(Ki|Mi|Gi|k|M|G)?)$",
        description='an amount of memory such as "512Mi"',
    ),
]


class Section(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of the sections: camelCase in the file, nothing unknown."""


class LeaderElectionConfig(Section, frozen=True):
    """Which of several kcm processes works."""

    enabled: bool = True
    """Take part in the election. Off: this process works at once, so only one may run."""

    resource_namespace: Name = "kube-system"
    """Namespace of the Lease that is competed for."""

    resource_name: Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")] = "kcm"
    """Name of the Lease. All kcm processes that do the same work name the same Lease."""

    lease_duration: Annotated[float, Span(1, 3600)] = 15.0
    """How long others wait after the leader's last renewal before they take over. Whole seconds."""

    renew_deadline: Annotated[float, Span(0.5, 3600)] = 10.0
    """How long after its last renewal the leader may still write. Past it every write is refused."""

    retry_period: Annotated[float, Span(0.1, 600)] = 2.0
    """Time between two attempts to renew or to take over."""

    identity: Text = ""
    """Name of this process in the Lease. Empty: host name and a random part; two must never be equal."""


class CoexistenceConfig(Section, frozen=True):
    """Beside a kube-controller-manager that may run controllers of the same names."""

    other_manager: Literal["refuse", "wait", "ignore"] = "refuse"
    """What to do when it seems to run them: refuse to work (exit code 2), wait until it has let go, or
    ignore it (`--takeover`: whoever turned them off there says so)."""


class ClientConfig(Section, frozen=True):
    """How kcm talks to the API server."""

    kubeconfig: Text = ""
    """Path of a kubeconfig file. Empty: the service account of the pod that kcm runs in."""

    context: Text = ""
    """Context of the kubeconfig to use. Empty: its current-context."""

    master: Text = ""
    """URL of the API server; wins over the one in the kubeconfig."""

    qps: Rate = 20.0
    """Writes and reads a second that each controller may send on average. 0: no limit."""

    burst: Burst = 30
    """Requests that a controller may send at once before qps applies."""

    read_timeout: Annotated[float, Span(1, 600)] = 30.0
    """Longest time for a whole read. Watches have their own: see cache."""

    write_timeout: Annotated[float, Span(0.1, 600)] = 3.0
    """Longest time for a whole write. Part of the fence: see leaderElection.leaseDuration."""

    max_connections: Annotated[int, Meta(ge=1, le=1024)] = 100
    """Connections that one process keeps open at most, and writes of one reconcile at once. No watches."""

    exec_plugins: Annotated[tuple[Text, ...], Meta(max_length=32)] = ()
    """Credential plugins that a kubeconfig may run: absolute paths. Empty: none may run."""

    allow_insecure_tls: bool = False
    """Accept a kubeconfig that turns off the check of the server's certificate."""


class ServingConfig(Section, frozen=True):
    """The HTTP server with probes, metrics and status."""

    enabled: bool = True
    """Serve at all."""

    address: Annotated[str, Meta(min_length=1, max_length=255)] = "127.0.0.1"
    """Address to listen on. In a pod 0.0.0.0, or the kubelet cannot probe."""

    port: Port = 8085
    """Port to listen on. 0: any free one; the log says which."""

    tls_cert_file: Text = ""
    """Certificate chain (PEM) to serve TLS with. Empty: plain HTTP."""

    tls_key_file: Text = ""
    """Private key (PEM) of tlsCertFile."""

    token_file: Text = ""
    """File with a bearer token that everything but the probes then asks for. Empty: no token."""

    delegated_auth: bool = False
    """Let the API server say who may see what is no probe (TokenReview, SubjectAccessReview)."""

    probe_port: Port | None = None
    """Port of its own for the probes, plain HTTP. Left out: they are with the pages."""

    max_connections: Annotated[int, Meta(ge=8, le=10_000)] = 200
    """Connections that are open at most; past that, the one longest silent makes room."""

    debug: bool = False
    """Serve /debug: tasks, CPU profile, log level."""

    status_page: bool = False
    """Show browsers a live status page at /; whoever may see /statusz may see it."""


class HealthConfig(Section, frozen=True):
    """When something counts as unwell: what /livez (a restart would help) and /readyz go by."""

    loop_lag: Annotated[float, Span(0.1, 600)] = 10.0
    """The manager's event loop is so late: not alive."""

    lease_overdue: Annotated[float, Span(1, 3600)] = 20.0
    """A leader should have renewed the Lease, or have stopped, so long ago: not alive."""

    lease_age: Annotated[float, Span(1, 7200)] | None = None
    """The Lease was not read for so long: this process could not take over, so it is not ready. Left
    out: two leaseDurations."""

    heartbeat_age: Annotated[float, Span(0.1, 3600)] | None = None
    """A host was not heard of for so long: not ready. Left out: half of hosts.hangDeadline, at which the
    host is killed."""

    feed_lag: Annotated[float, Span(1, 3600)] = 30.0
    """A host has not taken in what was fed to it so long ago: not ready."""

    watch_age: Annotated[float, Span(10, 86400)] = 720.0
    """Nothing was heard of a watch for so long, not even a bookmark: not ready. The default is longer than
    any watch of a server that sends no bookmarks."""


class TracingConfig(Section, frozen=True):
    """Spans of reconciles and of the requests that they send, for OpenTelemetry collectors."""

    endpoint: Text = ""
    """URL of a collector that takes OTLP over HTTP: "http://127.0.0.1:4318". /v1/traces is added. Empty:
    off."""

    sampling_rate_per_million: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """How many of a million reconciles are traced. 1000000: all."""


class LoggingConfig(Section, frozen=True):
    """What is logged, and how it looks."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written: debug, info, warning or error."""

    format: Literal["auto", "json", "text"] = "auto"
    """json: one object a line. text: for people. auto: text on a terminal, json elsewhere."""


class CacheConfig(Section, frozen=True):
    """The cache that all controllers share: one list and watch per resource and selector."""

    resync_period: Annotated[float, Span(0, 7 * 86400)] = 12 * 3600.0
    """Every object is looked at again after one to two such periods. 0s: never."""


class LimitsConfig(Section, frozen=True):
    """What one host may use. Left out: as for all hosts; and there: no limit. 0: no limit."""

    memory: Memory | None = None
    """Resident memory, with that of processes it has started: "512Mi". A host above it is killed and
    started again; a single allocation far beyond it fails with MemoryError and ends one reconcile."""

    cpu: Annotated[float, Meta(ge=0, le=4096)] | None = None
    """Cores on average over cpuPeriod: 0.5. A host above it is killed and started again."""

    cpu_period: Annotated[float, Span(0.5, 3600)] | None = None
    """Time over which cpu is averaged, so that a burst of work is allowed. Left out: 1m."""

    open_files: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    """File descriptors, sockets included. No more are given; a host that has them all is killed and
    started again, because what leaks does not come back."""

    processes: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    """Processes that controllers of the host have started. One that starts more is killed with them."""

    restarts: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    """Restarts in a row (two minutes of health forgive) after which a host is left alone, not ready,
    until kcm itself is started again."""


class HostsConfig(Section, frozen=True):
    """The child processes that run controllers."""

    start_timeout: Annotated[float, Span(1, 600)] = 30.0
    """A host that has not reported within this time of its start is killed and started again."""

    heartbeat_period: Annotated[float, Span(0.1, 60)] = 1.0
    """Time between two reports of a host."""

    hang_deadline: Annotated[float, Span(1, 3600)] = 20.0
    """A host that has not reported for so long is killed and started again."""

    restart_backoff: Annotated[float, Span(0.05, 600)] = 1.0
    """Wait before the first restart of a host; doubled with each further one."""

    restart_backoff_max: Annotated[float, Span(0.05, 3600)] = 60.0
    """Longest wait before a restart."""

    stop_grace: Annotated[float, Span(0, 600)] = 10.0
    """Asked to stop, kcm lets reconciles end for so long, still leading, before it kills."""

    stop_time: Annotated[float, Span(0.1, 60)] = 1.0
    """Leadership lost, hosts are gone within this time. Part of the fence: see leaseDuration."""

    limits: LimitsConfig = LimitsConfig()
    """What each host may use."""

    limits_of: Mapping[Name, LimitsConfig] = {}
    """What single hosts may use, by the name of the process; what is left out is as in limits."""


class ControllerConfig(Section, frozen=True):
    """One controller."""

    enabled: bool | None = None
    """Run it. Left out: as the controller itself says (most: on)."""

    implementation: Implementation | None = None
    """Where a controller of your own is, as "module:Class"; its module must be importable. Left out: it
    is installed under this name (entry point group kcm.controllers)."""

    workers: Annotated[int, Meta(ge=1, le=1000)] | None = None
    """Keys reconciled at the same time; one key is never reconciled twice at once. Left out: as the
    controller itself says (most: 5)."""

    process: Name | None = None
    """Name of its process. Controllers that name the same one share it. Left out: its own."""

    qps: Rate | None = None
    """Requests a second on average. Left out: as the controller itself says (most: client.qps). 0: no
    limit."""

    burst: Burst | None = None
    """Requests at once before qps applies. Left out: with qps, as the controller says, or client.burst."""

    max_backoff: Annotated[float, Span(0.01, 3600)] = 60.0
    """Longest wait before a key that keeps failing is tried again."""

    reconcile_timeout: Annotated[float, Span(1, 86400)] | None = None
    """A reconcile that takes longer is cancelled and counts as failed. Left out: as the controller
    itself says (most: 5m)."""

    settings: Mapping[str, Any] = {}
    """The controller's own settings: see its documentation. It checks them when its host starts."""


class Configuration(Section, frozen=True):
    """The whole file."""

    api_version: Literal["kcm.dev/v1alpha1"] = "kcm.dev/v1alpha1"
    """Version of this format. Must be written."""

    kind: Literal["ManagerConfiguration"] = "ManagerConfiguration"
    """Must be written too, so that no other file is taken for this one."""

    leader_election: LeaderElectionConfig = LeaderElectionConfig()
    """Which of several kcm processes works."""

    coexistence: CoexistenceConfig = CoexistenceConfig()
    """Beside a kube-controller-manager that may run controllers of the same names."""

    client: ClientConfig = ClientConfig()
    """How kcm talks to the API server."""

    serving: ServingConfig = ServingConfig()
    """The HTTP server with probes, metrics and status."""

    health: HealthConfig = HealthConfig()
    """When something counts as unwell."""

    logging: LoggingConfig = LoggingConfig()
    """What is logged, and how it looks."""

    tracing: TracingConfig = TracingConfig()
    """Spans of reconciles and of the requests that they send. Off by default."""

    cache: CacheConfig = CacheConfig()
    """The cache that all controllers share."""

    hosts: HostsConfig = HostsConfig()
    """The child processes that run controllers."""

    controllers: Mapping[Name, ControllerConfig] = {}
    """Controllers by name; one that is not named runs with the defaults."""

    def paces(self, name: str) -> bool:
        """Say whether the file itself sets a controller's rate."""
        own = self.controllers.get(name)
        return own is not None and (own.qps is not None or own.burst is not None)

    def controller(self, name: str) -> ControllerConfig:
        """Return a controller's section with qps, burst and process filled in."""
        own = self.controllers.get(name) or ControllerConfig()
        return msgspec.structs.replace(
            own,
            process=own.process or name,
            qps=self.client.qps if own.qps is None else own.qps,
            burst=self.client.burst if own.burst is None else own.burst,
        )

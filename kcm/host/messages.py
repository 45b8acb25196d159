"""What a manager and a host say to each other, beside the feed's data.

Tagged Structs, written as JSON into the frames of `kcm.cache.feed`. Guarantees: decoding
checks types, required fields and unknown tags; sizes are bounded by the frame. Times named
`deadline` are seconds on CLOCK_BOOTTIME, which all processes of one machine share. Nothing
else ever crosses the socket: no pickles, no objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from kcm.cache.watchspec import WatchSpec
from kcm.client.credentials import Credentials
from kcm.client.discovery import ResourceFilter
from kcm.host.limits import HostLimits
from kcm.objects.resource import ResourceType
from kcm.runtime.decisions import Decision
from kcm.runtime.rehearsal import Planned
from kcm.telemetry.tracing import TraceSettings

MOST_WATCHES = 256
MOST_BARRIERS = 1024
MOST_DISCOVERIES = 16


class ControllerTask(msgspec.Struct, frozen=True):
    """One controller that a host is to run. `implementation` is "module:Class".

    `workers` and `reconcile_timeout` 0: as the controller says. `paced`: qps and burst were set for
    it, and hold against what it says itself.
    """

    name: str
    implementation: str
    workers: int
    qps: float
    burst: int
    max_backoff: float
    reconcile_timeout: float
    settings: msgspec.Raw = msgspec.Raw(b"{}")
    paced: bool = False


class Configure(msgspec.Struct, frozen=True, tag="configure"):
    """The first frame: everything a host needs to know. Seconds for all durations.

    `instance` is what events call this process's machine.
    """

    host: str
    epoch: int
    user_agent: str
    controllers: tuple[ControllerTask, ...]
    credentials: Credentials
    read_timeout: float
    write_timeout: float
    connections: int
    resync_period: float
    log_level: str
    log_format: Literal["auto", "json", "text"]
    heartbeat_period: float
    dry_run: bool = False
    instance: str = ""
    limits: HostLimits = HostLimits()
    tracing: TraceSettings = TraceSettings()


class NewCredentials(msgspec.Struct, frozen=True, tag="credentials"):
    """Credentials changed, or were asked for."""

    credentials: Credentials


class SetLevel(msgspec.Struct, frozen=True, tag="setLevel"):
    """Log from this level on."""

    level: Literal["debug", "info", "warning", "error"]


class Lead(msgspec.Struct, frozen=True, tag="lead"):
    """The replicas are fresh and the Lease is ours: let the workers work until `deadline`."""

    deadline: float


class Renew(msgspec.Struct, frozen=True, tag="renew"):
    """The Lease was renewed: writes are allowed until `deadline`."""

    deadline: float


class BarrierPassed(msgspec.Struct, frozen=True, tag="barrierPassed"):
    """Everything that the server had when the barrier was asked for has been fed."""

    id: int


class Mark(msgspec.Struct, frozen=True, tag="mark"):
    """Say when you have taken in all that came before this."""

    id: int


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Finish what is under way within `grace` seconds, then end."""

    grace: float


class WatchOpened(msgspec.Struct, frozen=True, tag="watchOpened"):
    """A resource was discovered: it is fed from now on, under the number `watch`, which is a new one.

    `discovery` is the place of what asked for it in `Declare.discoveries`.
    """

    watch: int
    discovery: int
    spec: WatchSpec


class WatchClosed(msgspec.Struct, frozen=True, tag="watchClosed"):
    """A discovered resource is there no more."""

    watch: int


class WatchExcused(msgspec.Struct, frozen=True, tag="watchExcused"):
    """A discovered resource cannot be read, and nobody shall wait for it."""

    watch: int
    reason: str


class KindsFound(msgspec.Struct, frozen=True, tag="kindsFound"):
    """All resources that the server has, in all versions; sent behind the watches that they open."""

    kinds: tuple[ResourceType, ...]


class Hear(msgspec.Struct, frozen=True, tag="hear"):
    """What controllers have emitted, for those of this host that hear it."""

    records: tuple[msgspec.Raw, ...]


ControlToHost = (
    Configure
    | NewCredentials
    | SetLevel
    | Lead
    | Renew
    | BarrierPassed
    | Mark
    | Stop
    | WatchOpened
    | WatchClosed
    | WatchExcused
    | KindsFound
    | Hear
)


class WatchDeclaration(msgspec.Struct, frozen=True):
    """One watch that a host wants fed. Its place in `Declare.watches` is its number in the feed.

    `projection` is what `kcm.cache.projection.encode` wrote.
    """

    spec: WatchSpec
    projection: msgspec.Raw


class DiscoveryDeclaration(msgspec.Struct, frozen=True):
    """Resources that a host wants fed whatever they are called; metadata only."""

    wanted: ResourceFilter
    projection: msgspec.Raw


class Declare(msgspec.Struct, frozen=True, tag="declare"):
    """The host has loaded its controllers and says what they watch, and whether one hears events."""

    watches: tuple[WatchDeclaration, ...]
    discoveries: tuple[DiscoveryDeclaration, ...] = ()
    hears: bool = False


class Told(msgspec.Struct, frozen=True, tag="told"):
    """What the host's controllers have emitted: records for `kcm.runtime.inbox`."""

    records: tuple[msgspec.Raw, ...]


class Refuse(msgspec.Struct, frozen=True, tag="refuse"):
    """A controller cannot be run as configured; trying again will not help."""

    controller: str
    key: str
    reason: str


class Synced(msgspec.Struct, frozen=True, tag="synced"):
    """Every replica has been filled once."""


class NeedCredentials(msgspec.Struct, frozen=True, tag="needCredentials"):
    """The server answered 401: look for newer credentials."""


class Barrier(msgspec.Struct, frozen=True, tag="barrier"):
    """Ask for proof that the feed has caught up with the server in these resources."""

    id: int
    resources: tuple[ResourceType, ...]


class Marked(msgspec.Struct, frozen=True, tag="marked"):
    """All that came before a `Mark` has been taken in."""

    id: int


class ControllerReport(msgspec.Struct, frozen=True):
    """How one controller is doing."""

    name: str
    depth: int
    active: int
    delayed: int = 0
    failing: int = 0
    workers: int = 0


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """The host's loop runs."""

    leading: bool
    controllers: tuple[ControllerReport, ...]
    last_writes: Mapping[str, str] = {}


class MetricsReport(msgspec.Struct, frozen=True, tag="metrics"):
    """A snapshot of the host's instruments."""

    snapshot: msgspec.Raw


class NotSent(msgspec.Struct, frozen=True, tag="notSent"):
    """A dry run: what a controller would have done."""

    planned: Planned


class Decided(msgspec.Struct, frozen=True, tag="decided"):
    """What a controller has decided since its last report; sent behind heartbeats, if there is anything.

    `left_out`: as many had no room.
    """

    decisions: tuple[Decision, ...]
    left_out: int = 0


Reports = MetricsReport | NotSent | Decided


class Stopped(msgspec.Struct, frozen=True, tag="stopped"):
    """All workers have ended; nothing will be written any more.

    `complete`: whoever has seen `last_writes` has seen all that this host did. Not so while a
    deletion is not confirmed whose answer named no version.
    """

    last_writes: Mapping[str, str] = {}
    complete: bool = True


ToManager = (
    Declare | Refuse | Synced | NeedCredentials | Barrier | Marked | Heartbeat | Reports | Stopped | Told
)

"""What /statusz shows, as values.

The manager fills a `Status` when it is asked; nothing here decides or measures. Times are aware
UTC moments, ages and durations seconds, None what is not known or does not apply. Guarantees:
the JSON form is these Structs in camelCase, so that scripts may read it.
"""

from __future__ import annotations

from datetime import datetime

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of the values: camelCase in JSON."""


class BuildStatus(Row, frozen=True):
    """What is running."""

    version: str
    python: str = ""
    started: datetime | None = None
    now: datetime | None = None
    pid: int = 0


class ElectionStatus(Row, frozen=True):
    """Who leads, as far as this process knows."""

    enabled: bool = True
    identity: str = ""
    leading: bool = False
    leader: str = ""
    term: int | None = None
    fence_in: float | None = None
    """Seconds until writes are refused, unless the Lease is renewed before."""
    lease: str = ""
    """Namespace and name of the Lease that is competed for."""
    acquired: str = ""
    """Since when its holder leads, as the holder wrote it."""
    expires_in: float | None = None
    """Seconds until another may take the Lease, unless it is renewed before; negative: it has run out."""
    troubles: tuple[str, ...] = ()


class HostStatus(Row, frozen=True):
    """One child process. `state` is its machine's word: starting, standby, leading, stopping, dead."""

    name: str
    state: str
    pid: int | None = None
    epoch: int = 0
    restarts: int = 0
    heartbeat_age: float | None = None
    memory_bytes: int | None = None
    reason: str = ""
    cpu_seconds: float | None = None
    open_files: int | None = None
    processes: int | None = None
    """Processes that it has started."""
    limits: dict[str, float] = {}
    """What it may use, by the names in hosts.limits; no entry: no limit."""


class ControllerStatus(Row, frozen=True):
    """One controller. `reason` says why it is not enabled or not ready."""

    name: str
    enabled: bool = True
    ready: bool = False
    host: str = ""
    workers: int = 0
    active: int = 0
    depth: int = 0
    delayed: int = 0
    failing: int = 0
    reason: str = ""


class CacheStatus(Row, frozen=True):
    """One shared list and watch. `position` is the resourceVersion that it has reached."""

    resource: str
    selector: str = ""
    state: str = ""
    objects: int = 0
    bytes: int | None = None
    position: str = ""
    event_age: float | None = None
    readers: int = 0
    reason: str = ""


class PlanStatus(msgspec.Struct, frozen=True, rename="camel"):
    """A plan that a dry run did not send: its first actions with their reasons, and how many there are."""

    at: datetime
    controller: str
    key: str
    actions: tuple[str, ...]
    total: int


class DecisionStatus(Row, frozen=True):
    """What a controller did, or tried, for one reason.

    `keys`: what it reconciled, the first few; `times`: in how many reconciles; `wanted` and `done`: actions
    of them all. `result`: done, partly, failed, conflict (somebody was quicker; it is tried again), not tried
    (something before it failed), waiting.
    """

    at: datetime
    controller: str
    keys: tuple[str, ...] = ()
    action: str = ""
    object: str = ""
    because: str = ""
    result: str = "done"
    error: str = ""
    times: int = 1
    wanted: int = 0
    done: int = 0
    replicas: int | None = None
    """What was scaled to."""
    since: datetime | None = None
    """When the first of several was; None: there is only one."""


class ConfigurationStatus(Row, frozen=True):
    """The file that is in force. `refused`: why a newer one is not."""

    file: str
    hash: str
    in_force_since: datetime
    refused: str = ""


class Status(Row, frozen=True):
    """The whole page. `plans`: what a dry run would have done; like `decisions` newest first."""

    build: BuildStatus
    election: ElectionStatus = ElectionStatus()
    hosts: tuple[HostStatus, ...] = ()
    controllers: tuple[ControllerStatus, ...] = ()
    caches: tuple[CacheStatus, ...] = ()
    dry_run: bool = False
    plans: tuple[PlanStatus, ...] = ()
    decisions: tuple[DecisionStatus, ...] = ()
    decisions_left_out: int = 0
    """How many since the start had no room here."""
    configuration: ConfigurationStatus | None = None
    """None: there is no file, or it is not followed."""
    failing: dict[str, str] = {}
    """Health checks that fail now, with their reasons: "readyz/leader-election" -> why."""

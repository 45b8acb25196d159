"""The words of the lease machine: its states, what it is told, what it asks for.

All values are frozen. Times are seconds of `Clock.boottime`, which runs through suspension.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kcm.election.record import Found, Handover, Record
from kcm.election.settings import ElectionSettings


@dataclass(frozen=True, slots=True)
class Moment:
    """Now: `boottime` decides, `wall` is only written into the Lease for people to read."""

    boottime: float
    wall: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who takes part. Two processes never have the same identity, and one never reuses another's."""

    identity: str
    settings: ElectionSettings


@dataclass(frozen=True, slots=True)
class Sighting:
    """The newest that is known of the Lease.

    `found` is None when there is no Lease; `version` is then that of its deletion, "" if unknown.
    `seen` is when this was learned. `expires` is counted from when the record last changed.
    """

    found: Found | None
    version: str
    seen: float
    expires: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """A write of the Lease: the record, and the time before which it cannot have taken effect."""

    record: Record
    sent: float


@dataclass(frozen=True, slots=True)
class Term:
    """What an elected candidate needs to know.

    `graceful`: the predecessor had ended its work and said so, and `last_writes` (resource ->
    resourceVersion) then misses nothing. `transitions`, `uid` and `version` are those of the Lease.
    """

    identity: str
    previous: str
    deadline: float
    graceful: bool
    last_writes: Handover
    transitions: int
    uid: str
    version: str


# States.


@dataclass(frozen=True, slots=True)
class Watching:
    """Standby. `stale`: what is known was refused as a base to write on, so read first."""

    sighting: Sighting | None
    read_at: float
    try_at: float = 0.0
    failures: int = 0
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Acquiring:
    """A claim is on its way. `before` is the Lease that it is based on."""

    sighting: Sighting
    before: Found | None
    attempt: Attempt
    failures: int
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Leading:
    """Leader until `deadline`. The last of `attempts` is in flight while `open`.

    `leaving`: asked to stop; work is ending, and the Lease is renewed until it has.
    """

    sighting: Sighting
    attempts: tuple[Attempt, ...]
    deadline: float
    renew_at: float
    read_at: float = 0.0
    open: bool = False
    failures: int = 0
    stale: bool = False
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Deposed:
    """Leader no more; its work is ending. Nothing is written until it has."""

    sighting: Sighting
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Releasing:
    """Work has ended; the Lease is being given back, until that succeeds or `until` has come."""

    sighting: Sighting
    until: float
    attempt: Attempt | None = None
    open: bool = False
    read_at: float = 0.0
    failures: int = 0
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """Takes part no more."""

    released: bool


State = Watching | Acquiring | Leading | Deposed | Releasing | Ended


# Inputs.


@dataclass(frozen=True, slots=True)
class Saw:
    """The Lease, read or watched; None: there is none.

    `asked` is when a read was sent; None for a watch event, which may be older than what is known.
    """

    found: Found | None
    version: str
    asked: float | None = None


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """A read brought no answer."""


@dataclass(frozen=True, slots=True)
class Written:
    """A write was done; `found` is the Lease that the server answered with."""

    attempt: Attempt
    found: Found


@dataclass(frozen=True, slots=True)
class Refused:
    """A write was not done: the Lease is not what it was based on."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """A write failed, or nobody knows whether it was done."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Resign:
    """Stop taking part, in order."""


@dataclass(frozen=True, slots=True)
class Idle:
    """The work of the leader has ended: the answer to `Depose`."""


Input = Saw | ReadFailed | Written | Refused | WriteFailed | Tick | Resign | Idle


# Outputs.


@dataclass(frozen=True, slots=True)
class Read:
    """Read the Lease; nothing to do while a read is on its way."""


@dataclass(frozen=True, slots=True)
class Write:
    """Write `attempt.record` over exactly `base`, or create the Lease when that is None.

    Abandons a write that is still on its way. `final`: this is the release.
    """

    attempt: Attempt
    base: Found | None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Abandon:
    """Cut off a write that is on its way: its late success would only keep others out."""


@dataclass(frozen=True, slots=True)
class Elect:
    """Leadership begins."""

    term: Term


@dataclass(frozen=True, slots=True)
class Extend:
    """Leadership lasts until `deadline`."""

    deadline: float


@dataclass(frozen=True, slots=True)
class Depose:
    """Leadership is over, or with `asked` about to be: end all work, then say `Idle`."""

    reason: str
    asked: bool = False


Output = Read | Write | Abandon | Elect | Extend | Depose

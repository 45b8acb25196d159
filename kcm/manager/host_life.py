"""The life of one host, as the manager sees it: a pure machine.

    Waiting ──due──▶ Starting ──declared──▶ Filling ──synced──▶ Ready ──promoted──▶ Leading
       ▲                │                     │                   │                  │
       ├──── gone ──────┼─────────────────────┼───────────────────┼──────────────────┤
       │                │ too late            │ silent            │ silent           │ silent
       └──── gone ──── Dying ◀────────────────┴───────────────────┴──────────────────┘
    Leading ──demoted──▶ Demoted ──gone──▶ Waiting        any ──refused──▶ Refused
    Waiting would follow, but it has ended too often ──▶ GivenUp
    any ──stop asked──▶ Stopping ──gone──▶ Ended

`step` decides; the supervisor launches, kills and listens. Guarantees: a successor is launched
only after `Gone`, which the launcher sends when the process has been reaped, so that no two
processes of one host ever run; a host that is silent past its deadline is killed, unless it was the
manager that stood still; restarts back off, and are forgiven after a quiet while. The machine has
no memory but its state.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from kcm.base.backoff import Backoff

FORGIVEN_AFTER_SECONDS = 120.0
# What cannot stop in time is killed; the process needs a moment to be gone.
KILL_PATIENCE_SECONDS = 5.0


class LifeSettings(msgspec.Struct, frozen=True):
    """Deadlines in seconds, how restarts back off, and how many in a row there are at most (0: any)."""

    start_timeout: float
    hang_deadline: float
    restarts: Backoff
    most_restarts: int = 0


class Waiting(msgspec.Struct, frozen=True):
    """Not running; to be launched at `until`."""

    until: float
    failures: int = 0


class Starting(msgspec.Struct, frozen=True):
    """Launched, not heard of yet."""

    since: float
    failures: int


class Filling(msgspec.Struct, frozen=True):
    """It has said what it watches and is being fed."""

    heard: float
    since: float
    failures: int


class Ready(msgspec.Struct, frozen=True):
    """All its replicas are filled: a warm standby."""

    heard: float
    since: float
    failures: int


class Leading(msgspec.Struct, frozen=True):
    """Its workers work."""

    heard: float
    since: float
    failures: int


class Dying(msgspec.Struct, frozen=True):
    """Killed for a failing; not reaped yet, however long that takes."""

    failures: int


class Demoted(msgspec.Struct, frozen=True):
    """The Lease is lost: killed, to come back as a standby."""

    failures: int


class Stopping(msgspec.Struct, frozen=True):
    """Asked to stop; killed at `until`."""

    until: float
    killed: bool = False


class Refused(msgspec.Struct, frozen=True):
    """Its configuration cannot work; launching it again would not help."""

    reason: str


class GivenUp(msgspec.Struct, frozen=True):
    """It has ended too often in a row: left alone."""

    reason: str


class Ended(msgspec.Struct, frozen=True):
    """It has stopped as asked."""


Alive = Waiting | Starting | Filling | Ready | Leading | Dying
State = Alive | Demoted | Stopping | Refused | GivenUp | Ended


class Tick(msgspec.Struct, frozen=True):
    """Time has passed."""


class Overslept(msgspec.Struct, frozen=True):
    """Time has passed, but the manager itself stood still: nobody listened to the host."""


class Heard(msgspec.Struct, frozen=True):
    """The host has reported."""


class Declared(msgspec.Struct, frozen=True):
    """The host has said what it watches."""


class SyncedNow(msgspec.Struct, frozen=True):
    """The host's replicas are filled."""


class Promoted(msgspec.Struct, frozen=True):
    """The host was told to lead."""


class DemotedNow(msgspec.Struct, frozen=True):
    """The Lease was lost."""


class RefusedNow(msgspec.Struct, frozen=True):
    """The host has refused its configuration."""

    reason: str


class Gone(msgspec.Struct, frozen=True):
    """The process has ended and was reaped, or could not be started."""

    how: str


class StopAsked(msgspec.Struct, frozen=True):
    """Stop within `grace` seconds."""

    grace: float


Input = (
    Tick | Overslept | Heard | Declared | SyncedNow | Promoted | DemotedNow | RefusedNow | Gone | StopAsked
)


class Launch(msgspec.Struct, frozen=True):
    """Start the process."""


class Kill(msgspec.Struct, frozen=True):
    """End the process at once."""

    because: str


class AskToStop(msgspec.Struct, frozen=True):
    """Tell the host to stop within `grace` seconds."""

    grace: float


Output = Launch | Kill | AskToStop


def step(state: State, input: Input, now: float, settings: LifeSettings) -> tuple[State, tuple[Output, ...]]:
    """Return the next state and what to do. An input that means nothing in a state changes nothing."""
    match input:
        case Tick():
            return _tick(state, now, settings)
        case Overslept():
            return _overslept(state, now, settings)
        case Heard():
            return _heard(state, now), ()
        case Declared():
            return (Filling(now, now, state.failures), ()) if isinstance(state, Starting) else (state, ())
        case SyncedNow():
            return (Ready(now, now, state.failures), ()) if isinstance(state, Filling) else (state, ())
        case Promoted():
            return (
                (Leading(now, state.since, state.failures), ()) if isinstance(state, Ready) else (state, ())
            )
        case DemotedNow():
            return (
                (Demoted(state.failures), (Kill("the Lease was lost"),))
                if isinstance(state, Leading)
                else (state, ())
            )
        case RefusedNow(reason):
            return Refused(reason), ()
        case Gone(how):
            return _gone(state, how, now, settings), ()
        case StopAsked(grace):
            return _stop(state, grace, now)
    assert_never(input)


def _tick(state: State, now: float, settings: LifeSettings) -> tuple[State, tuple[Output, ...]]:
    match state:
        case Waiting(until, failures) if now >= until:
            return Starting(now, failures), (Launch(),)
        case Starting(since, failures) if now >= since + settings.start_timeout:
            return Dying(failures), (Kill("not ready in time"),)
        case Filling() | Ready() | Leading() if now >= state.heard + settings.hang_deadline:
            return Dying(state.failures), (Kill("silent"),)
        case Stopping(until, killed) if now >= until and not killed:
            return Stopping(until, True), (Kill("not stopped in time"),)
        case _:
            return state, ()


def _overslept(state: State, now: float, settings: LifeSettings) -> tuple[State, tuple[Output, ...]]:
    match state:
        case Starting():
            return msgspec.structs.replace(state, since=now), ()
        case Filling() | Ready() | Leading():
            return msgspec.structs.replace(state, heard=now), ()
        case _:
            return _tick(state, now, settings)


def _heard(state: State, now: float) -> State:
    match state:
        case Filling() | Ready() | Leading():
            failures = 0 if now >= state.since + FORGIVEN_AFTER_SECONDS else state.failures
            return msgspec.structs.replace(state, heard=now, failures=failures)
        case _:
            return state


def _gone(state: State, how: str, now: float, settings: LifeSettings) -> State:
    match state:
        case Starting() | Filling() | Ready() | Leading() | Dying():
            if settings.most_restarts and state.failures >= settings.most_restarts:
                return GivenUp(f"ended {state.failures + 1} times in a row, at last: {how}")
            wait = min(
                settings.restarts.cap,
                settings.restarts.base * settings.restarts.factor ** min(state.failures, 64),
            )
            # The first death is answered at once: a crash must not cost a leader a second.
            return Waiting(now + (wait if state.failures else 0.0), state.failures + 1)
        case Demoted(failures):
            return Waiting(now, failures)
        case Stopping():
            return Ended()
        case _:
            return state


def _stop(state: State, grace: float, now: float) -> tuple[State, tuple[Output, ...]]:
    match state:
        case Waiting() | Refused() | GivenUp() | Ended():
            return Ended(), ()
        case Stopping():
            return state, ()
        case Dying() | Demoted():
            return Stopping(now + KILL_PATIENCE_SECONDS, True), ()
        case Starting():
            return Stopping(now + KILL_PATIENCE_SECONDS, True), (Kill("asked to stop while starting"),)
        case _:
            return Stopping(now + grace + KILL_PATIENCE_SECONDS), (AskToStop(grace),)


def due(state: State, settings: LifeSettings) -> float | None:
    """Return when the next `Tick` can matter; None for never."""
    match state:
        case Waiting(until) | Stopping(until, False):
            return until
        case Starting(since):
            return since + settings.start_timeout
        case Filling(heard) | Ready(heard) | Leading(heard):
            return heard + settings.hang_deadline
        case _:
            return None

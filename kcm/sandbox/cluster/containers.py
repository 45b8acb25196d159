"""The life of one container: a pure machine.

    PullFailing <-> PullFailing -> Alive -> BackingOff -> Alive ...
                                   Alive -> Exited

Guarantees: pure and total; back-off doubles from 10 s to 300 s as a real kubelet's does, the
first restart being immediate (reference: apiserver 6). The pod around it is
`kcm.sandbox.cluster.life`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from kcm.sandbox.cluster.behaviour import (
    Behaviour,
    can_be_pulled,
    exit_of,
    exits_after,
    ready_after,
    started_after,
)
from kcm.sandbox.cluster.views import ContainerView

BACKOFF_BASE, BACKOFF_CAP, BACKOFF_RESET = 10.0, 300.0, 600.0


@dataclass(frozen=True, slots=True)
class Now:
    """One moment on both clocks: seconds to count with, and time of day to write down."""

    seconds: float
    wall: datetime


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container's run ended."""

    code: int
    reason: str
    started: datetime | None
    finished: datetime


@dataclass(frozen=True, slots=True)
class PullFailing:
    """The image cannot be had; tried `failures` times."""

    failures: int
    until: float
    waiting: bool


@dataclass(frozen=True, slots=True)
class Alive:
    """The container runs since `since` (seconds) and `started` (time of day)."""

    since: float
    started: datetime
    restarts: int = 0
    crashes: int = 0
    last: Exit | None = None


@dataclass(frozen=True, slots=True)
class BackingOff:
    """The container ended and is started again at `until`."""

    exit: Exit
    until: float
    restarts: int
    crashes: int


@dataclass(frozen=True, slots=True)
class Exited:
    """The container ended for good."""

    exit: Exit
    restarts: int


ContainerLife = PullFailing | Alive | BackingOff | Exited


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth an Event."""

    reason: str
    message: str
    warning: bool = False


Turn = tuple[ContainerLife, tuple[Note, ...]]


def start_container(container: ContainerView, behaviour: Behaviour, now: Now) -> Turn:
    """Start a container for the first time, if its image can be had."""
    if can_be_pulled(container, behaviour):
        return Alive(now.seconds, now.wall), tuple(startup_notes(container))
    return PullFailing(1, now.seconds + behaviour.pace.scaled(1.0), waiting=False), _unpullable(container)


def step_container(
    container: ContainerView, life: ContainerLife, policy: str, behaviour: Behaviour, now: Now
) -> Turn:
    """Make at most one move; `policy` is the pod's restartPolicy."""
    match life:
        case PullFailing(failures, until, waiting) if now.seconds >= until:
            return _pull_again(container, failures, waiting, behaviour, now)
        case Alive(since=since):
            ends = exits_after(container, behaviour)
            if ends is not None and now.seconds >= since + ends:
                return _exited(container, life, policy, behaviour, now)
        case BackingOff(exit_, until, restarts, crashes) if now.seconds >= until:
            again = Alive(now.seconds, now.wall, restarts + 1, crashes, exit_)
            return again, tuple(startup_notes(container))
    return life, ()


def _pull_again(
    container: ContainerView, failures: int, waiting: bool, behaviour: Behaviour, now: Now
) -> Turn:
    """ErrImagePull and ImagePullBackOff take turns until the image can be had."""
    if waiting and can_be_pulled(container, behaviour):
        return start_container(container, behaviour, now)
    if waiting:
        until = now.seconds + behaviour.pace.scaled(1.0)
        return PullFailing(failures + 1, until, waiting=False), _unpullable(container)
    wait = min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** min(failures - 1, 16))
    notes = (
        Note("BackOff", f'Back-off pulling image "{container.image}"'),
        Note("Failed", "Error: ImagePullBackOff", warning=True),
    )
    return PullFailing(failures, now.seconds + behaviour.pace.scaled(wait), waiting=True), notes


def _exited(container: ContainerView, life: Alive, policy: str, behaviour: Behaviour, now: Now) -> Turn:
    code, reason = exit_of(behaviour)
    end = Exit(code, reason, life.started, now.wall)
    if behaviour.fault == "stage-failed" or policy == "Never" or (policy == "OnFailure" and code == 0):
        return Exited(end, life.restarts), ()
    long_run = now.seconds - life.since >= behaviour.pace.scaled(BACKOFF_RESET)
    crashes = 0 if long_run else life.crashes
    wait = backoff(crashes)
    notes = tuple(_ending_notes(container, behaviour, backs_off=bool(wait)))
    return BackingOff(end, now.seconds + behaviour.pace.scaled(wait), life.restarts, crashes + 1), notes


def backoff(crashes: int) -> float:
    """Return seconds until a container that ended is started again, after so many crashes before."""
    # The first restart is immediate; from the second on the wait doubles.
    return 0.0 if crashes == 0 else min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** min(crashes - 1, 16))


def _ending_notes(container: ContainerView, behaviour: Behaviour, *, backs_off: bool) -> Iterator[Note]:
    if behaviour.fault == "liveness":
        failed = "Liveness probe failed: a fault that somebody ordered"
        yield Note("Unhealthy", failed, warning=True)
        yield Note("Killing", f"Container {container.name} failed liveness probe, will be restarted")
    if backs_off:
        yield Note("BackOff", f"Back-off restarting failed container {container.name}", warning=True)


def times_of(container: ContainerView, life: ContainerLife, behaviour: Behaviour) -> Iterator[float]:
    """Yield every time, past or to come, at which the container changes by itself. Clock seconds."""
    match life:
        case PullFailing(until=until) | BackingOff(until=until):
            yield until
        case Alive(since=since):
            yield since + started_after(container, behaviour)
            ready, ends = ready_after(container, behaviour), exits_after(container, behaviour)
            if ready is not None:
                yield since + ready
            if ends is not None:
                yield since + ends
            if behaviour.fault == "evicted":
                yield since + behaviour.fault_after


def killed(life: ContainerLife, code: int, reason: str, now: Now) -> ContainerLife:
    """Return the container ended for good because its pod ends."""
    match life:
        case Exited():
            return life
        case BackingOff(exit_, _, restarts, _):
            return Exited(exit_, restarts)
        case Alive(started=started, restarts=restarts):
            return Exited(Exit(code, reason, started, now.wall), restarts)
        case PullFailing():
            return Exited(Exit(137, "ContainerStatusUnknown", None, now.wall), 0)


def is_ready(container: ContainerView, life: ContainerLife, behaviour: Behaviour, now: Now) -> bool:
    """Say whether the container runs and its probes have succeeded."""
    if not isinstance(life, Alive):
        return False
    after = ready_after(container, behaviour)
    return after is not None and now.seconds >= life.since + after


def has_started(container: ContainerView, life: ContainerLife, behaviour: Behaviour, now: Now) -> bool:
    """Say whether the container runs and its start-up probe, if any, has succeeded."""
    return isinstance(life, Alive) and now.seconds >= life.since + started_after(container, behaviour)


def startup_notes(container: ContainerView) -> Iterator[Note]:
    """Yield what a kubelet says when a container starts."""
    yield Note("Pulled", f'Container image "{container.image}" already present on machine')
    yield Note("Created", f"Created container: {container.name}")
    yield Note("Started", f"Started container {container.name}")


def _unpullable(container: ContainerView) -> tuple[Note, ...]:
    failed = f'Failed to pull image "{container.image}": not found'
    return Note("Failed", failed, warning=True), Note("Failed", "Error: ErrImagePull", warning=True)

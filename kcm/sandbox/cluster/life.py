"""The life of a pod on its node: a pure machine.

    Arrived -> Starting -> Initialising -> Running -> Stopping -> Ended
                   any of these, on deletion ----------^
    Initialising <-> InitBackingOff while an init container fails
    Running -> Ended when every container has ended for good, or the pod is evicted

`step` moves as far as `now` allows and says what happened; `due` says when to call it again.
Guarantees: pure and total; a final phase is never left (reference: apiserver 6). What the
API is told about a life is `kcm.sandbox.cluster.report`; who calls whom is the kubelet's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from kcm.sandbox.cluster.behaviour import Behaviour
from kcm.sandbox.cluster.containers import (
    Alive,
    ContainerLife,
    Exit,
    Exited,
    Note,
    Now,
    backoff,
    killed,
    start_container,
    startup_notes,
    step_container,
    times_of,
)
from kcm.sandbox.cluster.views import PodView

_MOST_STEPS = 64


@dataclass(frozen=True, slots=True)
class InitRun:
    """An init container that has been started; `finished` is None for a sidecar, which runs on."""

    started: datetime
    finished: datetime | None
    restarts: int = 0
    code: int = 0


@dataclass(frozen=True, slots=True)
class Arrived:
    """Bound to the node, not yet seen by it."""


@dataclass(frozen=True, slots=True)
class Starting:
    """The sandbox of the pod is being made."""

    until: float


@dataclass(frozen=True, slots=True)
class Initialising:
    """Init containers run in turn; the one after `done` runs until `until`."""

    done: tuple[InitRun, ...]
    started: datetime
    until: float
    restarts: int = 0
    last: Exit | None = None


@dataclass(frozen=True, slots=True)
class InitBackingOff:
    """The init container after `done` failed, and is started again at `until`."""

    done: tuple[InitRun, ...]
    exit: Exit
    until: float
    restarts: int


@dataclass(frozen=True, slots=True)
class Running:
    """Containers live their own lives."""

    containers: tuple[ContainerLife, ...]
    init: tuple[InitRun, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopping:
    """Asked to end at `since`; `before` is the life it was in."""

    since: float
    before: Starting | Initialising | InitBackingOff | Running


@dataclass(frozen=True, slots=True)
class Ended:
    """The phase is final."""

    phase: Literal["Succeeded", "Failed"]
    containers: tuple[ContainerLife, ...] = ()
    init: tuple[InitRun, ...] = ()
    reason: str = ""
    message: str = ""


Life = Arrived | Starting | Initialising | InitBackingOff | Running | Stopping | Ended


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a step led, and what happened on the way."""

    life: Life
    notes: tuple[Note, ...] = ()


def step(life: Life, pod: PodView, behaviour: Behaviour, now: Now) -> Moved:
    """Move a life as far as `now` allows."""
    notes: list[Note] = []
    for _ in range(_MOST_STEPS):
        moved = _move(life, pod, behaviour, now)
        notes += moved.notes
        if moved.life == life:
            break
        life = moved.life
    return Moved(life, tuple(notes))


def due(life: Life, pod: PodView, behaviour: Behaviour, now: Now) -> float | None:
    """Return when `step` has something to do next, in clock seconds; None when only news can change it."""
    match life:
        case Arrived():
            return now.seconds
        case Starting(until) | Initialising(until=until) | InitBackingOff(until=until):
            return until
        case Running(containers):
            ahead = [
                at
                for container, each in zip(pod.spec.containers, containers, strict=False)
                for at in times_of(container, each, behaviour)
                if at > now.seconds
            ]
            return min(ahead, default=None)
        case Stopping():
            return _stops_at(life, pod, behaviour, now)
        case Ended():
            return None


def _move(life: Life, pod: PodView, behaviour: Behaviour, now: Now) -> Moved:
    if (
        isinstance(life, Starting | Initialising | InitBackingOff | Running)
        and pod.metadata.deletion_timestamp
    ):
        return Moved(Stopping(now.seconds, life), tuple(_killing(life, pod)))
    match life:
        case Arrived():
            return Moved(Starting(now.seconds + behaviour.start_delay))
        case Starting(until) if now.seconds >= until:
            return _begin(pod, (), behaviour, now)
        case Initialising(until=until) if now.seconds >= until:
            return _init_ended(life, pod, behaviour, now)
        case InitBackingOff(done, exit_, until, restarts) if now.seconds >= until:
            notes = tuple(startup_notes(pod.spec.init_containers[len(done)]))
            until = now.seconds + behaviour.start_delay
            return Moved(Initialising(done, now.wall, until, restarts + 1, exit_), notes)
        case Running():
            return _run(life, pod, behaviour, now)
        case Stopping() if now.seconds >= _stops_at(life, pod, behaviour, now):
            return Moved(_stopped(life, pod, behaviour, now))
    return Moved(life)


def _begin(pod: PodView, done: tuple[InitRun, ...], behaviour: Behaviour, now: Now) -> Moved:
    """Start the next init container, or the pod's own containers when there is none left."""
    init = pod.spec.init_containers
    notes: tuple[Note, ...] = ()
    while len(done) < len(init) and init[len(done)].restart_policy == "Always":
        notes += tuple(startup_notes(init[len(done)]))
        done = (*done, InitRun(now.wall, None))
    if len(done) < len(init):
        notes += tuple(startup_notes(init[len(done)]))
        return Moved(Initialising(done, now.wall, now.seconds + behaviour.start_delay), notes)
    started = tuple(start_container(each, behaviour, now) for each in pod.spec.containers)
    return Moved(
        Running(tuple(moved[0] for moved in started), done),
        notes + tuple(note for moved in started for note in moved[1]),
    )


def _init_ended(life: Initialising, pod: PodView, behaviour: Behaviour, now: Now) -> Moved:
    """Go on to the next container, or try the one that failed again."""
    ordinary = sum(run.finished is not None for run in life.done)
    if behaviour.fault != "init" or ordinary > 0:
        return _begin(pod, (*life.done, InitRun(life.started, now.wall, life.restarts)), behaviour, now)
    code = behaviour.exit_code or 1
    if pod.spec.restart_policy == "Never":
        failed = InitRun(life.started, now.wall, life.restarts, code)
        return Moved(Ended("Failed", _never_ran(pod, now), (*life.done, failed)))
    wait = backoff(life.restarts)
    name = pod.spec.init_containers[len(life.done)].name
    note = Note("BackOff", f"Back-off restarting failed container {name}", warning=True)
    end = Exit(code, "Error", life.started, now.wall)
    until = now.seconds + behaviour.pace.scaled(wait)
    return Moved(InitBackingOff(life.done, end, until, life.restarts), (note,) if wait else ())


def _run(life: Running, pod: PodView, behaviour: Behaviour, now: Now) -> Moved:
    if behaviour.fault == "evicted" and _evicted_now(life, behaviour, now):
        return _evict(life)
    notes: list[Note] = []
    lives: list[ContainerLife] = []
    for container, each in zip(pod.spec.containers, life.containers, strict=False):
        after, said = step_container(container, each, pod.spec.restart_policy, behaviour, now)
        lives.append(after)
        notes += said
    containers = tuple(lives)
    exits = [each.exit for each in containers if isinstance(each, Exited)]
    if len(exits) == len(containers):
        failed = any(each.code for each in exits)
        return Moved(Ended("Failed" if failed else "Succeeded", containers, life.init), tuple(notes))
    return Moved(replace(life, containers=containers), tuple(notes))


def _evicted_now(life: Running, behaviour: Behaviour, now: Now) -> bool:
    since = [each.since for each in life.containers if isinstance(each, Alive)]
    return not since or now.seconds >= min(since) + behaviour.fault_after


def _evict(life: Running) -> Moved:
    """End the pod without container statuses, so that readers see "Evicted" and not an exit reason."""
    message = "The node was low on resource: memory."
    return Moved(
        Ended("Failed", (), life.init, "Evicted", message), (Note("Evicted", message, warning=True),)
    )


def _stops_at(life: Stopping, pod: PodView, behaviour: Behaviour, now: Now) -> float:
    return min(life.since + behaviour.stop_delay, max(life.since, _deadline(pod, now)))


def _deadline(pod: PodView, now: Now) -> float:
    """Return when the grace period ends, in clock seconds."""
    at = pod.metadata.deletion_timestamp
    return now.seconds + (at - now.wall).total_seconds() if at else float("inf")


def _stopped(life: Stopping, pod: PodView, behaviour: Behaviour, now: Now) -> Ended:
    cut_short = now.seconds < life.since + behaviour.stop_delay
    code, reason = (137, "Error") if cut_short else (0, "Completed")
    match life.before:
        case Running(containers, init):
            ends = tuple(killed(each, code, reason, now) for each in containers)
            clean = all(isinstance(each, Exited) and each.exit.code == 0 for each in ends)
            return Ended("Succeeded" if clean else "Failed", ends, init)
        case Initialising(done, started, _, restarts):
            killed_init = InitRun(started, now.wall, restarts, code)
            return Ended("Failed", _never_ran(pod, now), (*done, killed_init))
        case InitBackingOff(done, exit_, _, restarts):
            failed = InitRun(exit_.started or exit_.finished, exit_.finished, restarts, exit_.code)
            return Ended("Failed", _never_ran(pod, now), (*done, failed))
        case Starting():
            return Ended("Failed", _never_ran(pod, now))


def _never_ran(pod: PodView, now: Now) -> tuple[Exited, ...]:
    lost = Exited(Exit(137, "ContainerStatusUnknown", None, now.wall), 0)
    return tuple(lost for _ in pod.spec.containers)


def _killing(life: Starting | Initialising | InitBackingOff | Running, pod: PodView) -> Iterator[Note]:
    if isinstance(life, Running):
        for container, each in zip(pod.spec.containers, life.containers, strict=False):
            if isinstance(each, Alive):
                yield Note("Killing", f"Stopping container {container.name}")

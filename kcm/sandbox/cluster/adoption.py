"""A pod that ran already when this kubelet came: its life, read back from its status.

A sandbox that starts again on kept data finds pods that it ran before. As on a real node they run
on: same addresses, same restarts, no change of phase. Guarantees: pure and total; a pod that had
not come as far as running starts from the beginning, and what cannot be read counts as running
since now.
"""

from __future__ import annotations

from datetime import datetime

from kcm.base.timestamps import format_time
from kcm.objects import Spec
from kcm.sandbox.cluster.behaviour import Behaviour, ready_after
from kcm.sandbox.cluster.containers import Alive, BackingOff, ContainerLife, Exit, Exited, Now, PullFailing
from kcm.sandbox.cluster.life import Arrived, InitRun, Life, Running
from kcm.sandbox.cluster.report import Placed
from kcm.sandbox.cluster.views import ConditionView, PodView


class _Running(Spec, frozen=True):
    started_at: datetime | None = None


class _Waiting(Spec, frozen=True):
    reason: str = ""


class _Terminated(Spec, frozen=True):
    exit_code: int = 0
    reason: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class _State(Spec, frozen=True):
    running: _Running | None = None
    waiting: _Waiting | None = None
    terminated: _Terminated | None = None


class _Container(Spec, frozen=True):
    name: str
    ready: bool = False
    restart_count: int = 0
    state: _State = _State()
    last_state: _State = _State()


class _Status(Spec, frozen=True):
    phase: str = ""
    start_time: datetime | None = None
    observed_generation: int = 0
    conditions: tuple[ConditionView, ...] = ()
    container_statuses: tuple[_Container, ...] = ()
    init_container_statuses: tuple[_Container, ...] = ()


class KeptPod(Spec, frozen=True):
    """A pod with all of its status that a kubelet once wrote."""

    status: _Status = _Status()


def life_of(kept: KeptPod, pod: PodView, behaviour: Behaviour, now: Now) -> Life:
    """Return the life that a status tells of.

    A container that was ready stays so, also when the time of day was set back since it started.
    """
    if kept.status.phase != "Running":
        return Arrived()
    by_name = {each.name: each for each in kept.status.container_statuses}
    containers = tuple(
        _container(by_name.get(each.name), pod.spec.restart_policy, ready_after(each, behaviour) or 0.0, now)
        for each in pod.spec.containers
    )
    return Running(containers, tuple(_init(each, now) for each in kept.status.init_container_statuses))


def placed_of(kept: KeptPod, placed: Placed) -> Placed:
    """Return what the node knows of the pod, as far as its status tells."""
    status = kept.status
    since = {
        each.type: (each.status, format_time(each.last_transition_time))
        for each in status.conditions
        if each.last_transition_time
    }
    return Placed(
        accepted=status.start_time or placed.accepted,
        host_ip=placed.host_ip,
        pod_ip=placed.pod_ip,
        since=since,
        generation=status.observed_generation,
    )


def _container(status: _Container | None, policy: str, ripe: float, now: Now) -> ContainerLife:
    if status is None:
        return Alive(now.seconds, now.wall)
    state, restarts = status.state, status.restart_count
    last = _exit(status.last_state.terminated, now) if status.last_state.terminated else None
    if state.running:
        started = state.running.started_at or now.wall
        age = max(ripe if status.ready else 0.0, (now.wall - started).total_seconds())
        since = now.seconds - age
        return Alive(since, started, restarts, 1 if restarts else 0, last)
    if state.waiting and last:
        return BackingOff(last, now.seconds, restarts, 2)
    if state.terminated:
        end = _exit(state.terminated, now)
        if policy == "Never" or (policy == "OnFailure" and end.code == 0):
            return Exited(end, restarts)
        return BackingOff(end, now.seconds, restarts, 1)
    return PullFailing(1, now.seconds, waiting=True)


def _exit(end: _Terminated, now: Now) -> Exit:
    return Exit(end.exit_code, end.reason, end.started_at, end.finished_at or now.wall)


def _init(status: _Container, now: Now) -> InitRun:
    if end := status.state.terminated:
        finished = end.finished_at or now.wall
        return InitRun(end.started_at or finished, finished, status.restart_count, end.exit_code)
    running = status.state.running
    return InitRun(running.started_at or now.wall if running else now.wall, None, status.restart_count)

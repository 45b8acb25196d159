"""What the kubelet tells the API about a pod's life: the status, rendered.

`status_of` turns a life into `v1.PodStatus` as a strategic patch carries it, in the order and
with the reasons of a real kubelet (reference: apiserver 6). Guarantees: pure; a condition's
lastTransitionTime moves only when its status does; the same life gives the same status, so a
driver that compares with what it sent last never writes for nothing. PodScheduled belongs to
the scheduler and is left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from kcm.base.timestamps import format_time
from kcm.sandbox.cluster.behaviour import Behaviour
from kcm.sandbox.cluster.containers import (
    Alive,
    BackingOff,
    ContainerLife,
    Exit,
    Exited,
    Now,
    PullFailing,
    has_started,
    is_ready,
)
from kcm.sandbox.cluster.life import (
    Arrived,
    Ended,
    InitBackingOff,
    Initialising,
    InitRun,
    Life,
    Running,
    Starting,
    Stopping,
)
from kcm.sandbox.cluster.views import ContainerView, PodView

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """What the node knows of a pod besides its life.

    `since` maps a condition to its status and since when; `generation` is the one last observed.
    """

    accepted: datetime
    host_ip: str
    pod_ip: str
    since: Mapping[str, tuple[str, str]]
    generation: int = 0


def status_of(life: Life, pod: PodView, behaviour: Behaviour, placed: Placed, now: Now) -> Json:
    """Return the status to patch; `placed.since` keeps transition times that still hold."""
    shown = life.before if isinstance(life, Stopping) else life
    containers = _container_statuses(shown, pod, behaviour, now)
    # Being asked to stop changes only the generation: not worth a write per deleted pod.
    stopping = isinstance(life, Stopping)
    generation = placed.generation if stopping and placed.generation else pod.metadata.generation
    status: Json = {
        "phase": _phase(shown),
        "startTime": format_time(placed.accepted),
        "hostIP": placed.host_ip,
        "hostIPs": [{"ip": placed.host_ip}],
        "conditions": _conditions(shown, pod, containers, placed, now, generation),
        "containerStatuses": containers,
    }
    if generation:
        status["observedGeneration"] = generation
    if not isinstance(shown, Arrived | Starting):
        status["podIP"] = placed.pod_ip
        status["podIPs"] = [{"ip": placed.pod_ip}]
    if pod.spec.init_containers:
        status["initContainerStatuses"] = _init_statuses(shown, pod)
    if isinstance(shown, Ended) and shown.reason:
        status["reason"], status["message"] = shown.reason, shown.message
    return status


def told(placed: Placed, status: Json) -> Placed:
    """Return what the node knows once the status has been written."""
    since = {each["type"]: (each["status"], each["lastTransitionTime"]) for each in status["conditions"]}
    return replace(placed, since=since, generation=status.get("observedGeneration", 0))


def _phase(life: Life) -> str:
    match life:
        case Ended(phase):
            return phase
        case Running(containers) if any(not isinstance(each, PullFailing) for each in containers):
            return "Running"
    return "Pending"


class _Verdict(NamedTuple):
    status: str
    reason: str = ""
    message: str = ""


_TRUE, _FALSE = _Verdict("True"), _Verdict("False")


def _conditions(
    life: Life, pod: PodView, containers: Sequence[Json], placed: Placed, now: Now, generation: int
) -> list[Json]:
    ready = _containers_ready(life, containers)
    verdicts = {
        "PodReadyToStartContainers": _FALSE if isinstance(life, Arrived | Starting | Ended) else _TRUE,
        "Initialized": _initialised(life, pod),
        "Ready": _gated(pod, ready),
        "ContainersReady": ready,
    }
    if isinstance(life, Ended) and life.reason == "Evicted":
        verdicts["DisruptionTarget"] = _Verdict("True", "TerminationByKubelet", life.message)
    stamp = format_time(now.wall)
    return [_condition(name, verdict, generation, placed, stamp) for name, verdict in verdicts.items()]


def _condition(name: str, verdict: _Verdict, generation: int, placed: Placed, stamp: str) -> Json:
    before, since = placed.since.get(name, ("", ""))
    condition: Json = {
        "type": name,
        "status": verdict.status,
        "lastTransitionTime": since if before == verdict.status else stamp,
        # Written even when empty: a merge would keep the reason of an earlier verdict.
        "reason": verdict.reason or None,
        "message": verdict.message or None,
    }
    if generation:
        condition["observedGeneration"] = generation
    return condition


def _containers_ready(life: Life, containers: Sequence[Json]) -> _Verdict:
    if isinstance(life, Ended):
        return _Verdict("False", "PodCompleted" if life.phase == "Succeeded" else "PodFailed")
    unready = " ".join(each["name"] for each in containers if not each["ready"])
    if not unready:
        return _TRUE
    return _Verdict("False", "ContainersNotReady", f"containers with unready status: [{unready}]")


def _initialised(life: Life, pod: PodView) -> _Verdict:
    blocking = [each.name for each in pod.spec.init_containers if each.restart_policy != "Always"]
    match life:
        case Running():
            return _TRUE
        case Ended(phase="Succeeded"):
            return _Verdict("True", "PodCompleted")
        case Initialising(done=runs) | InitBackingOff(done=runs) | Ended(init=runs):
            finished = sum(run.finished is not None and run.code == 0 for run in runs)
        case _:
            finished = 0
    if finished == len(blocking):
        return _TRUE
    names = " ".join(blocking[finished:])
    return _Verdict("False", "ContainersNotInitialized", f"containers with incomplete status: [{names}]")


def _gated(pod: PodView, containers_ready: _Verdict) -> _Verdict:
    if containers_ready[0] != "True":
        return containers_ready
    for gate in pod.spec.readiness_gates:
        if not pod.status.holds(gate.condition_type):
            message = f'corresponding condition of pod readiness gate "{gate.condition_type}" does not hold.'
            return _Verdict("False", "ReadinessGatesNotReady", message)
    return containers_ready


def _container_statuses(life: Life, pod: PodView, behaviour: Behaviour, now: Now) -> list[Json]:
    reason = "PodInitializing" if pod.spec.init_containers else "ContainerCreating"
    match life:
        case Running(containers) | Ended(_, containers):
            return [
                _container_status(container, each, pod, behaviour, now)
                for container, each in zip(pod.spec.containers, containers, strict=False)
            ]
    return [_waiting(each, reason) for each in pod.spec.containers]


def _container_status(
    container: ContainerView, life: ContainerLife, pod: PodView, behaviour: Behaviour, now: Now
) -> Json:
    match life:
        case PullFailing(waiting=waiting):
            reason = "ImagePullBackOff" if waiting else "ErrImagePull"
            verb = "Back-off pulling" if waiting else "failed to pull"
            return _waiting(container, reason, f'{verb} image "{container.image}"')
        case Alive(started=started, restarts=restarts, last=last):
            state: Json = {"running": {"startedAt": format_time(started)}}
            last_state = _terminated(last, pod, container, restarts - 1) if last else {}
        case BackingOff(exit_, _, restarts, crashes):
            if crashes > 1:
                text = f"back-off restarting failed container={container.name} pod={pod.metadata.name}"
                state = {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
                last_state = _terminated(exit_, pod, container, restarts)
            else:
                state, last_state = _terminated(exit_, pod, container, restarts), {}
        case Exited(exit_, restarts):
            state, last_state = _terminated(exit_, pod, container, restarts), {}
    return {
        "name": container.name,
        "image": container.image,
        "imageID": _image_id(container),
        "containerID": _container_id(pod, container, restarts),
        "restartCount": restarts,
        "ready": is_ready(container, life, behaviour, now),
        "started": has_started(container, life, behaviour, now),
        "state": state,
        "lastState": last_state,
    }


def _init_statuses(life: Life, pod: PodView) -> list[Json]:
    match life:
        case Initialising(done) | InitBackingOff(done) | Running(_, done) | Ended(_, _, done):
            runs = done
        case _:
            runs = ()
    statuses = []
    for index, container in enumerate(pod.spec.init_containers):
        if index < len(runs):
            statuses.append(_init_ran(container, runs[index], pod, isinstance(life, Ended)))
        elif index == len(runs) and isinstance(life, Initialising):
            shown = _init_runs(container, life.started, pod, life.restarts, ready=False)
            if life.last:
                shown["lastState"] = _terminated(life.last, pod, container, life.restarts - 1)
            statuses.append(shown)
        elif index == len(runs) and isinstance(life, InitBackingOff):
            statuses.append(_init_backs_off(container, life, pod))
        else:
            statuses.append(_waiting(container, "PodInitializing"))
    return statuses


def _init_ran(container: ContainerView, run: InitRun, pod: PodView, ended: bool) -> Json:
    if run.finished is None and not ended:
        return _init_runs(container, run.started, pod, run.restarts, ready=True)
    reason = "Error" if run.code else "Completed"
    end = Exit(run.code, reason, run.started, run.finished or run.started)
    return {
        **_init_runs(container, run.started, pod, run.restarts, ready=run.code == 0),
        "started": False,
        "state": _terminated(end, pod, container, run.restarts),
    }


def _init_backs_off(container: ContainerView, life: InitBackingOff, pod: PodView) -> Json:
    ended = _terminated(life.exit, pod, container, life.restarts)
    text = f"back-off restarting failed container={container.name} pod={pod.metadata.name}"
    waits = {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
    return {
        **_init_runs(container, life.exit.finished, pod, life.restarts, ready=False),
        "started": False,
        "state": waits if life.restarts else ended,
        "lastState": ended if life.restarts else {},
    }


def _init_runs(
    container: ContainerView, started: datetime, pod: PodView, restarts: int, *, ready: bool
) -> Json:
    return {
        "name": container.name,
        "image": container.image,
        "imageID": _image_id(container),
        "containerID": _container_id(pod, container, restarts),
        "restartCount": restarts,
        "ready": ready,
        "started": True,
        "state": {"running": {"startedAt": format_time(started)}},
        "lastState": {},
    }


def _waiting(container: ContainerView, reason: str, message: str = "") -> Json:
    return {
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "restartCount": 0,
        "ready": False,
        "started": False,
        "state": {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}},
        "lastState": {},
    }


def _terminated(end: Exit, pod: PodView, container: ContainerView, restarts: int) -> Json:
    ended = {
        "exitCode": end.code,
        "reason": end.reason,
        "finishedAt": format_time(end.finished),
        "containerID": _container_id(pod, container, restarts),
    }
    if end.started:
        ended["startedAt"] = format_time(end.started)
    return {"terminated": ended}


def _container_id(pod: PodView, container: ContainerView, restarts: int) -> str:
    text = f"{pod.metadata.uid}/{container.name}/{restarts}"
    return "containerd://" + hashlib.sha256(text.encode()).hexdigest()


def _image_id(container: ContainerView) -> str:
    return "sandbox.kcm.dev/image@sha256:" + hashlib.sha256(container.image.encode()).hexdigest()

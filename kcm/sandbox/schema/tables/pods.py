"""The table of pods, whose Status cell sums up all that its containers say."""

from __future__ import annotations

from datetime import datetime

from kcm.sandbox.schema.tables.columns import (
    AGE,
    NAME,
    NONE,
    Json,
    Printer,
    age_of,
    column,
    count,
    items,
    name_of,
    part,
    since,
    text,
    wide,
)


def _cells(pod: Json, now: datetime) -> list[object]:
    spec, status = part(pod, "spec"), part(pod, "status")
    sidecars = _sidecars(spec)
    statuses = items(status, "containerStatuses")
    own_sidecars = [one for one in items(status, "initContainerStatuses") if text(one, "name") in sidecars]
    ready = sum(one.get("ready") is True for one in statuses + own_sidecars)
    total = len(items(spec, "containers")) + len(sidecars)
    addresses = [text(one, "ip") for one in items(status, "podIPs")] or [text(status, "podIP")]
    return [
        name_of(pod),
        f"{ready}/{total}",
        pod_status(pod),
        _restarts(pod, now),
        age_of(pod, now),
        addresses[0] or NONE,
        text(spec, "nodeName") or NONE,
        text(status, "nominatedNodeName") or NONE,
        _gates(spec, status),
    ]


def _sidecars(spec: Json) -> set[str]:
    """Return the names of the init containers that run on beside the others."""
    return {
        text(container, "name")
        for container in items(spec, "initContainers")
        if text(container, "restartPolicy") == "Always"
    }


def pod_status(pod: Json) -> str:
    """Return the Status cell: the pod's own reason, else what its containers wait for or died of."""
    spec, status, metadata = part(pod, "spec"), part(pod, "status"), part(pod, "metadata")
    shown = text(status, "reason") or text(status, "phase") or "Unknown"
    for condition in items(status, "conditions"):
        if text(condition, "type") == "PodScheduled" and text(condition, "reason") == "SchedulingGated":
            shown = "SchedulingGated"
    initializing = _init_status(spec, status)
    if initializing is not None:
        shown = initializing
    if initializing is None or _has(status, "Initialized"):
        shown = _container_status(status, shown)
    if "deletionTimestamp" not in metadata:
        return shown
    if text(status, "reason") == "NodeLost":
        return "Unknown"
    return shown if text(status, "phase") in ("Succeeded", "Failed") else "Terminating"


def _has(status: Json, type_: str) -> bool:
    return any(
        text(condition, "type") == type_ and text(condition, "status") == "True"
        for condition in items(status, "conditions")
    )


def _init_status(spec: Json, status: Json) -> str | None:
    """Return what the first unfinished init container says, None when all are through."""
    sidecars = _sidecars(spec)
    for index, one in enumerate(items(status, "initContainerStatuses")):
        state = part(one, "state")
        terminated, waiting = part(state, "terminated"), part(state, "waiting")
        if "terminated" in state and count(terminated, "exitCode") == 0:
            continue
        if text(one, "name") in sidecars and one.get("started") is True:
            continue
        if "terminated" in state:
            return f"Init:{_ended(terminated)}"
        if text(waiting, "reason") not in ("", "PodInitializing"):
            return f"Init:{text(waiting, 'reason')}"
        return f"Init:{index}/{len(items(spec, 'initContainers'))}"
    return None


def _ended(terminated: Json) -> str:
    if reason := text(terminated, "reason"):
        return reason
    if signal := count(terminated, "signal"):
        return f"Signal:{signal}"
    return f"ExitCode:{count(terminated, 'exitCode')}"


def _container_status(status: Json, shown: str) -> str:
    running = False
    for one in reversed(items(status, "containerStatuses")):
        state = part(one, "state")
        if reason := text(part(state, "waiting"), "reason"):
            shown = reason
        elif "terminated" in state:
            shown = _ended(part(state, "terminated"))
        elif one.get("ready") is True and "running" in state:
            running = True
    if shown == "Completed" and running:
        return "Running" if _has(status, "Ready") else "NotReady"
    return shown


def _restarts(pod: Json, now: datetime) -> str:
    spec, status = part(pod, "spec"), part(pod, "status")
    sidecars = _sidecars(spec)
    init = items(status, "initContainerStatuses")
    if _init_status(spec, status) is not None and not _has(status, "Initialized"):
        counted = init
    else:
        counted = [one for one in init if text(one, "name") in sidecars] + items(status, "containerStatuses")
    restarts = sum(count(one, "restartCount") for one in counted)
    ends = [text(part(one, "lastState", "terminated"), "finishedAt") for one in counted]
    last = max(filter(None, ends), default="")
    return f"{restarts} ({since(last, now)} ago)" if restarts and last else str(restarts)


def _gates(spec: Json, status: Json) -> str:
    gates = items(spec, "readinessGates")
    if not gates:
        return NONE
    return f"{sum(_has(status, text(gate, 'conditionType')) for gate in gates)}/{len(gates)}"


PODS = Printer(
    (
        NAME,
        column("Ready"),
        column("Status"),
        column("Restarts"),
        AGE,
        wide("IP"),
        wide("Node"),
        wide("Nominated Node"),
        wide("Readiness Gates"),
    ),
    _cells,
)

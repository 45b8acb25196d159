"""How a pod's containers behave: read from annotations and image names, pure.

What a person can write on a pod (or a template), all under `sandbox.kcm.dev/`; durations are
Go-like text ("1m30s", "500ms"); a value that cannot be read counts as absent:

    start-delay   time from acceptance to running containers (default: the cluster's)
    ready-delay   added to the readiness probes' own delay
    stop-delay    how long containers take to end when asked (default: the cluster's); longer
                  than the grace period means that they are killed (exit code 137)
    run-for       containers end by themselves after this time, with exit-code (default 0)
    exit-code     see run-for and crash-loop
    fault         one of crash-loop, oom, evicted, never-ready, image-pull, liveness (its probe fails:
                  restarted), init (the first init container fails)
    fault-after   time from start to the fault (default 1s)

Of KWOK's stages these are known: the annotations `pod-ready.stage.kwok.x-k8s.io/delay` (start-delay)
and `pod-delete.stage.kwok.x-k8s.io/delay` (stop-delay), and the label
`pod-container-running-failed.stage.kwok.x-k8s.io: "true"`, with which the pod becomes Failed after
the annotation `…/delay` of that stage.

Annotations may be set and removed while the pod runs; the next step obeys. Image rules: tag
`nonexistent` cannot be pulled; tag `404` runs, but its readiness probe fails. All delays,
probe delays and back-offs are divided by the cluster's speed. Grace periods are the API's and
are not scaled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from kcm.sandbox.cluster.views import ContainerView, PodView

PREFIX = "sandbox.kcm.dev/"

Fault = Literal[
    "", "crash-loop", "oom", "evicted", "never-ready", "image-pull", "liveness", "init", "stage-failed"
]

_FAULTS: Mapping[str, Fault] = {
    "crash-loop": "crash-loop",
    "oom": "oom",
    "evicted": "evicted",
    "never-ready": "never-ready",
    "image-pull": "image-pull",
    "liveness": "liveness",
    "init": "init",
}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_PART.pattern}){{1,4}}")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Pace:
    """The cluster's own durations in seconds, before they are divided by `speed`."""

    start: float = 0.5
    stop: float = 0.3
    speed: float = 1.0

    def scaled(self, seconds: float) -> float:
        """Return simulated seconds as seconds on the clock."""
        return seconds / self.speed


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one pod's containers do. Seconds, already scaled."""

    pace: Pace
    start_delay: float
    ready_delay: float
    stop_delay: float
    run_for: float | None
    exit_code: int
    fault: Fault
    fault_after: float


def behaviour_of(pod: PodView, pace: Pace) -> Behaviour:
    """Return what the pod's annotations ask for; what cannot be read counts as absent."""
    notes = pod.metadata.annotations
    failed = pod.metadata.labels.stage_failed == "true"

    def seconds(name: str, default: float, stage: str = "") -> float:
        given = read_duration(notes.get(PREFIX + name, ""))
        if given is None and stage:
            given = read_duration(notes.get(f"{stage}.stage.kwok.x-k8s.io/delay", ""))
        return pace.scaled(default if given is None else given)

    runs = read_duration(notes.get(PREFIX + "run-for", ""))
    return Behaviour(
        pace=pace,
        start_delay=seconds("start-delay", pace.start, "pod-ready"),
        ready_delay=seconds("ready-delay", 0.0),
        stop_delay=seconds("stop-delay", pace.stop, "pod-delete"),
        run_for=None if runs is None else pace.scaled(runs),
        exit_code=_exit_code(notes.get(PREFIX + "exit-code", "")),
        fault="stage-failed" if failed else _FAULTS.get(notes.get(PREFIX + "fault", ""), ""),
        fault_after=seconds("fault-after", 1.0, "pod-container-running-failed" if failed else ""),
    )


@lru_cache(maxsize=1024)
def read_duration(text: str) -> float | None:
    """Return a duration like "1m30s" in seconds, None when it is none."""
    if len(text) > 40 or not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def can_be_pulled(container: ContainerView, behaviour: Behaviour) -> bool:
    """Say whether the image can be had."""
    return behaviour.fault != "image-pull" and _tag(container.image) != "nonexistent"


def ready_after(container: ContainerView, behaviour: Behaviour) -> float | None:
    """Return seconds from a container's start until it is ready; None when it never will be.

    Without a probe a container is ready as soon as it runs. A probe first runs after its
    initial delay and must succeed `successThreshold` times; a start-up probe comes before it.
    """
    if behaviour.fault == "never-ready":
        return None
    probe = container.readiness_probe
    if probe is None:
        return started_after(container, behaviour) + behaviour.ready_delay
    if _tag(container.image) == "404":
        return None
    repeats = max(0, probe.success_threshold - 1) * max(1, probe.period_seconds)
    own = behaviour.pace.scaled(float(max(0, probe.initial_delay_seconds) + repeats))
    return max(started_after(container, behaviour), own) + behaviour.ready_delay


def started_after(container: ContainerView, behaviour: Behaviour) -> float:
    """Return seconds until the start-up probe has succeeded; 0 without one."""
    probe = container.startup_probe
    return behaviour.pace.scaled(float(max(0, probe.initial_delay_seconds))) if probe else 0.0


def exits_after(container: ContainerView, behaviour: Behaviour) -> float | None:
    """Return seconds from a container's start until it ends by itself; None when it runs on."""
    if behaviour.fault in ("crash-loop", "oom", "stage-failed"):
        return behaviour.fault_after
    if behaviour.fault == "liveness":
        probe = container.liveness_probe
        failing = max(1, probe.failure_threshold) * max(1, probe.period_seconds) if probe else 0
        begun = max(started_after(container, behaviour), _initial_delay(container, behaviour))
        return begun + behaviour.fault_after + behaviour.pace.scaled(float(failing))
    return behaviour.run_for


def exit_of(behaviour: Behaviour) -> tuple[int, str]:
    """Return exit code and reason with which containers end by themselves."""
    match behaviour.fault:
        case "oom":
            return 137, "OOMKilled"
        case "liveness":
            return 137, "Error"
        case "stage-failed":
            return 1, "failed"
    if behaviour.fault == "crash-loop":
        return behaviour.exit_code or 1, "Error"
    return behaviour.exit_code, "Error" if behaviour.exit_code else "Completed"


def _initial_delay(container: ContainerView, behaviour: Behaviour) -> float:
    probe = container.liveness_probe
    return behaviour.pace.scaled(float(max(0, probe.initial_delay_seconds))) if probe else 0.0


def _tag(image: str) -> str:
    return image.rpartition("/")[2].partition("@")[0].partition(":")[2]


def _exit_code(text: str) -> int:
    return min(int(text), 255) if text.isascii() and text.isdigit() and len(text) <= 3 else 0

"""`pods/log`: a small made-up log, since no container really runs.

A container tells when it was started, with which image and limits, that it is still there (once a
minute), and how it ended: enough for `kubectl logs`, `-f`, `--previous`, `--tail`, `--since`,
`--timestamps` and for tests of tools that read logs. Guarantees: the same state gives the same
lines; bounded; which container is meant, and that it has not started, is refused as a kubelet
does. Owns no state.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kcm.base.clock import Clock
from kcm.base.timestamps import format_micro_time, parse_time
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import Json, bad_request, not_found
from kcm.sandbox.api.store import Store
from kcm.serving.http import Response

_BEAT = timedelta(seconds=60)
_MOST = 1000
_LOOK_EVERY = 1.0
_TEXT = "text/plain"

Line = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a container: from when, and how and when it ended."""

    started: datetime
    ended: datetime | None = None
    code: int = 0
    reason: str = ""


class PodLogs:
    """Answers about pods' logs."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def answer(self, call: Call) -> Response:
        """Return a container's log; ApiFailure when there is no such pod, container or run."""
        pod = self._pod(call)
        if pod is None:
            raise not_found(call.resource, call.name)
        name = _container(pod, call)
        lines = self._all(call, pod, name)
        shown = self._shown(call, lines)
        if call.flag("follow"):
            return Response(200, self._follow(call, name, shown, len(lines)), _TEXT)
        limit = call.number("limitBytes")
        text = _text(call, shown)
        return Response(200, text[:limit] if limit > 0 else text, _TEXT)

    async def _follow(
        self, call: Call, name: str, shown: list[Line], told: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield what there is and what comes, until the container or the pod ends."""
        if shown:
            yield _text(call, shown)
        while (pod := self._pod(call)) is not None:
            run = _run(pod, name, previous=call.flag("previous"))
            if run is None:
                return
            lines = _lines(pod, name, run, self._clock.wall())
            if len(lines) > told:
                yield _text(call, lines[told:])
                told = len(lines)
            if run.ended:
                return
            await self._clock.sleep(_LOOK_EVERY)

    def _all(self, call: Call, pod: Json, name: str) -> list[Line]:
        run = _run(pod, name, previous=call.flag("previous"))
        if run is None:
            raise bad_request(_no_run(call, pod, name))
        return _lines(pod, name, run, self._clock.wall())

    def _shown(self, call: Call, lines: list[Line]) -> list[Line]:
        """Return the lines that `sinceSeconds` and `tailLines` leave."""
        seconds = call.number("sinceSeconds")
        if seconds > 0:
            since = self._clock.wall() - timedelta(seconds=min(seconds, 10**9))
            lines = [line for line in lines if line[0] > since]
        tail = call.number("tailLines", -1)
        return lines if tail < 0 else lines[-tail:] if tail else []

    def _pod(self, call: Call) -> Json | None:
        record = self._store.collection("", "pods").records.get(f"{call.namespace}/{call.name}")
        return record.copy() if record else None


def _text(call: Call, lines: list[Line]) -> bytes:
    stamped = call.flag("timestamps")
    texts = [f"{format_micro_time(at)} {text}\n" if stamped else f"{text}\n" for at, text in lines]
    return "".join(texts).encode()


def _container(pod: Json, call: Call) -> str:
    spec = pod.get("spec") or {}
    ordinary = [each["name"] for each in spec.get("containers") or ()]
    init = [each["name"] for each in spec.get("initContainers") or ()]
    asked = call.options.get("container", "")
    if asked and asked not in (*ordinary, *init):
        raise bad_request(f"container {asked[:80]} is not valid for pod {call.name}")
    if not asked and len(ordinary) != 1:
        text = (
            f"a container name must be specified for pod {call.name}, choose one of: [{' '.join(ordinary)}]"
        )
        if init:
            text += f" or one of the init containers: [{' '.join(init)}]"
        raise bad_request(text)
    return asked or str(ordinary[0])


def _status(pod: Json, name: str) -> Json:
    status = pod.get("status") or {}
    lists = ("containerStatuses", "initContainerStatuses")
    return next((each for key in lists for each in status.get(key) or () if each.get("name") == name), {})


def _run(pod: Json, name: str, *, previous: bool) -> _Run | None:
    status = _status(pod, name)
    state, last = status.get("state") or {}, status.get("lastState") or {}
    if previous:
        return _ended(last.get("terminated"))
    if running := state.get("running"):
        return _Run(parse_time(running["startedAt"])) if running.get("startedAt") else None
    return _ended(state.get("terminated")) or _ended(last.get("terminated"))


def _ended(end: Any) -> _Run | None:
    if not end or not end.get("startedAt") or not end.get("finishedAt"):
        return None
    started, finished = parse_time(end["startedAt"]), parse_time(end["finishedAt"])
    return _Run(started, finished, int(end.get("exitCode") or 0), str(end.get("reason") or ""))


def _no_run(call: Call, pod: Json, name: str) -> str:
    if call.flag("previous"):
        return f'previous terminated container "{name}" in pod "{call.name}" not found'
    waiting = ((_status(pod, name).get("state") or {}).get("waiting") or {}).get(
        "reason", "ContainerCreating"
    )
    return f'container "{name}" in pod "{call.name}" is waiting to start: {waiting}'


def _lines(pod: Json, name: str, run: _Run, now: datetime) -> list[Line]:
    spec = pod.get("spec") or {}
    both = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    image = next((each.get("image", "") for each in both if each["name"] == name), "")
    lines = [(run.started, f"simulated container {name} started from {image} on {spec.get('nodeName', '')}")]
    end = run.ended or now
    beats = min(_MOST, int((end - run.started) / _BEAT))
    lines += [
        (run.started + number * _BEAT, f"still running after {number} min") for number in range(1, beats + 1)
    ]
    if run.ended:
        lines.append((run.ended, f"ended with exit code {run.code}: {run.reason}"))
    return lines

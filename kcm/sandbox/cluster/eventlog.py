"""Events of the simulated scheduler, kubelet and node controllers.

`EventLog.record` notes that something happened to a pod or node; `run` writes it down. Guarantees:
never in anybody's way: a token bucket bounds what is written (a real kubelet's 50 a second
with bursts of 100) and what is over is dropped and counted in `dropped`; the same happening
again raises the count of the same Event. Owns the bucket and a bounded memory of Events.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time
from kcm.sandbox.cluster.calls import MERGE, Api, Refused
from kcm.sandbox.cluster.views import NodeView, PodView
from kcm.telemetry.logging import logger

log = logger("sandbox.events")

RATE, BURST = 50.0, 100.0
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a pod or node."""

    about: PodView | NodeView
    component: str
    reason: str
    message: str
    warning: bool
    at: datetime
    host: str = ""

    @property
    def sameness(self) -> tuple[str, str, str]:
        return (self.about.metadata.uid, self.reason, self.message)

    @property
    def namespace(self) -> str:
        """Return where the Event goes: a node's go to `default`."""
        return self.about.metadata.namespace if isinstance(self.about, PodView) else "default"


class EventLog:
    """Writes Events about pods and nodes."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._waiting: deque[Happening] = deque()
        self._written: OrderedDict[tuple[str, str, str], tuple[str, int]] = OrderedDict()
        self._wake = asyncio.Event()
        self._tokens = BURST
        self._filled = clock.monotonic()
        self._last_stamp = 0
        self.dropped = 0

    def record(
        self,
        about: PodView | NodeView,
        component: str,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        host: str = "",
    ) -> None:
        """Note a happening; dropped and counted when the bucket is empty."""
        now = self._clock.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * RATE)
        self._filled = now
        if self._tokens < 1.0:
            self.dropped += 1
            return
        self._tokens -= 1.0
        happening = Happening(about, component, reason, message, warning, self._clock.wall(), host)
        self._waiting.append(happening)
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._write(self._waiting.popleft())
                await self._clock.sleep(0)

    async def _write(self, happening: Happening) -> None:
        path = f"/api/v1/namespaces/{happening.namespace}/events"
        name, count = self._written.pop(happening.sameness, ("", 0))
        try:
            if name:
                update = {"count": count + 1, "lastTimestamp": format_time(happening.at)}
                await self._api.patch(f"{path}/{name}", update, MERGE)
            else:
                name = f"{happening.about.metadata.name}.{self._stamp(happening.at):x}"
                await self._api.create(path, _event(name, happening))
        except Refused as error:
            # A namespace that is going away takes no events: not worth more than a debug line.
            log.debug("event not written", reason=happening.reason, error=str(error))
            return
        self._written[happening.sameness] = (name, count + 1)
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)

    def _stamp(self, at: datetime) -> int:
        """Return a number for an Event's name: unique, and later ones sort later."""
        self._last_stamp = max(self._last_stamp + 1, int(at.timestamp() * 1e6) * 1000)
        return self._last_stamp


def _event(name: str, happening: Happening) -> dict[str, object]:
    source = {"component": happening.component}
    if happening.host:
        source["host"] = happening.host
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": happening.namespace},
        "involvedObject": _reference(happening.about),
        "reason": happening.reason,
        "message": happening.message,
        "type": "Warning" if happening.warning else "Normal",
        "source": source,
        "reportingComponent": happening.component,
        "reportingInstance": happening.host,
        "firstTimestamp": format_time(happening.at),
        "lastTimestamp": format_time(happening.at),
        "count": 1,
    }


def _reference(about: PodView | NodeView) -> dict[str, str]:
    meta = about.metadata
    reference = {"apiVersion": "v1", "kind": "Node", "name": meta.name, "uid": meta.uid}
    if isinstance(about, PodView):
        reference |= {"kind": "Pod", "namespace": about.metadata.namespace}
        reference["resourceVersion"] = meta.resource_version
    return reference

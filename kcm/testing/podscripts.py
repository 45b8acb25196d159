"""Scripts for kubelets: how pods with certain labels shall behave.

A script is a set of the `sandbox.kcm.dev/` annotations that the simulated kubelet obeys. It is
put on the pods that are there, and on each new one in the same turn of the loop in which it was
created, before any node sees it. Guarantees that annotations a pod brings itself win. Owns the
scripts; lives on the control plane's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from kcm.sandbox.api.history import ADDED, Event
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Collection
from kcm.sandbox.cluster.behaviour import PREFIX
from kcm.serving.http import Handler, Request

NAMES = frozenset(
    (
        "start-delay",
        "ready-delay",
        "stop-delay",
        "run-for",
        "exit-code",
        "fault",
        "fault-after",
        "usage-cpu",
        "usage-memory",
    )
)
_HEADERS = {"content-type": "application/merge-patch+json", "user-agent": "kcm-testing/script"}


@dataclass(frozen=True, slots=True)
class _Script:
    labels: Mapping[str, str]
    notes: Mapping[str, str]

    def concerns(self, record: Record) -> bool:
        return self.labels.items() <= record.labels.items()


class PodScripts:
    """The scripts of one control plane."""

    def __init__(self, handler: Handler, loop: asyncio.AbstractEventLoop) -> None:
        self._handler = handler
        self._loop = loop
        self._scripts: list[_Script] = []
        self._pods: Collection | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def add(self, labels: Mapping[str, str], behaviour: Mapping[str, str]) -> None:
        """Put a script in force; ValueError for a name that no kubelet knows."""
        notes = {name.replace("_", "-"): text for name, text in behaviour.items()}
        if unknown := sorted(notes.keys() - NAMES):
            raise ValueError(f"no pod behaviour {', '.join(unknown)}; there are {', '.join(sorted(NAMES))}")
        script = _Script(dict(labels), {PREFIX + name: text for name, text in notes.items()})
        self._scripts.append(script)
        for record in list(self._pods.records.values()) if self._pods else ():
            if script.concerns(record):
                await self._put(record, script.notes)

    async def clear(self) -> None:
        """Take all scripts out of force."""
        self._scripts.clear()

    def heard(self, collection: Collection, event: Event) -> None:
        """Take in a committed write; a listener of the store must not write itself, so a task does."""
        if collection.plural != "pods" or collection.group:
            return
        self._pods = collection
        if event.kind != ADDED or not self._scripts:
            return
        notes: dict[str, str] = {}
        for script in self._scripts:
            if script.concerns(event.new):
                notes.update(script.notes)
        if notes:
            own = event.new.copy()["metadata"].get("annotations") or {}
            task = self._loop.create_task(self._put(event.new, {**notes, **_ours(own)}))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _put(self, record: Record, notes: Mapping[str, str]) -> None:
        path = f"/api/v1/namespaces/{record.namespace}/pods/{record.name}"
        body = msgspec.json.encode({"metadata": {"uid": record.uid, "annotations": notes}})
        await self._handler(Request("PATCH", path, (), _HEADERS, body))


def _ours(annotations: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in annotations.items() if name.startswith(PREFIX)}

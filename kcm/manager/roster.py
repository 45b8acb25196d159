"""The hosts that there are: fixed at the start, changed by a reload.

A `Sequence` that everyone who looks at hosts holds, so that a host which comes or goes is there or
gone for all at once. Guarantees: a host that leaves is in it until its process has ended, so that
whoever waits for silence waits for it too; none of a group begins before all that leave have
ended, so that a controller which moves to another process never runs in two. Owns the hosts' tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import overload

from kcm.manager.hosts import HostSupervisor


class Roster(Sequence[HostSupervisor]):
    """The supervisors. `begin` first, then `replace` as often as needed, one call at a time."""

    def __init__(self, hosts: Iterable[HostSupervisor]) -> None:
        self._hosts = tuple(hosts)
        self._running: dict[HostSupervisor, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @overload
    def __getitem__(self, index: int) -> HostSupervisor: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[HostSupervisor]: ...

    def __getitem__(self, index: int | slice) -> HostSupervisor | Sequence[HostSupervisor]:
        return self._hosts[index]

    def __len__(self) -> int:
        return len(self._hosts)

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Supervise all hosts in a task group."""
        self._tasks = tasks
        for host in self._hosts:
            self._run(host)

    async def retire(self, names: Collection[str], grace: float) -> tuple[HostSupervisor, ...]:
        """End the hosts of these names within `grace` seconds; return them when they have ended."""
        leaving = tuple(host for host in self._hosts if host.name in names)
        for host in leaving:
            host.stop(grace)
        if leaving:
            await asyncio.wait([self._running[host] for host in leaving])
        for host in leaving:
            del self._running[host]
        self._hosts = tuple(host for host in self._hosts if host not in leaving)
        return leaving

    def admit(self, hosts: Iterable[HostSupervisor]) -> None:
        """Supervise further hosts."""
        for host in hosts:
            self._hosts = (*self._hosts, host)
            self._run(host)

    def _run(self, host: HostSupervisor) -> None:
        assert self._tasks is not None, "begin() comes first"
        self._running[host] = self._tasks.create_task(host.run())

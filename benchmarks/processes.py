"""What processes cost, read from /proc.

A `Tree` is a process with all its living descendants. CPU seconds are utime + stime of each
member plus those of children that it has already waited for, so nothing that ran below the
root is lost, as long as parents reap their children. Memory is PSS: shared pages are counted
once over all who share them. CPU is read in ticks (10 ms), so short spans are coarse.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return user and system seconds of one process and of its reaped children; 0.0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICK


def pss_mib(pid: int) -> float:
    """Return the proportional share of memory of one process; 0.0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


class Tree:
    """One process and its descendants."""

    def __init__(self, root: int) -> None:
        self.root = root

    def members(self) -> list[int]:
        """Return the pids, the root first."""
        children: dict[int, list[int]] = {}
        for pid, parent in _parents():
            children.setdefault(parent, []).append(pid)
        found = [self.root]
        for pid in found:
            found.extend(children.get(pid, ()))
        return found

    def cpu(self) -> float:
        """Return the CPU seconds of all members so far."""
        return sum(map(cpu_seconds, self.members()))

    def pss(self) -> float:
        """Return the memory of all members in MiB."""
        return sum(map(pss_mib, self.members()))

    def by_role(self) -> dict[str, tuple[float, float]]:
        """Return (CPU seconds, MiB) by what a member does: manager, fork server, tracker, host."""
        roles: dict[str, tuple[float, float]] = {}
        for pid in self.members():
            role = _role(pid, self.root)
            cpu, memory = roles.get(role, (0.0, 0.0))
            roles[role] = (cpu + cpu_seconds(pid), memory + pss_mib(pid))
        return roles

    async def quiet(self, pause: float = 1.0, within: float = 60.0) -> None:
        """Return when the tree has used next to nothing for `pause` seconds; TimeoutError if it goes on."""
        before = self.cpu()
        async with asyncio.timeout(within):
            while True:
                await asyncio.sleep(pause)
                now = self.cpu()
                if now - before <= 0.04:
                    return
                before = now


def _parents() -> Iterator[tuple[int, int]]:
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            text = Path(f"/proc/{entry}/stat").read_text()
        except OSError:
            continue
        yield int(entry), int(text.rpartition(")")[2].split()[1])


def _role(pid: int, root: int) -> str:
    if pid == root:
        return "manager"
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return "ended"
    if b"resource_tracker" in command:
        return "tracker"
    return "fork server" if parent == root else "host"

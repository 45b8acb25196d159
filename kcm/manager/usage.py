"""What a host uses, as the kernel tells it, and whether that is too much.

`read_usage` looks at a process and its descendants; `Spending` averages CPU time; `excess` judges.
Guarantees: reading costs a few files a process, whatever the process does; a process that is gone
uses nothing. The host itself is not asked: one that hangs is measured as well. Linux only.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from pathlib import Path
from typing import NamedTuple

from kcm.host.limits import HostLimits

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MIB = 1024 * 1024
# A fork bomb is not counted to its end.
MOST_PROCESSES = 1000


class Usage(NamedTuple):
    """Resident bytes and CPU seconds of all, descriptors of the host itself, processes it has started."""

    memory: int
    cpu_seconds: float
    open_files: int
    processes: int


class Excess(NamedTuple):
    """Which limit, as the configuration calls it, and what to tell people."""

    limit: str
    text: str


def read_usage(pid: int) -> Usage | None:
    """Return what a process and its descendants use now; None when it is gone."""
    pids = [pid]
    for each in pids:
        pids.extend(_children(each)[: max(0, MOST_PROCESSES - len(pids))])
    try:
        open_files = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    return Usage(sum(map(_memory, pids)), sum(map(_cpu, pids)), open_files, len(pids) - 1)


class Spending:
    """CPU time of one process over the last `period` seconds."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._seen: deque[tuple[float, float]] = deque()

    def cores(self, now: float, cpu_seconds: float) -> float | None:
        """Return the average of the period that ends now; None before a whole one was seen."""
        if self._seen and cpu_seconds < self._seen[-1][1]:
            # Another process, or a child's time is gone with the child: begin anew.
            self._seen.clear()
        self._seen.append((now, cpu_seconds))
        while len(self._seen) > 1 and now - self._seen[1][0] >= self._period:
            self._seen.popleft()
        begun, before = self._seen[0]
        return (cpu_seconds - before) / (now - begun) if now - begun >= self._period else None


def excess(usage: Usage, cores: float | None, limits: HostLimits) -> Excess | None:
    """Return the first limit that is exceeded."""
    if limits.memory and usage.memory > limits.memory:
        return Excess("memory", f"{usage.memory / _MIB:.0f} MiB of {limits.memory / _MIB:.0f} MiB")
    if limits.cores and cores is not None and cores > limits.cores:
        return Excess("cpu", f"{cores:.2f} cores of {limits.cores:g} over {limits.cpu_period:g} s")
    if limits.open_files and usage.open_files >= limits.open_files:
        return Excess("openFiles", f"{usage.open_files} of {limits.open_files}")
    if limits.processes and usage.processes > limits.processes:
        return Excess("processes", f"{usage.processes} of {limits.processes}")
    return None


def kill_group(leader: int) -> None:
    """Kill every process of the group that a host led, if it is still ours: one of our session."""
    session = os.getsid(0)
    try:
        entries = os.listdir("/proc")
    except OSError:
        # No descriptor is free to look whose group it is. The host itself is killed by other means.
        return
    for entry in entries:
        if entry.isdigit() and _group_of(int(entry)) == (leader, session):
            try:
                # One signal to the group: while it is sent, none of its members can fork.
                os.killpg(leader, signal.SIGKILL)
            except ProcessLookupError:
                # Killed a moment ago, it was reaped since we looked: that must not end the manager.
                pass
            return


def _group_of(pid: int) -> tuple[int, int]:
    """Return process group and session; zeros when the process is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[2]), int(fields[3])) if fields[0] != "Z" else (0, 0)
    except (OSError, IndexError):
        return 0, 0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            found.extend(map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split()))
    except OSError:
        pass
    return found


def _memory(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK
    except (OSError, IndexError):
        return 0.0

"""What a host may use, and the part of it that the kernel holds.

`impose` sets the limits of this process; the manager watches the rest from outside (see
`kcm.manager.usage`). Guarantees: one allocation far beyond the memory limit is a MemoryError in
the code that asked for it, not the end of the machine; no more file descriptors are given than
allowed. What the kernel does not let be set is left as it is. Owns nothing.
"""

from __future__ import annotations

import resource

import msgspec

# Mappings that are reserved but not used count for the kernel: stacks of threads, arenas.
SPARE_BYTES = 512 * 1024 * 1024
MEMORY_FACTOR = 2


class HostLimits(msgspec.Struct, frozen=True):
    """Memory in bytes, `cores` on average over `cpu_period` seconds, counts. 0: no limit."""

    memory: int = 0
    cores: float = 0.0
    cpu_period: float = 60.0
    open_files: int = 0
    processes: int = 0
    restarts: int = 0


def impose(limits: HostLimits) -> None:
    """Limit this process; no process that it starts can lift it."""
    if limits.memory:
        _lower(resource.RLIMIT_DATA, limits.memory * MEMORY_FACTOR + SPARE_BYTES)
    if limits.open_files:
        _lower(resource.RLIMIT_NOFILE, limits.open_files)


def _lower(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))

"""One sandbox per data directory.

The lock is the kernel's: it goes with the process that holds it, however that ends, so nothing
is ever left over to be removed by hand. The file names the holder for people; nobody trusts it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from kcm.base.errors import ConfigurationError

NAME = "lock"


class DirectoryLock:
    """Holds a directory until `release`, or the end of the process."""

    def __init__(self, directory: Path) -> None:
        """Take the lock; ConfigurationError when somebody else has it or the file cannot be made."""
        path = directory / NAME
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise refused(directory, f"cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 20).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            who = f"another sandbox (process {holder})" if holder.isdigit() else "another sandbox"
            raise refused(directory, f"{who} is using it; stop that one or name another directory") from error
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            # A full disk: the lock itself holds, and whoever comes is told less.
            return

    def release(self) -> None:
        """Let others have the directory."""
        os.close(self._descriptor)


def refused(directory: Path, reason: str) -> ConfigurationError:
    """Return the one line that says why a data directory cannot be used."""
    return ConfigurationError("--data-dir", str(directory), reason)

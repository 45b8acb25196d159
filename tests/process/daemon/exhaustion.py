"""Takes away what a running process needs: its descriptors, its disk."""

import contextlib
import os
import resource
import socket
import threading

from daemons import eventually


class Crowd:
    """Takes every descriptor that gets free, by connections to the manager's pages."""

    def __init__(self, address):
        host, _, port = address.partition(":")
        self._place = (host, int(port))
        self._held = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._push, daemon=True)
        self._thread.start()

    def end(self):
        self._enough.set()
        self._thread.join(30)
        for visitor in self._held:
            visitor.close()

    def _push(self):
        while not self._enough.wait(0.003):
            with contextlib.suppress(OSError):
                self._held.append(socket.create_connection(self._place, timeout=5))
            if len(self._held) > 300:
                self._held.pop(0).close()


def _open_numbers(pid):
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}


@contextlib.contextmanager
def no_descriptors(pid, address):
    """Leave a manager, whose pages are at `address`, not one free descriptor."""
    used = _open_numbers(pid)
    # Every number below the limit is in use; a few more are for the crowd.
    limit = next(number for number in range(10_000) if number not in used) + 3
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    crowd = Crowd(address)
    try:
        eventually(lambda: _open_numbers(pid) >= set(range(limit)), what="no descriptor is free")
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        crowd.end()


@contextlib.contextmanager
def no_room(pids, path):
    """Let these processes write to no file beyond the present length of the one at `path`."""
    before = {}
    try:
        for pid in pids:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            limit = (path.stat().st_size, hard)
            before[pid] = resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
        yield
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)

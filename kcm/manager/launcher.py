"""Starting and ending host processes.

`ProcessLauncher` makes hosts by a fork server that has imported what every host needs and has
no threads and no loop, so that a fork is safe and a host shares its pages. Guarantees: a
killed host has been reaped before `ended` completes, so that its successor can never run
beside it, and what it has started is killed with it, unless it left the group on purpose; signals
to it go through a pid file descriptor and cannot hit a stranger that got the pid.
Owns the processes; what they say goes through their channels.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Protocol

import multiprocess
from multiprocess.connection import Connection

from kcm.cache.feed import FrameChannel, Outlet
from kcm.host.process import run_host
from kcm.manager.output import HostOutput
from kcm.manager.usage import Usage, kill_group, read_usage

LAST_WORDS_SECONDS = 0.5

OnMessage = Callable[[bytes], None]
OnLost = Callable[[str], None]


class Channel(Outlet, Protocol):
    """The manager's end of the way to one host."""

    def close(self) -> None:
        """End the conversation."""
        ...

    async def drained(self, seconds: float) -> None:
        """Wait at most so long until all that a host which has ended had said is heard; then close."""
        ...


class HostHandle(Protocol):
    """One running host."""

    pid: int

    @property
    def channel(self) -> Channel:
        """The way to it."""
        ...

    def kill(self) -> None:
        """End it now, whatever it is doing. Harmless when it has ended."""
        ...

    async def ended(self) -> str:
        """Wait until it has ended and was reaped; return how, as text for people."""
        ...

    def usage(self) -> Usage | None:
        """Return what it uses now; None when that cannot be told."""
        ...


class HostLauncher(Protocol):
    """Makes hosts."""

    async def launch(self, name: str, on_message: OnMessage, on_lost: OnLost) -> HostHandle:
        """Start a host; its frames go to `on_message`, the end of its channel to `on_lost`.

        OSError when the machine does not let it be started.
        """
        ...


class ProcessHandle:
    """A host in a process of its own."""

    def __init__(self, process: Any, channel: Channel, output: HostOutput | None = None) -> None:
        self.pid: int = process.pid
        self.channel: Channel = channel
        self._output = output
        self._process = process
        self._pidfd = os.pidfd_open(self.pid)
        self._exited = asyncio.Event()
        asyncio.get_running_loop().add_reader(process.sentinel, self._reap)

    def kill(self) -> None:
        if self._exited.is_set():
            return
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            # The fork server has reaped it; the sentinel will tell us in a moment.
            pass
        kill_group(self.pid)

    def usage(self) -> Usage | None:
        return None if self._exited.is_set() else read_usage(self.pid)

    async def ended(self) -> str:
        await self._exited.wait()
        # Its last words may still be on their way. A child of its own may hold the other end: not for long.
        await self.channel.drained(LAST_WORDS_SECONDS)
        if self._output is not None:
            self._output.close()
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"exit code {code}"
        return f"signal {_signal_name(-code)}"

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        os.close(self._pidfd)
        # What it had started does not outlive it.
        kill_group(self.pid)
        self._exited.set()


class ProcessLauncher:
    """Makes hosts by fork server."""

    def __init__(self, context: Any = None) -> None:
        self._context = context or multiprocess.get_context("forkserver")
        self._context.set_forkserver_preload(["kcm.host.preload"])

    async def launch(self, name: str, on_message: OnMessage, on_lost: OnLost) -> HostHandle:
        with ExitStack() as unless_it_lives:
            with ExitStack() as given_away:
                ours, theirs = socket.socketpair()
                unless_it_lives.callback(ours.close)
                given_away.callback(theirs.close)
                reading, writing = os.pipe()
                unless_it_lives.callback(os.close, reading)
                prints = Connection(writing, readable=False)
                given_away.callback(prints.close)
                process = await self._start(name, theirs, prints)
            channel = await FrameChannel.open(ours, on_message, on_lost)
            unless_it_lives.pop_all()
        output = HostOutput(reading, name)
        try:
            return ProcessHandle(process, channel, output)
        except OSError:
            # Left without its channel, and not configured yet, it ends by itself.
            channel.close()
            output.close()
            raise

    async def _start(self, name: str, feed: socket.socket, prints: Connection) -> Any:
        """Return a process that has been started; OSError when there can be none."""
        process = self._context.Process(
            target=run_host, args=(feed, prints), name=f"kcm-{name}", daemon=False
        )
        try:
            # The first start waits for the fork server's imports: not on the loop that renews the Lease.
            await asyncio.to_thread(process.start)
        except (EOFError, RuntimeError) as error:
            # No process or no thread more may be made: the fork server died of it, or we could not ask it.
            raise OSError(f"the fork server gave no process: {error!r}") from error
        return process


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Most of the real-time signals have no name.
        return str(number)

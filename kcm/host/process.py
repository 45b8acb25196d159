"""The entry of a host process.

Guarantees: the process dies with its parent (PR_SET_PDEATHSIG) and with its feed, whichever
ends first, also when its loop is blocked; a terminal's Ctrl-C is left to the manager; what
comes over the socket and makes no sense ends the process instead of being guessed at; a copy of
it that a controller forks can neither write to the cluster nor speak to the manager; it lives
within its limits, and what is printed in it is logged.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, TextIO

import msgspec
import uvloop

from kcm.base.clock import SystemClock
from kcm.base.errors import KcmError
from kcm.base.memory import calm_collector
from kcm.base.rng import SeededRng
from kcm.cache.feed import FrameChannel
from kcm.client.credentials import Credentials, FixedCredentials
from kcm.client.http import HttpTransport
from kcm.client.transport import Transport
from kcm.host import printed
from kcm.host.agent import HostAgent
from kcm.host.credentials import FedCredentials
from kcm.host.limits import impose
from kcm.host.messages import Configure
from kcm.telemetry import logging

if TYPE_CHECKING:
    from multiprocess.connection import Connection

PR_SET_PDEATHSIG = 1
FAREWELL_SECONDS = 1.0

log = logging.logger("host")


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that made it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run_host(feed: socket.socket, prints: Connection) -> None:
    """Live as a host on one end of a socket pair, until told to stop; `prints` takes what is printed."""
    die_with_parent()
    log_stream = printed.redirect(prints.fileno())
    prints.close()
    # A group of its own: what a controller starts is ended with its host.
    os.setpgid(0, 0)
    if os.getppid() == 1:
        # The parent died before the signal was asked for: nobody would ever end this process.
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    calm_collector()
    code = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_live(feed, log_stream))
    except BaseException as error:  # noqa: BLE001 - a process edge: one record, and the manager starts another host
        log.error("host failed", exception=error)
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    # Threads of a controller must not keep an ended host alive.
    os._exit(code)


async def _live(feed: socket.socket, log_stream: TextIO) -> None:
    channel: FrameChannel | None = None

    def send(payload: bytes) -> None:
        if channel is not None:
            channel.send(payload)

    agent = HostAgent(
        send, _connect, SystemClock(), SeededRng(), partial(_prepare, log_stream), collect=_collect
    )

    def receive(payload: bytes) -> None:
        try:
            agent.receive(payload)
        except (msgspec.DecodeError, IndexError, KcmError) as error:
            log.error("frame from the manager makes no sense", error=str(error))
            agent.lost()

    def lost(reason: str) -> None:
        agent.lost()

    os.register_at_fork(after_in_child=partial(_disown, feed.fileno(), agent))
    channel = await FrameChannel.open(feed, receive, lost)
    await agent.run()
    await channel.finish(FAREWELL_SECONDS)


def _disown(feed: int, agent: HostAgent) -> None:
    """Take the host's part from a copy of it that a controller has forked: it must not write or report."""
    agent.lost()
    ours, theirs = socket.socketpair()
    os.dup2(ours.fileno(), feed)
    ours.close()
    theirs.close()
    if threading.current_thread() is threading.main_thread():
        # Not from another thread: its end would kill the child.
        die_with_parent()


def _prepare(log_stream: TextIO, configure: Configure) -> None:
    impose(configure.limits)
    # The manager's own stream: what is captured would come back as a record about a record.
    logging.configure(configure.log_level, configure.log_format, configure.host, log_stream)
    printed.capture()


def _collect(endpoint: str) -> Transport:
    # What leaves for a collector carries no credentials of the cluster.
    return HttpTransport(FixedCredentials(Credentials(server=endpoint)), connections=1)


def _connect(credentials: FedCredentials, connections: int) -> Transport:
    return HttpTransport(credentials, connections=connections)

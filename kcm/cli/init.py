"""Being process 1 of a container, which is more than being kcm.

The kernel gives process 1 every orphan to reap, and delivers it no signal that it has not asked
for. So kcm, started as process 1, goes on in a child, and process 1 does only this: it passes
signals on, reaps whoever ends, and ends as the child ends. Guarantees: a signal that comes before
kcm can handle it ends it as usual; one from a terminal reaches it once; no zombie stays, whatever
the controllers have started. Owns nothing but its child.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

PASSED_ON = frozenset(
    (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
)
_AWAITED = PASSED_ON | {signal.SIGCHLD}


def serve_as_init() -> None:
    """Go on in a child process and never return in this one. To be called before there are threads."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    child = os.fork()
    if child:
        _look_after(child)
    # A terminal sends Ctrl-C to the whole foreground group: to us only by way of process 1.
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _look_after(child: int) -> NoReturn:
    while True:
        number = signal.sigwait(_AWAITED)
        if number != signal.SIGCHLD:
            # The child is there, if only as a zombie: nobody but us reaps it.
            os.kill(child, number)
            continue
        status = _reap(child)
        if status is not None:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _reap(child: int) -> int | None:
    """Reap all who have ended; return the child's status if it is among them."""
    status = None
    while True:
        try:
            pid, found = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = found

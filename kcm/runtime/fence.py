"""The fence: no write after the Lease's deadline.

Every renewal of the Lease moves the deadline; past it `check` refuses, on a clock that runs
through suspension, so that a process that was paused for a minute writes nothing when it
wakes (DESIGN §2.6). Guarantees only what can be guaranteed without help from the server:
bytes already handed to the kernel are not called back. One writer moves the deadline: the
host's agent, from the manager's frames.
"""

from __future__ import annotations

from kcm.base.clock import Clock
from kcm.base.errors import KcmError


class Fenced(KcmError):
    """The write was not sent: this process does not lead, or not any more."""


class Fence:
    """Lets nothing through before the first deadline. A deadline is seconds on `Clock.boottime`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deadline = 0.0
        self._closed = False
        self.refused = 0

    @property
    def open(self) -> bool:
        """Say whether a write would be let through now."""
        return not self._closed and self._clock.boottime() < self._deadline

    def extend(self, deadline: float) -> None:
        """Let writes through until `deadline`; an earlier one than known changes nothing."""
        self._deadline = max(self._deadline, deadline)

    def close(self) -> None:
        """Let nothing through any more, whatever renewals are still on their way."""
        self._closed = True

    def check(self) -> None:
        """Raise `Fenced` unless writing is allowed now."""
        if not self.open:
            self.refused += 1
            raise Fenced("write refused: the Lease's deadline has passed, this process does not lead")

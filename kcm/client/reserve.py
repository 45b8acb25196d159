"""Descriptors kept aside for the one client that must be able to connect when there are no more.

A process that has used up its descriptors makes no new socket: the first reset connection of the
elector would cost the Lease. `Reserve` holds a few on the null device and turns one into a socket when
the ordinary way fails. Guarantees: between giving up a spare and making the socket nothing else of this
thread runs; what was used is taken back as soon as one is free. Does not guarantee that it wins against
other threads, nor more connections than it has spares while everything else is used up. Owns the spares.
"""

from __future__ import annotations

import errno
import os
import socket
from types import TracebackType
from typing import Self

_EXHAUSTED = (errno.EMFILE, errno.ENFILE)


class Reserve:
    """So many spare descriptors."""

    def __init__(self, spares: int) -> None:
        self._most = spares
        self._spares: list[int] = []
        self.refill()

    @property
    def spares(self) -> int:
        """Return how many are left."""
        return len(self._spares)

    def socket(self, family: int, kind: int, protocol: int) -> socket.socket:
        """Return a new socket, if need be in place of a spare. OSError when there is none either."""
        try:
            return socket.socket(family, kind, protocol)
        except OSError as error:
            if error.errno not in _EXHAUSTED or not self._spares:
                raise
        os.close(self._spares.pop())
        return socket.socket(family, kind, protocol)

    def refill(self) -> None:
        """Take back what was used, as far as descriptors are free now."""
        while len(self._spares) < self._most:
            try:
                self._spares.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                return

    def close(self) -> None:
        """Give all up, for good."""
        self._most = 0
        while self._spares:
            os.close(self._spares.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

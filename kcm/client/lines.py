"""Lines out of a stream of pieces.

Guarantees: each byte is copied a bounded number of times, however many pieces a line spans; a
line longer than the cap is an error before it is held whole. Owns the unfinished line.
"""

from __future__ import annotations


class LineTooLong(ValueError):
    """A line is longer than the cap."""


class LineSplitter:
    """Takes pieces, gives complete lines without their line feed; empty lines are left out."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._unfinished: list[bytes] = []
        self._length = 0

    @property
    def unfinished(self) -> bool:
        """Say whether a line has begun that has not ended."""
        return self._length > 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the lines that `piece` completes. `LineTooLong` over the cap."""
        lines = piece.split(b"\n")
        rest = lines.pop()
        if lines and self._length:
            self._check(len(lines[0]))
            self._unfinished.append(lines[0])
            lines[0] = b"".join(self._unfinished)
            self._unfinished = []
            self._length = 0
        if rest:
            self._check(len(rest))
            self._unfinished.append(rest)
            self._length += len(rest)
        return [line for line in lines if line]

    def _check(self, more: int) -> None:
        if self._length + more > self._cap:
            raise LineTooLong(f"a line is longer than {self._cap} bytes")

"""What a host writes to its file descriptors 1 and 2, past Python, as records of the log.

A library written in C, a child process, the last words of a crash: they go into a pipe that the manager
reads. Guarantees: the manager's log stays one record a line whatever is written; at most
`MOST_LINES` a `PAUSE_SECONDS` are logged, the rest is counted; the manager never spends more on it
than that: a host that writes faster waits, and nobody else. What a dead host has left in the pipe
is logged at its end. Owns its end of the pipe.
"""

from __future__ import annotations

import asyncio
import os

from kcm.telemetry.logging import logger

PIECE = 64 * 1024
LONGEST_LINE = 4096
MOST_LINES = 50
PAUSE_SECONDS = 0.1


class HostOutput:
    """Logs what comes out of one pipe. `end` is its reading end, which is closed here."""

    def __init__(self, end: int, host: str) -> None:
        self._end = end
        self._log = logger("manager.output").bind(host=host)
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._closed = False
        os.set_blocking(end, False)
        self._loop.add_reader(end, self._readable)

    def close(self) -> None:
        """Log what is still in the pipe, and listen no more. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._end)
        self._take()
        self._say([self._rest])
        os.close(self._end)

    def _readable(self) -> None:
        self._loop.remove_reader(self._end)
        if self._take():
            self._loop.call_later(PAUSE_SECONDS, self._listen)
        else:
            self.close()

    def _listen(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._end, self._readable)

    def _take(self) -> bool:
        """Read one piece and log its lines; say whether there may be more."""
        try:
            piece = os.read(self._end, PIECE)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        self._say(lines)
        return bool(piece)

    def _say(self, lines: list[bytes]) -> None:
        told = [line for line in lines if line.strip()]
        for line in told[:MOST_LINES]:
            self._log.info("printed", text=line[:LONGEST_LINE].decode("utf-8", "replace"))
        if len(told) > MOST_LINES:
            self._log.warning("printed more than is logged", lines=len(told) - MOST_LINES)

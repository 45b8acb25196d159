"""What a controller prints, as records of the log.

`capture` puts a stream in the place of sys.stdout and sys.stderr that logs each line. Guarantees:
the manager's log stays one record a line whatever is printed, a line without an end is bounded,
and printing never waits. What goes to the file descriptors 1 and 2 past Python is not caught.
"""

from __future__ import annotations

import io
import sys

from kcm.telemetry.logging import Logger, logger

LONGEST_LINE = 4096


class Printed(io.TextIOBase):
    """A stream that logs what is written to it, line by line."""

    def __init__(self, name: str, log: Logger) -> None:
        self._name = name
        self._log = log
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = ""
        for line in filter(None, lines):
            self._log.info("printed", stream=self._name, text=line[:LONGEST_LINE])
        return len(text)


def capture() -> None:
    """Log what Python code of this process prints from now on."""
    log = logger("host.printed")
    sys.stdout = Printed("stdout", log)
    sys.stderr = Printed("stderr", log)

"""What a controller prints, as records of the log.

`capture` puts a stream in the place of sys.stdout and sys.stderr that logs each line. Guarantees:
the manager's log stays one record a line whatever is printed, a line without an end is bounded,
and `print` never waits. What goes to the file descriptors 1 and 2 past Python is `redirect`ed to the
manager, which logs it (`kcm.manager.output`); who writes there faster than that waits.
"""

from __future__ import annotations

import faulthandler
import io
import os
import sys
from typing import TextIO

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


def redirect(end: int) -> TextIO:
    """Make the file descriptors 1 and 2 lead to `end`; return a stream to where 2 led before.

    The last words of a crash (a segmentation fault, an abort) go that way, with the lines of Python
    that led to it.
    """
    stream = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(end, 1)
    os.dup2(end, 2)
    faulthandler.enable(file=2)
    return stream


def capture() -> None:
    """Log what Python code of this process prints from now on."""
    log = logger("host.printed")
    sys.stdout = Printed("stdout", log)
    sys.stderr = Printed("stderr", log)

"""`--metrics-file`: metrics values from a file, read again when it changes.

Guarantees: at the start a file that cannot be used is a ConfigurationError; later it is a warning,
and what was read before stays; a change is seen within a second. Owns the book's page "file".
"""

from __future__ import annotations

from pathlib import Path

from kcm.base.clock import Clock
from kcm.base.errors import ConfigurationError
from kcm.sandbox.api.metrics.book import Book
from kcm.sandbox.api.metrics.document import BadDocument, read_text
from kcm.telemetry.logging import logger

log = logger("sandbox.metrics")

_LOOK_EVERY = 1.0

Stamp = tuple[int, int, int]


class MetricsFile:
    """One file, followed."""

    def __init__(self, path: Path, book: Book, clock: Clock) -> None:
        """Read the file; ConfigurationError when it cannot be used."""
        self._path = path
        self._book = book
        self._clock = clock
        try:
            self._seen = _stamp(path)
            book.replace("file", read_text(path.read_bytes()))
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigurationError("--metrics-file", "", f"{path}: {reason}") from error
        except BadDocument as error:
            raise ConfigurationError(str(path), "", str(error)) from error

    async def run(self) -> None:
        """Follow the file until cancelled."""
        while True:
            await self._clock.sleep(_LOOK_EVERY)
            self.look()

    def look(self) -> None:
        """Read the file if it has changed; a file that has gone counts as not changed."""
        try:
            stamp = _stamp(self._path)
            if stamp == self._seen:
                return
            self._seen = stamp
            self._book.replace("file", read_text(self._path.read_bytes()))
        except (OSError, BadDocument) as error:
            log.warning("metrics file not read", file=str(self._path), error=str(error))
            return
        log.info("metrics file read", file=str(self._path), values=len(self._book.page("file")))


def _stamp(path: Path) -> Stamp:
    """Return what tells one version of a file from the next, replaced ones too."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino

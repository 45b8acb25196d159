"""The bearer token of the pages, from a file that may be replaced while kcm runs.

Guarantees: the file is read again when it has changed; a file that is torn, empty or gone keeps
the last good token rather than opening the pages. The file's owner is whoever rotates it.
"""

from __future__ import annotations

import os

from kcm.base.errors import ConfigurationError
from kcm.telemetry.logging import logger

log = logger("serving.token")

LONGEST = 8192


class TokenFile:
    """Calling it returns the token, as `kcm.serving.pages.Sources.token` wants it."""

    def __init__(self, path: str) -> None:
        """Read the file; ConfigurationError when there is no token in it."""
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._complained = False
        try:
            self._token = self._read()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                path, "", f"no token can be read (serving.tokenFile): {error}"
            ) from error

    def __call__(self) -> str:
        """Return the token in force."""
        try:
            if self._mark() != self._seen:
                self._token = self._read()
                self._complained = False
        except (OSError, ValueError) as error:
            if not self._complained:
                log.warning("token file cannot be read, the last token stays", path=self._path, error=error)
            self._complained = True
        return self._token

    def _mark(self) -> tuple[int, int, int]:
        state = os.stat(self._path)
        return state.st_mtime_ns, state.st_ino, state.st_size

    def _read(self) -> str:
        mark = self._mark()
        with open(self._path, "rb") as file:
            text = file.read(LONGEST + 1).decode().strip()
        if not text or len(text) > LONGEST or not text.isprintable():
            raise ValueError("it holds no printable text, or too much of it")
        self._seen = mark
        return text

"""Small files that others replace while we run: tokens and certificates.

Guarantees: a new content is seen within `CHECK_SECONDS`, or at once when asked; a file that is
empty, unreadable, too long or torn in the middle of being replaced leaves the last good content
in force; a token that seems to be cut off waits until the server refuses the old one. Reads
block for a local file's time; they are at most 64 KiB (1 MiB for certificates).
"""

from __future__ import annotations

import os
from collections.abc import Callable

from kcm.base.clock import Clock
from kcm.base.errors import ConfigurationError
from kcm.telemetry.logging import logger

log = logger("client.credentials")

CHECK_SECONDS = 10.0

LONGEST_TOKEN = 64 * 1024
LONGEST_PEM = 1024 * 1024


class WatchedFile:
    """A text file that is read again when it has changed. `whole` says if a content can be used."""

    def __init__(
        self,
        path: str,
        clock: Clock,
        whole: Callable[[str], bool],
        *,
        where: str,
        key: str,
        limit: int,
        cut: Callable[[str, str], bool] = lambda text, before: False,
    ) -> None:
        """`cut` says if a content, after the one in force before it, is only the beginning of one."""
        self._path = path
        self._clock = clock
        self._whole = whole
        self._cut = cut
        self._limit = limit
        self._checked_at = clock.monotonic()
        self._seen = self._stamp()
        self._complained = False
        text = self._load()
        if text is None:
            raise ConfigurationError(
                where, key, f"{path}: cannot be read, is empty or is not what it should be"
            )
        self.text = text

    def look(self, *, now: bool = False) -> str:
        """Return the content, after a look at the file if the last one is old, or `now`."""
        time = self._clock.monotonic()
        if not now and time - self._checked_at < CHECK_SECONDS:
            return self.text
        self._checked_at = time
        stamp = self._stamp()
        if stamp == self._seen:
            return self.text
        text = self._load()
        if text is not None and (now or not self._cut(text, self.text)):
            self.text = text
            self._seen = stamp
            self._complained = False
        elif not self._complained:
            self._complained = True
            log.warning("file cannot be used, keeping the last good content", path=self._path)
        return self.text

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return (status.st_ino, status.st_mtime_ns, status.st_size)

    def _load(self) -> str | None:
        try:
            with open(self._path, "rb") as file:
                text = file.read(self._limit + 1).decode("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return text if len(text) <= self._limit and self._whole(text) else None


def looks_like_token(text: str) -> bool:
    """Say whether it can stand in an Authorization header: visible ASCII without spaces."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def looks_cut_off(text: str, before: str) -> bool:
    """Say whether a token is less than a whole JWT, after one that was whole.

    Signatures of one key are of one length, and the header names the key.
    """
    if before.startswith(text):
        return text != before
    parts, whole = text.split("."), before.split(".")
    if len(whole) != 3:
        return False
    return len(parts) < 3 or (parts[0] == whole[0] and len(parts[2]) < len(whole[2]))


def looks_like_pem(text: str) -> bool:
    """Say whether it is PEM from first to last line: a half-written file is not."""
    return text.startswith("-----BEGIN ") and text.endswith("-----") and "-----END " in text


def token_file(path: str, clock: Clock, *, where: str, key: str) -> WatchedFile:
    """Return a watched bearer token. `ConfigurationError` when there is none now."""
    return WatchedFile(
        path, clock, looks_like_token, where=where, key=key, limit=LONGEST_TOKEN, cut=looks_cut_off
    )


def pem_file(path: str, clock: Clock, *, where: str, key: str) -> WatchedFile:
    """Return a watched PEM file. `ConfigurationError` when there is none now."""
    return WatchedFile(path, clock, looks_like_pem, where=where, key=key, limit=LONGEST_PEM)

"""Follows the configuration file while the daemon runs.

Looks every few seconds whether the file is another one (time, inode, size behind all symlinks: a
ConfigMap's mount swaps a symlink), and at once when asked (SIGHUP). Guarantees: a file that is
still being written is left alone until two looks agree; a file that cannot be used changes
nothing, is logged with the reason once, counted, and shown in /configz; the same text again is no
change. Does not decide what can change: `apply` does. Owns what is known of the file.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from kcm.base.clock import Clock
from kcm.base.errors import ConfigurationError
from kcm.config.loader import read_text
from kcm.config.schema import Configuration
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics

POLL_SECONDS = 2.0

log = logger("manager.reload")

Mark = tuple[int, int, int, int]


class Desired(NamedTuple):
    """What a file asks for: a whole, checked configuration, and "module:Class" of each controller."""

    configuration: Configuration
    controllers: Mapping[str, str]


class ReloadState(msgspec.Struct, frozen=True, rename="camel"):
    """What /configz shows of the file. `hash` is of the text in force, `refused` why another is not."""

    file: str
    hash: str
    in_force_since: datetime
    refused: str = ""


class Reloader:
    """Watches one file. `text` is what the running configuration was read from."""

    def __init__(
        self,
        path: str,
        text: bytes,
        understand: Callable[[bytes], Desired],
        apply: Callable[[Desired], Awaitable[None]],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """Both callables raise ConfigurationError for what cannot be; then nothing may have changed."""
        self._path = path
        self._understand = understand
        self._apply = apply
        self._clock = clock
        self._asked = asyncio.Event()
        self._digest = hashlib.sha256(text).digest()
        self._since = clock.wall()
        self._refused = ""
        reloads = metrics.counter(
            "kcm_config_reloads_total", "Changes of the configuration file, by result.", ("result",)
        )
        self._taken, self._failed = (reloads.labels(result) for result in ("success", "failure"))
        self._good = metrics.gauge(
            "kcm_config_last_reload_successful", "1: the configuration file is what is in force."
        )
        self._moment = metrics.gauge(
            "kcm_config_last_reload_success_timestamp_seconds", "When the present configuration was read."
        )
        self._hash = metrics.gauge(
            "kcm_config_hash", "First 48 bits of the SHA-256 of the configuration file in force."
        )
        self._show()

    def ask(self) -> None:
        """Read the file now, whether it seems to have changed or not."""
        self._asked.set()

    def state(self) -> ReloadState:
        """Return what /configz shows."""
        return ReloadState(self._path, self._digest.hex(), self._since, self._refused)

    async def run(self) -> None:
        """Follow the file for ever."""
        handled = seen = self._mark()
        # What was changed between the reading at the start and the first look is met here.
        await self._read()
        while True:
            if await self._wait():
                handled = seen = self._mark()
                log.info("configuration is read again", path=self._path)
                await self._read()
                continue
            now = self._mark()
            if now != handled and now == seen:
                handled = now
                await self._read()
            seen = now

    async def _wait(self) -> bool:
        """Return when it is time to look; say whether somebody asked."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _read(self) -> None:
        try:
            text = read_text(self._path)
            digest = hashlib.sha256(text).digest()
            if digest == self._digest:
                self._refused = ""
                self._show()
                return
            await self._apply(self._understand(text))
        except ConfigurationError as error:
            self._refused = str(error)
            self._failed.inc()
            log.error("configuration refused, the old one stays", path=self._path, reason=str(error))
            self._show()
            return
        self._digest, self._since, self._refused = digest, self._clock.wall(), ""
        self._taken.inc()
        log.info("configuration in force", path=self._path, hash=digest.hex()[:12])
        self._show()

    def _mark(self) -> Mark | None:
        try:
            state = os.stat(self._path)
        except OSError:
            # Gone for a moment, as with an editor that renames: the next look tells.
            return None
        return state.st_mtime_ns, state.st_ino, state.st_dev, state.st_size

    def _show(self) -> None:
        self._good.set(0 if self._refused else 1)
        self._moment.set(self._since.timestamp())
        self._hash.set(int.from_bytes(self._digest[:6], "big"))

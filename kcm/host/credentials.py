"""Credentials, as a host gets them: from the manager, never from files.

Only the manager reads kubeconfigs, token files and exec plugins; hosts are told what came of
it. Owns the newest credentials of this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kcm.client.credentials import Credentials
from kcm.host.messages import NeedCredentials

PATIENCE_SECONDS = 5.0


class FedCredentials:
    """A `CredentialSource` whose source is the manager."""

    def __init__(self, send: Callable[[NeedCredentials], None]) -> None:
        self._send = send
        self._current: Credentials | None = None
        self._changed = asyncio.Event()

    def put(self, credentials: Credentials) -> None:
        """Take newer credentials and wake who asked for them."""
        self._current = credentials
        self._changed.set()

    async def current(self) -> Credentials:
        """Return the credentials to use now."""
        while self._current is None:
            self._changed.clear()
            await self._changed.wait()
        return self._current

    async def refresh(self) -> Credentials:
        """Ask for newer credentials after a 401; return what there is when none come in time."""
        self._changed.clear()
        self._send(NeedCredentials())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._changed.wait()
        except TimeoutError:
            pass
        return await self.current()

"""Keeps the daemon's credentials current and passes them on to the hosts.

The only reader of the credential source: token files, exec plugins and kubeconfigs concern
nobody else. Guarantees: a change reaches every host within the check period; a host that met a
401 gets an answer, at most one look at the source a second however many hosts ask. Owns the
current credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from kcm.base.clock import Clock
from kcm.client.credentials import Credentials, CredentialSource
from kcm.client.transport import TransportError
from kcm.manager.hosts import HostSupervisor
from kcm.telemetry.logging import logger

CHECK_SECONDS = 10.0
LEAST_SECONDS = 1.0

log = logger("manager.credentials")


class CredentialKeeper:
    """Holds what `source` last gave."""

    def __init__(self, source: CredentialSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._current: Credentials | None = None
        self._wanted = asyncio.Event()

    @property
    def current(self) -> Credentials:
        """Return the newest credentials; `load` must have returned."""
        assert self._current is not None, "load() comes first"
        return self._current

    async def load(self) -> None:
        """Get the first credentials. ConfigurationError when there are none to be had."""
        self._current = await self._source.current()

    def want_newer(self) -> None:
        """A host was refused: look at the source soon."""
        self._wanted.set()

    async def run(self, hosts: Iterable[HostSupervisor]) -> None:
        """Follow the source for ever."""
        while True:
            refused = await self._wait()
            try:
                newest = await (self._source.refresh() if refused else self._source.current())
            except TransportError as error:
                log.warning("credentials cannot be renewed", error=str(error))
                continue
            finally:
                await self._clock.sleep(LEAST_SECONDS)
            if newest != self._current or refused:
                self._current = newest
                for host in hosts:
                    host.update_credentials(newest)

    async def _wait(self) -> bool:
        """Return when it is time to look; say whether somebody was refused."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._wanted.wait()
        except TimeoutError:
            return False
        self._wanted.clear()
        return True

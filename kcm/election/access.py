"""How an elector reaches its one Lease.

`LeaseAccess` is what the elector needs; `ApiLease` does it through an `ApiClient` of its own, so
that no other traffic, rate limit or slow connection stands before a renewal. Guarantees: a write is
a merge patch on an exact resourceVersion, or a create; never a PUT of a trimmed object. What the
server refuses because the Lease is another than expected raises `Outdated`; every other failure
is some `KcmError`, and the write may or may not have been done. Owns nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal, Protocol

import msgspec

from kcm.base.errors import KcmError
from kcm.client.api import ApiClient
from kcm.client.errors import AlreadyExists, Conflict, NotFound, Status, error_of
from kcm.election.record import Found, Record, found, spec_of
from kcm.election.states import Saw
from kcm.objects.leases import Lease
from kcm.objects.metadata import Spec
from kcm.objects.resource import Key

_ANNOTATION = "kcm.dev/last-writes"
_WATCH_SECONDS = 300

_lease_decoder = msgspec.json.Decoder(Lease)


class Outdated(KcmError):
    """The write was not done: the Lease changed, is gone, or is there already."""


class LeaseAccess(Protocol):
    """One Lease of one API server."""

    async def get(self) -> Found | None:
        """Return the newest Lease; None when there is none."""
        ...

    async def create(self, record: Record, handover: str) -> Found:
        """Create the Lease. `Outdated` when there is one."""
        ...

    async def write(self, base: Found, record: Record, handover: str) -> Found:
        """Write over exactly `base`. `Outdated` when the Lease is another by now."""
        ...

    def watch(self, version: str) -> AbstractAsyncContextManager[AsyncIterator[Saw]]:
        """Follow the Lease from `version`, until the server ends the watch."""
        ...


class _WatchedMeta(Spec, frozen=True):
    """Enough of any event's object to say which it is; a Status has none."""

    name: str = ""
    resource_version: str = ""


class _Watched(Spec, frozen=True):
    metadata: _WatchedMeta = _WatchedMeta()


class _WatchEvent(msgspec.Struct, frozen=True):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


_event_decoder = msgspec.json.Decoder(_WatchEvent)
_watched_decoder = msgspec.json.Decoder(_Watched)


class ApiLease:
    """The Lease `key`, through a client that is used for nothing else."""

    def __init__(self, client: ApiClient, key: Key) -> None:
        self._client = client
        self._key = key
        self._type = Lease.resource_type()

    async def get(self) -> Found | None:
        try:
            return _found(await self._client.get(self._type, self._key))
        except NotFound:
            return None

    async def create(self, record: Record, handover: str) -> Found:
        body = {
            "apiVersion": Lease.api,
            "kind": Lease.kind,
            "metadata": {"namespace": self._key.namespace, "name": self._key.name}
            | {"annotations": {_ANNOTATION: handover}},
            "spec": spec_of(record),
        }
        try:
            return _found(
                await self._client.create(self._type, self._key.namespace, msgspec.json.encode(body))
            )
        except (AlreadyExists, Conflict) as error:
            raise Outdated(str(error)) from error

    async def write(self, base: Found, record: Record, handover: str) -> Found:
        body = {
            "metadata": {"resourceVersion": base.version, "annotations": {_ANNOTATION: handover}},
            "spec": spec_of(record),
        }
        try:
            return _found(await self._client.patch(self._type, self._key, msgspec.json.encode(body), "merge"))
        except (Conflict, AlreadyExists, NotFound) as error:
            raise Outdated(str(error)) from error

    @asynccontextmanager
    async def watch(self, version: str) -> AsyncIterator[AsyncIterator[Saw]]:
        async with self._client.watch(
            self._type,
            self._key.namespace,
            resource_version=version,
            field_selector=f"metadata.name={self._key.name}",
            timeout_seconds=_WATCH_SECONDS,
        ) as lines:
            yield self._events(lines)

    async def _events(self, lines: AsyncIterator[bytes]) -> AsyncIterator[Saw]:
        async for line in lines:
            saw = self._event(line)
            if saw is not None:
                yield saw

    def _event(self, line: bytes) -> Saw | None:
        try:
            event = _event_decoder.decode(line)
            if event.type == "ERROR":
                raise error_of("watch the Lease", msgspec.json.decode(event.object, type=Status))
            about = _watched_decoder.decode(event.object).metadata
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise KcmError(f"watch of the Lease {self._key}: not an event: {error}") from error
        # A server that ignores the field selector sends its whole namespace.
        if event.type == "BOOKMARK" or about.name != self._key.name:
            return None
        if event.type == "DELETED":
            return Saw(None, about.resource_version)
        lease = _found(bytes(event.object))
        return Saw(lease, lease.version)


def _found(body: bytes) -> Found:
    try:
        return found(_lease_decoder.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise KcmError(f"the answer is no Lease that can be read: {error}") from error

"""The API server, as a reflector sees it: pages, watches, and failures by what follows from them.

Turns a `WatchSpec` into the client's calls and the client's errors into the causes of
`kcm.cache.listwatch`. Guarantees nothing of its own; the client owns time-outs and counting.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from kcm.cache.changes import StreamError
from kcm.cache.phases import Refused
from kcm.cache.watchspec import WatchSpec
from kcm.client.api import ApiClient
from kcm.client.errors import (
    ApiError,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    ResourceVersionTooLarge,
    Status,
    StatusCause,
    StatusDetails,
    TooManyRequests,
    Unauthorized,
    error_of,
)
from kcm.client.transport import NotSent, TransportError


class Lines(Protocol):
    """An open watch."""

    async def batch(self) -> list[bytes]:
        """Return the lines that have come since the last call; empty at the end."""
        ...


class Source(Protocol):
    """Where lists and watches come from."""

    async def list_page(
        self,
        spec: WatchSpec,
        version: str = "",
        match: Literal["", "NotOlderThan"] = "",
        limit: int = 0,
        next_page: str = "",
    ) -> bytes: ...

    def watch(
        self, spec: WatchSpec, version: str, timeout: int, initial: bool = False
    ) -> AbstractAsyncContextManager[Lines]: ...


class ClientSource:
    """An `ApiClient` as a source."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def list_page(
        self,
        spec: WatchSpec,
        version: str = "",
        match: Literal["", "NotOlderThan"] = "",
        limit: int = 0,
        next_page: str = "",
    ) -> bytes:
        return await self._client.list_page(
            spec.resource,
            spec.namespace,
            label_selector=spec.label_selector,
            field_selector=spec.field_selector,
            resource_version=version,
            match=match,
            limit=limit,
            continue_token=next_page,
            metadata_only=spec.metadata_only,
        )

    def watch(
        self, spec: WatchSpec, version: str, timeout: int, initial: bool = False
    ) -> AbstractAsyncContextManager[Lines]:
        # idle=0: the list-watch machine measures silence itself.
        return self._client.watch(
            spec.resource,
            spec.namespace,
            resource_version=version,
            label_selector=spec.label_selector,
            field_selector=spec.field_selector,
            timeout_seconds=timeout,
            send_initial_events=initial,
            idle=0.0,
            metadata_only=spec.metadata_only,
        )


def refusal_of(error: ApiError | TransportError) -> Refused:
    """Return what a failed request means to the machine."""
    text = str(error)
    match error:
        case NotSent():
            return Refused("unreachable", text)
        case TransportError():
            return Refused("cut", text)
        case Expired():
            return Refused("expired", text)
        case ResourceVersionTooLarge():
            return Refused("tooLarge", text)
        case TooManyRequests(retry_after=retry_after):
            return Refused("throttled", text, retry_after or 0.0)
        case Invalid():
            return Refused("invalid", text)
        case NotFound():
            return Refused("missing", text)
        case Forbidden():
            return Refused("forbidden", text)
        case Unauthorized():
            return Refused("unauthorized", text)
        case _:
            return Refused("failed", text, error.retry_after or 0.0)


def failure_of(spec: WatchSpec, event: StreamError) -> ApiError:
    """Return the error that an ERROR event inside a watch stands for."""
    causes = tuple(StatusCause(reason=cause) for cause in event.causes)
    status = Status(
        code=event.code, reason=event.reason, message=event.message, details=StatusDetails(causes=causes)
    )
    return error_of(f"watch {spec}", status, event.retry_after or None)

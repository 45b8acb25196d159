"""The verbs of the Kubernetes API on raw JSON bodies.

`ApiClient` builds paths, waits for the rate limit, counts, and turns answers other than 2xx
into `ApiError`s. What it repeats itself, and nothing else: a GET or LIST once when the
connection was reset before an answer, and up to `MAX_WAITS` times when the server answers 429
or 503 and asks for a short wait. Writes are never repeated: the dispatcher knows more. `guard`
(the fence) is called right before the bytes of a write leave and raises to refuse it. Watches
do not count against the rate limit. Owns nothing but its settings; the transport is shared.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Literal

import msgspec

from kcm.base.clock import Clock
from kcm.base.errors import ConfigurationError
from kcm.base.rng import Rng
from kcm.client import paths
from kcm.client.errors import ApiError, error_from_answer
from kcm.client.instruments import Instruments
from kcm.client.limiter import TokenBucket
from kcm.client.transport import (
    MAX_BODY,
    Headers,
    Request,
    Reset,
    Response,
    Stream,
    Transport,
    TransportError,
)
from kcm.client.watching import WatchStream
from kcm.objects.resource import Key, ResourceType
from kcm.telemetry.metrics import Metrics
from kcm.telemetry.tracing import current

PatchKind = Literal["json", "merge", "strategic", "apply"]
Propagation = Literal["", "Orphan", "Background", "Foreground"]
Match = Literal["", "Exact", "NotOlderThan"]

MAX_LIST_BODY = 512 * 1024 * 1024
MAX_WAITS = 3
LONGEST_WAIT = 5.0

_ERROR_BODY = 64 * 1024
_PATCH_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
_PARTIAL = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"
_encoder = msgspec.json.Encoder()


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds. `write` is part of the fence's inequality; `watch_open` ends with the headers."""

    read: float = 30.0
    write: float = 3.0
    watch_open: float = 30.0


class ApiClient:
    """One user of the API, with its own name, rate limit and fence. All bodies are raw JSON."""

    def __init__(
        self,
        transport: Transport,
        *,
        user_agent: str,
        metrics: Metrics,
        clock: Clock,
        rng: Rng,
        timeouts: Timeouts | None = None,
        limiter: TokenBucket | None = None,
        guard: Callable[[], None] | None = None,
    ) -> None:
        self._transport = transport
        self._limiter = limiter
        self._guard = guard
        self._clock = clock
        self._rng = rng
        self._timeouts = timeouts or Timeouts()
        self._instruments = Instruments(metrics)
        if not user_agent.isascii() or not user_agent.isprintable():
            raise ConfigurationError("user agent", "", f"{user_agent!r} has characters a header cannot carry")
        self._plain: Headers = (("User-Agent", user_agent), ("Accept", "application/json"))
        named = ("User-Agent", user_agent)
        self._partial_list: Headers = (named, ("Accept", _PARTIAL.format("List")))
        self._partial: Headers = (named, ("Accept", _PARTIAL.format("")))
        self._json: Headers = (*self._plain, ("Content-Type", "application/json"))
        self._patching: dict[str, Headers] = {
            kind: (*self._plain, ("Content-Type", type_)) for kind, type_ in _PATCH_TYPES.items()
        }

    # --- reads

    async def get(
        self, resource: ResourceType, key: Key, subresource: str = "", *, resource_version: str = ""
    ) -> bytes:
        """Return one object. `resource_version` "" is the newest, "0" any that a server has cached."""
        path = paths.item(resource, key.namespace, key.name, subresource)
        return await self._read(paths.with_query(path, {"resourceVersion": resource_version}), MAX_BODY)

    async def list_page(
        self,
        resource: ResourceType,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        match: Match = "",
        limit: int = 0,
        continue_token: str = "",
        metadata_only: bool = False,
    ) -> bytes:
        """Return one page of a list; all of it when `limit` is 0.

        With `continue_token` the version belongs to the token and is not sent again
        (reference: apiserver §3). `metadata_only` asks for items without what is in them.
        """
        first = not continue_token
        query = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": str(limit) if limit else "",
            "continue": continue_token,
            "resourceVersion": resource_version if first else "",
            "resourceVersionMatch": match if first else "",
        }
        target = paths.with_query(paths.collection(resource, namespace), query)
        return await self._read(target, MAX_LIST_BODY, self._partial_list if metadata_only else None)

    async def get_path(self, path: str, accept: str = "") -> bytes:
        """Return what is at a path that is no resource, such as /version or /readyz."""
        headers = (*self._plain[:1], ("Accept", accept)) if accept else None
        return await self._read(path, MAX_BODY, headers)

    async def read(
        self, segments: Iterable[str], query: Mapping[str, str], max_body: int, *, metadata_only: bool = False
    ) -> bytes:
        """Return what is at a path of any API, given as its segments; `TerminalError` for what is none.

        `metadata_only` asks for a collection's items without what is in them.
        """
        path = "/" + "/".join(map(paths.segment, segments))
        headers = self._partial_list if metadata_only else None
        return await self._read(paths.with_query(path, query), max_body, headers)

    # --- writes

    async def create(
        self, resource: ResourceType, namespace: str, body: bytes, *, name: str = "", subresource: str = ""
    ) -> bytes:
        """Create an object, or with `name` and `subresource` a subresource of one; return it."""
        if subresource:
            path = paths.item(resource, namespace, name, subresource)
        else:
            path = paths.collection(resource, namespace)
        return await self._write("POST", path, self._json, body)

    async def replace(self, resource: ResourceType, key: Key, body: bytes, subresource: str = "") -> bytes:
        """PUT a whole object: only where the API demands it (Leases)."""
        path = paths.item(resource, key.namespace, key.name, subresource)
        return await self._write("PUT", path, self._json, body)

    async def patch(
        self,
        resource: ResourceType,
        key: Key,
        body: bytes,
        kind: PatchKind,
        subresource: str = "",
        *,
        manager: str = "",
        force: bool = False,
    ) -> bytes:
        """Patch an object; return it as it is now. An "apply" needs the name of its field manager."""
        query = {"fieldManager": manager, "force": "true" if force else ""}
        path = paths.with_query(paths.item(resource, key.namespace, key.name, subresource), query)
        return await self._write("PATCH", path, self._patching[kind], body)

    async def delete(
        self,
        resource: ResourceType,
        key: Key,
        *,
        uid: str = "",
        resource_version: str = "",
        grace_seconds: int | None = None,
        propagation: Propagation = "",
    ) -> bytes:
        """Delete an object, if it still is the one that was seen; return it, or a Status when it is gone."""
        options: dict[str, object] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if held := {name: value for name, value in preconditions.items() if value}:
            options["preconditions"] = held
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if propagation:
            options["propagationPolicy"] = propagation
        path = paths.item(resource, key.namespace, key.name)
        return await self._write("DELETE", path, self._json, _encoder.encode(options))

    # --- watch

    @asynccontextmanager
    async def watch(
        self,
        resource: ResourceType,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 300,
        send_initial_events: bool = False,
        idle: float | None = None,
        metadata_only: bool = False,
    ) -> AsyncIterator[WatchStream]:
        """Open a watch with bookmarks. `idle`: longest silence; left out, 15 s longer than the watch."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
            "sendInitialEvents": "true" if send_initial_events else "",
            "resourceVersionMatch": "NotOlderThan" if send_initial_events else "",
        }
        target = paths.with_query(paths.collection(resource, namespace), query)
        request = Request(
            method="GET",
            target=target,
            headers=self._partial if metadata_only else self._plain,
            timeout=self._timeouts.watch_open,
            idle=idle if idle is not None else timeout_seconds + 15.0,
        )
        asked = f"watch {paths.collection(resource, namespace)}"
        started = self._clock.monotonic()
        code = 0
        counted = False
        try:
            async with self._transport.open(request) as stream:
                code = stream.status
                self._count(code, "GET", started)
                counted = True
                if code != 200:
                    raise error_from_answer(asked, code, stream.headers, await _beginning(stream))
                yield WatchStream(stream, asked)
        except TransportError:
            if not counted:
                self._count(0, "GET", started)
            raise

    # --- how requests go out

    async def _write(self, method: str, path: str, headers: Headers, body: bytes) -> bytes:
        request = Request(method, path, headers, body, self._timeouts.write, self._guard)
        response = await self._send(request)
        if 200 <= response.status < 300:
            return response.body
        raise _refusal(request, response)

    async def _read(self, target: str, max_body: int, headers: Headers | None = None) -> bytes:
        request = Request("GET", target, headers or self._plain, b"", self._timeouts.read, None, max_body)
        resets = waits = 0
        while True:
            try:
                response = await self._send(request)
            except Reset:
                if resets:
                    raise
                resets += 1
                self._instruments.repeated(0, "GET", self._transport.host)
                continue
            if 200 <= response.status < 300:
                return response.body
            error = _refusal(request, response)
            if waits == MAX_WAITS or not _asks_for_short_wait(error):
                raise error
            waits += 1
            self._instruments.repeated(error.code, "GET", self._transport.host)
            wait = error.retry_after or 0.0
            await self._clock.sleep(wait * (1.0 + 0.1 * self._rng.uniform(0.0, 1.0)))

    async def _send(self, request: Request) -> Response:
        if self._limiter is not None:
            waited = await self._limiter.acquire()
            self._instruments.waited(request.method, self._transport.host, waited)
        span = current()
        if span is not None:
            span = span.request(request.method, request.target)
            request = msgspec.structs.replace(request, traceparent=span.traceparent)
        started = self._clock.monotonic()
        code = 0
        try:
            response = await self._transport.send(request)
            code = response.status
        finally:
            self._count(code, request.method, started)
            if span is not None:
                span.answered(code)
        return response

    def _count(self, code: int, method: str, started: float) -> None:
        self._instruments.answered(code, method, self._transport.host, self._clock.monotonic() - started)


def _refusal(request: Request, response: Response) -> ApiError:
    asked = f"{request.method} {request.target.partition('?')[0]}"
    return error_from_answer(asked, response.status, response.headers, response.body)


def _asks_for_short_wait(error: ApiError) -> bool:
    return error.code in (429, 503) and error.retry_after is not None and error.retry_after <= LONGEST_WAIT


async def _beginning(stream: Stream) -> bytes:
    """Return the first part of a refused watch's body."""
    held = b""
    async for piece in stream:
        held += piece
        if len(held) >= _ERROR_BODY:
            break
    return held[:_ERROR_BODY]

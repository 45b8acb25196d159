"""Spans to a collector: OTLP over HTTP as JSON, which every OpenTelemetry collector takes at /v1/traces.

Written here, because it is one JSON document and a POST; the libraries would bring a dozen packages into
every host. Guarantees: nobody waits for the collector; what it has not taken is kept up to `MOST_WAITING`
spans, and what is beyond that, or what it refuses, is dropped and counted; trouble is logged once. Owns the
spans that wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import msgspec

from kcm.base.errors import KcmError
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics
from kcm.telemetry.tracing import Attribute, Span

# As the OpenTelemetry libraries have it (BatchSpanProcessor).
MOST_WAITING = 2048
MOST_AT_ONCE = 512
EVERY_SECONDS = 5.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTERNAL, _CLIENT, _ERROR = 1, 3, 2

log = logger("telemetry.traces")


class SpanExporter:
    """Takes finished spans and sends them in batches; `post` sends a body and returns the status code."""

    def __init__(
        self,
        post: Callable[[bytes], Awaitable[int]],
        resource: Mapping[str, Attribute],
        metrics: Metrics,
    ) -> None:
        self._post = post
        self._resource = resource
        self._waiting: deque[Span] = deque()
        self._full = asyncio.Event()
        self._troubled = False
        self._sent = metrics.counter("kcm_trace_spans_exported_total", "Spans that the collector took.")
        dropped = metrics.counter(
            "kcm_trace_spans_dropped_total",
            "Spans that nobody will see: too many waited (full), or the collector refused them (refused).",
            ("reason",),
        )
        self._overflown, self._refused = dropped.labels("full"), dropped.labels("refused")

    def take(self, span: Span) -> None:
        """Take a finished span; never waits."""
        if len(self._waiting) >= MOST_WAITING:
            self._overflown.inc()
            return
        self._waiting.append(span)
        if len(self._waiting) >= MOST_AT_ONCE and not self._troubled:
            self._full.set()

    async def run(self) -> None:
        """Send what waits, every few seconds or when there is a batch, for ever."""
        while True:
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._full.wait()
            except TimeoutError:
                pass
            self._full.clear()
            await self.flush()

    async def flush(self) -> None:
        """Send what waits; what the collector cannot take now goes on waiting."""
        while self._waiting:
            batch = list(islice(self._waiting, MOST_AT_ONCE))
            try:
                code = await self._post(encode_spans(batch, self._resource))
            except (KcmError, OSError, TimeoutError) as error:
                self._note(str(error) or type(error).__name__)
                return
            if code == 429 or code >= 500:
                self._note(f"status {code}")
                return
            for _ in batch:
                self._waiting.popleft()
            if 200 <= code < 300:
                self._sent.inc(len(batch))
                self._troubled = False
                continue
            self._refused.inc(len(batch))
            self._note(f"status {code}")

    def _note(self, reason: str) -> None:
        """Say it once, not every five seconds."""
        if not self._troubled:
            log.warning("traces cannot be sent", reason=reason)
        self._troubled = True


def encode_spans(spans: Iterable[Span], resource: Mapping[str, Attribute]) -> bytes:
    """Return an ExportTraceServiceRequest: identities are hex, enumerations numbers, 64 bits decimal text."""
    scope = {"scope": {"name": "kcm"}, "spans": [_span(span) for span in spans]}
    whole = {"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}]}
    return msgspec.json.encode(whole)


def _span(span: Span) -> dict[str, Any]:
    told: dict[str, Any] = {
        "traceId": span.trace,
        "spanId": span.id,
        "name": span.name,
        "kind": _CLIENT if span.client else _INTERNAL,
        "startTimeUnixNano": _nanoseconds(span.begun),
        "endTimeUnixNano": _nanoseconds(span.ended),
        "attributes": _attributes(span.attributes),
    }
    if span.parent:
        told["parentSpanId"] = span.parent
    if span.error is not None:
        told["status"] = {"code": _ERROR, "message": span.error} if span.error else {"code": _ERROR}
    return told


def _attributes(attributes: Mapping[str, Attribute]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Attribute) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
    return {"stringValue": value}


def _nanoseconds(moment: datetime) -> str:
    return str((moment - _EPOCH) // timedelta(microseconds=1) * 1000)

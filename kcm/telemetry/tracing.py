"""Trace context: which reconcile a request belongs to, as W3C `traceparent` tells it.

A `Tracer` begins a `Span` for some of the reconciles; requests made meanwhile are its children and carry
its identity to the server. Where nobody traces there is no span, and asking for it costs one look at a
context variable. A `traceparent` that came from outside is passed on with `continuing`, without spans of
our own. Finished spans go to whoever took the tracer's `finished`; nothing here sends anything. Guarantees:
identities are those of the specification (W3C Trace Context, version 00); texts are cleaned and bounded.
Owns the context variable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import timedelta
from typing import TypeAlias

import msgspec

from kcm.base.clock import Clock
from kcm.base.rng import Rng
from kcm.telemetry.cleaning import clean_text

LONGEST_TEXT = 512
PER_MILLION = 1_000_000
# Where a traceparent has the identity of the whole trace.
TRACE_ID = slice(3, 35)
_HEX = "0123456789abcdef"
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

Attribute = str | int | float | bool
# What surrounds a reconcile: of this key, which has waited for so many seconds.
Trace: TypeAlias = Callable[[object, float], AbstractContextManager[None]]


class TraceSettings(msgspec.Struct, frozen=True):
    """Where spans go (URL of a collector; "": nowhere), and how many of a million reconciles are traced."""

    endpoint: str = ""
    per_million: int = 0


class Remote:
    """A caller's span: its identity is passed on as it came."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def request(self, method: str, target: str) -> Remote:
        """Return what a request of this caller's belongs to: the caller."""
        return self

    def answered(self, code: int) -> None:
        """Take how a request ended."""

    def put(self, name: str, value: Attribute) -> None:
        """Take an attribute."""

    def fail(self, text: str) -> None:
        """Take what failed."""


class Span:
    """Something that takes time. `error` is None while nothing has failed; times are UTC."""

    __slots__ = (
        *("_start", "_tracer", "attributes", "begun", "client", "ended"),
        *("error", "id", "name", "parent", "trace"),
    )

    def __init__(self, tracer: Tracer, name: str, trace: str, parent: str, client: bool = False) -> None:
        self._tracer = tracer
        self.name = name
        self.trace = trace
        self.parent = parent
        self.id = tracer.identity(16)
        self.client = client
        self.attributes: dict[str, Attribute] = {}
        self.error: str | None = None
        self.begun = self.ended = tracer.clock.wall()
        self._start = tracer.clock.monotonic()

    @property
    def traceparent(self) -> str:
        """Return the header's value for what this span causes; it says that the trace is recorded."""
        return f"00-{self.trace}-{self.id}-01"

    def request(self, method: str, target: str) -> Span:
        """Begin the span of a request; `answered` ends it."""
        span = Span(self._tracer, method, self.trace, self.id, client=True)
        span.put("http.request.method", method)
        path, _, query = target.partition("?")
        span.put("url.path", path)
        if query:
            span.put("url.query", query)
        return span

    def answered(self, code: int) -> None:
        """End the span of a request, with the status code or 0 for no answer."""
        if code:
            self.put("http.response.status_code", code)
        if not 100 <= code < 400:
            self.fail("" if code else "no answer")
        self.finish()

    def put(self, name: str, value: Attribute) -> None:
        """Set an attribute."""
        self.attributes[name] = clean_text(value, LONGEST_TEXT) if isinstance(value, str) else value

    def fail(self, text: str) -> None:
        """Note that it failed, and why; the first reason stays."""
        self.error = self.error or clean_text(text, LONGEST_TEXT)

    def finish(self) -> None:
        """End it, and hand it to whoever collects."""
        # Not the time of day: a clock that is set back would let it end before it began.
        self.ended = self.begun + timedelta(seconds=self._tracer.clock.monotonic() - self._start)
        self._tracer.finished(self)


_NOTHING = nullcontext()
_current: ContextVar[Span | Remote | None] = ContextVar("span", default=None)


class Tracer:
    """Makes spans for a share of the reconciles."""

    def __init__(self, per_million: int, finished: Callable[[Span], None], clock: Clock, rng: Rng) -> None:
        self._per_million = per_million
        self.finished = finished
        self.clock = clock
        self._rng = rng

    def identity(self, digits: int) -> str:
        """Return a random identity that is not nought."""
        return self._rng.text(_HEX, digits - 1) + self._rng.text(_HEX[1:], 1)

    def reconciling(self, controller: str, key: object, queued: float) -> AbstractContextManager[None]:
        """Return the span of one reconcile, if it is one of those that are traced; `queued` is seconds."""
        if self._rng.uniform(0, PER_MILLION) >= self._per_million:
            return _NOTHING
        return self._reconciling(controller, str(key), queued)

    @contextmanager
    def _reconciling(self, controller: str, key: str, queued: float) -> Iterator[None]:
        span = Span(self, f"reconcile {controller}", self.identity(32), "")
        span.put("kcm.controller", controller)
        span.put("kcm.key", key)
        span.put("kcm.queue_seconds", queued)
        token = _current.set(span)
        try:
            yield
        finally:
            _current.reset(token)
            span.finish()


def untraced(key: object, queued: float) -> AbstractContextManager[None]:
    """Surround a reconcile with nothing: where nobody traces."""
    return _NOTHING


def current() -> Span | Remote | None:
    """Return the span that what runs now belongs to."""
    return _current.get()


def traceparent() -> str:
    """Return the header's value for a request that is made now; "" where nobody traces."""
    span = _current.get()
    return span.traceparent if span is not None else ""


@contextmanager
def continuing(header: str) -> Iterator[None]:
    """Let requests made in the block belong to a caller who sent this header; none if it makes no sense."""
    known = parse_traceparent(header) if header else ""
    token = _current.set(Remote(known)) if known else None
    try:
        yield
    finally:
        if token is not None:
            _current.reset(token)


def parse_traceparent(header: str) -> str:
    """Return the header as version 00 has it; "" when it is none (W3C Trace Context, 3.2)."""
    found = _TRACEPARENT.fullmatch(header.strip())
    if found is None:
        return ""
    version, trace, parent, flags, more = found.groups()
    invalid = version == "ff" or (version == "00" and more) or not trace.strip("0") or not parent.strip("0")
    # Of the flags only "sampled" is known; others must not be passed on.
    return "" if invalid else f"00-{trace}-{parent}-{int(flags, 16) & 1:02x}"

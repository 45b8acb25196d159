"""What one manager asked its server for, and when: seen on the way, so on any cluster.

A `Witness` is the tap of a relay that speaks plain HTTP to the manager. It adds what the server wants to
know of who asks (a token; certificates are the relay's own), and notes each request when it is sent on,
its status when the server answers, and when that answer is passed on. Times are time.perf_counter. It
judges what a leader may do: work is what is neither a read, nor about the Lease, nor an event.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import httptools

from benchmarks.relay import Dial, Relay


@dataclass(slots=True)
class Exchange:
    """One request. `status` 0 and times of infinity: not yet."""

    method: str
    path: str
    sent: float
    status: int = 0
    answered: float = float("inf")
    delivered: float = float("inf")

    @property
    def accepted(self) -> bool:
        """Say whether the server has done it."""
        return 200 <= self.status < 300

    @property
    def writes_lease(self) -> bool:
        """Say whether it is to write a Lease."""
        return self.method != "GET" and "/leases" in self.path

    @property
    def work(self) -> bool:
        """Say whether only a leader may do this."""
        return self.method != "GET" and "/leases" not in self.path and "/events" not in self.path


class Witness:
    """Sees all connections of one manager. `prefix` and `authorization` are added to what it asks."""

    def __init__(self, dial: Dial, prefix: str, authorization: str) -> None:
        self.relay = Relay(dial, lambda: _Line(self, prefix, authorization))
        self.exchanges: list[Exchange] = []

    def deadline(self, renew: float) -> float:
        """Return until when it may believe to lead: `renew` seconds after the last renewal it knows of."""
        known = (e.sent for e in self.exchanges if e.writes_lease and e.accepted and e.delivered < 1e300)
        return max(known, default=0.0) + renew

    def renewals(self, since: float) -> list[float]:
        """Return when it sent the renewals that were accepted."""
        return [e.sent for e in self.exchanges if e.writes_lease and e.accepted and e.sent >= since]

    def work(self, since: float) -> Iterator[Exchange]:
        """Return the accepted writes that were sent on after a moment."""
        return (e for e in self.exchanges if e.work and e.accepted and e.sent >= since)


class _Line:
    """One connection."""

    def __init__(self, witness: Witness, prefix: str, authorization: str) -> None:
        self._witness = witness
        self._prefix = prefix.encode()
        self._authorization = authorization.encode()
        self._requests = httptools.HttpRequestParser(_Asked(self))
        self._answers = httptools.HttpResponseParser(_Answered(self))
        self._out: list[bytes] = []
        self._open: deque[Exchange] = deque()
        self._undelivered: list[Exchange] = []

    def forwarded(self, data: bytes) -> bytes:
        self._requests.feed_data(data)
        out, self._out = b"".join(self._out), []
        return out

    def answered(self, data: bytes) -> None:
        self._answers.feed_data(data)

    def delivered(self) -> None:
        for exchange in self._undelivered:
            exchange.delivered = time.perf_counter()
        self._undelivered.clear()

    def asked(self, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if self._authorization:
            headers = [*headers, (b"Authorization", self._authorization)]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self._out.append(method + b" " + self._prefix + target + b" HTTP/1.1\r\n" + head + b"\r\n" + body)
        exchange = Exchange(method.decode(), target.decode().partition("?")[0], time.perf_counter())
        self._open.append(exchange)
        self._witness.exchanges.append(exchange)

    def status(self, status: int) -> None:
        if status < 200:
            return
        exchange = self._open.popleft()
        exchange.status, exchange.answered = status, time.perf_counter()
        self._undelivered.append(exchange)


class _Asked:
    """Callbacks of the parser of requests."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    def on_url(self, piece: bytes) -> None:
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)

    def on_message_complete(self) -> None:
        method = self._line._requests.get_method()
        self._line.asked(method, self._target, self._headers, b"".join(self._body))
        self._begin()


class _Answered:
    """Callbacks of the parser of answers."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def on_headers_complete(self) -> None:
        self._line.status(self._line._answers.get_status_code())

"""The `rest_client_*` metrics, under the names and buckets the ecosystem knows.

Bound methods of label children are kept: finding a child costs more than counting with it. The labels are
bounded: codes and methods are few, hosts come from configuration. reference: runtime §7.
"""

from __future__ import annotations

from collections.abc import Callable

from kcm.telemetry.metrics import Metrics

_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)

NO_ANSWER = "<error>"


class Instruments:
    """Counts the requests of one client."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests = metrics.counter(
            "rest_client_requests_total",
            "HTTP requests to the API server, by status code, method and host.",
            ("code", "method", "host"),
        )
        self._durations = metrics.histogram(
            "rest_client_request_duration_seconds",
            "Time from sending a request to its complete answer, by verb and host.",
            ("verb", "host"),
            _BUCKETS,
        )
        self._waits = metrics.histogram(
            "rest_client_rate_limiter_duration_seconds",
            "Time that a request waited for the client's own rate limit, by verb and host.",
            ("verb", "host"),
            _BUCKETS,
        )
        self._retries = metrics.counter(
            "rest_client_request_retries_total",
            "Requests that the client itself repeated, by the code that led to it, verb and host.",
            ("code", "verb", "host"),
        )
        self._count: dict[tuple[int, str, str], Callable[[], None]] = {}
        self._observe: dict[tuple[str, str], Callable[[float], None]] = {}

    def answered(self, code: int, method: str, host: str, seconds: float) -> None:
        """Count a request; `code` 0: no answer came."""
        count = self._count.get((code, method, host))
        if count is None:
            count = self._requests.labels(str(code) if code else NO_ANSWER, method, host).inc
            self._count[code, method, host] = count
        count()
        observe = self._observe.get((method, host))
        if observe is None:
            observe = self._observe[method, host] = self._durations.labels(method, host).observe
        observe(seconds)

    def waited(self, method: str, host: str, seconds: float) -> None:
        """Note a wait for the rate limit."""
        self._waits.labels(method, host).observe(seconds)

    def repeated(self, code: int, method: str, host: str) -> None:
        """Count a repeat; `code` 0: no answer came."""
        self._retries.labels(str(code) if code else NO_ANSWER, method, host).inc()

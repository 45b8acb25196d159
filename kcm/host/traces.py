"""The traces of one host: which reconciles are traced, and where the spans go.

Off, there is no tracer, and a reconcile costs nothing more. Guarantees: the collector gets no credentials
of the cluster; one that is away delays nothing, not even the host's end, by more than `LAST_SECONDS`.
Owns the connection to the collector.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kcm import __version__
from kcm.base.clock import Clock
from kcm.base.rng import Rng
from kcm.client.transport import Request, Transport
from kcm.host.messages import Configure
from kcm.telemetry.metrics import Metrics
from kcm.telemetry.otlp import SpanExporter
from kcm.telemetry.tracing import Tracer

PATH = "/v1/traces"
POST_SECONDS = 5.0
LAST_SECONDS = 0.5
_MOST_ANSWER = 64 * 1024
_HEADERS = (("Content-Type", "application/json"), ("User-Agent", f"kcm/{__version__}"))


class HostTraces:
    """Traces as a host was configured to. `collect` makes the connection to a collector."""

    def __init__(
        self,
        configure: Configure,
        collect: Callable[[str], Transport] | None,
        metrics: Metrics,
        clock: Clock,
        rng: Rng,
    ) -> None:
        self.tracer: Tracer | None = None
        self._exporter: SpanExporter | None = None
        settings = configure.tracing
        if collect is None or not settings.endpoint:
            return
        self._collector = collect(settings.endpoint)
        resource = {
            "service.name": "kcm",
            "service.version": __version__,
            "service.instance.id": f"{configure.instance}/{configure.host}/{configure.epoch}",
            "kcm.host": configure.host,
        }
        self._exporter = SpanExporter(self._post, resource, metrics)
        self.tracer = Tracer(settings.per_million, self._exporter.take, clock, rng)

    async def run(self) -> None:
        """Send spans until cancelled."""
        if self._exporter is not None:
            await self._exporter.run()

    async def finish(self) -> None:
        """Send what is left, if that takes no time to speak of."""
        if self._exporter is None:
            return
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._exporter.flush()
                await self._collector.close()
        except TimeoutError:
            pass

    async def _post(self, body: bytes) -> int:
        request = Request("POST", PATH, _HEADERS, body, timeout=POST_SECONDS, max_body=_MOST_ANSWER)
        return (await self._collector.send(request)).status

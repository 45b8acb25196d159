"""The manager's HTTP servers: the pages, and the probes on a port of their own if that is wanted.

Guarantees: listens before anything else starts and until all else has ended; a port that is taken
or a certificate that cannot be used is a ConfigurationError; certificates follow their files;
connections are bounded, and whoever holds many of them open keeps no probe out. Owns the sockets.
"""

from __future__ import annotations

import ssl

from kcm.base.clock import Clock
from kcm.base.errors import ConfigurationError
from kcm.config.schema import ServingConfig
from kcm.serving.certificates import ServerCertificate
from kcm.serving.http import Handler, HttpServer
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics

LOOK_SECONDS = 10.0
# Nothing that is sent here is large.
MOST_BODY = 64 * 1024
REQUEST_SECONDS = 10.0
PROBE_CONNECTIONS = 64

log = logger("manager")


class Frontage:
    """Serves `pages`, and `probes` alone where they have a port."""

    def __init__(
        self, serving: ServingConfig, pages: Handler, probes: Handler, metrics: Metrics, clock: Clock
    ) -> None:
        self._serving = serving
        self._clock = clock
        self._metrics = metrics
        self._certificate: ServerCertificate | None = None
        self._pages = _server(pages, serving.max_connections)
        self._probes = _server(probes, PROBE_CONNECTIONS)
        self.port = 0
        self.probe_port = 0

    async def start(self) -> None:
        """Listen. ConfigurationError naming the key when that is not possible."""
        serving = self._serving
        if not serving.enabled:
            return
        if serving.tls_cert_file:
            files = serving.tls_cert_file, serving.tls_key_file
            self._certificate = ServerCertificate(*files, self._metrics)
        context = self._certificate.context if self._certificate else None
        self.port = await self._listen(self._pages, "port", serving.port, context)
        log.info("serving", address=serving.address, port=self.port)
        if serving.probe_port is not None:
            self.probe_port = await self._listen(self._probes, "probePort", serving.probe_port, None)
            log.info("serving probes", address=serving.address, port=self.probe_port)

    async def run(self) -> None:
        """Follow the certificate's files, for ever."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            if self._certificate is not None:
                self._certificate.look()

    async def stop(self) -> None:
        """Stop listening and end what is open."""
        await self._pages.stop()
        await self._probes.stop()

    async def _listen(self, server: HttpServer, key: str, port: int, tls: ssl.SSLContext | None) -> int:
        try:
            return await server.start(self._serving.address, port, tls)
        except OSError as error:
            reason = f"cannot listen on {self._serving.address}:{port}: {error.strerror or error}"
            raise ConfigurationError("configuration", f"serving.{key}", reason) from error


def _server(handler: Handler, connections: int) -> HttpServer:
    return HttpServer(
        handler, max_body=MOST_BODY, max_connections=connections, request_seconds=REQUEST_SECONDS
    )

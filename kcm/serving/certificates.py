"""The server's certificate, from files that may be replaced while it serves.

Guarantees: the pair in force is always a whole one that fits; files that are torn, gone or do not
fit leave it as it is, and that is logged once and counted; connections that are open stay with
what they have. Owns the TLS context; whoever rotates owns the files.
"""

from __future__ import annotations

import os
import ssl

from kcm.base.errors import ConfigurationError
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics

log = logger("serving.certificates")

Mark = tuple[tuple[int, int, int], ...]


class ServerCertificate:
    """`context` serves what the files held when they last made sense."""

    def __init__(self, cert_file: str, key_file: str, metrics: Metrics) -> None:
        """Read the files; ConfigurationError when they cannot be used."""
        self._files = cert_file, key_file
        reloads = metrics.counter(
            "kcm_serving_certificate_reloads_total", "Changes of the server's certificate files.", ("result",)
        )
        self._taken, self._failed = (reloads.labels(result) for result in ("success", "failure"))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._seen = self._mark()
            self._load()
        except (OSError, ssl.SSLError) as error:
            reason = f"{cert_file} and {key_file} cannot be used: {error}"
            raise ConfigurationError("configuration", "serving.tlsCertFile", reason) from error

    def look(self) -> None:
        """Take what the files hold now, if they have changed and make sense."""
        try:
            mark = self._mark()
        except OSError:
            # Gone for a moment while they are swapped.
            return
        if mark == self._seen:
            return
        self._seen = mark
        try:
            self._load()
        except (OSError, ssl.SSLError) as error:
            self._failed.inc()
            log.error("certificate refused, the old one stays", file=self._files[0], error=str(error))
            return
        self._taken.inc()
        log.info("certificate in force", file=self._files[0])

    def _load(self) -> None:
        # First where nobody is served: a pair that does not fit would leave half of itself behind.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._files)
        self.context.load_cert_chain(*self._files)

    def _mark(self) -> Mark:
        states = [os.stat(file) for file in self._files]
        return tuple((state.st_mtime_ns, state.st_ino, state.st_size) for state in states)

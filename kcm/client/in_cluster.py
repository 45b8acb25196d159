"""The credentials of the pod that kcm runs in.

The kubelet puts a token that is replaced about hourly, and the cluster's authorities, into a
directory, and the server's address into the environment. Guarantees: both files are followed
while they change; a 401 makes the token be read again at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from kcm.base.clock import Clock
from kcm.base.errors import ConfigurationError
from kcm.client.credentials import Credentials
from kcm.client.token_file import pem_file, token_file

DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"


class InClusterCredentials:
    """A `CredentialSource`. `master`, if given, is used in place of the environment's address."""

    def __init__(
        self, clock: Clock, environment: Mapping[str, str], *, directory: str = DIRECTORY, master: str = ""
    ) -> None:
        host = environment.get("KUBERNETES_SERVICE_HOST", "")
        port = environment.get("KUBERNETES_SERVICE_PORT", "443")
        if not master and not host:
            raise ConfigurationError("environment", "KUBERNETES_SERVICE_HOST", "not set: this is not a pod")
        self._server = master or f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._token = token_file(
            os.path.join(directory, "token"), clock, where="service account", key="token"
        )
        self._authorities = pem_file(
            os.path.join(directory, "ca.crt"), clock, where="service account", key="ca.crt"
        )
        self._credentials = self._build()

    async def current(self) -> Credentials:
        return self._look(now=False)

    async def refresh(self) -> Credentials:
        return self._look(now=True)

    def _look(self, *, now: bool) -> Credentials:
        token, authorities = self._token.text, self._authorities.text
        if self._token.look(now=now) is not token or self._authorities.look(now=now) is not authorities:
            self._credentials = self._build()
        return self._credentials

    def _build(self) -> Credentials:
        return Credentials(
            server=self._server,
            ca_pem=self._authorities.text,
            authorization=f"Bearer {self._token.text}",
        )


def inside_a_pod(environment: Mapping[str, str], directory: str = DIRECTORY) -> bool:
    """Say whether the environment and the service account directory are those of a pod."""
    return bool(environment.get("KUBERNETES_SERVICE_HOST")) and os.path.exists(
        os.path.join(directory, "token")
    )

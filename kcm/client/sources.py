"""Which credentials to use: the one place that chooses.

A kubeconfig that was named wins, then KUBECONFIG, then the pod's service account, then
`--master` alone. Guarantees a `ConfigurationError` that says what was looked for when there is
nothing. The home directory's kubeconfig is not used: a daemon should not pick up by accident
what a person happens to be logged in to.
"""

from __future__ import annotations

from collections.abc import Mapping

from kcm.base.clock import Clock
from kcm.base.errors import ConfigurationError
from kcm.client.credentials import Credentials, CredentialSource, FixedCredentials, address_of
from kcm.client.exec_plugin import ExecPolicy
from kcm.client.in_cluster import DIRECTORY, InClusterCredentials, inside_a_pod
from kcm.client.kubeconfig import KubeconfigCredentials, kubeconfig_files


async def find_credentials(
    clock: Clock,
    environment: Mapping[str, str],
    *,
    kubeconfig: str = "",
    context: str = "",
    master: str = "",
    policy: ExecPolicy | None = None,
    allow_insecure: bool = False,
    service_account: str = DIRECTORY,
) -> CredentialSource:
    """Return the source for these settings. `ConfigurationError` names file, key and reason."""
    if master:
        address_of(master, "--master")
    files = kubeconfig_files(kubeconfig, environment)
    if files:
        return await KubeconfigCredentials.open(
            files,
            clock,
            environment,
            context=context,
            master=master,
            policy=policy,
            allow_insecure=allow_insecure,
        )
    if inside_a_pod(environment, service_account):
        return InClusterCredentials(clock, environment, directory=service_account, master=master)
    if master:
        return FixedCredentials(Credentials(server=master))
    raise ConfigurationError(
        "API server", "", "do not know where it is: this is not a pod; give --kubeconfig or --master"
    )

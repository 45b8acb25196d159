"""Get a valid id-token for a kubeconfig's oidc user: a program, run as a child.

`python -m kcm.client.oidc_reader` reads the auth-provider's config as JSON from its input and
prints `{"idToken": ...}` or `{"problem": ...}`. The `kubernetes` package does the work; it costs
35 MB and blocks, which is why it lives in a process that ends. Guarantees that the identity
provider's certificate is checked even where that package would not (reference: peers §2).
Writes nothing to the kubeconfig.
"""

from __future__ import annotations

import json
import ssl
import sys
from typing import Any


def main() -> int:
    """Read, refresh if needed, print. Exit code 0 unless the input is not ours."""
    config = json.load(sys.stdin)
    answer: dict[str, str]
    try:
        answer = {"idToken": _token(config)}
    except Exception as error:  # noqa: BLE001 - a process edge: any failure becomes one line for the parent
        answer = {"problem": f"{type(error).__name__}: {str(error)[:300]}"}
    sys.stdout.write(json.dumps(answer))
    return 0


def _token(config: dict[str, Any]) -> str:
    from kubernetes.config.kube_config import KubeConfigLoader  # noqa: PLC0415 - only this process pays for it

    if not config.get("idp-certificate-authority-data") and not config.get("idp-certificate-authority"):
        config["idp-certificate-authority"] = _system_authorities()
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://unused.invalid"}}],
        "users": [{"name": "u", "user": {"auth-provider": {"name": "oidc", "config": config}}}],
    }
    untyped: Any = KubeConfigLoader
    loader = untyped(config_dict=document)
    loader._load_authentication()
    token = str(getattr(loader, "token", "")).removeprefix("Bearer ")
    if not token:
        raise ValueError("the kubeconfig's id-token is not a JWT, or could not be refreshed")
    return token


def _system_authorities() -> str:
    path = ssl.get_default_verify_paths().cafile
    if path is None:
        raise ValueError("no certificate authorities to check the identity provider with")
    return path


if __name__ == "__main__":
    sys.exit(main())

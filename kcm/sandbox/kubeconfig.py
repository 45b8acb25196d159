"""The kubeconfig by which clients find the sandbox.

Cluster, user and context are all called kcm-sandbox. Guarantees: the file appears whole or not
at all, readable by its owner only; a file that holds anybody else's contexts is never
overwritten. The token in it is no secret where the sandbox lets everybody in; with `--secure` it holds
the administrator's certificate, and as the user kcm-sandbox-token its token.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kcm.base.errors import ConfigurationError

NAME = "kcm-sandbox"
_LARGEST = 1024 * 1024


def check_target(path: Path) -> None:
    """Raise ConfigurationError when a kubeconfig must not or cannot be written there."""
    if not path.parent.is_dir():
        raise ConfigurationError(str(path), "", "its directory does not exist; create it first")
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            content = yaml.safe_load(file.read(_LARGEST))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(path), "", f"cannot be replaced: {_first_line(error)}") from error
    if content is not None and _contexts(content) - {NAME}:
        raise ConfigurationError(str(path), "", "holds other contexts than kcm-sandbox; name another file")


@dataclass(frozen=True, slots=True)
class Credentials:
    """How the administrator of a secured sandbox proves to be one, as PEM and text."""

    ca: str
    certificate: str
    key: str = field(repr=False)
    token: str = field(repr=False)


def write(path: Path, server: str, credentials: Credentials | None = None) -> None:
    """Write the kubeconfig of the sandbox at `server`; OSError when the file system refuses."""
    cluster: dict[str, object] = {"server": server}
    users: list[dict[str, object]] = [{"name": NAME, "user": {"token": NAME}}]
    if credentials is not None:
        cluster["certificate-authority-data"] = _packed(credentials.ca)
        certificate = {
            "client-certificate-data": _packed(credentials.certificate),
            "client-key-data": _packed(credentials.key),
        }
        users = [
            {"name": NAME, "user": certificate},
            {"name": f"{NAME}-token", "user": {"token": credentials.token}},
        ]
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": users,
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME, "namespace": "default"}}],
        "current-context": NAME,
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            yaml.safe_dump(content, file, sort_keys=False)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _packed(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


def _contexts(content: object) -> set[object]:
    """Return the context names; a file that is no kubeconfig counts as somebody else's."""
    contexts = content.get("contexts") if isinstance(content, dict) else None
    if not isinstance(contexts, list):
        return {"not a kubeconfig"}
    return {str(each.get("name")) if isinstance(each, dict) else "" for each in contexts}


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]

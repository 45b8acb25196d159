"""What `--secure` needs before the first request: keys, certificates, the administrator's token.

`prepare` makes them anew, or takes up those of a data directory, so that tokens and kubeconfigs
stay good over a restart. Guarantees: secrets are written for their owner only, whole or not at all;
a one-line error when the package cryptography is missing. Does not serve.
"""

from __future__ import annotations

import importlib
import os
import secrets
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from kcm.base.errors import ConfigurationError
from kcm.sandbox.access.tokens import KEY_BYTES
from kcm.sandbox.access.users import ADMIN, MASTERS
from kcm.sandbox.api.gate import AccessSettings

_FILE = "access.json"
_LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Security:
    """The server's side of a secured sandbox, and the administrator's."""

    access: AccessSettings
    tls: ssl.SSLContext
    ca_pem: str
    admin_certificate: str
    admin_key: str = field(repr=False)
    admin_token: str = field(repr=False)


class _Kept(msgspec.Struct, frozen=True):
    """What stays over a restart."""

    certificate: str
    key: str
    token: str
    signing_key: bytes


def prepare(now: datetime, data_dir: Path | None) -> Security:
    """Return keys and certificates; ConfigurationError when they cannot be made, read or kept."""
    authority = _authority()
    path = data_dir / _FILE if data_dir is not None else None
    kept = _read(path) if path is not None and path.exists() else None
    if kept is None:
        pair = authority.Authority.create(now).pair
        token, key = secrets.token_urlsafe(KEY_BYTES), secrets.token_bytes(KEY_BYTES)
        kept = _Kept(pair.certificate, pair.key, token, key)
        if path is not None:
            _write(path, kept)
    try:
        root = authority.Authority(authority.KeyPair(kept.certificate, kept.key))
        access = AccessSettings(kept.certificate, kept.token, kept.signing_key)
        tls = authority.server_context(root.server(now), kept.certificate)
    except ValueError as error:
        raise ConfigurationError(str(path), "", f"holds no usable keys: {error}; remove it") from error
    admin = root.client(ADMIN.name, (MASTERS,), now)
    return Security(access, tls, kept.certificate, admin.certificate, admin.key, kept.token)


def _authority() -> Any:
    """Return the module that needs the package cryptography."""
    try:
        return importlib.import_module("kcm.sandbox.access.authority")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "cryptography":
            raise
        reason = "needs the package cryptography: pip install 'kcm[secure]'"
        raise ConfigurationError("--secure", "", reason) from error


def _read(path: Path) -> _Kept:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_LARGEST), type=_Kept)
    except (OSError, msgspec.MsgspecError) as error:
        reason = f"cannot be read: {str(error).partition(chr(10))[0]}; remove it to get new keys"
        raise ConfigurationError(str(path), "", reason) from error


def _write(path: Path, kept: _Kept) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(kept))
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(str(path), "", f"cannot be written: {error.strerror}") from error

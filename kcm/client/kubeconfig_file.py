"""Kubeconfig files: read, merged, checked, and boiled down to one way to log in.

Guarantees: nothing in a kubeconfig is obeyed before it was checked; every complaint names the
file, the key and the reason; files are bounded; YAML is loaded safely; of several files the
first that sets a value wins, and relative paths mean the directory of the file they stand in.
Reads files, runs nothing: plugins and identity providers are the business of others. A
kubeconfig decides what is run and whom we trust, so what is dangerous needs the caller's word.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import yaml

from kcm.base.errors import ConfigurationError
from kcm.client.credentials import address_of
from kcm.client.token_file import LONGEST_PEM, looks_like_token

_LONGEST_FILE = 4 * 1024 * 1024


class ExecVariable(msgspec.Struct, frozen=True):
    """One environment variable for a plugin."""

    name: str
    value: str = ""


class ExecPlugin(msgspec.Struct, frozen=True, rename="camel"):
    """A credential plugin as a kubeconfig names it. `directory` is where the file stands."""

    command: str
    api_version: str = "client.authentication.k8s.io/v1"
    args: tuple[str, ...] | None = None
    env: tuple[ExecVariable, ...] | None = None
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = "IfAvailable"
    directory: str = ""


class _AuthProvider(msgspec.Struct, frozen=True):
    name: str
    config: Mapping[str, str] | None = None


class _Cluster(msgspec.Struct, frozen=True, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class _User(msgspec.Struct, frozen=True, rename="kebab"):
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    username: str = ""
    password: str = ""
    exec: ExecPlugin | None = None
    auth_provider: _AuthProvider | None = None
    impersonate: str = msgspec.field(default="", name="as")


class _Context(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """One server and one way to log in there, as a kubeconfig names them.

    `where`: for complaints. `files`: all whose content this is made of, but for the token file.
    """

    where: str
    server: str
    ca_pem: str = ""
    tls_server_name: str = ""
    insecure: bool = False
    client_certificate_pem: str = ""
    client_key_pem: str = ""
    authorization: str = ""
    token_file: str = ""
    exec: ExecPlugin | None = None
    oidc: Mapping[str, str] | None = None
    files: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Login(where={self.where!r}, server={self.server!r})"


class _Entry(msgspec.Struct, frozen=True):
    """A named value, and the file it stands in."""

    file: str
    key: str
    value: Any


class _Merged:
    """Several files as one: the first to name a thing wins."""

    def __init__(self, files: Sequence[str]) -> None:
        self.where = files[0]
        self.files = list(files)
        self.current = ""
        self.entries: dict[tuple[str, str], _Entry] = {}
        for file in files:
            self._add(file, _load(file))

    def _add(self, file: str, document: Mapping[str, Any]) -> None:
        current = document.get("current-context") or ""
        if not isinstance(current, str):
            raise ConfigurationError(file, "current-context", "must be text")
        if not self.current and current:
            self.current = current
            self.where = file
        for section, field in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            items = document.get(section) or []
            if not isinstance(items, list):
                raise ConfigurationError(file, section, "must be a list")
            for number, item in enumerate(items):
                key = f"{section}[{number}]"
                if not isinstance(item, dict) or not isinstance(item.get("name"), str):
                    raise ConfigurationError(file, key, "must have a name")
                entry = _Entry(file, f"{key}.{field}", item.get(field) or {})
                self.entries.setdefault((section, item["name"]), entry)


def read_kubeconfig(
    files: Sequence[str], *, context: str = "", master: str = "", allow_insecure: bool = False
) -> Login:
    """Return the login of `context`, or of the current-context. Blocks on files.

    `master` overrides the server. Raises `ConfigurationError`, also for what is refused:
    insecure-skip-tls-verify without `allow_insecure`, proxies, impersonation, old plugins.
    """
    merged = _Merged(files)
    name = context or merged.current
    if not name:
        raise ConfigurationError(merged.where, "current-context", "not set: say which context to use")
    entry = merged.entries.get(("contexts", name))
    if entry is None:
        raise ConfigurationError(merged.where, "contexts", f"has no context {name!r}")
    chosen = _typed(entry, _Context)
    cluster = _cluster(merged, entry, chosen, master, allow_insecure)
    return msgspec.structs.replace(_user(merged, entry, chosen, cluster), files=tuple(merged.files))


def _cluster(merged: _Merged, context: _Entry, chosen: _Context, master: str, allow_insecure: bool) -> Login:
    entry = merged.entries.get(("clusters", chosen.cluster))
    if entry is None:
        raise ConfigurationError(
            context.file, f"{context.key}.cluster", f"there is no cluster {chosen.cluster!r}"
        )
    cluster = _typed(entry, _Cluster)
    server = master or cluster.server
    if not server:
        raise ConfigurationError(entry.file, f"{entry.key}.server", "not set")
    address_of(server, "--master" if master else entry.file)
    if cluster.proxy_url:
        raise ConfigurationError(entry.file, f"{entry.key}.proxy-url", "kcm does not use proxies")
    if cluster.insecure_skip_tls_verify and not allow_insecure:
        raise ConfigurationError(
            entry.file,
            f"{entry.key}.insecure-skip-tls-verify",
            "refused: anyone between here and the server could read the credentials; "
            "give the certificate-authority, or set client.allowInsecureTls",
        )
    return Login(
        where=context.file,
        server=server,
        ca_pem=_pem(
            merged,
            entry,
            "certificate-authority",
            cluster.certificate_authority_data,
            cluster.certificate_authority,
        ),
        tls_server_name=cluster.tls_server_name,
        insecure=cluster.insecure_skip_tls_verify,
    )


def _user(merged: _Merged, context: _Entry, chosen: _Context, login: Login) -> Login:
    if not chosen.user:
        return login
    entry = merged.entries.get(("users", chosen.user))
    if entry is None:
        raise ConfigurationError(context.file, f"{context.key}.user", f"there is no user {chosen.user!r}")
    user = _typed(entry, _User)
    if user.impersonate:
        raise ConfigurationError(entry.file, f"{entry.key}.as", "kcm does not impersonate")
    certificate = _pem(
        merged, entry, "client-certificate", user.client_certificate_data, user.client_certificate
    )
    private_key = _pem(merged, entry, "client-key", user.client_key_data, user.client_key)
    if bool(certificate) != bool(private_key):
        raise ConfigurationError(entry.file, entry.key, "client-certificate and client-key belong together")
    login = msgspec.structs.replace(login, client_certificate_pem=certificate, client_key_pem=private_key)
    return _secret(entry, user, login)


def _secret(entry: _Entry, user: _User, login: Login) -> Login:
    """Add what goes into the Authorization header; of several ways the first in this order."""
    if user.token_file:
        return msgspec.structs.replace(login, token_file=_absolute(entry.file, user.token_file))
    if user.token:
        if not looks_like_token(user.token):
            raise ConfigurationError(entry.file, f"{entry.key}.token", "has characters no token has")
        return msgspec.structs.replace(login, authorization=f"Bearer {user.token}")
    if user.auth_provider is not None:
        if user.auth_provider.name != "oidc":
            reason = f"{user.auth_provider.name!r} is not supported any more: use an exec plugin"
            raise ConfigurationError(entry.file, f"{entry.key}.auth-provider", reason)
        return msgspec.structs.replace(login, oidc=user.auth_provider.config or {})
    if user.exec is not None:
        directory = os.path.dirname(os.path.abspath(entry.file))
        return msgspec.structs.replace(login, exec=msgspec.structs.replace(user.exec, directory=directory))
    if user.username:
        pair = base64.b64encode(f"{user.username}:{user.password}".encode()).decode("ascii")
        return msgspec.structs.replace(login, authorization=f"Basic {pair}")
    return login


def _load(file: str) -> Mapping[str, Any]:
    try:
        with open(file, "rb") as opened:
            text = opened.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise ConfigurationError(file, "", f"cannot be read: {error.strerror}") from None
    if len(text) > _LONGEST_FILE:
        raise ConfigurationError(file, "", f"is longer than {_LONGEST_FILE} bytes: not a kubeconfig")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(file, "", f"is not YAML{line}") from None
    if not isinstance(document, dict):
        raise ConfigurationError(file, "", "is not a kubeconfig: it must be a mapping")
    if document.get("kind", "Config") != "Config":
        raise ConfigurationError(file, "kind", "is not a kubeconfig: kind must be Config")
    return document


def _typed(entry: _Entry, type_: type[Any]) -> Any:
    try:
        return msgspec.convert(entry.value, type_)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        raise ConfigurationError(entry.file, entry.key + place.rstrip("`"), reason) from None


def _pem(merged: _Merged, entry: _Entry, key: str, data: str, path: str) -> str:
    """Return PEM text given in place as base64, or in a file; data wins, as in kubectl."""
    where = f"{entry.key}.{key}"
    if data:
        try:
            return base64.b64decode(data, validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            raise ConfigurationError(entry.file, f"{where}-data", "is not base64 of PEM") from None
    if not path:
        return ""
    file = _absolute(entry.file, path)
    merged.files.append(file)
    try:
        with open(file, "rb") as opened:
            return opened.read(LONGEST_PEM).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not PEM"
        raise ConfigurationError(entry.file, where, f"{file}: {reason}") from None


def _absolute(file: str, path: str) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(file)), os.path.expanduser(path))

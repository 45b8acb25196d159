"""Credentials from a kubeconfig: certificates, tokens, token files, plugins, OIDC.

`KubeconfigCredentials.open` checks the files and the policy at once, without running anything;
the first `current()` runs the plugin, if there is one. Guarantees: files, plugins and identity
providers are waited for beside the event loop; the files are followed: another certificate, authority
or token in them is used within `CHECK_SECONDS`, or at once after a refusal, and what is torn or does not
fit together leaves the last good content in force; one refresh runs at a time and all who need it
share it; what expires is renewed `AHEAD` seconds before; when renewing fails, what has not yet
expired stays in use. Whoever owns the source calls `current()` every few seconds from a task of
its own: that renews without a request's time-out, and shows when hosts need new ones. Another *way*
to log in (a plugin, say) is not taken up while running. Owns the present credentials.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from kcm.base.clock import Clock
from kcm.base.errors import ConfigurationError
from kcm.client.credentials import Credentials, ssl_context
from kcm.client.exec_plugin import ExecPolicy, check_plugin, run_plugin
from kcm.client.kubeconfig_file import Login, read_kubeconfig
from kcm.client.token_file import CHECK_SECONDS, WatchedFile, looks_like_token, token_file
from kcm.client.transport import NotSent
from kcm.telemetry.logging import logger

log = logger("client.credentials")

AHEAD = timedelta(seconds=60)
PLUGIN_TIMEOUT = 30.0

_BETWEEN_FAILURES = 5.0


class KubeconfigCredentials:
    """A `CredentialSource`."""

    def __init__(
        self,
        login: Login,
        policy: ExecPolicy,
        clock: Clock,
        environment: Mapping[str, str],
        read: Callable[[], Login] | None = None,
    ) -> None:
        """`read` reads the files again; None: they are not followed."""
        self._read = read
        # They may have changed since they were read: the first look reads them again.
        self._stamps: tuple[tuple[int, int, int] | None, ...] = ()
        self._looked_at = clock.monotonic()
        self._following = False
        self._complained = False
        self._login = login
        self._clock = clock
        self._environment = environment
        self._renewing = asyncio.Lock()
        self._failed_at = -_BETWEEN_FAILURES
        self._failure = ""
        self._token_file: WatchedFile | None = None
        self._plugin_path = ""
        if login.token_file:
            self._token_file = token_file(login.token_file, clock, where=login.where, key="tokenFile")
        if login.exec is not None:
            check_plugin(login.exec, login.where)
            self._plugin_path = policy.resolve(login.exec, login.where)
        self._credentials = self._plain()
        if self._credentials.server.startswith("https"):
            ssl_context(self._credentials)  # wrong PEM is a configuration error now, not a failure later
        self._valid = login.exec is None and login.oidc is None

    @classmethod
    async def open(
        cls,
        files: Sequence[str],
        clock: Clock,
        environment: Mapping[str, str],
        *,
        context: str = "",
        master: str = "",
        policy: ExecPolicy | None = None,
        allow_insecure: bool = False,
    ) -> KubeconfigCredentials:
        """Read and check the files. `ConfigurationError` names file, key and reason."""

        def read() -> Login:
            return read_kubeconfig(files, context=context, master=master, allow_insecure=allow_insecure)

        login = await asyncio.to_thread(read)
        return cls(login, policy or ExecPolicy(), clock, environment, read)

    async def current(self) -> Credentials:
        await self._follow_files(now=False)
        if self._token_file is not None:
            self._follow(now=False)
            return self._credentials
        expires = self._credentials.expires
        if self._valid and (expires is None or self._clock.wall() < expires - AHEAD):
            return self._credentials
        if self._valid and self._renewing.locked() and self._holds():
            return self._credentials  # somebody is at it; these still serve
        return await self._renew(self._credentials)

    async def refresh(self) -> Credentials:
        await self._follow_files(now=True)
        if self._token_file is not None:
            self._follow(now=True)
            return self._credentials
        if self._login.exec is None and self._login.oidc is None:
            return self._credentials
        return await self._renew(self._credentials, refused=True)

    def _follow(self, *, now: bool) -> None:
        assert self._token_file is not None
        before = self._token_file.text
        if self._token_file.look(now=now) is not before:
            self._credentials = self._plain()

    async def _follow_files(self, *, now: bool) -> None:
        """Take over what has changed in the files that the login is made of."""
        time = self._clock.monotonic()
        if self._read is None or self._following or (not now and time - self._looked_at < CHECK_SECONDS):
            return
        self._looked_at = time
        stamps = _stamps_of(self._login.files)
        if stamps == self._stamps:
            return
        self._following = True
        try:
            self._adopt(await asyncio.to_thread(self._read))
        except ConfigurationError as error:
            if not self._complained:
                log.warning("kubeconfig cannot be used, keeping what it said before", error=str(error))
            self._complained = True
        else:
            self._stamps = stamps
            self._complained = False
        finally:
            self._following = False

    def _adopt(self, login: Login) -> None:
        old = self._login
        if (login.exec, login.oidc, login.token_file) != (old.exec, old.oidc, old.token_file):
            raise ConfigurationError(login.where, "users", "another way to log in: restart kcm for that")
        candidate = _with_login(self._credentials, login, keep=bool(login.exec or login.oidc))
        if self._token_file is not None:
            candidate = msgspec.structs.replace(candidate, authorization=f"Bearer {self._token_file.text}")
        if candidate.server.startswith("https"):
            # A certificate that came before its key is no pair yet.
            ssl_context(candidate)
        self._login = login
        if candidate != self._credentials:
            self._credentials = candidate
            log.info("kubeconfig has changed", file=login.where)

    async def _renew(self, stale: Credentials, *, refused: bool = False) -> Credentials:
        """Get new ones, unless somebody else did while we waited for the lock."""
        async with self._renewing:
            if self._credentials is not stale:
                return self._credentials
            usable = self._valid and not refused and self._holds()
            if self._clock.monotonic() - self._failed_at < _BETWEEN_FAILURES:
                if usable:
                    return stale
                raise NotSent(f"no credentials: {self._failure}")
            try:
                self._credentials = await self._fetch()
            except NotSent as error:
                self._failed_at = self._clock.monotonic()
                self._failure = str(error)
                if usable:
                    return stale
                raise
            self._valid = True
            return self._credentials

    def _holds(self) -> bool:
        expires = self._credentials.expires
        return expires is None or self._clock.wall() < expires

    async def _fetch(self) -> Credentials:
        plain = self._plain()
        login = self._login
        if login.exec is not None:
            answer = await run_plugin(self._plugin_path, login.exec, login, self._environment, PLUGIN_TIMEOUT)
            return msgspec.structs.replace(
                plain,
                authorization=f"Bearer {answer.token}" if answer.token else "",
                client_certificate_pem=answer.client_certificate_pem or plain.client_certificate_pem,
                client_key_pem=answer.client_key_pem or plain.client_key_pem,
                expires=answer.expires,
            )
        token = await _oidc_token(login.oidc or {})
        return msgspec.structs.replace(plain, authorization=f"Bearer {token}", expires=_expiry(token))

    def _plain(self) -> Credentials:
        credentials = _with_login(Credentials(server=self._login.server), self._login, keep=False)
        if self._token_file is not None:
            return msgspec.structs.replace(credentials, authorization=f"Bearer {self._token_file.text}")
        return credentials


def _with_login(credentials: Credentials, login: Login, *, keep: bool) -> Credentials:
    """Return them with what the files say. `keep`: but for what a plugin or provider has given."""
    changed = msgspec.structs.replace(
        credentials,
        server=login.server,
        ca_pem=login.ca_pem,
        tls_server_name=login.tls_server_name,
        insecure=login.insecure,
    )
    if keep:
        return changed
    return msgspec.structs.replace(
        changed,
        authorization=login.authorization,
        client_certificate_pem=login.client_certificate_pem,
        client_key_pem=login.client_key_pem,
    )


def _stamps_of(files: Sequence[str]) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what changes when a file does; None for one that is not there."""

    def stamp(file: str) -> tuple[int, int, int] | None:
        try:
            status = os.stat(file)
        except OSError:
            return None
        return (status.st_ino, status.st_mtime_ns, status.st_size)

    return tuple(map(stamp, files))


class _OidcAnswer(msgspec.Struct, frozen=True, rename="camel"):
    id_token: str = ""
    problem: str = ""


async def _oidc_token(config: Mapping[str, str]) -> str:
    """Let a child process get the token: the library it needs is large and blocks."""
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "kcm.client.oidc_reader",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise NotSent(f"OIDC: the token reader cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(PLUGIN_TIMEOUT):
            output, _ = await process.communicate(msgspec.json.encode(config))
        answer = msgspec.json.decode(output, type=_OidcAnswer)
    except TimeoutError:
        raise NotSent(f"OIDC: no token within {PLUGIN_TIMEOUT:g}s") from None
    except msgspec.MsgspecError:
        raise NotSent("OIDC: the token reader failed") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if not looks_like_token(answer.id_token):
        raise NotSent(f"OIDC: no token: {answer.problem}")
    return answer.id_token


class _Claims(msgspec.Struct, frozen=True):
    exp: float | None = None


def _expiry(token: str) -> datetime | None:
    """Return when a JWT says that it expires; None when it does not say. Nothing is verified."""
    try:
        middle = token.split(".")[1]
        claims = msgspec.json.decode(
            base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)), type=_Claims
        )
        return datetime.fromtimestamp(claims.exp, UTC) if claims.exp is not None else None
    except (IndexError, ValueError, OverflowError, OSError, binascii.Error, msgspec.MsgspecError):
        return None


def kubeconfig_files(given: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the files to read: the one given, else those of KUBECONFIG that exist, else none."""
    if given:
        return (os.path.expanduser(given),)
    listed = [path for path in environment.get("KUBECONFIG", "").split(os.pathsep) if path]
    # kubectl too passes over missing files of the list; a single missing one is an error.
    present = [path for path in listed if os.path.exists(path)]
    return tuple(present or listed[:1])

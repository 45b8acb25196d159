"""Service account tokens: signed JSON web tokens with the claims that Kubernetes puts in.

`TokenSigner` makes and reads them (HS256, one key). Guarantees: what `read` returns was signed
with this key by this issuer, is valid now and is meant for one of the wanted audiences; anything
else is a `BadToken`, and no input makes it fail otherwise. Whether the service account still
exists is the caller's to ask. The key is a secret: it is never shown.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from kcm.base.errors import KcmError
from kcm.sandbox.access.users import account_name

ISSUER = "https://kubernetes.default.svc"
AUDIENCE = ISSUER
KEY_BYTES = 32
_LONGEST = 16 * 1024
# Clocks of issuer and reader may differ by this much (seconds).
_LEEWAY = 60


class BadToken(KcmError):
    """The token proves nothing."""


class Reference(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object that a token is bound to."""

    name: str = ""
    uid: str = ""


class Bound(msgspec.Struct, frozen=True, omit_defaults=True):
    """The claim `kubernetes.io`."""

    namespace: str = ""
    serviceaccount: Reference = Reference()
    pod: Reference | None = None
    node: Reference | None = None
    secret: Reference | None = None


class Claims(msgspec.Struct, frozen=True):
    """What a token says. Times are seconds since 1970."""

    aud: tuple[str, ...]
    exp: int
    iat: int
    iss: str
    jti: str
    bound: Bound = msgspec.field(name="kubernetes.io")
    nbf: int
    sub: str


_HEADER = {"alg": "HS256", "typ": "JWT"}
_decode = msgspec.json.Decoder(Claims).decode


class TokenSigner:
    """Signs and reads tokens with one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise ValueError("a signing key has at least 32 bytes")
        self._key = key

    def sign(
        self, bound: Bound, audiences: tuple[str, ...], now: datetime, seconds: int, token_id: str
    ) -> str:
        """Return a token for a service account that is valid for `seconds` from now."""
        begins = int(now.timestamp())
        subject = account_name(bound.namespace, bound.serviceaccount.name)
        claims = Claims(audiences, begins + seconds, begins, ISSUER, token_id, bound, begins, subject)
        signed = f"{_packed(_HEADER)}.{_packed(claims)}"
        return f"{signed}.{_encode(self._signature(signed))}"

    def read(self, token: str, now: datetime, audiences: Iterable[str] = (AUDIENCE,)) -> Claims:
        """Return the claims of a valid token; BadToken otherwise."""
        if len(token) > _LONGEST:
            raise BadToken("the token is too long")
        signed, dot, signature = token.rpartition(".")
        if not dot or not hmac.compare_digest(self._signature(signed), _bytes(signature)):
            raise BadToken("invalid bearer token")
        try:
            claims = _decode(_bytes(signed.partition(".")[2]))
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BadToken("invalid bearer token") from error
        moment = now.timestamp()
        if moment > claims.exp + _LEEWAY:
            raise BadToken("service account token has expired")
        if moment < claims.nbf - _LEEWAY:
            raise BadToken("service account token is not valid yet")
        if not set(audiences) & set(claims.aud):
            shown = " ".join(claims.aud)
            raise BadToken(
                f"token audiences [{shown}] is invalid for the target audiences {_shown(audiences)}"
            )
        return claims

    def _signature(self, signed: str) -> bytes:
        return hmac.new(self._key, signed.encode("utf-8", "replace"), hashlib.sha256).digest()


def _shown(audiences: Iterable[str]) -> str:
    return f"[{' '.join(audiences)}]"


def _packed(value: Any) -> str:
    return _encode(msgspec.json.encode(value))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Return what base64url text holds, nothing when it is none."""
    try:
        return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""

"""The gate: who sends a request, whether it may be done, and what was decided.

`Gate.admit` authenticates (client certificate, bearer token, else anonymous), lets one user act as
another, and asks the roles that are stored. Guarantees: 401 for a token that proves nothing, 403 in
the server's words otherwise; a service account's token opens nothing once the account, or the pod
it is bound to, is gone or another of that name; stored roles count from the request after the write. Reads
the store, never writes. Owns the policy made from it and the memory of tokens.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kcm.base.clock import Clock
from kcm.sandbox.access.policy import Policy, Verdict
from kcm.sandbox.access.rules import Rule, Wish, describe, unused
from kcm.sandbox.access.tokens import AUDIENCE, KEY_BYTES, BadToken, Bound, Claims, Reference, TokenSigner
from kcm.sandbox.access.users import (
    ADMIN,
    AUTHENTICATED,
    CREDENTIAL_ID,
    NOBODY,
    User,
    account_groups,
    account_name,
)
from kcm.sandbox.api.errors import ApiFailure
from kcm.sandbox.api.impersonation import impersonated, wanted_user
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.api.wishes import forbidden_wish, wish_of
from kcm.serving.http import ClientCertificate, Request

RBAC = "rbac.authorization.k8s.io"
_POLICY_PLURALS = ("clusterrolebindings", "clusterroles", "rolebindings", "roles")
_MOST_TOKENS = 1000
_EXTRA = "authentication.kubernetes.io/"


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """What a server knows of its users before anybody has come.

    `ca_pem` is shown to pods, so that they trust the server; "" when it serves no TLS. `admin_token`
    is the administrator's, "" for none. The signing key decides which service account tokens are valid.
    """

    ca_pem: str = ""
    admin_token: str = field(default="", repr=False)
    signing_key: bytes = field(default_factory=lambda: secrets.token_bytes(KEY_BYTES), repr=False)


class Decision(NamedTuple):
    """One thing that was allowed or refused. `path` is set instead of a resource for other URLs."""

    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    path: str
    allowed: bool

    @property
    def wish(self) -> Wish:
        """Return what was asked for."""
        return Wish(
            self.verb, self.group, self.resource, self.subresource, self.namespace, self.name, self.path
        )


class Gate:
    """Authentication and authorization of one server."""

    def __init__(self, store: Store, settings: AccessSettings, clock: Clock) -> None:
        self.signer = TokenSigner(settings.signing_key)
        self._store = store
        self._admin_token = settings.admin_token.encode()
        self._clock = clock
        self._policy = Policy()
        self._sources = [store.collection(RBAC, plural) for plural in _POLICY_PLURALS]
        self._read: list[dict[str, Record]] = [{} for _ in self._sources]
        self._position: list[int] = []
        self._tokens: dict[str, tuple[Claims, User]] = {}
        self._decisions: set[Decision] | None = None

    def record(self) -> set[Decision]:
        """Keep what is decided from now on; the set grows as requests come."""
        self._decisions = set()
        return self._decisions

    def admit(self, request: Request) -> User:
        """Return who the request is to be served for; ApiFailure 401, 403 or 400 when it is not."""
        user = self.authenticate(request)
        wish = wish_of(request)
        if "impersonate-user" in request.headers or _partial(request):
            user = impersonated(user, wanted_user(request), wish, self.permit)
        self.demand(user, wish)
        return user

    def admit_as(self, request: Request) -> User:
        """Do as `admit` where nobody is asked who they are: everybody is the administrator."""
        if "impersonate-user" not in request.headers and not _partial(request):
            return ADMIN
        wish = wish_of(request)
        user = impersonated(ADMIN, wanted_user(request), wish, self.permit)
        self.demand(user, wish)
        return user

    def demand(self, user: User, wish: Wish) -> None:
        """Raise 403 unless the user may have its wish."""
        verdict = self.permit(user, wish)
        if not verdict.allowed:
            raise forbidden_wish(user, wish, verdict.reason)

    def permit(self, user: User, wish: Wish) -> Verdict:
        """Say whether the user may have its wish, and remember that it was asked."""
        verdict = self.policy.decide(user, wish)
        if self._decisions is not None:
            verb, group, resource, subresource, namespace, name, path = wish
            self._decisions.add(
                Decision(
                    user.name, verb, group, resource, subresource, namespace, name, path, verdict.allowed
                )
            )
        return verdict

    @property
    def policy(self) -> Policy:
        """Return the policy that the stored roles and bindings make now."""
        position = [source.history.end for source in self._sources]
        if position != self._position:
            for source, read in zip(self._sources, self._read, strict=True):
                self._take_in(source, read)
            self._position = position
        return self._policy

    def unused_grants(
        self, user: User, decisions: Iterable[Decision], namespaces: Sequence[str]
    ) -> list[str]:
        """Return what the roles bound to a user grant in these namespaces ("": all) and nobody used."""
        wishes = [one.wish for one in decisions if one.allowed and one.user == user.name]
        granted: list[Rule] = []
        for namespace in namespaces:
            granted += self.policy.rules_of(user, namespace)[0]
        return describe(dict.fromkeys(unused(granted, wishes)))

    # Who it is.

    def authenticate(self, request: Request) -> User:
        """Return who sends the request; 401 for a token that proves nothing."""
        if request.certificate is not None:
            return _certified(request.certificate)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return NOBODY
        try:
            return self.bearer(token.strip())[0]
        except BadToken as error:
            raise ApiFailure(401, "Unauthorized", "Unauthorized") from error

    def bearer(self, token: str, audiences: tuple[str, ...] = (AUDIENCE,)) -> tuple[User, tuple[str, ...]]:
        """Return whose token it is and for which of the audiences; BadToken when it proves nothing."""
        if self._admin_token and hmac.compare_digest(token.encode("utf-8", "replace"), self._admin_token):
            return ADMIN, audiences
        now = self._clock.wall()
        claims, user = self._tokens.get(token, (None, NOBODY))
        # The signature of a known token need not be computed again; its time must be looked at.
        if claims is None or now.timestamp() >= claims.exp or audiences != (AUDIENCE,):
            claims = self.signer.read(token, now, audiences)
            user = _account(claims)
            if AUDIENCE in claims.aud:
                if len(self._tokens) >= _MOST_TOKENS:
                    self._tokens.clear()
                self._tokens[token] = (claims, user)
        self._check_bound(claims.bound)
        return user, tuple(one for one in audiences if one in claims.aud)

    def _check_bound(self, bound: Bound) -> None:
        """Raise BadToken unless all that the token is bound to is there, and is the same."""
        self._check_same("serviceaccounts", bound.namespace, bound.serviceaccount)
        for plural, reference in (("pods", bound.pod), ("secrets", bound.secret)):
            if reference is not None:
                self._check_same(plural, bound.namespace, reference)

    def _check_same(self, plural: str, namespace: str, reference: Reference) -> None:
        record = self._store.collection("", plural).records.get(f"{namespace}/{reference.name}")
        if record is None:
            raise BadToken(f'{plural} "{reference.name}" not found')
        if record.uid != reference.uid:
            raise BadToken(f"{plural} UID ({record.uid}) does not match claim ({reference.uid})")
        if record.deleting and plural == "serviceaccounts":
            raise BadToken(f"service account {namespace}/{reference.name} has been deleted")

    def _take_in(self, source: Collection, read: dict[str, Record]) -> None:
        """Tell the policy what has changed in one collection since the last time."""
        for key in [key for key in read if key not in source.records]:
            gone = read.pop(key)
            self._policy.remove(_KINDS[source.plural], (gone.namespace, gone.name))
        for key, record in source.records.items():
            if read.get(key) is not record:
                read[key] = record
                self._policy.put(record.copy())


_KINDS = {
    "clusterrolebindings": "ClusterRoleBinding",
    "clusterroles": "ClusterRole",
    "rolebindings": "RoleBinding",
    "roles": "Role",
}


def _partial(request: Request) -> bool:
    """Say whether a request would be somebody else's in part, without a user name: an error."""
    headers = request.headers
    return "impersonate-group" in headers or "impersonate-uid" in headers


def _certified(certificate: ClientCertificate) -> User:
    extra = ((CREDENTIAL_ID, (f"X509SHA256={certificate.fingerprint}",)),)
    groups = (*certificate.organizations, AUTHENTICATED)
    return User(certificate.common_name, groups, extra=extra)


def _account(claims: Claims) -> User:
    bound = claims.bound
    extra = [(CREDENTIAL_ID, (f"JTI={claims.jti}",))]
    for kind, reference in (("node", bound.node), ("pod", bound.pod)):
        if reference is not None:
            extra.append((f"{_EXTRA}{kind}-name", (reference.name,)))
            if reference.uid:
                extra.append((f"{_EXTRA}{kind}-uid", (reference.uid,)))
    account = bound.serviceaccount
    groups = (*account_groups(bound.namespace), AUTHENTICATED)
    return User(account_name(bound.namespace, account.name), groups, account.uid, tuple(sorted(extra)))

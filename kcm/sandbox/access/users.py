"""Who sends a request, as a value: name, uid, groups, extra.

Guarantees: a `User` is hashable, so that what was decided about it can be remembered. The
names that Kubernetes reserves are here and nowhere else. Owns no state.
"""

from __future__ import annotations

from dataclasses import dataclass

from kcm.sandbox.schema.validation import names

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
NODES = "system:nodes"
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"

_ACCOUNT = "system:serviceaccount:"
_ACCOUNTS = "system:serviceaccounts"
_NODE = "system:node:"


@dataclass(frozen=True, slots=True)
class User:
    """`user.Info`. `extra` holds pairs of a key and its values."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def is_master(self) -> bool:
        """Say whether no rule binds this user: a member of system:masters may do everything."""
        return MASTERS in self.groups


# Whom a sandbox that asks nobody takes everybody for, and whom its administrator's credentials name.
ADMIN = User("system:admin", (MASTERS, AUTHENTICATED))
NOBODY = User(ANONYMOUS, (UNAUTHENTICATED,))


def account_name(namespace: str, name: str) -> str:
    """Return the user name of a service account."""
    return f"{_ACCOUNT}{namespace}:{name}"


def account_groups(namespace: str) -> tuple[str, ...]:
    """Return the groups that every service account of a namespace is in."""
    return (_ACCOUNTS, f"{_ACCOUNTS}:{namespace}")


def account_of(username: str) -> tuple[str, str] | None:
    """Return namespace and name of the service account that a user name means, None for others."""
    if not username.startswith(_ACCOUNT):
        return None
    namespace, colon, name = username.removeprefix(_ACCOUNT).partition(":")
    if not colon or names.label(namespace) or names.subdomain(name):
        return None
    return namespace, name


def node_of(username: str) -> str:
    """Return the node that a user name means, "" for others."""
    return username.removeprefix(_NODE) if username.startswith(_NODE) else ""

"""One user acting as another, where the roles let it: the Impersonate-* headers.

A Kubernetes 1.36 server asks for the narrow permissions first (`impersonate:user-info` and its
like, together with `impersonate-on:user-info:list`), then for the old `impersonate`; the refusal is
of the first that was asked. Nodes that impersonate themselves are not told apart. Owns no state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import unquote

from kcm.sandbox.access.policy import Verdict
from kcm.sandbox.access.rules import Wish
from kcm.sandbox.access.users import (
    ANONYMOUS,
    AUTHENTICATED,
    NODES,
    UNAUTHENTICATED,
    User,
    account_groups,
    account_of,
    node_of,
)
from kcm.sandbox.api.errors import ApiFailure, bad_request
from kcm.sandbox.api.wishes import forbidden_wish
from kcm.serving.http import Request

Permit = Callable[[User, Wish], Verdict]

_EXTRA = "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"
_OLD = ""


def wanted_user(request: Request) -> User:
    """Return whom a request wants to be, as its headers have it; 400 without a name."""
    headers = request.headers
    name, uid = headers.get("impersonate-user", ""), headers.get("impersonate-uid", "")
    groups = _values(headers.get("impersonate-group", ""))
    extra = tuple(
        (unquote(key.removeprefix(_EXTRA)), _values(text))
        for key, text in sorted(headers.items())
        if key.startswith(_EXTRA)
    )
    if not name:
        listed = f"{{{', '.join(map(json.dumps, groups))}}}" if groups else "(nil)"
        shown = f'Name:"", UID:{json.dumps(uid)}, Groups:[]string{listed}, Extra:map[string][]string(nil)'
        raise bad_request(f"requested &user.DefaultInfo{{{shown}}} without impersonating a user name")
    return User(name, groups, uid, extra)


def _values(text: str) -> tuple[str, ...]:
    """Return the values of a header that may be repeated."""
    return tuple(text.split(", ")) if text else ()


def impersonated(requestor: User, wanted: User, wish: Wish, permit: Permit) -> User:
    """Return the user that a request is served for; 403 unless the requestor may be that user."""
    first: ApiFailure | None = None
    for mode in _modes(wanted):
        refused = _refused(requestor, wanted, wish, mode, permit)
        if refused is None:
            return _completed(wanted, mode)
        first = first or refused
    assert first is not None
    raise first


def _modes(wanted: User) -> tuple[str, ...]:
    """Return the kinds of permission that would do, the narrow one first."""
    if node_of(wanted.name):
        return ("arbitrary-node", _OLD) if not _more_than_name(wanted) else (_OLD,)
    if account_of(wanted.name) is not None:
        return ("serviceaccount", _OLD) if not _more_than_name(wanted) else (_OLD,)
    return ("user-info", _OLD)


def _more_than_name(wanted: User) -> bool:
    return bool(wanted.groups or wanted.uid or wanted.extra)


def _refused(requestor: User, wanted: User, wish: Wish, mode: str, permit: Permit) -> ApiFailure | None:
    if mode:
        asked = [wish._replace(verb=f"impersonate-on:{mode}:{wish.verb}")]
        asked += _identity(wanted, f"impersonate:{mode}", _AUTHENTICATION)
    else:
        asked = list(_identity(wanted, "impersonate", ""))
    for one in asked:
        verdict = permit(requestor, one)
        if not verdict.allowed:
            return forbidden_wish(requestor, one, verdict.reason)
    return None


def _identity(wanted: User, verb: str, group: str) -> Iterator[Wish]:
    """Yield what must be permitted, for each part of the wanted user."""
    account = account_of(wanted.name)
    if account is not None:
        yield Wish(verb, group, "serviceaccounts", namespace=account[0], name=account[1])
    elif group and (node := node_of(wanted.name)):
        yield Wish(verb, group, "nodes", name=node)
    else:
        yield Wish(verb, group, "users", name=wanted.name)
    if wanted.uid:
        yield Wish(verb, _AUTHENTICATION, "uids", name=wanted.uid)
    for name in wanted.groups:
        yield Wish(verb, group, "groups", name=name)
    for key, values in wanted.extra:
        for value in values:
            yield Wish(verb, _AUTHENTICATION, "userextras", key, name=value)


def _completed(wanted: User, mode: str) -> User:
    """Return the wanted user with the groups that follow from its name."""
    groups = wanted.groups
    account = account_of(wanted.name)
    if account is not None and not groups:
        groups = account_groups(account[0])
    elif mode == "arbitrary-node":
        groups = (NODES,)
    if wanted.name == ANONYMOUS:
        groups = groups if UNAUTHENTICATED in groups else (*groups, UNAUTHENTICATED)
    elif UNAUTHENTICATED not in groups and AUTHENTICATED not in groups:
        groups = (*groups, AUTHENTICATED)
    return User(wanted.name, groups, wanted.uid, wanted.extra)

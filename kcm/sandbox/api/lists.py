"""LIST: which version is shown, page by page.

`resourceVersion`, `resourceVersionMatch`, `limit` and `continue` as the real server reads them
(reference: apiserver §3). Guarantees: all pages of one list show one version; a token from
before the history's floor gets 410 with a fresh token that goes on inconsistently. Owns no
state: a token carries all that the next page needs.
"""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from kcm.base.errors import KcmError
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.decoding import MalformedJson, read_json
from kcm.sandbox.api.errors import (
    ApiFailure,
    Json,
    bad_request,
    cause,
    expired,
    go_quote,
    invalid_option,
    unparsable_number,
    version_too_large,
)
from kcm.sandbox.api.records import Record, encode
from kcm.sandbox.api.selection import Selection
from kcm.sandbox.api.store import Collection, Store

FUTURE_WAIT = 3.0
_VERSIONS = 2**64
_MATCHES = '"Exact", "NotOlderThan", ""'
_TOKEN_VERSION = "meta.k8s.io/v1"
_AFTER = "\0"
# A version that means: whatever is latest.
_INCONSISTENT = -1
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_COMPACTED = "The resourceVersion for the provided list is too old."
_CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a "
    "new list without the continue parameter, or use the continue token in this response to retrieve "
    "the remainder of the results. Continuing with the provided token results in an inconsistent list - "
    "objects that were created, modified, or deleted between the time the first chunk was returned and "
    "now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Page:
    """Some records of one version. `remaining` is None when it is not told."""

    records: Sequence[Record]
    version: int
    continue_token: str = ""
    remaining: int | None = None


class _Token(msgspec.Struct, frozen=True):
    """What a continue token says. The page begins behind `start`: a key, ended by a zero byte."""

    v: str = ""
    rv: int = 0
    start: str = ""


def parse_version(text: str) -> int:
    """Return a resourceVersion option as a number, 0 when it is not given; `BadVersion` when it is none."""
    if not text:
        return 0
    if len(text) > 20 or not text.isascii() or not text.isdigit() or int(text) >= _VERSIONS:
        raise BadVersion(
            f"resourceVersion: Invalid value: {go_quote(text)}: {unparsable_number(text, 'ParseUint')}"
        )
    return int(text)


class BadVersion(KcmError):
    """A resourceVersion that is no number, in the server's words: whether it is 400 or 500 depends."""


async def reach(store: Store, asked: int) -> None:
    """Wait until the store is at the version a reader has seen; ApiFailure 504 when it is late."""
    if asked > store.version and not await store.reach(asked, FUTURE_WAIT):
        raise version_too_large(asked, store.version)


async def list_page(store: Store, collection: Collection, call: Call, selection: Selection) -> Page:
    """Return the page that the call asks for; may wait up to 3 s for a version to come."""
    options = call.options
    version_text, match = options.get("resourceVersion", ""), options.get("resourceVersionMatch", "")
    token_text = options.get("continue", "")
    _check_options(call, version_text, match, token_text)
    limit = max(0, call.number("limit"))
    if token_text:
        token = _read_token(token_text)
        return _cut(_snapshot(store, collection, token, call.namespace), selection, limit)
    try:
        asked = parse_version(version_text)
    except BadVersion as problem:
        raise bad_request(f"invalid resource version: {problem}") from None
    await reach(store, asked)
    if version_text == "0":
        limit = 0
    if call.behind is not None and match != "Exact" and (version_text or call.always_behind):
        seen = collection.history.version_at(call.behind)
        if asked > seen:
            raise version_too_large(asked, seen)
        return _cut((seen, collection.ordered_at(seen), ""), selection, limit)
    if asked and (match == "Exact" or (limit and not match)):
        if asked < collection.history.floor:
            raise expired(_COMPACTED)
        return _cut((asked, collection.ordered_at(asked), ""), selection, limit)
    return _cut((store.version, collection.ordered(), ""), selection, limit)


def _check_options(call: Call, version: str, match: str, token: str) -> None:
    problems: list[Json] = []
    if match:
        if not version:
            problems.append(_unfit("is forbidden unless resourceVersion is provided"))
        if token:
            problems.append(_unfit("is forbidden when continue is provided"))
        if match not in ("Exact", "NotOlderThan"):
            message = f"Unsupported value: {go_quote(match)}: supported values: {_MATCHES}"
            problems.append(cause("resourceVersionMatch", message, "FieldValueNotSupported"))
        if match == "Exact" and version == "0":
            problems.append(_unfit('"exact" is forbidden for resourceVersion "0"'))
    if "sendInitialEvents" in call.options:
        message = "Forbidden: sendInitialEvents is forbidden for list"
        problems.append(cause("sendInitialEvents", message))
    if problems:
        raise invalid_option("ListOptions", *problems)
    if token and version not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")


def _unfit(why: str) -> Json:
    return cause("resourceVersionMatch", f"Forbidden: resourceVersionMatch {why}")


def _snapshot(
    store: Store, collection: Collection, token: _Token, namespace: str
) -> tuple[int, Sequence[Record], str]:
    start = f"{namespace}/{token.start}" if namespace or "/" not in token.start else token.start
    start = start.removesuffix(_AFTER)
    if token.rv == _INCONSISTENT:
        return store.version, collection.ordered(), start
    if token.rv > store.version:
        raise version_too_large(token.rv, store.version)
    if token.rv < collection.history.floor:
        fresh = _Token(v=token.v, rv=_INCONSISTENT, start=token.start)
        raise expired(_CONTINUE_EXPIRED, _write_token(fresh))
    return token.rv, collection.ordered_at(token.rv), start


def _cut(snapshot: tuple[int, Sequence[Record], str], selection: Selection, limit: int) -> Page:
    version, records, start = snapshot
    first = bisect_right(records, start, key=lambda record: record.key) if start else 0
    if not limit:
        rest = records[first:] if first else records
        if not selection.namespace and not selection.selective:
            return Page(rest, version)
        return Page([record for record in rest if selection.matches(record)], version)
    taken: list[Record] = []
    for index in range(first, len(records)):
        if not selection.matches(records[index]):
            continue
        if len(taken) == limit:
            last = taken[-1].name if selection.namespace else taken[-1].key.removeprefix("/")
            token = _write_token(_Token(v=_TOKEN_VERSION, rv=version, start=last + _AFTER))
            return Page(taken, version, token, _remaining(records, index, selection))
        taken.append(records[index])
    return Page(taken, version)


def _remaining(records: Sequence[Record], index: int, selection: Selection) -> int | None:
    if selection.selective:
        return None
    if not selection.namespace:
        return len(records) - index
    return sum(1 for record in records[index:] if record.namespace == selection.namespace)


def _write_token(token: _Token) -> str:
    return base64.urlsafe_b64encode(encode(token)).decode().rstrip("=")


def _read_token(text: str) -> _Token:
    """Return what a token says; ApiFailure 400 for one that no server wrote."""
    wrong = next((at for at, letter in enumerate(text) if letter not in _BASE64), None)
    if wrong is not None or len(text) % 4 == 1:
        at = len(text) - 1 if wrong is None else wrong
        raise _bad_token(f"illegal base64 data at input byte {at}")
    body = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    try:
        token = msgspec.convert(read_json(body), _Token)
    except (MalformedJson, msgspec.ValidationError) as problem:
        raise _bad_token(str(problem)) from None
    if token.v != _TOKEN_VERSION:
        raise _bad_token(f"server does not recognize this encoded version {token.v}")
    if token.rv == 0:
        raise _bad_token(f"incorrect encoded start resourceVersion (version {_TOKEN_VERSION})")
    if not token.start:
        raise _bad_token(f"encoded start key empty (version {_TOKEN_VERSION})")
    if ".." in token.start.split("/"):
        raise _bad_token(token.start)
    return token


def _bad_token(why: str) -> ApiFailure:
    return bad_request(f"invalid continue token: continue key is not valid: {why}")

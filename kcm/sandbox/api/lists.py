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

from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import ApiFailure, bad_request, expired, invalid_option, version_too_large
from kcm.sandbox.api.records import Record, decode, encode
from kcm.sandbox.api.selection import Selection
from kcm.sandbox.api.store import Collection, Store

FUTURE_WAIT = 3.0
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
    """`rv` 0 means: whatever is latest. The page starts after `start`."""

    rv: int
    start: str


def parse_version(text: str) -> int:
    """Return a resourceVersion option as a number; 400 when it is none."""
    if not text:
        return 0
    if len(text) > 20 or not text.isascii() or not text.isdigit():
        raise bad_request(f'resourceVersion: Invalid value: "{text[:40]}": must be a decimal number')
    return int(text)


async def list_page(store: Store, collection: Collection, call: Call, selection: Selection) -> Page:
    """Return the page that the call asks for; may wait up to 3 s for a version to come."""
    options = call.options
    version_text, match = options.get("resourceVersion", ""), options.get("resourceVersionMatch", "")
    token_text = options.get("continue", "")
    _check_options(call, version_text, match, token_text)
    limit = max(0, call.number("limit"))
    if token_text:
        token = _read_token(token_text)
        return _cut(_snapshot(store, collection, token, token_text), selection, limit)
    asked = parse_version(version_text)
    if asked > store.version and not await store.reach(asked, FUTURE_WAIT):
        raise version_too_large(asked, store.version)
    if version_text == "0":
        limit = 0
    if asked and (match == "Exact" or (limit and not match)):
        if asked < collection.history.floor:
            raise expired(_COMPACTED)
        return _cut((asked, collection.ordered_at(asked), ""), selection, limit)
    return _cut((store.version, collection.ordered(), ""), selection, limit)


def _check_options(call: Call, version: str, match: str, token: str) -> None:
    kind = "ListOptions"
    if call.flag("sendInitialEvents"):
        raise invalid_option(kind, "sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list")
    if match and token:
        raise invalid_option(
            kind, "resourceVersionMatch", "Forbidden: resourceVersionMatch is forbidden for continue"
        )
    if match and not version:
        raise invalid_option(
            kind,
            "resourceVersionMatch",
            "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        )
    if match not in ("", "Exact", "NotOlderThan"):
        raise invalid_option(
            kind, "resourceVersionMatch", f'Unsupported value: "{match}"', "FieldValueNotSupported"
        )
    if match == "Exact" and version == "0":
        raise invalid_option(
            kind,
            "resourceVersionMatch",
            'Forbidden: resourceVersionMatch "Exact" is forbidden for resourceVersion "0"',
        )
    if token and version not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")


def _snapshot(
    store: Store, collection: Collection, token: _Token, text: str
) -> tuple[int, Sequence[Record], str]:
    if token.rv == 0:
        return store.version, collection.ordered(), token.start
    if token.rv > store.version:
        raise bad_request(f"continue key is not valid: {text[:80]}")
    if token.rv < collection.history.floor:
        raise expired(_CONTINUE_EXPIRED, _write_token(_Token(0, token.start)))
    return token.rv, collection.ordered_at(token.rv), token.start


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
            token = _write_token(_Token(version, taken[-1].key))
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
    try:
        padded = text + "=" * (-len(text) % 4)
        return msgspec.convert(decode(base64.urlsafe_b64decode(padded)), _Token)
    except (ValueError, msgspec.MsgspecError):
        failure: ApiFailure = bad_request(f"continue key is not valid: {text[:80]}")
        raise failure from None

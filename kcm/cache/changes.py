"""What happened to objects, in the words that reflector, store and feed share.

Values only. A `Change` carries the compact bytes of one object; they are made once, in the
reflector, and from there on only joined.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

SET: Literal["s"] = "s"
DELETE: Literal["d"] = "d"
BAD: Literal["b"] = "b"

LONGEST_REASON = 512


class Change(msgspec.Struct, frozen=True, gc=False):
    """One object was set, deleted, or cannot be read ("s", "d", "b").

    `body` is the compact object; of a bad one, an encoded `BadItem`. `version` orders it.
    """

    kind: str
    key: str
    version: str
    body: bytes


class BadItem(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An object that cannot be read, by its key, and why. `owner` is its controller's uid, if that can be."""

    key: str
    reason: str
    uid: str = ""
    version: str = ""
    owner: str = ""


class Bookmark(msgspec.Struct, frozen=True):
    """The stream has reached `version`; `ends_initial` when the initial events are complete."""

    version: str
    ends_initial: bool = False


class StreamError(msgspec.Struct, frozen=True):
    """The stream ended with a Status: an in-stream ERROR event, or (code 0) bytes that are no event."""

    code: int
    reason: str = ""
    message: str = ""
    causes: tuple[str, ...] = ()
    retry_after: float = 0.0


class Unreadable(msgspec.Struct, frozen=True):
    """An object that cannot be read and whose key cannot be read either."""

    reason: str


Event: TypeAlias = Change | Bookmark | StreamError | Unreadable


class Page(msgspec.Struct, frozen=True):
    """One page of a LIST. `changes` are all "s" or "b"."""

    changes: tuple[Change, ...]
    version: str
    next_page: str = ""
    unreadable: int = 0


def bad_change(item: BadItem) -> Change:
    """Return the change that marks an item's key as bad."""
    return Change(BAD, item.key, item.version, msgspec.json.encode(item))

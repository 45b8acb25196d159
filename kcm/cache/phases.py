"""The words of the list-watch machine: its states, what it is told, and what it asks for.

Values only; `kcm.cache.listwatch` gives them meaning, `kcm.cache.reflector` acts on them.
Times are monotonic seconds.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Cause = Literal[
    "unreachable",
    "cut",
    "throttled",
    "expired",
    "tooLarge",
    "missing",
    "forbidden",
    "unauthorized",
    "undecodable",
    "invalid",
    "failed",
]
After = Literal["cycle", "watch"]


class Trouble(msgspec.Struct, frozen=True):
    """Why the watch cannot be kept current: the cause, the verb it happened to, the server's words."""

    cause: Cause
    verb: str
    text: str = ""


class Memory(msgspec.Struct, frozen=True):
    """What outlives a stream. `version` is the resume point; `unavailable` forbids to list at it."""

    version: str = ""
    synced: bool = False
    unavailable: bool = False
    failures: int = 0
    calmed: float = float("-inf")
    periodic: bool = False
    brief: int = 0
    mute: int = 0
    expiries: int = 0
    rollbacks: int = 0
    trouble: Trouble | None = None


class Idle(msgspec.Struct, frozen=True):
    """Not begun."""

    memory: Memory


class Priming(msgspec.Struct, frozen=True):
    """A WatchList stream is open or being opened; what comes goes to a temporary store."""

    memory: Memory
    asked: str
    begun: float
    heard: float
    timeout: int
    events: int = 0
    again: bool = False


class Listing(msgspec.Struct, frozen=True):
    """A page is being fetched. `asked` is the list's resourceVersion, `version` the answer's."""

    memory: Memory
    asked: str
    limit: int
    pages: int = 0
    version: str = ""


class Watching(msgspec.Struct, frozen=True):
    """A watch is open, or (`opened` is None) being opened."""

    memory: Memory
    timeout: int
    opened: float | None
    heard: float
    events: int = 0


class Pausing(msgspec.Struct, frozen=True):
    """Waiting before the next attempt."""

    memory: Memory
    until: float
    then: After


State: TypeAlias = Idle | Priming | Listing | Watching | Pausing


class Begin(msgspec.Struct, frozen=True):
    """Start."""


class Opened(msgspec.Struct, frozen=True):
    """The server accepted the watch."""


class Arrived(msgspec.Struct, frozen=True):
    """Events came. `version` is the last one's; `ends_initial`: the initial events are complete."""

    events: int
    version: str
    bookmarks: int = 0
    ends_initial: bool = False


class Paged(msgspec.Struct, frozen=True):
    """A page came."""

    version: str
    next_page: str = ""


class Ended(msgspec.Struct, frozen=True):
    """The stream has ended, cleanly or cut."""


class Refused(msgspec.Struct, frozen=True):
    """The request failed, or the stream ended with an ERROR event. `retry_after` as the server asked."""

    cause: Cause
    text: str = ""
    retry_after: float = 0.0


class Elapsed(msgspec.Struct, frozen=True):
    """The state's deadline has passed."""


class Proved(msgspec.Struct, frozen=True):
    """A probe has shown that the store is current as of `version`."""

    version: str


class Refresh(msgspec.Struct, frozen=True):
    """Someone needs a consistent list now."""


Input: TypeAlias = Begin | Opened | Arrived | Paged | Ended | Refused | Elapsed | Proved | Refresh


class OpenWatch(msgspec.Struct, frozen=True):
    """Leave what is under way and open a watch; `initial` asks for a WatchList and a new temporary store."""

    version: str
    timeout: int
    initial: bool = False


class GetPage(msgspec.Struct, frozen=True):
    """Leave what is under way and get a page; without a token it is the first, into a new temporary store."""

    version: str
    match: Literal["", "NotOlderThan"]
    limit: int
    next_page: str = ""


class Commit(msgspec.Struct, frozen=True):
    """Swap the temporary store in, as of `version`."""

    version: str
    rolled_back: bool = False


class Wait(msgspec.Struct, frozen=True):
    """Leave what is under way and do nothing until the deadline."""


Output: TypeAlias = OpenWatch | GetPage | Commit | Wait
Step: TypeAlias = tuple[State, tuple[Output, ...]]

"""What a controller did lately and why: its last decisions, for people.

The context notes every plan that was carried out, the dispatcher every reconcile that failed or
waits. What was done for one reason is one entry, however many actions, keys and times it had; so are
the status writes of one key, whose reasons differ each time. `take` hands the entries out and
starts anew. Guarantees: a fixed number of entries, keys and letters, whatever controllers and
clusters say; what finds no room is counted; troubles have room of their own, so that a
flood of successes hides none. Costs two microseconds a plan, and a fraction of one for each further
action. Events are left out: they are told where events are. Owns the entries.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from kcm.base.clock import Clock
from kcm.base.errors import KcmError
from kcm.base.faults import message_of, said, told
from kcm.client.errors import Conflict, FieldsTaken
from kcm.objects.resource import Key, ResourceType
from kcm.runtime.plan import Action, Apply, Create, Delete, Emit, Outcome, Patch, Plan, Scale

# Of each kind (good, bad) between two looks.
MOST_ENTRIES = 24
MOST_KEYS = 4
LONGEST = 256
_NOTED: frozenset[type] = frozenset((Create, Patch, Apply, Scale, Delete))

Result = Literal["done", "failed", "partly", "conflict", "not tried", "waiting"]


class Decision(msgspec.Struct, frozen=True):
    """What was done, or tried, for one reason. `times`: reconciles; `wanted`, `done`: actions of them all.

    `object` is the object itself where it was one, else its resource. `action` "reconcile": nothing was
    decided, because it failed or waits.
    """

    at: datetime
    controller: str
    keys: tuple[str, ...]
    action: str
    object: str
    because: str
    result: Result = "done"
    error: str = ""
    times: int = 1
    wanted: int = 0
    done: int = 0
    replicas: int | None = None
    """What was scaled to."""


class _Why(NamedTuple):
    """What makes two actions the same decision. `kind`: a class of objects, or what the API calls them."""

    verb: type[Action]
    kind: Any
    subresource: str
    because: str


@dataclass(slots=True)
class _Share:
    """What became of the actions of one plan that have one reason."""

    first: Action
    wanted: int = 1
    failed: int = 0
    skipped: int = 0
    error: str = ""
    conflict: bool = False


@dataclass(slots=True)
class _Entry:
    at: datetime
    first: Action | None
    because: str
    error: str = ""
    conflict: bool = False
    keys: list[Key] = field(default_factory=list)
    times: int = 0
    wanted: int = 0
    failed: int = 0
    skipped: int = 0


class Journal:
    """The decisions of one controller since the last `take`."""

    def __init__(self, controller: str, clock: Clock) -> None:
        self._controller = controller
        self._clock = clock
        self._good: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._bad: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._left_out = 0

    def applied(self, key: Key, plan: Plan, outcome: Outcome) -> None:
        """Note what became of a plan."""
        shares = _shares(plan.actions)
        if outcome.failed or outcome.skipped:
            _note_troubles(shares, outcome)
        for why, share in shares.items():
            # A status is written in other words each time: one entry for a key, with the newest.
            same = (key, why.kind) if why.subresource == "status" else why
            bad = bool(share.failed or share.skipped)
            entry = self._entry((same, share.error), bad, share.first, why.because)
            entry.wanted += share.wanted
            if bad:
                entry.failed += share.failed
                entry.skipped += share.skipped
                entry.error, entry.conflict = share.error, share.conflict
            _count(entry, key)

    def failed(self, key: Key, error: BaseException | str) -> None:
        """Note a reconcile that failed, unless that is what a write of it said already."""
        text = _text_of(error)
        if any(entry.error == text and key in entry.keys for entry in self._bad.values()):
            return
        entry = self._entry(("failed", text), True, None, "")
        entry.error, entry.conflict = text, _is_conflict(error)
        _count(entry, key)

    def waits(self, key: Key, reason: str) -> None:
        """Note a reconcile that can do nothing yet."""
        text = _plain(reason)
        entry = self._entry(("waits", text), True, None, text)
        _count(entry, key)

    def take(self) -> tuple[tuple[Decision, ...], int]:
        """Return what was noted since the last time, oldest first, and how many entries had no room."""
        if not self._good and not self._bad:
            return (), 0
        entries = sorted((*self._good.values(), *self._bad.values()), key=lambda entry: entry.at)
        left_out, self._left_out = self._left_out, 0
        self._good.clear()
        self._bad.clear()
        return tuple(map(self._told, entries)), left_out

    def _entry(self, same: Hashable, bad: bool, first: Action | None, because: str) -> _Entry:
        entries = self._bad if bad else self._good
        entry = entries.get(same)
        if entry is None:
            if len(entries) >= MOST_ENTRIES:
                entries.popitem(last=False)
                self._left_out += 1
            entry = entries[same] = _Entry(self._clock.wall(), first, because)
        else:
            entries.move_to_end(same)
            entry.at, entry.first, entry.because = self._clock.wall(), first, because
        return entry

    def _told(self, entry: _Entry) -> Decision:
        action, object = _words(entry)
        return Decision(
            at=entry.at,
            controller=self._controller,
            keys=tuple(_plain(str(key)) for key in entry.keys),
            action=_plain(action),
            object=_plain(object),
            because=_plain(entry.because),
            result=_result(entry),
            error=entry.error,
            times=entry.times,
            wanted=entry.wanted,
            done=entry.wanted - entry.failed - entry.skipped,
            replicas=entry.first.replicas if isinstance(entry.first, Scale) else None,
        )


def _shares(actions: Iterable[Action]) -> dict[_Why, _Share]:
    shares: dict[_Why, _Share] = {}
    share: _Share | None = None
    for action in actions:
        if action.__class__ not in _NOTED:
            continue
        # Hundreds in a row have one reason: comparing is cheaper than looking up.
        if share is not None and _alike(share.first, action):
            share.wanted += 1
            continue
        why = _why(action)
        if (share := shares.get(why)) is None:
            share = shares[why] = _Share(action)
        else:
            share.wanted += 1
    return shares


def _alike(one: Any, other: Any) -> bool:
    """Say whether two actions are known to be of one decision; False where it has to be looked up."""
    kind = one.__class__
    if kind is not other.__class__ or one.because is not other.because:
        return False
    if kind is Create:
        return one.object.__class__ is other.object.__class__
    return kind is Delete and one.target.resource == other.target.resource


def _why(action: Any) -> _Why:
    kind = type(action)
    because = action.because if type(action.because) is str else _plain(action.because)
    if kind is Create or kind is Apply:
        return _Why(kind, type(action.object), "", because)
    return _Why(kind, action.target.resource, action.subresource if kind is Patch else "", because)


def _note_troubles(shares: dict[_Why, _Share], outcome: Outcome) -> None:
    for failure in outcome.failed:
        if type(failure.action) in _NOTED:
            share = shares[_why(failure.action)]
            share.failed += 1
            share.error = share.error or _text_of(failure.error)
            share.conflict = _is_conflict(failure.error)
    for action in outcome.skipped:
        if type(action) in _NOTED:
            shares[_why(action)].skipped += 1


def _is_conflict(error: BaseException | str) -> bool:
    """Say whether somebody was quicker, which is ordinary; fields that are taken stay so."""
    return isinstance(error, Conflict) and not isinstance(error, FieldsTaken)


def _count(entry: _Entry, key: Key) -> None:
    entry.times += 1
    if key not in entry.keys and len(entry.keys) < MOST_KEYS:
        entry.keys.append(key)


def _result(entry: _Entry) -> Result:
    done = entry.wanted - entry.failed - entry.skipped
    if done:
        return "done" if done == entry.wanted else "partly"
    if entry.conflict:
        return "conflict"
    if entry.error:
        return "failed"
    return "waiting" if entry.first is None else "not tried"


def _words(entry: _Entry) -> tuple[str, str]:
    """Return what was done, and to what."""
    first = entry.first
    if first is None or isinstance(first, Emit):
        return "reconcile", ""
    verb = type(first).__name__.lower()
    resource: ResourceType
    if isinstance(first, Create | Apply):
        resource, key = first.object.resource_type(), first.object.key
    else:
        resource, key = first.target.resource, first.target.key
        if isinstance(first, Patch) and first.subresource:
            verb = f"patch {first.subresource}"
    return verb, f"{resource} {key}" if entry.wanted == 1 else str(resource)


def _text_of(error: BaseException | str) -> str:
    """Return what is told of an error; what kcm raises speaks for itself, all else also says where it was."""
    if isinstance(error, str):
        return _plain(error)
    return _plain(message_of(error) if isinstance(error, KcmError) else told(error))


def _plain(text: object) -> str:
    """Return a text that can travel, whatever a controller gave: cut, and without half characters."""
    plain = (text if isinstance(text, str) else said(text))[:LONGEST]
    return plain if plain.isascii() else plain.encode("utf-8", "backslashreplace").decode()[:LONGEST]

"""Update and Apply: who owns what after a write, and what an applied configuration makes of an object.

An Update takes what it changed and takes it from everybody. An Apply owns what it names, conflicts
when another owns a field that it would change (unless forced), and removes what it named last time
and nobody else owns (reference: apiserver §7). Pure. An object whose entries were all removed is
not tracked again until somebody applies to it, as on the real server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import msgspec

from kcm.base.errors import KcmError
from kcm.sandbox.schema.apply import lastapplied, merging
from kcm.sandbox.schema.apply.checking import problems
from kcm.sandbox.schema.apply.compare import Comparison, compare, owned
from kcm.sandbox.schema.apply.fieldsets import Path, Tree, difference, has, intersection, paths, union
from kcm.sandbox.schema.apply.kinds import Kind
from kcm.sandbox.schema.apply.managers import (
    APPLY,
    NOBODY,
    UPDATE,
    Entry,
    FieldSet,
    Identity,
    Managed,
    field_set,
    managed,
)

Json = dict[str, Any]

_encode = msgspec.json.Encoder().encode

MOST_UPDATERS = 10
ANCIENT = "ancient-changes"
BEFORE_APPLY = "before-first-apply"
_SYSTEM = "clusterName creationTimestamp generation managedFields name namespace resourceVersion selfLink uid"
# Never owned: what the server writes itself, or what says which object it is.
STRIPPED: Tree = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {".": {}, **{f"f:{name}": {} for name in _SYSTEM.split()}},
}


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that an Apply would change and that another manager owns."""

    entry: Entry
    path: Path


class ConfigurationUnfit(KcmError):
    """A configuration does not fit its kind. `problems` are in its order."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(found[0])
        self.problems = found


class ApplyConflict(KcmError):
    """An Apply met other owners and was not told to force."""

    def __init__(self, conflicts: list[Conflict]) -> None:
        super().__init__(f"{len(conflicts)} conflicts")
        self.conflicts = conflicts


@dataclass(frozen=True, slots=True)
class Version:
    """A group-version in which owners are remembered: its kind, and how objects get its form and lose it."""

    kind: Kind
    convert: Callable[[Json], Json]
    revert: Callable[[Json], Json]
    reset: Tree = field(default_factory=dict)


# Returns the version by its name, None when it is served no more.
Versions = Callable[[str], Version | None]


@dataclass(frozen=True, slots=True)
class Writing:
    """One write: who, in which version, by which endpoint, when (`time` as the API writes it)."""

    manager: str
    api_version: str
    subresource: str
    time: str
    versions: Versions

    def entry(self, operation: str, fields: FieldSet) -> Entry:
        """Return this writer's entry with these fields."""
        return Entry(
            self.manager or "unknown", operation, self.api_version, self.subresource, self.time, fields
        )

    def version(self, name: str) -> Version:
        """Return a version that is known to be served."""
        found = self.versions(name)
        if found is None:
            raise LookupError(f"version {name} is not served")
        return found


def track_update(
    present: Managed, old: Json, new: Json, writing: Writing, *, silently: bool = False
) -> Managed:
    """Return the entries after `old` became `new`; an empty `old` means that the object is new.

    `silently`: the writer takes from others, but owns nothing.
    """
    if not present and old:
        return NOBODY
    changes = _Changes(old, new, writing)
    entries = _taken(present, changes)
    if silently:
        return managed(entries.values())
    fields = changes.gained(writing.api_version)
    if fields is not None:
        entry = writing.entry(UPDATE, fields)
        before = entries.get(entry.identity)
        if before is not None:
            entry = entry._replace(fields=together(before.fields, fields))
        entries[entry.identity] = entry
    return managed(_capped(entries))


def apply(
    present: Managed, live: Json, config: Json, writing: Writing, *, force: bool
) -> tuple[Json, Managed]:
    """Return the object and its entries after `config` was applied; ApplyConflict, ConfigurationUnfit.

    An empty `live` means that the object is new.
    """
    if not present and live:
        present = track_update(NOBODY, {}, live, replace(writing, manager=BEFORE_APPLY))
    version = writing.version(writing.api_version)
    if found := problems(version.kind, config):
        raise ConfigurationUnfit(found)
    merged = merging.merge(version.kind, live, config)
    fields = difference(owned(version.kind, config), version.reset, deep=True)
    entry = writing.entry(APPLY, field_set(fields))
    entries = {one.identity: one for one in present.entries}
    last = entries.get(entry.identity)
    entries[entry.identity] = entry
    if last is not None and writing.versions(last.api_version) is not None:
        merged = _pruned(merged, last, entries, writing)
    changes = _Changes(live, merged, writing)
    others = managed(one for one in entries.values() if one.identity != entry.identity)
    if not force and (conflicts := _conflicts(others, changes)):
        if writing.manager == lastapplied.MANAGER:
            ours = lastapplied.takeable(version.kind, writing.api_version, live)
            conflicts = [conflict for conflict in conflicts if not has(ours, conflict.path)]
        if conflicts:
            raise ApplyConflict(conflicts)
    after = _taken(others, changes)
    named = difference(fields, STRIPPED)
    if named:
        # What changes nothing has no time of its own: a new owner's entry then has none at all.
        time = (last.time if last is not None else "") if merged == live else writing.time
        after[entry.identity] = entry._replace(fields=field_set(named), time=time)
    if writing.manager == lastapplied.MANAGER:
        merged = lastapplied.kept_in_step(config, merged)
    return merged, managed(after.values())


class _Changes:
    """The comparison of two objects in each version that somebody's entry needs."""

    def __init__(self, old: Json, new: Json, writing: Writing) -> None:
        self._old, self._new = old, new
        self._writing = writing
        self._known: dict[str, tuple[Comparison, bytes] | None] = {}

    def at(self, name: str) -> Comparison | None:
        """Return what changed as this version sees it, None when it is not served."""
        known = self._in(name)
        return None if known is None else known[0]

    def _in(self, name: str) -> tuple[Comparison, bytes] | None:
        if name not in self._known:
            found = self._compare(name)
            # By this name the outcome of equal changes to equal sets is found again.
            self._known[name] = None if found is None else (found, _encode(found))
        return self._known[name]

    def _compare(self, name: str) -> Comparison | None:
        version = self._writing.versions(name)
        if version is None:
            return None
        found = compare(version.kind, version.convert(self._old), version.convert(self._new))
        if not version.reset:
            return found
        return Comparison(*[difference(part, version.reset, deep=True) for part in found])

    def gained(self, name: str) -> FieldSet | None:
        """Return the fields that the writer owns by what it changed; None when there are none."""
        known = self._in(name)
        assert known is not None
        changes, key = known
        return _remembered((None, key), lambda: difference(union(changes.modified, changes.added), STRIPPED))

    def left(self, entry: Entry) -> FieldSet | None:
        """Return what the changes leave of an entry; None when that is nothing."""
        known = self._in(entry.api_version)
        if known is None:
            return None
        changes, key = known
        # Most writes change one part of an object, of which most entries own nothing.
        if not any(name.encode() in entry.fields.encoded for part in changes for name in part):
            return entry.fields
        return _remembered(
            (entry.fields, key),
            lambda: difference(
                entry.fields.tree, union(union(changes.modified, changes.added), changes.removed)
            ),
        )


# Pods of one template go through the same changes one after another.
_outcomes: dict[tuple[FieldSet | None, bytes], FieldSet | None] = {}
_MOST_OUTCOMES = 1024


def _remembered(key: tuple[FieldSet | None, bytes], work_out: Callable[[], Tree]) -> FieldSet | None:
    if key in _outcomes:
        return _outcomes[key]
    tree = work_out()
    if len(_outcomes) >= _MOST_OUTCOMES:
        del _outcomes[next(iter(_outcomes))]
    found = _outcomes[key] = field_set(tree) if tree else None
    return found


@lru_cache(maxsize=_MOST_OUTCOMES)
def together(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return what is in either set."""
    return field_set(union(one.tree, other.tree))


def _taken(present: Managed, changes: _Changes) -> dict[Identity, Entry]:
    """Return the entries without what the write changed or removed; empty ones are gone."""
    entries: dict[Identity, Entry] = {}
    for entry in present.entries:
        fields = changes.left(entry)
        if fields is not None:
            entries[entry.identity] = entry if fields is entry.fields else entry._replace(fields=fields)
    return entries


def _conflicts(others: Managed, changes: _Changes) -> list[Conflict]:
    found: list[Conflict] = []
    for entry in sorted(others.entries, key=lambda one: one.identity):
        change = changes.at(entry.api_version)
        if change is not None:
            both = intersection(entry.fields.tree, union(change.modified, change.added))
            found += [Conflict(entry, path) for path in paths(both)]
    return found


def _pruned(merged: Json, last: Entry, entries: dict[Identity, Entry], writing: Writing) -> Json:
    """Return `merged` without what only the applier's last configuration named."""
    version = writing.version(last.api_version)
    seen = version.convert(merged)
    # The sets of other versions name the same fields but for the few that versions differ in.
    everybody: Tree = {}
    for entry in entries.values():
        everybody = union(everybody, entry.fields.tree)
    pruned: Json = merging.prune(version.kind, seen, last.fields.tree, everybody)
    return pruned if seen is merged else version.revert(pruned)


def _capped(entries: dict[Identity, Entry]) -> list[Entry]:
    """Return the entries with the oldest Updates put together while there are too many."""
    updates = [entry for entry in entries.values() if entry.operation == UPDATE]
    if len(updates) <= MOST_UPDATERS:
        return list(entries.values())
    updates.sort(key=lambda entry: (entry.time, entry.identity))
    left = dict(entries)
    firsts: dict[str, Entry] = {}
    count = len(updates)
    for entry in updates:
        if count <= MOST_UPDATERS:
            break
        name = Identity(ANCIENT, UPDATE, entry.api_version, "")
        first = firsts.setdefault(entry.api_version, entry)
        if first is entry:
            continue
        bucket = left.get(name)
        if bucket is None:
            bucket = left.pop(first.identity)
        del left[entry.identity]
        tree = union(entry.fields.tree, bucket.fields.tree)
        left[name] = Entry(ANCIENT, UPDATE, entry.api_version, "", entry.time, field_set(tree))
        count -= 1
    return list(left.values())

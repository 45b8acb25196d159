"""Who owns what of one object: the entries of `metadata.managedFields`.

`Managed` is a value: entries in the order of the API, shown as JSON. Guarantees: equal sets,
entries and lists are one object in memory (the pods of a template share theirs), so that tens of
thousands of objects cost little; what came from outside was checked by `read`. Times are text
with whole seconds, as the API writes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import msgspec

from kcm.sandbox.schema.apply.fieldsets import FieldSetError, Tree, ordered, read_tree

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

APPLY = "Apply"
UPDATE = "Update"


class FieldSet:
    """A set of fields as its JSON; the tree is read from it when it is asked for."""

    __slots__ = ("__weakref__", "encoded")

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded

    @property
    def tree(self) -> Tree:
        """Return the set as a tree that nobody may change."""
        found = _trees.get(self.encoded)
        if found is None:
            found = _decode(self.encoded)
            _remember(self.encoded, found)
        return found


# The trees of sets that were asked for or made lately.
_trees: dict[bytes, Tree] = {}
_MOST_TREES = 512


def _remember(encoded: bytes, tree: Tree) -> None:
    if len(_trees) >= _MOST_TREES:
        del _trees[next(iter(_trees))]
    _trees[encoded] = tree


_sets: WeakValueDictionary[bytes, FieldSet] = WeakValueDictionary()


def field_set(tree: Tree) -> FieldSet:
    """Return the one set of these fields."""
    encoded = _encode(ordered(tree))
    found = _sets.get(encoded)
    if found is None:
        found = _sets[encoded] = FieldSet(encoded)
        _remember(encoded, tree)
    return found


class Identity(NamedTuple):
    """Whose entry it is. Of Apply entries the version is no part: `version` is "" then."""

    manager: str
    operation: str
    version: str
    subresource: str


class Entry(NamedTuple):
    """One manager's set. `time` is "" when it is not known."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str
    fields: FieldSet

    @property
    def identity(self) -> Identity:
        version = "" if self.operation == APPLY else self.api_version
        return Identity(self.manager, self.operation, version, self.subresource)

    def encode(self) -> bytes:
        """Return the entry as the API shows it."""
        head, tail = _frame(self.manager, self.operation, self.api_version, self.subresource, self.time)
        return b"%b%b%b" % (head, self.fields.encoded, tail)


@lru_cache(maxsize=512)
def _frame(
    manager: str, operation: str, api_version: str, subresource: str, time: str
) -> tuple[bytes, bytes]:
    """Return what surrounds the fields of an entry."""
    shown: dict[str, Any] = {"manager": manager, "operation": operation, "apiVersion": api_version}
    if time:
        shown["time"] = time
    shown["fieldsType"] = "FieldsV1"
    tail = b',"subresource":' + _encode(subresource) + b"}" if subresource else b"}"
    return _encode(shown)[:-1] + b',"fieldsV1":', tail


class Managed:
    """All entries of an object, in the order of the API. False when there is none."""

    __slots__ = ("__weakref__", "entries")

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries

    @property
    def encoded(self) -> bytes:
        """Return the entries as the API shows them."""
        return _encoded(self)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def same_sets(self, other: Managed) -> bool:
        """Say whether both differ at most in times."""
        if self is other:
            return True
        return {entry.identity: (entry.api_version, entry.fields) for entry in self.entries} == {
            entry.identity: (entry.api_version, entry.fields) for entry in other.entries
        }

    def decoded(self) -> list[Any]:
        """Return the entries as a JSON value that the caller may change."""
        entries: list[Any] = _decode(self.encoded)
        return entries


@lru_cache(maxsize=64)
def _encoded(entries: Managed) -> bytes:
    # A list of pods of one template asks for the same again and again.
    return b"[%b]" % b",".join([entry.encode() for entry in entries.entries])


_lists: WeakValueDictionary[tuple[Entry, ...], Managed] = WeakValueDictionary()
NOBODY = Managed(())


def managed(entries: Iterable[Entry]) -> Managed:
    """Return the one value of these entries, put in order."""
    key = tuple(sorted(entries, key=_rank))
    if not key:
        return NOBODY
    found = _lists.get(key)
    if found is None:
        found = _lists[key] = Managed(key)
    return found


def _rank(entry: Entry) -> tuple[str, str, str, str, str]:
    return (entry.operation, entry.time, entry.manager, entry.api_version, entry.subresource)


def read(value: Any) -> Managed:
    """Return entries that came from outside; FieldSetError when the server would not take them."""
    if not isinstance(value, list):
        raise FieldSetError("managedFields must be a list")
    found: dict[Identity, Entry] = {}
    for index, given in enumerate(value):
        entry = _read_entry(index, given)
        found[entry.identity] = entry
    return managed(found.values())


def _read_entry(index: int, given: Any) -> Entry:
    if not isinstance(given, dict):
        raise FieldSetError(f"managedFields[{index}] must be an object")
    texts = {
        name: given.get(name) or ""
        for name in ("manager", "operation", "apiVersion", "subresource", "time", "fieldsType")
    }
    if not all(isinstance(text, str) for text in texts.values()):
        raise FieldSetError(f"managedFields[{index}] has a field that is not text")
    if texts["operation"] not in (APPLY, UPDATE):
        raise FieldSetError("operation must be `Apply` or `Update`")
    if not texts["apiVersion"]:
        raise FieldSetError("apiVersion must not be empty")
    if texts["fieldsType"] != "FieldsV1":
        raise FieldSetError(f"invalid fieldsType in managed fields entry {index}")
    fields = _read_fields(given.get("fieldsV1") or {})
    return Entry(
        texts["manager"],
        texts["operation"],
        texts["apiVersion"],
        texts["subresource"],
        texts["time"],
        fields,
    )


def _read_fields(given: Any) -> FieldSet:
    """Return a set; one that is known, as nearly all are after a restart, is not gone through."""
    return _sets.get(_encode(given)) or field_set(read_tree(given))


def resets(value: Any) -> bool:
    """Say whether a client's managedFields ask to forget all owners: `[]` or `[{}]`."""
    match value:
        case []:
            return True
        case [dict() as entry]:
            return not any(entry.values())
    return False

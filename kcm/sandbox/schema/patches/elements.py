"""Lists in strategic merge patches: matching, merging and ordering of elements.

Order, as the server keeps it: elements that the patch names stand in the patch's order, the
others in their old order, and where two of different kinds both existed, the old order decides.
An element that is new comes before the old ones that follow (reference: apiserver §7).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kcm.sandbox.schema.patches.failure import PatchError

Element = dict[str, Any]


def merge_scalars(old: list[Any], new: list[Any]) -> list[Any]:
    """Return the union of two lists of scalars."""
    merged = list(dict.fromkeys(_checked_scalars(old) + _checked_scalars(new)))
    return in_order(merged, old, new, "")


def _checked_scalars(values: list[Any]) -> list[Any]:
    if any(isinstance(value, dict | list) for value in values):
        raise PatchError(422, "a list of scalars may not hold objects or lists")
    return values


def merge_elements(
    old: list[Any],
    new: list[Any],
    key: str,
    merge: Callable[[Element, Element], Element],
    plain: Callable[[Any], Any],
) -> list[Any]:
    """Return `old` with the elements of `new` merged in by `key`, `$patch` elements obeyed."""
    kept, changes, replaces = _obey(old, new, key)
    if replaces:
        return [plain(change) for change in changes]
    # One port number may stand there for TCP and for UDP: the first is the one that is merged.
    position = {_name(kept[index], key): index for index in reversed(range(len(kept)))}
    merged = list(kept)
    for change in changes:
        name = _name(change, key)
        index = position.get(name)
        if index is None:
            position[name] = len(merged)
            merged.append(plain(change))
        else:
            merged[index] = merge(merged[index], change)
    return in_order(merged, old, changes, key)


def _obey(old: list[Any], new: list[Any], key: str) -> tuple[list[Any], list[Element], bool]:
    """Return the elements that stay, those to merge, and whether `$patch: replace` was found."""
    deleted: set[Any] = set()
    changes: list[Element] = []
    replaces = False
    for item in new:
        directive = item.get("$patch") if isinstance(item, dict) else None
        match directive:
            case None:
                _name(item, key)
                changes.append(item)
            case "delete":
                deleted.add(_name(item, key))
            case "replace":
                replaces = True
            case "merge":
                raise PatchError(422, "merging lists cannot yet be specified in the patch")
            case other:
                raise PatchError(400, f"unknown patch type found: {other!r}")
    return [item for item in old if _name(item, key) not in deleted], changes, replaces


def _name(item: Any, key: str) -> Any:
    """Return the value by which a list's element is known."""
    if not isinstance(item, dict):
        raise PatchError(422, f"an element merged by {key!r} must be an object")
    name = item.get(key)
    if name is None or isinstance(name, dict | list):
        raise PatchError(422, f"map does not contain declared merge key: {key}")
    return name


def in_order(merged: list[Any], before: list[Any], wanted: list[Any], key: str) -> list[Any]:
    """Return `merged` ordered by `wanted`, and by `before` where `wanted` is silent."""

    def identity(item: Any) -> Any:
        found = item.get(key) if key and isinstance(item, dict) else item
        return repr(found) if isinstance(found, dict | list) else found

    rank: dict[Any, int] = {}
    for index, item in enumerate(wanted):
        rank.setdefault(identity(item), index)
    old_rank: dict[Any, int] = {}
    for index, item in enumerate(before):
        old_rank.setdefault(identity(item), index)
    named = sorted((item for item in merged if identity(item) in rank), key=lambda item: rank[identity(item)])
    others = [item for item in merged if identity(item) not in rank]
    others.sort(key=lambda item: old_rank.get(identity(item), len(before)))
    return _interleave(others, named, lambda item: old_rank.get(identity(item)))


def _interleave(others: list[Any], named: list[Any], old_rank: Callable[[Any], int | None]) -> list[Any]:
    result: list[Any] = []
    left, right = 0, 0
    while left < len(others) and right < len(named):
        one, two = old_rank(others[left]), old_rank(named[right])
        if one is not None and two is not None and one < two:
            result.append(others[left])
            left += 1
        else:
            result.append(named[right])
            right += 1
    return result + others[left:] + named[right:]

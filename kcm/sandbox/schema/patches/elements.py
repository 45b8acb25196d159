"""Lists in strategic merge patches: matching, merging and ordering of elements.

Order, as the server keeps it: elements that the patch names stand in the patch's order, the
others in their old order, and where two of different kinds both existed, the old order decides.
An element that is new comes before the old ones that follow (reference: apiserver §7).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kcm.sandbox.schema.patches.failure import PatchError, shown_map

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
                raise PatchError(500, f"unknown patch type: {other} in map: {shown_map(item)}")
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
    if not merged:
        return merged
    rank = _ranks(wanted, key)
    found = [(_identity(item, key), item) for item in merged]
    named = sorted((pair for pair in found if pair[0] in rank), key=lambda pair: rank[pair[0]])
    if len(named) == len(found):
        return [item for _, item in named]
    old_rank = _ranks(before, key)
    others = [pair for pair in found if pair[0] not in rank]
    others.sort(key=lambda pair: old_rank.get(pair[0], len(before)))
    return [item for _, item in _interleave(others, named, old_rank)]


def _identity(item: Any, key: str) -> Any:
    found = item.get(key) if key and isinstance(item, dict) else item
    return repr(found) if isinstance(found, dict | list) else found


def _ranks(items: list[Any], key: str) -> dict[Any, int]:
    """Return the first place of each identity."""
    ranks: dict[Any, int] = {}
    for index, item in enumerate(items):
        ranks.setdefault(_identity(item, key), index)
    return ranks


Pair = tuple[Any, Any]


def _interleave(others: list[Pair], named: list[Pair], old_rank: dict[Any, int]) -> list[Pair]:
    result: list[Pair] = []
    left, right = 0, 0
    while left < len(others) and right < len(named):
        one, two = old_rank.get(others[left][0]), old_rank.get(named[right][0])
        if one is not None and two is not None and one < two:
            result.append(others[left])
            left += 1
        else:
            result.append(named[right])
            right += 1
    return result + others[left:] + named[right:]

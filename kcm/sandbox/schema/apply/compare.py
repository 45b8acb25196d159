"""Which fields a value has, and which differ between two values.

`owned` is what an applied configuration claims; `compare` is what a write changed, which is what
an Update claims and what others lose (reference: apiserver §7). Pure: neither value is changed.
Elements of a list that share their keys count as one unit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kcm.base.errors import KcmError
from kcm.sandbox.schema.apply.fieldsets import SELF, Tree, field_element, key_element, member, value_element
from kcm.sandbox.schema.apply.kinds import FREE, Kind


class _Absent:
    __slots__ = ()


ABSENT = _Absent()


class KindError(KcmError):
    """A value does not have the form that its kind asks for."""


class Comparison(NamedTuple):
    """What the second value has more, has differently, and lacks."""

    added: Tree
    modified: Tree
    removed: Tree


def element_of(kind: Kind, item: Any) -> str:
    """Return the path element of an item of a list that merges; KindError when it has none."""
    if not kind.keys:
        if item is None:
            raise KindError("associative list without keys has an element that's an explicit null")
        if isinstance(item, dict):
            raise KindError("associative list without keys has an element that's a map type")
        if isinstance(item, list):
            raise KindError("not supported: associative list with lists as elements")
        return value_element(item)
    if item is None:
        raise KindError("associative list with keys may not have a null element")
    if not isinstance(item, dict):
        raise KindError("associative list with keys may not have non-map elements")
    keys: dict[str, Any] = {}
    for name in kind.keys:
        value = item.get(name, ABSENT)
        if value is ABSENT:
            value = kind.key_defaults.get(name, ABSENT)
        if value is not ABSENT:
            keys[name] = value
    if not keys:
        names = " ".join(f'"{name}"' for name in kind.keys)
        raise KindError(
            f"associative list with keys has an element that omits all key fields [{names}] "
            "(and doesn't have default values for any key fields)"
        )
    return key_element(keys)


def owned(kind: Kind, value: Any) -> Tree:
    """Return the fields that a configuration names, as the set of its applier."""
    return _owned(kind, value) or {}


def _owned(kind: Kind, value: Any) -> Tree | None:
    """Return the subtree of a value: None when neither it nor anything below is named."""
    if kind.atomic or not isinstance(value, dict | list):
        return {} if kind.atomic or kind.form in ("scalar", "free") else None
    if isinstance(value, list):
        return _owned_items(kind, value) if kind.form == "list" else {}
    if kind.form not in ("map", "free"):
        return {}
    tree: Tree = {}
    for name, item in value.items():
        below = _owned(kind.of(name) or FREE, item)
        if item is None or item == {} or name not in kind.fields:
            below = member(below)
        if below is not None:
            tree[field_element(name)] = below
    return tree or None


def _owned_items(kind: Kind, values: list[Any]) -> Tree | None:
    tree: Tree = {}
    for element, items in group(kind, values).items():
        tree[element] = {} if len(items) > 1 else member(_owned(kind.item or FREE, items[0]))
    return tree or None


def group(kind: Kind, values: list[Any]) -> dict[str, list[Any]]:
    """Return the items of a list that merges by their path elements; what has none is left out."""
    found: dict[str, list[Any]] = {}
    for item in values:
        try:
            found.setdefault(element_of(kind, item), []).append(item)
        except KindError:
            continue
    return found


def compare(kind: Kind, old: Any, new: Any) -> Comparison:
    """Return what changed between two objects of a kind."""
    result = Comparison({}, {}, {})
    _compare_maps(kind, old, new, result)
    return result


def _compare(kind: Kind, old: Any, new: Any, element: str, result: Comparison) -> None:
    """Note under `element` what changed; either side may be ABSENT."""
    if old is ABSENT:
        if new is not ABSENT:
            result.added[element] = _whole(kind, new)
        return
    if new is ABSENT:
        result.removed[element] = _whole(kind, old)
        return
    if old == new and isinstance(old, bool) == isinstance(new, bool):
        return
    if kind.leaf or not (old or new):
        result.modified[element] = {}
        return
    below = Comparison({}, {}, {})
    if _is_map(kind, old) and _is_map(kind, new):
        _compare_maps(kind, old or {}, new or {}, below)
    elif kind.form == "list" and _is_list(old) and _is_list(new):
        _compare_lists(kind, old or [], new or [], below)
    else:
        result.modified[element] = {}
        return
    for part, inside in zip(result, below, strict=True):
        if inside:
            part[element] = inside


def _is_map(kind: Kind, value: Any) -> bool:
    return kind.form != "list" and (isinstance(value, dict) or (value is None and kind.form == "map"))


def _is_list(value: Any) -> bool:
    return value is None or isinstance(value, list)


def _compare_maps(kind: Kind, old: dict[str, Any], new: dict[str, Any], result: Comparison) -> None:
    for name in old | new | kind.kept if kind.kept else old | new:
        before, after = old.get(name, ABSENT), new.get(name, ABSENT)
        if before is after or (before == after and not isinstance(after, bool | int)):
            continue
        inside = kind.of(name) or FREE
        if kind.native:
            before, after = seen(kind, inside, name, before), seen(kind, inside, name, after)
        _compare(inside, before, after, field_element(name), result)


def seen(kind: Kind, inside: Kind, name: str, value: Any) -> Any:
    """Return the value of a native type's field as the server has it, ABSENT when it leaves it out."""
    if value is ABSENT:
        return kind.kept.get(name, ABSENT)
    if value or not kind.fields:
        return value
    if name in kind.kept:
        return kind.kept[name] if value is None else value
    if value is None:
        return ABSENT
    if name in kind.nullable or (value == {} and inside.fields):
        return value
    return ABSENT


def _compare_lists(kind: Kind, old: list[Any], new: list[Any], result: Comparison) -> None:
    before, after = group(kind, old), group(kind, new)
    item = kind.item or FREE
    for element in before | after:
        olds, news = before.get(element, []), after.get(element, [])
        if len(olds) < 2 and len(news) < 2:
            _compare(item, olds[0] if olds else ABSENT, news[0] if news else ABSENT, element, result)
        elif len(olds) > 1 and len(news) > 1:
            if olds != news:
                result.modified[element] = {}
        elif len(olds) > 1:
            if news:
                result.added[element] = _whole(item, news[0])
            result.removed[element] = {}
        else:
            if olds:
                result.removed[element] = _whole(item, olds[0])
            result.added[element] = {}


_LEAF: Tree = {}


def _whole(kind: Kind, value: Any) -> Tree:
    """Return the subtree of a value that came or went whole."""
    if kind.leaf or not value:
        return _LEAF
    if isinstance(value, dict):
        return _LEAF if kind.form == "list" else _whole_map(kind, value)
    if not isinstance(value, list) or kind.form != "list":
        return _LEAF
    item = kind.item or FREE
    tree: Tree = {SELF: _LEAF}
    for element, items in group(kind, value).items():
        tree[element] = _LEAF if len(items) > 1 else _whole(item, items[0])
    return tree


def _whole_map(kind: Kind, value: dict[str, Any]) -> Tree:
    fields, other, native = kind.fields, kind.item or FREE, kind.native
    tree: Tree = {SELF: _LEAF}
    for name, item in value.items():
        inside = fields.get(name, other)
        if not item and native:
            item = seen(kind, inside, name, item)
            if item is ABSENT:
                continue
        tree["f:" + name] = _LEAF if inside.leaf or not item else _whole(inside, item)
    for name in kind.kept:
        if name not in value:
            tree["f:" + name] = _LEAF
    return tree

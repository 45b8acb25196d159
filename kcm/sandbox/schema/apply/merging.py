"""What becomes of an object when a configuration is applied to it.

`merge` lays a configuration over a live object; `without` takes fields out of one; `prune` takes
out what an applier no longer names and nobody else owns (reference: apiserver §7). Pure: nothing
that is given is changed, results may share parts with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kcm.sandbox.schema.apply.compare import ABSENT, KindError, element_of, group, owned
from kcm.sandbox.schema.apply.fieldsets import (
    SELF,
    Tree,
    difference,
    field_element,
    intersection,
    is_member,
    member,
    union,
)
from kcm.sandbox.schema.apply.kinds import FREE, Kind


def merge(kind: Kind, live: Any, config: Any) -> Any:
    """Return `live` with `config` laid over it."""
    if config is ABSENT:
        return live
    if live is ABSENT and not isinstance(config, dict | list):
        return config
    before = None if live is ABSENT else live
    if kind.atomic or kind.form == "scalar" or not (before or config):
        return config
    if isinstance(config, dict) or (config is None and isinstance(before, dict)):
        if kind.form == "list" or not isinstance(before or {}, dict):
            return config
        return _merge_maps(kind, before or {}, config or {})
    if kind.form == "list" and isinstance(before or [], list) and isinstance(config or [], list):
        return _merge_lists(kind, before or [], config or [])
    return config


def _merge_maps(kind: Kind, live: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    result = dict(live)
    for name, value in config.items():
        result[name] = merge(kind.of(name) or FREE, live.get(name, ABSENT), value)
    return result


def _merge_lists(kind: Kind, live: list[Any], config: list[Any]) -> list[Any]:
    """Merge item by item; the configuration's order wins, what only the live list has stays in place."""
    item = kind.item or FREE
    theirs = group(kind, live)
    wanted = {element_of(kind, value): value for value in config}
    result: list[Any] = []
    for element, value in _interleaved([(_element(kind, value), value) for value in live], wanted):
        if element not in wanted:
            result.append(value)
            continue
        same = theirs.get(element, [])
        # Duplicates have no one item to merge with: the configuration's takes their place.
        result.append(merge(item, same[0] if len(same) == 1 else ABSENT, wanted[element]))
    return result


def _element(kind: Kind, value: Any) -> str:
    try:
        return element_of(kind, value)
    except KindError:
        return ""


def _interleaved(live: list[tuple[str, Any]], wanted: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Yield the elements of both lists, each once, in their merged order.

    Elements that only the live list has keep their place before the next shared one; a shared one
    waits for its turn in the wanted order.
    """
    present = {element for element, _ in live}
    shared = [element for element in wanted if element in present]
    done: set[str] = set()
    at, pending, turn = 0, list(wanted), 0
    position = 0
    while at < len(live) or position < len(pending):
        if at < len(live) and live[at][0] not in wanted:
            yield live[at]
            at += 1
            continue
        if at < len(live) and (live[at][0] in done or position >= len(pending)):
            at += 1
            continue
        if at < len(live) and turn < len(shared) and live[at][0] != shared[turn]:
            at += 1
            continue
        element = pending[position]
        position += 1
        if element in done:
            continue
        done.add(element)
        if turn < len(shared) and shared[turn] == element:
            turn += 1
        yield element, wanted[element]


def without(kind: Kind, value: Any, fields: Tree) -> Any:
    """Return the value without the fields of the set; what is emptied so stays, empty."""
    if not fields or kind.atomic:
        return value
    if isinstance(value, dict) and kind.form != "list":
        result: dict[str, Any] = {}
        for name, inside in value.items():
            below = fields.get(field_element(name))
            if below is None:
                result[name] = inside
            elif not is_member(below):
                result[name] = without(kind.of(name) or FREE, inside, below)
        return result
    if isinstance(value, list) and kind.form == "list":
        items: list[Any] = []
        for item in value:
            below = fields.get(_element(kind, item))
            if below is None:
                items.append(item)
            elif not is_member(below):
                items.append(without(kind.item or FREE, item, below))
        return items
    return value


def with_named(kind: Kind | None, fields: Tree) -> Tree:
    """Return the set with every declared field in it below which it has members."""
    if kind is None or kind.form == "scalar":
        return fields
    result: Tree = {}
    for element, below in fields.items():
        if element == SELF or not below:
            result[element] = below
            continue
        named = element.startswith("f:")
        inside = kind.of(element[2:]) if named else kind.item
        deeper = with_named(inside, below)
        result[element] = member(deeper) if named and element[2:] in kind.fields else deeper
    return result


def prune(kind: Kind, merged: Any, last: Tree, managed: Tree) -> Any:
    """Return `merged` without what the set `last` has and `managed`, the sets of all, lacks."""
    named_last = with_named(kind, last)
    stripped = without(kind, merged, named_last)
    everything = with_named(kind, owned(kind, merged))
    left = with_named(kind, owned(kind, stripped))
    unowned = difference(everything, union(left, with_named(kind, managed)))
    kept = without(kind, merged, unowned)
    # Only what this applier had may go: an ancestor of it that was never its own stays.
    lost = difference(everything, with_named(kind, owned(kind, kept)))
    return without(kind, merged, intersection(lost, named_last))

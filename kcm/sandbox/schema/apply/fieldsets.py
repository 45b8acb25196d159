"""Sets of fields, in the form in which the API shows them (FieldsV1), and their arithmetic.

A `Tree` maps path elements to subtrees: `f:name` a field or map key, `k:{"name":"c"}` a list
element by its keys, `v:"x"` a scalar of a list that is a set, `i:0` an index. An empty subtree is
a member; a subtree with "." is a member and has members below; any other only has members below.
The empty tree at the top is the empty set. Guarantees: no function here changes a tree that it
was given; results may share subtrees with their arguments, so nobody may change those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from kcm.base.errors import KcmError

Tree = dict[str, Any]
Path = tuple[str, ...]

SELF = "."
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_KINDS = "fkvi"
# Deeper trees than any object can have are refused before they are walked.
_DEEPEST = 200


class FieldSetError(KcmError):
    """What claims to be FieldsV1 is not."""


def field_element(name: str) -> str:
    """Return the path element of a field or of a map's key."""
    return "f:" + name


def key_element(keys: Mapping[str, Any]) -> str:
    """Return the path element of a list's element by the values of its keys."""
    try:
        return _key_element(tuple(keys), tuple(keys.values()))
    except TypeError:
        # A key that is itself a list or an object.
        return "k:" + _text({name: keys[name] for name in sorted(keys)})


@lru_cache(maxsize=4096, typed=True)
def _key_element(names: tuple[str, ...], values: tuple[Any, ...]) -> str:
    if any(value is True or value is False or isinstance(value, float) for value in values):
        # Numbers and booleans that are equal are one to the cache.
        raise TypeError
    return "k:" + _text(dict(sorted(zip(names, values, strict=True))))


def value_element(value: Any) -> str:
    """Return the path element of a scalar in a list that is a set."""
    return "v:" + _text(value)


def _text(value: Any) -> str:
    text = _encode(value).decode()
    if "&" in text or "<" in text or ">" in text:
        for character in "&<>":
            text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def is_member(subtree: Tree) -> bool:
    """Say whether the path that leads to this subtree is in the set."""
    return not subtree or SELF in subtree


def member(subtree: Tree | None) -> Tree:
    """Return the subtree with its own path in the set."""
    if not subtree:
        return {}
    return subtree if SELF in subtree else {SELF: {}, **subtree}


def has(tree: Tree, path: Path) -> bool:
    """Say whether the set has this path."""
    here: Tree | None = tree
    for element in path:
        here = here.get(element) if here else None
        if here is None:
            return False
    return bool(path) and here is not None and is_member(here)


def single(path: Path) -> Tree:
    """Return the set of one path."""
    tree: Tree = {}
    for element in reversed(path):
        tree = {element: tree}
    return tree


def union(one: Tree, other: Tree) -> Tree:
    """Return what is in either."""
    if not other or one is other:
        return one
    if not one:
        return other
    result = dict(one)
    for element, theirs in other.items():
        ours = result.get(element)
        result[element] = theirs if ours is None else _both(ours, theirs)
    return result


def _both(ours: Tree, theirs: Tree) -> Tree:
    if not ours:
        return member(theirs)
    return union(ours, theirs) if theirs else member(ours)


def difference(one: Tree, other: Tree, *, deep: bool = False) -> Tree:
    """Return what is in `one` and not in `other`; `deep` takes away what lies below a member too."""
    result: Tree = {}
    for element, ours in one.items():
        if element == SELF:
            continue
        theirs = other.get(element)
        if theirs is None:
            result[element] = ours
            continue
        taken = is_member(theirs)
        if deep and taken:
            continue
        below = difference(ours, theirs, deep=deep)
        if is_member(ours) and not taken:
            result[element] = member(below)
        elif below:
            result[element] = below
    return result


def intersection(one: Tree, other: Tree) -> Tree:
    """Return what is in both."""
    result: Tree = {}
    for element, ours in one.items():
        theirs = other.get(element)
        if theirs is None or element == SELF:
            continue
        below = intersection(ours, theirs)
        if is_member(ours) and is_member(theirs):
            result[element] = member(below)
        elif below:
            result[element] = below
    return result


def paths(tree: Tree, prefix: Path = ()) -> Iterator[Path]:
    """Yield the members, those of a level before those below it, in the order the API uses."""
    elements = [element for element in in_order(tree) if element != SELF]
    for element in elements:
        if is_member(tree[element]):
            yield (*prefix, element)
    for element in elements:
        if tree[element]:
            yield from paths(tree[element], (*prefix, element))


def in_order(tree: Tree) -> tuple[str, ...]:
    """Return the elements of one level in the order the API uses."""
    return _sorted(tuple(tree)) if len(tree) > 1 else tuple(tree)


@lru_cache(maxsize=4096)
def _sorted(elements: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(elements, key=_rank))


@lru_cache(maxsize=4096)
def _rank(element: str) -> tuple[Any, ...]:
    kind = element[:2]
    if kind == "f:":
        return (1, element)
    if kind == "k:":
        keys = sorted(_decode(element[2:].encode()).items())
        return (2, [(name, _value_rank(value)) for name, value in keys])
    if kind == "v:":
        return (3, _value_rank(_decode(element[2:].encode())))
    return (4, int(element[2:])) if kind == "i:" else (0,)


def _value_rank(value: Any) -> tuple[Any, ...]:
    if isinstance(value, bool):
        return (3, value)
    if isinstance(value, int | float):
        return (1, value)
    if isinstance(value, str):
        return (2, value)
    return (4, repr(value))


def ordered(tree: Tree) -> Tree:
    """Return the tree with every level in the order the API uses."""
    result: Tree = {}
    for element in in_order(tree):
        below = tree[element]
        result[element] = ordered(below) if below else below
    return result


def show(path: Path) -> str:
    """Return a path as conflicts name it: `.spec.ports[containerPort=80,protocol="TCP"]`."""
    return "".join(map(_show, path))


def _show(element: str) -> str:
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return "." + text
    if kind == "k:":
        keys = _decode(text.encode())
        return "[" + ",".join(f"{name}={_text(keys[name])}" for name in sorted(keys)) + "]"
    return f"[={text}]" if kind == "v:" else f"[{text}]"


def read_tree(value: Any, depth: int = 0) -> Tree:
    """Return FieldsV1 that came from outside as a tree; FieldSetError when it is none."""
    if not isinstance(value, dict) or depth > _DEEPEST:
        raise FieldSetError("FieldsV1 must be nested objects")
    return {_read_element(element): read_tree(below, depth + 1) for element, below in value.items()}


def _read_element(element: str) -> str:
    if element == SELF:
        return element
    kind, colon, text = element[:1], element[1:2], element[2:]
    if colon != ":" or kind not in _KINDS or (not kind):
        raise FieldSetError(f"not a path element: {element[:80]!r}")
    if kind == "f":
        return element
    try:
        value = _decode(text.encode())
    except msgspec.DecodeError:
        raise FieldSetError(f"not a path element: {element[:80]!r}") from None
    if kind == "k":
        if not isinstance(value, dict):
            raise FieldSetError(f"not the keys of an element: {element[:80]!r}")
        return key_element(value)
    if kind == "i":
        if not isinstance(value, int):
            raise FieldSetError(f"not an index: {element[:80]!r}")
        return f"i:{value}"
    return value_element(value)

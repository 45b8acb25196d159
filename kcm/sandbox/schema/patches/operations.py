"""JSON patch, RFC 6902, as API servers take it: with negative list indices.

A patch that is not well formed is 400; one that does not fit the document is 422. Each
operation copies only the containers on its path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kcm.sandbox.schema.patches.failure import PatchError, fresh, own_metadata

_MOST_OPERATIONS = 10_000
_ABSENT = object()

Change = Callable[[Any], Any]


def json_patch(doc: dict[str, Any], ops: Any) -> dict[str, Any]:
    """Return `doc` after all operations; PatchError 400, 413 or 422."""
    if not isinstance(ops, list) or not all(isinstance(op, dict) for op in ops):
        raise PatchError(400, "a JSON patch must be a list of operations")
    if len(ops) > _MOST_OPERATIONS:
        limit = f"The allowed maximum operations in a JSON patch is {_MOST_OPERATIONS}, got {len(ops)}"
        raise PatchError(413, limit)
    result: Any = dict(doc)
    for op in ops:
        result = _apply(result, op)
    if not isinstance(result, dict):
        raise PatchError(422, "the patched document is not a JSON object")
    return own_metadata(result)


def _apply(doc: Any, op: dict[str, Any]) -> Any:
    path = _pointer(op, "path")
    match op.get("op"):
        case "add":
            return _add(doc, path, _value(op))
        case "replace":
            # Of an object, the server replaces also what is not there.
            _get(doc, path, "replace", missing=None)
            return _set(doc, path, _value(op)) if path else _value(op)
        case "remove":
            return _remove(doc, path)
        case "move":
            source = _pointer(op, "from")
            if path[: len(source)] == source and path != source:
                raise PatchError(422, f"cannot move {op['from']!r} into itself")
            moved = _get(doc, source, "move")
            return _add(_remove(doc, source), path, moved)
        case "copy":
            return _add(doc, path, fresh(_get(doc, _pointer(op, "from"), "copy")))
        case "test":
            if not same(_get(doc, path, "test", missing=None), op.get("value")):
                raise PatchError(422, f"testing value {op['path']} failed: test failed")
            return doc
        case other:
            raise PatchError(400, f"unexpected JSON patch operation: {other!r}")


def same(one: Any, other: Any) -> bool:
    """Say whether two JSON values are equal; unlike `==`, true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _value(op: dict[str, Any]) -> Any:
    # Without a value it is null.
    return fresh(op.get("value"))


def _pointer(op: dict[str, Any], member: str) -> list[str]:
    text = op.get(member)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(400, f"JSON patch operation {op.get('op')!r} needs a JSON pointer in {member!r}")
    return [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]


def _shown(path: list[str]) -> str:
    return "/" + "/".join(path)


def _index(token: str, length: int, path: list[str]) -> int:
    try:
        index = int(token) if len(token) <= 10 else length + 1
    except ValueError:
        raise PatchError(422, f"{_shown(path)}: not a list index: {token[:40]!r}") from None
    if index < 0:
        index += length
    if not 0 <= index <= length:
        raise PatchError(422, f"{_shown(path)}: index out of bounds")
    return index


def _get(doc: Any, path: list[str], verb: str, missing: Any = _ABSENT) -> Any:
    """Return the value at `path`; when only its last step is absent, `missing` if that is given."""
    here = doc
    for depth, token in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(here, dict) and token in here:
            here = here[token]
        elif isinstance(here, list) and (index := _index(token, len(here), path)) < len(here):
            here = here[index]
        elif isinstance(here, dict) and last and missing is not _ABSENT:
            return missing
        else:
            raise PatchError(422, f"{verb} operation does not apply: doc is missing path: {_shown(path)}")
    return here


def _at(container: Any, path: list[str], change: Change, whole: list[str]) -> Any:
    """Return `container` with the container that holds the last token replaced by `change` of its copy."""
    if len(path) == 1:
        if not isinstance(container, dict | list):
            raise PatchError(422, f"{_shown(whole)}: parent is not an object or a list")
        return change(container.copy())
    token = path[0]
    if isinstance(container, dict) and token in container:
        return {**container, token: _at(container[token], path[1:], change, whole)}
    if isinstance(container, list) and (index := _index(token, len(container), whole)) < len(container):
        copy = list(container)
        copy[index] = _at(container[index], path[1:], change, whole)
        return copy
    raise PatchError(422, f"operation does not apply: doc is missing path: {_shown(whole)}")


def _add(doc: Any, path: list[str], value: Any) -> Any:
    def insert(container: Any) -> Any:
        if isinstance(container, dict):
            container[path[-1]] = value
        elif path[-1] == "-":
            container.append(value)
        else:
            # Counted from the end, -1 is behind the last.
            behind = 1 if path[-1].startswith("-") else 0
            container.insert(_index(path[-1], len(container) + behind, path), value)
        return container

    return _at(doc, path, insert, path) if path else value


def _set(doc: Any, path: list[str], value: Any) -> Any:
    def assign(container: Any) -> Any:
        key = path[-1] if isinstance(container, dict) else _index(path[-1], len(container) - 1, path)
        container[key] = value
        return container

    return _at(doc, path, assign, path)


def _remove(doc: Any, path: list[str]) -> Any:
    def take(container: Any) -> Any:
        if isinstance(container, dict):
            del container[path[-1]]
        else:
            del container[_index(path[-1], len(container), path)]
        return container

    if not path:
        raise PatchError(422, "cannot remove the whole document")
    _get(doc, path, "remove")
    return _at(doc, path, take, path)

"""Strategic merge patch: a merge that knows which lists are maps in disguise.

Objects merge, null deletes; a list with a merge key merges element by element, any other is
replaced (reference: apiserver §7). Directives: `$patch` (replace, delete, merge) in objects
and list elements, `$deleteFromPrimitiveList/f`, `$setElementOrder/f`, `$retainKeys`. Which
fields merge comes from `kcm.sandbox.schema.fields`; a field it does not know merges if it is
an object and is replaced if it is a list.
"""

from __future__ import annotations

from typing import Any

from kcm.sandbox.schema.fields import TYPES, Field, TypeDef, type_of
from kcm.sandbox.schema.patches.elements import in_order, merge_elements, merge_scalars
from kcm.sandbox.schema.patches.failure import PatchError, own_metadata, shown_map

_DELETE_FROM = "$deleteFromPrimitiveList/"
_SCALARS = frozenset((str, int, float, bool))
_SET_ORDER = "$setElementOrder/"


def strategic_merge(kind: str, doc: dict[str, Any], patch: Any) -> dict[str, Any]:
    """Return `doc`, an object of that kind, with `patch` merged in; PatchError 400 or 422."""
    if not isinstance(patch, dict):
        raise PatchError(400, "a strategic merge patch of an API object must be a JSON object")
    api_version = doc.get("apiVersion")
    type_ = type_of(kind, api_version if isinstance(api_version, str) else "")
    return own_metadata(_merge(type_, doc, patch))


def _merge(type_: TypeDef | None, doc: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    match patch.get("$patch"):
        case None | "merge":
            pass
        case "replace":
            return {key: _plain(value) for key, value in patch.items() if _stays(key, value)}
        case "delete":
            return {}
        case other:
            raise PatchError(500, f"unknown patch type: {other} in map: {shown_map(patch)}")
    result = _retained(doc, patch)
    directed = any(key.startswith("$") for key in patch)
    for key, value in patch.items():
        if value is None and not key.startswith("$"):
            result.pop(key, None)
        elif not directed and type(value) in _SCALARS:
            result[key] = value
        elif key.startswith("$"):
            _direct(type_, result, patch, key, value)
        else:
            field = type_.fields.get(key) if type_ is not None else None
            result[key] = _merge_field(field, result.get(key), value)
            if (order := patch.get(_SET_ORDER + key)) is not None:
                result[key] = _reordered(field, key, doc.get(key), result[key], value, order)
    return result


def _merge_field(field: Field | None, old: Any, new: Any) -> Any:
    """Return what a field becomes; `old` is None when it is absent."""
    if isinstance(new, dict):
        if not isinstance(old, dict) or (field is not None and field.replaces):
            return _plain(new)
        is_object = field is not None and field.shape.form == "object"
        return _merge(TYPES[field.shape.name] if field is not None and is_object else None, old, new)
    if isinstance(new, list) and field is not None and field.merges:
        return _merge_list(field, old if isinstance(old, list) else [], new)
    return _plain(new)


def _merge_list(field: Field, old: list[Any], new: list[Any]) -> list[Any]:
    if not field.merge_key:
        return merge_scalars(old, new)
    item = field.shape.item
    inner = TYPES[item.name] if item is not None and item.form == "object" else None

    def merge_one(before: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
        return _merge(inner, before, change)

    return merge_elements(old, new, field.merge_key, merge_one, _plain)


def _retained(doc: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of `doc` with the keys that `$retainKeys` allows, all without that directive."""
    keys = patch.get("$retainKeys")
    if keys is None:
        return dict(doc)
    if not isinstance(keys, list) or any(
        key not in keys for key in patch if not key.startswith("$") and patch[key] is not None
    ):
        raise PatchError(400, "invalid patch format of retainKeys list")
    return {key: value for key, value in doc.items() if key in keys}


def _direct(
    type_: TypeDef | None, result: dict[str, Any], patch: dict[str, Any], key: str, value: Any
) -> None:
    """Carry out one directive key; `$patch` and `$retainKeys` have been by the caller."""
    if key in ("$patch", "$retainKeys"):
        return
    directive, slash, name = key.partition("/")
    if not slash or directive + "/" not in (_DELETE_FROM, _SET_ORDER):
        raise PatchError(400, f"unknown patch directive: {key[:80]!r}")
    if not isinstance(value, list):
        raise PatchError(400, f"invalid patch format of {directive[1:]}: not a list")
    old = result.get(name)
    if not isinstance(old, list):
        return
    if directive + "/" == _DELETE_FROM:
        result[name] = [item for item in old if item not in value]
    elif name not in patch:
        field = type_.fields.get(name) if type_ is not None else None
        result[name] = in_order(old, old, value, field.merge_key if field is not None else "")


def _reordered(field: Field | None, name: str, old: Any, merged: Any, new: Any, order: Any) -> Any:
    """Return the merged list in the order that `$setElementOrder` asks for."""
    if not isinstance(order, list) or not isinstance(merged, list):
        raise PatchError(400, f"invalid patch format of setElementOrder list for {name!r}")
    key = field.merge_key if field is not None else ""
    wanted = [_identity(item, key) for item in order]
    for item in new:
        if _is_directive(item):
            continue
        if _identity(item, key) not in wanted:
            raise PatchError(
                400, f"the order in patch list does not match $setElementOrder list for {name!r}"
            )
    return in_order(merged, old if isinstance(old, list) else [], order, key)


def _identity(item: Any, key: str) -> Any:
    return item.get(key) if key and isinstance(item, dict) else item


def _is_directive(item: Any) -> bool:
    return isinstance(item, dict) and "$patch" in item


def _stays(key: str, value: Any) -> bool:
    return value is not None and not key.startswith("$")


def _plain(value: Any) -> Any:
    """Return a copy of a patch's value as it stands in a document: without nulls and directives."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, dict):
        return {
            key: item if type(item) in _SCALARS else _plain(item)
            for key, item in value.items()
            if _stays(key, item)
        }
    if isinstance(value, list):
        return [_plain(item) for item in value if not _is_directive(item)]
    return value

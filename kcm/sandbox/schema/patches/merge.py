"""JSON merge patch, RFC 7386: objects merge, null deletes, all else replaces."""

from __future__ import annotations

from typing import Any

from kcm.sandbox.schema.patches.failure import PatchError, fresh, own_metadata


def merge_patch(doc: dict[str, Any], patch: Any) -> dict[str, Any]:
    """Return `doc` with `patch` merged in; PatchError 400 when the patch is no object."""
    if not isinstance(patch, dict):
        raise PatchError(400, "a merge patch of an API object must be a JSON object")
    return own_metadata(_merged(doc, patch))


def apply_merge(target: Any, patch: Any) -> Any:
    """Return `target` patched by RFC 7386 for any two JSON values."""
    return (
        _merged(target if isinstance(target, dict) else {}, patch)
        if isinstance(patch, dict)
        else fresh(patch)
    )


def _merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply_merge(result.get(name), value)
    return result

"""Why a patch was refused, and copying that keeps results apart from patches."""

from __future__ import annotations

from typing import Any

from kcm.base.errors import KcmError


class PatchError(KcmError):
    """A patch cannot be applied. `code`: 400 malformed, 413 too large, 422 does not fit the document."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def fresh(value: Any) -> Any:
    """Return a deep copy of a JSON value."""
    if isinstance(value, dict):
        return {key: fresh(item) for key, item in value.items()}
    if isinstance(value, list):
        return [fresh(item) for item in value]
    return value


def own_metadata(result: dict[str, Any]) -> dict[str, Any]:
    """Give a result (whose top level is new) metadata of its own; return the result."""
    if "metadata" in result:
        result["metadata"] = fresh(result["metadata"])
    return result


_DEEPEST_SHOWN = 8


def shown_map(value: Any, depth: int = 0) -> str:
    """Return a JSON value as the server prints the map of a strategic patch."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case dict() if depth < _DEEPEST_SHOWN:
            inside = " ".join(f"{name}:{shown_map(value[name], depth + 1)}" for name in sorted(value))
            return f"map[{inside}]"
        case list() if depth < _DEEPEST_SHOWN:
            return f"[{' '.join(shown_map(one, depth + 1) for one in value)}]"
        case _:
            return str(value)

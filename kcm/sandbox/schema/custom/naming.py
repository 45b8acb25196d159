"""Which names a CustomResourceDefinition gets: those that no other of its group has.

`accept` is the decision, as the server's naming controller makes it: pure, on the definition and the
accepted names of the others. Names that conflict keep what was accepted before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

_SINGLE = (("plural", "Plural"), ("singular", "Singular"), ("kind", "Kind"), ("listKind", "ListKind"))

# Said even when they are empty.
_ALWAYS = frozenset(("plural", "kind"))


def accept(names: Json, accepted: Json, others: Iterable[Json]) -> tuple[Json, str, str]:
    """Return the names that are accepted now, and reason and message of the condition NamesAccepted."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        resources.update((other.get("plural") or "", other.get("singular") or ""))
        resources.update(other.get("shortNames") or ())
        kinds.update((other.get("kind") or "", other.get("listKind") or ""))
    found = dict(accepted)
    reason, message = "NoConflicts", "no conflicts found"
    for field, called in _SINGLE[:2]:
        reason, message = _settle(found, names, field, called, resources, (reason, message))
    wanted = names.get("shortNames") or []
    own = set(accepted.get("shortNames") or ())
    taken = [short for short in wanted if short not in own and short in resources]
    if taken:
        texts = [f'"{short}" is already in use' for short in taken]
        reason, message = "ShortNamesConflict", texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    else:
        _put(found, "shortNames", wanted)
    for field, called in _SINGLE[2:]:
        reason, message = _settle(found, names, field, called, kinds, (reason, message))
    _put(found, "categories", names.get("categories") or [])
    return found, reason, message


def _settle(
    found: Json, names: Json, field: str, called: str, used: set[str], said: tuple[str, str]
) -> tuple[str, str]:
    """Accept one name unless it is used; return the reason and message to go on with."""
    wanted = names.get(field) or ""
    if wanted == (found.get(field) or "") or wanted not in used:
        _put(found, field, wanted)
        return said
    return f"{called}Conflict", f'"{wanted}" is already in use'


def _put(found: Json, field: str, value: Any) -> None:
    if value or field in _ALWAYS:
        found[field] = value
    else:
        found.pop(field, None)

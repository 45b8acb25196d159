"""Objects of types that nobody has declared: their spec and status as they are.

`untyped("acme.dev/v1", "Widget", "widgets")` is a class like any declared one, for watches, plans and
`ctx.live`. Guarantees: the same class for the same names, so that it can be used as a key of the
cache; what is in spec and status travels whole and unread until `at` looks. Costs the memory that a
declared type saves. No state but the classes made so far, which are bounded.
"""

from __future__ import annotations

from functools import lru_cache
from types import new_class
from typing import Any, cast

import msgspec

from kcm.objects.metadata import ObjectMeta
from kcm.objects.resource import Resource

MOST_TYPES = 1024

_EMPTY = msgspec.Raw(b"{}")


class Untyped(Resource[msgspec.Raw], frozen=True, kw_only=True):
    """An object whose spec and status are raw JSON. Its class is made by `untyped`."""

    metadata: ObjectMeta
    spec: msgspec.Raw = _EMPTY
    status: msgspec.Raw = _EMPTY

    def at(self, *path: str | int, default: Any = None) -> Any:
        """Return what is at a path that begins with "spec" or "status"; `default` where there is nothing.

        `widget.at("spec", "ports", 0, "name")`. Reads the JSON anew each time. ValueError for a path
        that begins otherwise.
        """
        if not path or path[0] not in ("spec", "status"):
            raise ValueError(f'{path!r}: begin with "spec" or "status"; metadata is an attribute')
        found = msgspec.json.decode(self.spec if path[0] == "spec" else self.status)
        for step in path[1:]:
            match found, step:
                case dict(), str() if step in found:
                    found = found[step]
                case list(), int() if -len(found) <= step < len(found):
                    found = found[step]
                case _:
                    return default
        return default if found is None else found


@lru_cache(maxsize=MOST_TYPES)
def untyped(api: str, kind: str, plural: str, namespaced: bool = True) -> type[Untyped]:
    """Return the class for a resource: `api` is "v1" or "group/version", `plural` the path segment."""
    names = {"api": api, "kind": kind, "plural": plural, "namespaced": namespaced}
    settings: dict[str, Any] = {"frozen": True, "kw_only": True}
    made = new_class(f"Untyped{kind}", (Untyped,), settings, lambda namespace: namespace.update(names))
    return cast("type[Untyped]", made)


def raw(value: Any) -> msgspec.Raw:
    """Return a value made of dicts, lists, text, numbers as the raw JSON of a spec."""
    return msgspec.Raw(msgspec.json.encode(value))

"""A custom resource's schema as OpenAPI v3 shows it: what `kubectl explain` reads.

`published` adds what every object and every embedded resource has, and leaves the rest as it was
given. Guarantees: the definition's own document is not changed; bounded, since no schema is accepted
that nests deeper than `structural.DEEPEST`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_EMBEDDED, _EITHER = "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string"
_TEXT: Json = {"type": "string"}


def published(source: Mapping[str, Any], metadata: Json) -> Json:
    """Return the schema of a kind; `metadata` is the reference to that of ObjectMeta."""
    found = _node(source, metadata)
    properties = found.get("properties") or {}
    head: Json = {"apiVersion": _TEXT, "kind": _TEXT, "metadata": metadata}
    found["type"] = "object"
    found["properties"] = {**head, **{name: one for name, one in properties.items() if name not in head}}
    return found


def _node(source: Mapping[str, Any], metadata: Json) -> Json:
    found = dict(source)
    for name in ("items", "additionalProperties"):
        if isinstance(found.get(name), dict):
            found[name] = _node(found[name], metadata)
    if isinstance(found.get("properties"), dict):
        found["properties"] = {name: _node(one, metadata) for name, one in found["properties"].items()}
    if found.get(_EITHER) is True:
        found.pop("type", None)
        found.setdefault("anyOf", [{"type": "integer"}, _TEXT])
    if found.get(_EMBEDDED) is True:
        found["required"] = list(dict.fromkeys((*(found.get("required") or ()), "kind", "apiVersion")))
        head: Json = {"apiVersion": _TEXT, "kind": _TEXT, "metadata": metadata}
        found["properties"] = {**(found.get("properties") or {}), **head}
    return found

"""URL paths and queries for API objects.

Guarantees that a name which comes from an object (a scaleTargetRef, say) can never lead a
request elsewhere: what is not one path segment is refused (reference: reliability §5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from kcm.base.errors import TerminalError
from kcm.objects.resource import ResourceType

_PLAIN = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.:]{0,252}")
_SUBRESOURCE = re.compile(r"[a-z]{1,63}")


def collection(resource: ResourceType, namespace: str = "") -> str:
    """Return the path of a collection; of all namespaces when `namespace` is empty."""
    return resource.path(segment(namespace) if namespace else "")


def item(resource: ResourceType, namespace: str, name: str, subresource: str = "") -> str:
    """Return the path of one object. `TerminalError` when a name cannot be part of a path."""
    if resource.namespaced and not namespace:
        raise TerminalError(f"{resource} {name[:253]!r}: has no namespace")
    if subresource and not _SUBRESOURCE.fullmatch(subresource):
        raise TerminalError(f"{subresource[:63]!r} is not the name of a subresource")
    return resource.path(segment(namespace) if namespace else "", segment(name), subresource)


def segment(name: str) -> str:
    """Return `name` fit for a path; `TerminalError` when it is not one Kubernetes path segment."""
    if _PLAIN.fullmatch(name):
        return name
    if not name or name in (".", "..") or len(name) > 253 or "/" in name or "%" in name:
        raise TerminalError(f"{name[:253]!r} is not a name: it cannot be one segment of a path")
    try:
        return quote(name, safe="")
    except UnicodeEncodeError:
        raise TerminalError(f"{name[:253]!r} is not a name: it is not valid text") from None


def with_query(path: str, parameters: Mapping[str, str]) -> str:
    """Return the request target; parameters that are empty are left out."""
    present = {name: value for name, value in parameters.items() if value}
    return f"{path}?{urlencode(present)}" if present else path

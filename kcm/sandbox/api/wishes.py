"""What a request asks for, in the words of authorization.

Read from method, path and query alone, before anything is known of the resource: whoever may not
even ask is told so, not that there is no such resource. Owns no state.
"""

from __future__ import annotations

from kcm.sandbox.access.rules import Wish
from kcm.sandbox.access.users import User
from kcm.sandbox.api.errors import ApiFailure, Json
from kcm.serving.http import Request

_VERBS = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_OF_NAMESPACES = frozenset(("status", "finalize"))


def wish_of(request: Request) -> Wish:
    """Return what a request asks for; a path that names no resource is asked for as a path."""
    parts = request.path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, parts = "", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, parts = parts[1], parts[3:]
    else:
        return Wish(request.method.lower(), path=request.path)
    verb = _VERBS.get(request.method, "")
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _OF_NAMESPACES:
            parts = parts[2:]
    name = parts[1] if len(parts) > 1 else ""
    subresource = parts[2] if len(parts) > 2 else ""
    if not name and verb == "get":
        verb, name = _reading(request)
    elif not name and verb == "delete":
        verb = "deletecollection"
    return Wish(verb, group, parts[0], subresource, namespace, name)


def _reading(request: Request) -> tuple[str, str]:
    """Return list or watch, and the one name that a field selector leaves."""
    verb, name = "list", ""
    for key, value in request.query:
        if key == "watch" and value.lower() not in ("false", "0"):
            verb = "watch"
        elif key == "fieldSelector":
            for term in value.split(","):
                field, _, wanted = term.partition("=")
                if field == "metadata.name":
                    name = wanted.removeprefix("=")
    return verb, name


def forbidden_wish(user: User, wish: Wish, reason: str) -> ApiFailure:
    """Refuse a wish (403) as the server does: who may not do what where, and what is amiss if known."""
    why = f"{_refusal(user, wish)}: {reason}" if reason else _refusal(user, wish)
    details: Json = {}
    if wish.path:
        return ApiFailure(403, "Forbidden", f"forbidden: {why}", details=details)
    if wish.name:
        details["name"] = wish.name
    if wish.group:
        details["group"] = wish.group
    details["kind"] = wish.resource
    qualified = f"{wish.resource}.{wish.group}" if wish.group else wish.resource
    named = f'{qualified} "{wish.name}"' if wish.name else qualified
    return ApiFailure(403, "Forbidden", f"{named} is forbidden: {why}", details=details)


def _refusal(user: User, wish: Wish) -> str:
    if wish.path:
        text = f'User "{user.name}" cannot {wish.verb} path "{wish.path}"'
    else:
        scope = f'in the namespace "{wish.namespace}"' if wish.namespace else "at the cluster scope"
        text = f'User "{user.name}" cannot {wish.verb} resource "{wish.combined}" in API group '
        text += f'"{wish.group}" {scope}'
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

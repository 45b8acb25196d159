"""Failures as the API server words them (reference: apiserver §4).

An `ApiFailure` is raised anywhere below the router and rendered once, at its edge, as a Status
object. Guarantees: `reason`, `code`, `message` and `details` are those that a Kubernetes 1.36
server sends, because clients decide on them. Owns no state.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kcm.base.errors import KcmError
from kcm.sandbox.schema.resources import ResourceInfo

Json = dict[str, Any]

# Where the server's own list of kinds was made: part of its messages.
SCHEME = '"pkg/api/legacyscheme/scheme.go:30"'
_LONGEST_SHOWN = 1024


class ApiFailure(KcmError):
    """One refused request. `retry_after` is in whole seconds, also sent as a header."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Json | None = None,
        retry_after: int | None = None,
        continue_token: str = "",
        plain: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after
        self.continue_token = continue_token
        self.plain = plain
        # What was found before the refusal, and is told with it.
        self.warnings: Sequence[str] = ()

    def status(self) -> Json:
        """Return the Status object."""
        details = self.details
        if self.retry_after is not None:
            details = {**(details or {}), "retryAfterSeconds": self.retry_after}
        status: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_token} if self.continue_token else {},
            "status": "Failure",
            "message": self.message,
        }
        # An error of the server's own making, passed on as it came, has no reason.
        if self.reason:
            status["reason"] = self.reason
        if details is not None:
            status["details"] = details
        status["code"] = self.code
        return status


class Undecodable(ApiFailure):
    """A document that its kind cannot hold: 400, unless whoever made the document words it otherwise."""

    def __init__(self, resource: ResourceInfo, kind: str, version: str, problem: str) -> None:
        """`kind` and `version` are those that the document gives; `problem` is the decoder's complaint."""
        self.problem = problem
        message = f'{kind} in version "{version}" cannot be handled as a {resource.kind}: {problem}'
        super().__init__(400, "BadRequest", message)


def named(resource: ResourceInfo, name: str = "") -> Json:
    """Return `details` that name an object: kind is the plural resource, as the server writes it."""
    details: Json = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    details["kind"] = resource.plural
    return details


def bad_request(message: str) -> ApiFailure:
    return ApiFailure(400, "BadRequest", message)


def nothing_here() -> ApiFailure:
    """No group, no document: the server answers in plain text."""
    return ApiFailure(404, "", "404 page not found\n", plain=True)


def unknown_route() -> ApiFailure:
    return ApiFailure(404, "NotFound", "the server could not find the requested resource", details={})


def not_found(resource: ResourceInfo, name: str) -> ApiFailure:
    return ApiFailure(
        404, "NotFound", f'{resource.qualified} "{name}" not found', details=named(resource, name)
    )


def method_not_allowed() -> ApiFailure:
    message = "the server does not allow this method on the requested resource"
    return ApiFailure(405, "MethodNotAllowed", message, details={})


def rejected() -> ApiFailure:
    """A JSON patch that does not apply: the server does not say why."""
    return ApiFailure(
        422, "Invalid", "the server rejected our request due to an error in our request", details={}
    )


def unparsable_number(text: str, parser: str = "ParseInt") -> str:
    """Return what the server says of an option that must be a number."""
    shown = go_quote(text)
    plain = text.removeprefix("-").removeprefix("+") if parser == "ParseInt" else text
    why = "value out of range" if plain.isascii() and plain.isdigit() else "invalid syntax"
    return f"strconv.{parser}: parsing {shown}: {why}"


def go_quote(text: str) -> str:
    """Return text in double quotes, as the server's messages show values."""
    return json.dumps(text[:_LONGEST_SHOWN], ensure_ascii=False)


def already_exists(resource: ResourceInfo, name: str, *, deleting: bool = False) -> ApiFailure:
    message = (
        f'object is being deleted: {resource.qualified} "{name}" already exists'
        if deleting
        else f'{resource.qualified} "{name}" already exists'
    )
    return ApiFailure(409, "AlreadyExists", message, details=named(resource, name))


def name_not_found_in_time(resource: ResourceInfo, name: str) -> ApiFailure:
    """`generateName` found no free name: the client may send the request again at once."""
    message = f'{resource.qualified} "{name}" already exists, the server was not able to '
    message += "generate a unique name for the object"
    return ApiFailure(409, "AlreadyExists", message, details=named(resource, name), retry_after=1)


def conflict(resource: ResourceInfo, name: str, why: str = "") -> ApiFailure:
    cause = why or (
        "the object has been modified; please apply your changes to the latest version and try again"
    )
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {cause}'
    return ApiFailure(409, "Conflict", message, details=named(resource, name))


def forbidden(resource: ResourceInfo, name: str, why: str, *, causes: Sequence[Json] = ()) -> ApiFailure:
    details = named(resource, name)
    if causes:
        details["causes"] = list(causes)
    return ApiFailure(403, "Forbidden", f'{resource.qualified} "{name}" is forbidden: {why}', details=details)


def invalid(resource: ResourceInfo, name: str, causes: Sequence[Json]) -> ApiFailure:
    """Refuse an object for its fields. Each cause has reason, message and field."""
    qualified = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details: Json = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    details |= {"kind": resource.kind, "causes": list(causes)}
    return ApiFailure(422, "Invalid", f'{qualified} "{name}" is invalid: {_listed(causes)}', details=details)


def patch_refused(*causes: Json) -> ApiFailure:
    """Refuse what a patch made of an object: neither kind nor name are told."""
    return ApiFailure(422, "Invalid", f' "" is invalid: {_listed(causes)}', details={"causes": list(causes)})


def cause(field: str, message: str, reason: str = "FieldValueForbidden") -> Json:
    """Return one complaint about one field; its message begins as the reason demands."""
    return {"reason": reason, "message": message, "field": field}


def invalid_option(kind: str, *causes: Json) -> ApiFailure:
    """Refuse the options of a request (ListOptions and the like)."""
    return ApiFailure(
        422,
        "Invalid",
        f'{kind}.meta.k8s.io "" is invalid: {_listed(causes)}',
        details={"group": "meta.k8s.io", "kind": kind, "causes": list(causes)},
    )


def _listed(causes: Sequence[Json]) -> str:
    """Return complaints as text; what is said twice is shown once."""
    texts = list(dict.fromkeys(f"{cause['field']}: {cause['message']}" for cause in causes))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def expired(message: str, continue_token: str = "") -> ApiFailure:
    return ApiFailure(410, "Expired", message, continue_token=continue_token)


def version_too_large(asked: int, current: int) -> ApiFailure:
    """The client has seen a resourceVersion that this server has not reached."""
    details: Json = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    }
    message = f"Too large resource version: {asked}, current: {current}"
    return ApiFailure(504, "Timeout", f"Timeout: {message}", details=details, retry_after=1)


def not_implemented(what: str) -> ApiFailure:
    return ApiFailure(501, "NotImplemented", f"the sandbox does not serve {what}")


def unsupported_media(accepted: Sequence[str], why: str = "") -> ApiFailure:
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(
        accepted
    )
    return ApiFailure(415, "UnsupportedMediaType", f"{message} ({why})" if why else message)


def unsupported_patch() -> ApiFailure:
    return ApiFailure(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})


def not_acceptable(accepted: Sequence[str]) -> ApiFailure:
    """No clause of Accept can be served in the shape that it asks for."""
    return ApiFailure(
        406, "NotAcceptable", "only the following media types are accepted: " + ", ".join(accepted)
    )


def nothing_acceptable(available: Sequence[str]) -> ApiFailure:
    """No clause of Accept names a media type that is served at all."""
    message = "406: Not Acceptable\n\nAvailable representations: " + ", ".join(available)
    return ApiFailure(406, "NotAcceptable", message, details={})

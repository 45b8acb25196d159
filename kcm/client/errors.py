"""What an API server says when it does not do what was asked.

Every answer other than 2xx becomes an `ApiError`, whose type says what to do about it.
Guarantees: decoding is bounded and never fails, whatever the body is (a Status, a proxy's HTML,
`404 page not found`); the text is one line of bounded length; `retry_after` is bounded. Codes,
reasons and causes: reference/apiserver.md §4.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kcm.base.errors import KcmError

_LONGEST_BODY = 256 * 1024
_LONGEST_TEXT = 1000
_LONGEST_WAIT = 3600.0


class StatusCause(msgspec.Struct, frozen=True, rename="camel"):
    """`metav1.StatusCause`."""

    reason: str = ""
    message: str = ""
    field: str = ""


class StatusDetails(msgspec.Struct, frozen=True, rename="camel"):
    """`metav1.StatusDetails`."""

    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: tuple[StatusCause, ...] | None = None
    retry_after_seconds: int = 0


class ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    """The part of `metav1.ListMeta` that a Status may carry: a fresh token after 410 on a page."""

    continue_token: str = msgspec.field(default="", name="continue")
    resource_version: str = ""


class Status(msgspec.Struct, frozen=True, rename="camel"):
    """`metav1.Status`."""

    kind: str = ""
    status: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0
    details: StatusDetails | None = None
    metadata: ListMeta | None = None

    def has_cause(self, reason: str) -> bool:
        """Say whether one of the causes has this reason."""
        causes = self.details.causes if self.details is not None else None
        return any(cause.reason == reason for cause in causes or ())


class ApiError(KcmError):
    """The server refused or failed.

    `asked`: the request; `status`: the server's whole answer, `code` and `reason` from it; `retry_after`:
    seconds, None when the server named none.
    """

    def __init__(self, asked: str, status: Status, retry_after: float | None = None) -> None:
        self.asked = asked
        self.status = status
        self.code = status.code
        self.reason = status.reason
        self.retry_after = retry_after
        text = " ".join(status.message.split())[:_LONGEST_TEXT]
        super().__init__(f"{asked}: {status.code} {status.reason}: {text}".rstrip(": "))

    @property
    def may_have_acted(self) -> bool:
        """Say whether a refused write may have been carried out all the same: every 5xx may."""
        return self.code >= 500


class BadRequest(ApiError):
    """400: the request makes no sense to the server."""


class Unauthorized(ApiError):
    """401: the credentials are not accepted, refreshed ones included."""


class Forbidden(ApiError):
    """403: not permitted, over quota, or refused by admission."""


class NamespaceTerminating(Forbidden):
    """403 with that cause: nothing can be created there any more."""


class NotFound(ApiError):
    """404: no such object or no such resource type."""


class MethodNotAllowed(ApiError):
    """405: the resource has no such verb."""


class Conflict(ApiError):
    """409: the object changed since it was read, or a precondition does not hold."""


class FieldsTaken(Conflict):
    """409 with that cause: fields of a server-side apply belong to another manager, and `force` is off."""


class AlreadyExists(ApiError):
    """409 with that reason: the name is taken."""


class Expired(ApiError):
    """410: the resourceVersion or continue token is too old; list again."""

    @property
    def continue_token(self) -> str:
        """Return the token with which an inconsistent list can go on, "" if there is none."""
        return self.status.metadata.continue_token if self.status.metadata is not None else ""


class TooLarge(ApiError):
    """413: the request's body is too long."""


class Invalid(ApiError):
    """422: the object breaks a rule."""


class TooManyRequests(ApiError):
    """429: slow down; an eviction that a budget forbids, too."""


class InternalError(ApiError):
    """5xx other than the following."""


class Unavailable(ApiError):
    """502 or 503: the server, or what stands before it, is not there."""


class ServerTimeout(ApiError):
    """504, or 500 with reason ServerTimeout: the server gave up waiting."""


class ResourceVersionTooLarge(ServerTimeout):
    """504 with that cause: the server has not seen this resourceVersion yet."""


_BY_CODE: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    410: Expired,
    413: TooLarge,
    422: Invalid,
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
    504: ServerTimeout,
}

_REASONS: Mapping[int, str] = {
    301: "Redirect",
    302: "Redirect",
    307: "Redirect",
    308: "Redirect",
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "Timeout",
}

_decoder = msgspec.json.Decoder(Status)


def decode_status(code: int, body: bytes) -> Status:
    """Return the Status in `body`, or one made from the code and what text there is. Never fails."""
    try:
        status = _decoder.decode(body) if len(body) <= _LONGEST_BODY else Status()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        status = Status()
    if status.kind == "Status":
        return msgspec.structs.replace(
            status, code=code or status.code, reason=status.reason or _reason(code or status.code)
        )
    if code == 404 and body.strip() == b"404 page not found":
        message = "the server could not find the requested resource"
    elif body.lstrip()[:1] == b"<":
        message = "the answer is HTML: something other than the API server sent it"
    else:
        message = body[:_LONGEST_TEXT].decode("utf-8", "replace")
    return Status(kind="Status", status="Failure", message=message, reason=_reason(code), code=code)


def error_of(asked: str, status: Status, retry_after: float | None = None) -> ApiError:
    """Return the typed error for a Status, from an answer or from inside a watch."""
    if retry_after is None and status.details is not None and status.details.retry_after_seconds > 0:
        retry_after = min(float(status.details.retry_after_seconds), _LONGEST_WAIT)
    return _class_of(status)(asked, status, retry_after)


def error_from_answer(asked: str, code: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Return the typed error for an answer that is not 2xx. `asked` says what was asked, for people."""
    return error_of(asked, decode_status(code, body), _seconds(headers.get("retry-after", "")))


def _class_of(status: Status) -> type[ApiError]:
    match status.code, status.reason:
        case 403, _ if status.has_cause("NamespaceTerminating"):
            return NamespaceTerminating
        case 409, "AlreadyExists":
            return AlreadyExists
        case 409, _ if status.has_cause("FieldManagerConflict"):
            return FieldsTaken
        case 504, _ if status.has_cause("ResourceVersionTooLarge"):
            return ResourceVersionTooLarge
        case 500, "ServerTimeout":
            return ServerTimeout
    return _BY_CODE.get(status.code, InternalError if status.code >= 500 else ApiError)


def _reason(code: int) -> str:
    return _REASONS.get(code, "")


def _seconds(text: str) -> float | None:
    """Return a Retry-After in seconds; None for dates and nonsense. At most an hour."""
    if not text.isascii() or not text.isdigit():
        return None
    return min(float(text[:9]), _LONGEST_WAIT)

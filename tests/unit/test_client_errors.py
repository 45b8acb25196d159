"""Every body an API server, proxy or fault may send becomes a typed error of one bounded line."""

from __future__ import annotations

import json

import pytest

from kcm.client import errors
from kcm.client.errors import decode_status, error_from_answer, error_of


def status(code: int, reason: str, *causes: str, **details: object) -> bytes:
    return json.dumps(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "m",
            "reason": reason,
            "details": {"causes": [{"reason": cause} for cause in causes], **details},
            "code": code,
        }
    ).encode()


@pytest.mark.parametrize(
    ("code", "body", "type_"),
    [
        (404, status(404, "NotFound"), errors.NotFound),
        (404, b"404 page not found\n", errors.NotFound),
        (409, status(409, "AlreadyExists"), errors.AlreadyExists),
        (409, status(409, "Conflict"), errors.Conflict),
        (403, status(403, "Forbidden"), errors.Forbidden),
        (403, status(403, "Forbidden", "NamespaceTerminating"), errors.NamespaceTerminating),
        (410, status(410, "Expired"), errors.Expired),
        (422, status(422, "Invalid", "FieldValueInvalid"), errors.Invalid),
        (429, b"too many", errors.TooManyRequests),
        (500, status(500, "InternalError"), errors.InternalError),
        (500, status(500, "ServerTimeout"), errors.ServerTimeout),
        (503, b"<html>nginx</html>", errors.Unavailable),
        (504, status(504, "Timeout"), errors.ServerTimeout),
        (504, status(504, "Timeout", "ResourceVersionTooLarge"), errors.ResourceVersionTooLarge),
        (401, b"", errors.Unauthorized),
        (302, b"", errors.ApiError),
        (599, b"\xff\xfe", errors.InternalError),
        (400, b'{"kind":"Status","details":null,"metadata":null}', errors.BadRequest),
        (400, b'{"kind":"Status","details":{"causes":null}}', errors.BadRequest),
        (400, b'{"kind":7}', errors.BadRequest),
        (400, b"[" * 100_000, errors.BadRequest),
    ],
)
def test_an_answer_becomes_the_error_of_its_kind(code: int, body: bytes, type_: type[Exception]) -> None:
    error = error_from_answer("GET /x", code, {}, body)
    assert type(error) is type_
    assert error.code == code
    assert "\n" not in str(error)
    assert len(str(error)) < 1200


def test_the_http_code_wins_over_what_the_body_says() -> None:
    assert decode_status(503, status(404, "NotFound")).code == 503


@pytest.mark.parametrize(
    ("header", "body", "seconds"),
    [
        ("7", b"", 7.0),
        ("999999999999999999999", b"", 3600.0),
        ("-1", b"", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", b"", None),
        ("", status(429, "TooManyRequests", retryAfterSeconds=3), 3.0),
        ("9", status(429, "TooManyRequests", retryAfterSeconds=3), 9.0),
        ("²", b"", None),
    ],
)
def test_retry_after_is_taken_from_header_or_status_and_bounded(
    header: str, body: bytes, seconds: float | None
) -> None:
    headers = {"retry-after": header} if header else {}
    assert error_from_answer("GET /x", 429, headers, body).retry_after == seconds


def test_an_expired_page_says_how_to_go_on() -> None:
    body = b'{"kind":"Status","code":410,"reason":"Expired","metadata":{"continue":"abc"}}'
    error = error_from_answer("LIST", 410, {}, body)
    assert isinstance(error, errors.Expired)
    assert error.continue_token == "abc"


def test_an_error_event_inside_a_watch_has_the_same_types() -> None:
    inner = decode_status(0, status(410, "Gone"))
    assert isinstance(error_of("watch", inner), errors.Expired)


def test_only_failures_of_the_server_may_have_acted() -> None:
    assert error_from_answer("POST /x", 504, {}, b"").may_have_acted
    assert not error_from_answer("POST /x", 429, {}, b"").may_have_acted

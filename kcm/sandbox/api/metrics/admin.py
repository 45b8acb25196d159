"""/sandbox/metrics: values set and taken away over HTTP.

    GET    /sandbox/metrics                                   what is set, and what it is worth now
    PUT    /sandbox/metrics                                   a whole document in place of what was put
    DELETE /sandbox/metrics                                   take away all that was put
    PUT    /sandbox/metrics/external/<namespace>/<metric>     namespace "-": every namespace
    PUT    /sandbox/metrics/custom/<namespace>/<resource>/<object>/<metric>      "-": no namespace
    PUT    /sandbox/metrics/loads/<namespace>/<resource>/<workload>/<metric>
    DELETE the same paths; labels of a series are query parameters `label.<name>=<value>`

A body is a value (`4`, `ramp(0, 100, 5m)`) or `{"value": …, "labels": {…}}`. Guarantees: a body
that cannot be understood changes nothing and answers 400 with the reason. Owns no state.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kcm.sandbox.api.errors import ApiFailure, Json, bad_request, unknown_route
from kcm.sandbox.api.metrics.book import Book, BookFull, CustomKey, ExternalKey, Key, LoadKey, sorted_labels
from kcm.sandbox.api.metrics.document import WORKLOADS, BadDocument, describe, read_text
from kcm.sandbox.api.metrics.shapes import Shape, read_shape
from kcm.sandbox.api.records import encode
from kcm.serving.http import Request, Response

PREFIX = "/sandbox/metrics"
_LONGEST_NAME = 253


def concerns(path: str) -> bool:
    """Say whether a path is one of these."""
    return path == PREFIX or path.startswith(PREFIX + "/")


class Admin:
    """Answers on the admin path."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def answer(self, request: Request) -> Response:
        """Do what a request asks; ApiFailure when it cannot be understood."""
        parts = [part for part in request.path.removeprefix(PREFIX).split("/") if part]
        try:
            return self._whole(request) if not parts else self._single(request, parts)
        except (BadDocument, BookFull, ValueError) as error:
            raise bad_request(f"{PREFIX}: {error}") from None

    def _whole(self, request: Request) -> Response:
        match request.method:
            case "GET":
                return _json(describe(self._book, dict(self._book.entries())))
            case "PUT":
                self._book.replace("admin", read_text(request.body))
            case "DELETE":
                self._book.replace("admin", {})
            case _:
                raise _not_allowed()
        return _json(describe(self._book, self._book.page("admin")))

    def _single(self, request: Request, parts: list[str]) -> Response:
        given, labels = _body(request.body) if request.method == "PUT" else (None, {})
        labels |= {
            name.removeprefix("label."): value for name, value in request.query if name.startswith("label.")
        }
        key = _key(parts, labels)
        match request.method:
            case "PUT" if given is not None:
                self._book.put("admin", key, given)
                return _json(describe(self._book, {key: self._book.page("admin")[key]}))
            case "DELETE":
                if not self._book.drop("admin", key):
                    raise ApiFailure(404, "NotFound", f"{PREFIX}/{'/'.join(parts)} is not set")
                return _json({})
        raise _not_allowed()


def _key(parts: list[str], labels: dict[str, str]) -> Key:
    if any(len(part) > _LONGEST_NAME for part in parts):
        raise ValueError(f"a name is longer than {_LONGEST_NAME} characters")
    parts = ["" if part == "-" else part for part in parts]
    match parts:
        case ["external", namespace, metric] if metric:
            return ExternalKey(metric, namespace, sorted_labels(labels))
        case ["custom", namespace, resource, name, metric] if resource and name and metric:
            return CustomKey(resource, namespace, name, metric, sorted_labels(labels))
        case ["loads", namespace, resource, name, metric] if namespace and name and metric:
            plural = resource.partition(".")[0]
            if plural not in WORKLOADS:
                raise ValueError(f"{resource!r} is not one of {', '.join(sorted(WORKLOADS))}")
            return LoadKey(plural, namespace, name, metric)
    raise unknown_route()


def _body(body: bytes) -> tuple[Shape, dict[str, str]]:
    try:
        given: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        given = body[:1000].decode("utf-8", "replace")
    labels: dict[str, str] = {}
    if isinstance(given, dict):
        labels = msgspec.convert(given.get("labels") or {}, dict[str, str])
        given = given.get("value")
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise ValueError('a body is a value or {"value": …, "labels": {…}}')
    return read_shape(str(given)), labels


def _not_allowed() -> ApiFailure:
    return ApiFailure(405, "MethodNotAllowed", "GET, PUT and DELETE are served here")


def _json(document: Json) -> Response:
    return Response(200, encode(document))

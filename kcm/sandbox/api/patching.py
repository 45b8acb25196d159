"""A patch request: what it does to a document, and how it is refused.

The three patches that need no memory of owners; server-side apply is `ownership`'s. Guarantees:
a patch that cannot be read is refused before anything else is looked at; what a patch makes of
an object and does not fit its kind is shown in the refusal (reference: apiserver §4, §7). Lives
as long as its request.
"""

from __future__ import annotations

import re
from typing import Any

from kcm.sandbox.api.errors import (
    ApiFailure,
    Json,
    Undecodable,
    bad_request,
    cause,
    go_quote,
    patch_refused,
    rejected,
)
from kcm.sandbox.api.negotiation import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, read_patch
from kcm.sandbox.api.records import encode
from kcm.sandbox.schema.patches import (
    PatchError,
    json_patch,
    merge_patch,
    shown_map,
    strategic_merge,
)
from kcm.sandbox.schema.typecheck import json_type

_MOST_OPERATIONS = 10_000
_OBJECT = "map[string]interface {}"


class Patch:
    """One patch of one request, for objects of one kind."""

    def __init__(self, nature: str, body: bytes, content_type: str) -> None:
        """Read the patch; ApiFailure 400, 413 or 415 when that cannot be done."""
        self._nature = nature
        self.media, given = read_patch(body, content_type)
        self._patch = given.value
        self.repeated = given.repeated
        self.shows_owners = self.media == JSON_PATCH or b"managedFields" in body
        self._result: Any = None
        self._check_form()

    def _check_form(self) -> None:
        patch = self._patch
        if self.media == JSON_PATCH:
            _check_operations(patch)
        elif self.media == STRATEGIC_PATCH and patch is None:
            self._patch = {}
        elif self.media == MERGE_PATCH and patch is None:
            raise bad_request("Invalid JSON Patch")
        elif not isinstance(patch, dict):
            problem = f"json: cannot unmarshal {json_type(patch)} into Go value of type {_OBJECT}"
            raise bad_request(f"error decoding patch: {problem}" if self.media == MERGE_PATCH else problem)

    def change(self, document: Json) -> Json:
        """Return the document as the patch leaves it; ApiFailure when it cannot be applied."""
        try:
            if self.media == JSON_PATCH:
                patched = json_patch(document, self._patch)
            elif self.media == MERGE_PATCH:
                patched = merge_patch(document, self._patch)
            else:
                patched = _of_the_same_kind(strategic_merge(self._nature, document, self._patch), document)
        except PatchError as error:
            if self.media == JSON_PATCH:
                raise rejected() from None
            raise ApiFailure(error.code, "BadRequest" if error.code == 400 else "", error.message) from None
        self._result = patched
        return patched

    def refusal(self, failure: Undecodable) -> ApiFailure:
        """Return the refusal of what the patch made of an object, which its kind cannot hold."""
        strategic = self.media == STRATEGIC_PATCH
        shown = shown_map(self._patch) if strategic else encode(self._result).decode()
        problem = _converted(failure.problem) if strategic else failure.problem
        message = f"Invalid value: {go_quote(shown)}: {problem}"
        return patch_refused(cause("patch", message, "FieldValueInvalid"))


def _of_the_same_kind(patched: Json, document: Json) -> Json:
    """Return the document with the kind it had: a strategic merge patch goes by the kind of its URL."""
    for name in ("apiVersion", "kind"):
        if isinstance(patched.get(name), str) and name in document:
            patched[name] = document[name]
    return patched


_MISMATCH = re.compile(
    r"json: cannot unmarshal (?P<found>\w+)(?P<amount> [\d.e+-]+)? "
    r"into Go struct field \S+\.(?P<field>\w+) of type (?P<type>.+)"
)
_FOUND = {"array": "slice", "object": "map"}
# These read their own JSON, and complain in its words.
_OWN_READERS = frozenset(("v1.Time", "v1.MicroTime", "resource.Quantity", "[]uint8"))
_EITHER = frozenset(("maxSurge", "maxUnavailable", "minAvailable", "targetPort"))


def _converted(problem: str) -> str:
    """Return a decoder's complaint in the words of the converter that strategic merge patches go through."""
    seen = _MISMATCH.fullmatch(problem)
    if seen is None or seen["type"] in _OWN_READERS:
        return problem
    found, amount, type_ = seen["found"], seen["amount"] or "", seen["type"]
    if seen["field"] in _EITHER:
        return f"json: cannot unmarshal {found}{amount} into Go value of type {type_}"
    fraction = "." in amount
    kind = _FOUND.get(found, ("float64" if fraction else "int64") if found == "number" else found)
    match type_:
        case "int32" | "int64" if fraction:
            return f"cannot convert float64 to {type_}"
        case "string" if kind == "int64":
            return "cannot convert int64 to string"
        case "int32" | "int64" | "float64" | "bool" | "string":
            return f"unrecognized type: {type_}"
        case _ if type_.startswith("[]"):
            return f"cannot restore slice from {kind}"
        case _ if type_.startswith("map["):
            return f"cannot restore map from {kind}"
        case _:
            return f"cannot restore struct from: {kind}"


def _check_operations(patch: Any) -> None:
    """Raise 400 or 413 for what is no list of operations."""
    target = "[]handlers.jsonPatchOp"
    if patch is not None and not isinstance(patch, list):
        raise bad_request(_not_operations(patch, target))
    operations = patch or ()
    if len(operations) > _MOST_OPERATIONS:
        raise ApiFailure(
            413,
            "RequestEntityTooLarge",
            "Request entity too large: The allowed maximum operations in a JSON patch is "
            f"{_MOST_OPERATIONS}, got {len(operations)}",
        )
    for operation in operations:
        if operation is not None and not isinstance(operation, dict):
            raise bad_request(_not_operations(operation, target.removeprefix("[]")))


def _not_operations(value: Any, target: str) -> str:
    return f"error decoding patch: json: cannot unmarshal {json_type(value)} into Go value of type {target}"

"""A patch request: what it does to a document, and how it is refused.

The three patches that need no memory of owners; server-side apply is `ownership`'s. Guarantees:
a patch that cannot be read is refused before anything else is looked at; what a patch makes of
an object and does not fit its kind is shown in the refusal (reference: apiserver §4, §7). Lives
as long as its request.
"""

from __future__ import annotations

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
                patched = strategic_merge(self._nature, document, self._patch)
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
        message = f"Invalid value: {go_quote(shown)}: {failure.problem}"
        return patch_refused(cause("patch", message, "FieldValueInvalid"))


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

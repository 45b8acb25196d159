"""Bodies of server-side apply: a configuration in YAML, of which JSON is a part.

Guarantees: what is no object of the resource is refused with the words of the real server
(reference: apiserver §4); keys given twice are found. Owns no state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.decoding import MalformedJson, read_json, repeated_fields
from kcm.sandbox.api.errors import ApiFailure, Json, bad_request, conflict
from kcm.sandbox.api.negotiation import MOST_BODY, MalformedYaml, read_yaml
from kcm.sandbox.schema.resources import ResourceInfo
from kcm.sandbox.schema.typecheck import json_type

_UNREADABLE = "error decoding YAML: error converting YAML to JSON: "


def read_configuration(call: Call, body: bytes) -> Json:
    """Return the configuration that a body holds; ApiFailure 413 or 400. Warns of keys given twice."""
    if len(body) > MOST_BODY:
        raise ApiFailure(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MOST_BODY}")
    value, repeated = _read(body)
    if value is not None and not isinstance(value, dict):
        problem = f"json: cannot unmarshal {json_type(value)} into Go value of type map[string]interface {{}}"
        raise bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {problem}")
    if repeated and call.validation == "Strict":
        lines = "\n".join(f"  {text}" for text in repeated)
        raise bad_request(
            f"error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n{lines}"
        )
    if call.validation == "Warn":
        call.warnings += repeated
    return value or {}


def _read(body: bytes) -> tuple[Any, Sequence[str]]:
    if body[:1] == b"{":
        try:
            value = read_json(body)
        except MalformedJson:
            # It may still be YAML in flow style.
            value = None
        if value is not None and not repeated_fields(body, value):
            return value, ()
    try:
        return read_yaml(body)
    except MalformedYaml as error:
        raise bad_request(_UNREADABLE + str(error)) from None


def check_configuration(call: Call, config: Json, expected: tuple[str, str] | None = None) -> None:
    """Raise 400 unless the configuration is an object of the resource, without managedFields.

    `expected` are the version and kind of a subresource with its own.
    """
    version, kind = config.get("apiVersion") or "", config.get("kind") or ""
    if (version, kind) != (expected or (call.resource.api_version, call.resource.kind)):
        shown = version if isinstance(version, str) and version.count("/") < 2 else ""
        raise bad_request(f"invalid object type: {_slashed(shown)}, Kind={kind}")
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")


def check_new(call: Call, config: Json) -> None:
    """Raise 400 for a configuration without a name, 409 for one of an object that is gone (it has a uid)."""
    metadata = config.get("metadata") or {}
    if not metadata.get("name"):
        why = f"the name of the object ({call.name} based on URL) was undeterminable: name must be provided"
        raise bad_request(why)
    if uid := metadata.get("uid"):
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise conflict(call.resource, call.name, why)


def unfitting(resource: ResourceInfo, config: Json, problems: Sequence[str]) -> ApiFailure:
    """Refuse a configuration that does not fit its kind, as the server does: 500 without a reason."""
    metadata = config.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    what = f"{names.get('namespace') or ''}/{names.get('name') or ''}; {_slashed(resource.api_version)}"
    text = problems[0] if len(problems) == 1 else "errors:\n" + "\n".join(f"  {one}" for one in problems)
    return ApiFailure(500, "", f"failed to create typed patch object ({what}, Kind={resource.kind}): {text}")


def _slashed(version: str) -> str:
    return version if "/" in version else f"/{version}"

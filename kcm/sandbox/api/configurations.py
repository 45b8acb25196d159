"""Bodies of server-side apply: a configuration in YAML, of which JSON is a part.

Guarantees: what is no object of the resource is refused with the words of the real server
(reference: apiserver §4); keys given twice are found. Owns no state.
"""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from kcm.sandbox.api.errors import ApiFailure, Json, bad_request
from kcm.sandbox.api.negotiation import MOST_BODY, _Loader
from kcm.sandbox.api.records import decode, encode
from kcm.sandbox.schema.resources import ResourceInfo


def read_configuration(body: bytes) -> Json:
    """Return the configuration that a body holds; ApiFailure 413 or 400."""
    if len(body) > MOST_BODY:
        raise ApiFailure(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MOST_BODY}")
    value = _read(body)
    if not isinstance(value, dict):
        raise bad_request("error decoding YAML: error unmarshaling JSON: the configuration is not an object")
    return value


def _read(body: bytes) -> Any:
    if body[:1] == b"{":
        try:
            return decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            # It may still be YAML in flow style.
            pass
    try:
        # What JSON cannot hold (a number as a key, NaN) becomes what it can, or is refused.
        return decode(encode(yaml.load(body, Loader=_Loader)))
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, msgspec.MsgspecError) as error:
        raise bad_request(f"error decoding YAML: {error}") from None


def check_configuration(resource: ResourceInfo, config: Json) -> None:
    """Raise 400 unless the configuration is an object of the resource, without managedFields."""
    version, kind = config.get("apiVersion"), config.get("kind")
    if version != resource.api_version or kind != resource.kind:
        raise bad_request(f"invalid object type: {version}, Kind={kind}")
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")

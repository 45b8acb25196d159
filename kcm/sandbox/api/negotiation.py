"""Which media types a request accepts, and what its body is written in.

Guarantees: the first serviceable clause of Accept wins, none gives 406; a body in a format
that is not served gives 415, never a guess. Protobuf is read but not written: clients that send
it also accept JSON. YAML aliases are refused, because a small body full of them
grows without bound. Owns no state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
import yaml

from kcm.sandbox.api.errors import ApiFailure, bad_request, not_acceptable, unsupported_media
from kcm.sandbox.api.records import decode
from kcm.sandbox.schema.protobuf import ProtobufError, decode_object

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
PATCHES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH)

_SERVED = (JSON, YAML)
_BODIES = (JSON, YAML, PROTOBUF)
_YAML_BODIES = frozenset((YAML, "application/x-yaml", "text/yaml"))
MOST_BODY = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the answer is to be written. `shape` is "", "Table", "PartialObjectMetadata" or "…List"."""

    media: str = JSON
    shape: str = ""
    version: str = ""

    @property
    def plain(self) -> bool:
        return not self.shape and self.media == JSON


@lru_cache(maxsize=256)
def parse_accept(text: str, shapes: tuple[str, ...] = ()) -> Wanted:
    """Return the first clause that can be served; `shapes` are the `as=` kinds the caller can write."""
    if not text:
        return Wanted()
    for clause in text.split(","):
        media, *parameters = [part.strip() for part in clause.split(";")]
        options = dict(part.split("=", 1) for part in parameters if "=" in part)
        if media in ("*/*", "application/*"):
            media = JSON
        if media not in _SERVED:
            continue
        shape = options.get("as", "")
        if not shape:
            return Wanted(media)
        version = options.get("v", "")
        if shape in shapes and options.get("g") == "meta.k8s.io" and version in ("v1", "v1beta1"):
            return Wanted(media, shape, version)
    raise not_acceptable(_SERVED)


def accepts_aggregated(text: str) -> bool:
    """Say whether aggregated discovery v2 is asked for before the plain form."""
    for clause in text.split(","):
        parts = {part.strip() for part in clause.split(";")}
        if "as=APIGroupDiscoveryList" in parts and "v=v2" in parts:
            return True
        if JSON in parts and not any(part.startswith("as=") for part in parts):
            return False
    return False


def media_of(content_type: str) -> str:
    """Return the bare media type, lower case."""
    return content_type.partition(";")[0].strip().lower()


def read_body(body: bytes, content_type: str) -> Any:
    """Return what a body says; ApiFailure 413, 415 or 400. No Content-Type means JSON."""
    if len(body) > MOST_BODY:
        raise ApiFailure(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MOST_BODY}")
    media = media_of(content_type) if content_type else JSON
    if media == JSON:
        return _read_json(body)
    if media in _YAML_BODIES:
        return _read_yaml(body)
    if media == PROTOBUF:
        return _read_protobuf(body)
    raise unsupported_media(_BODIES)


def read_patch(body: bytes, content_type: str) -> tuple[str, Any]:
    """Return the patch type and document; ApiFailure 415 for a type that is not served."""
    media = media_of(content_type)
    if media == APPLY_PATCH:
        raise unsupported_media(PATCHES, "the sandbox does not serve server-side apply")
    if media not in PATCHES:
        raise unsupported_media(PATCHES)
    if len(body) > MOST_BODY:
        raise ApiFailure(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MOST_BODY}")
    return media, _read_json(body)


def _read_json(body: bytes) -> Any:
    try:
        return decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise bad_request(f"the object provided is unrecognized (must be of type JSON): {error}") from None


def _read_protobuf(body: bytes) -> Any:
    try:
        return decode_object(body)
    except ProtobufError as error:
        raise bad_request(
            f"the object provided is unrecognized (must be of type protobuf): {error}"
        ) from None


class _Loader(yaml.SafeLoader):
    """YAML as the API means it: no aliases, and times stay text."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not accepted")
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _read_yaml(body: bytes) -> Any:
    try:
        return yaml.load(body, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise bad_request(f"the object provided is unrecognized (must be of type YAML): {error}") from None


def write_yaml(raw: bytes) -> bytes:
    """Return JSON bytes as YAML."""
    text: str = yaml.safe_dump(decode(raw), sort_keys=False)
    return text.encode()

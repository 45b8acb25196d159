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

from kcm.sandbox.api.decoding import MalformedJson, read_json, repeated_fields
from kcm.sandbox.api.errors import (
    ApiFailure,
    bad_request,
    not_acceptable,
    nothing_acceptable,
    unsupported_media,
    unsupported_patch,
)
from kcm.sandbox.api.records import decode, encode
from kcm.sandbox.schema.protobuf import ProtobufError, decode_object
from kcm.sandbox.schema.typecheck import json_type

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
PATCHES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH)

_SERVED = (JSON, YAML)
# What the server can write: named in refusals, though protobuf is not written here.
_AVAILABLE = (JSON, YAML, PROTOBUF)
_STREAMED = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
_HEAD = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
)
_SUMMARY = 30
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
    known = False
    for clause in text.split(","):
        media, *parameters = [part.strip() for part in clause.split(";")]
        options = dict(part.split("=", 1) for part in parameters if "=" in part)
        if media == "*/*":
            media = JSON
        known = known or media in _AVAILABLE
        if media not in _SERVED:
            continue
        shape = options.get("as", "")
        if not shape:
            return Wanted(media)
        version = options.get("v", "")
        if shape in shapes and options.get("g") == "meta.k8s.io" and version in ("v1", "v1beta1"):
            return Wanted(media, shape, version)
    raise not_acceptable(_AVAILABLE) if known else nothing_acceptable(_AVAILABLE)


def check_watchable(wanted: Wanted) -> None:
    """Raise 406 for a watch in a format that has no end of its own: YAML."""
    if wanted.media == YAML:
        raise not_acceptable(_STREAMED)


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


@dataclass(frozen=True, slots=True)
class Body:
    """What a body says, and what it says twice: complaints, without the words `strict decoding error`."""

    value: Any
    repeated: tuple[str, ...] = ()


def read_body(body: bytes, content_type: str, kind: str = "") -> Any:
    """Return what a body says; ApiFailure 413, 415 or 400. No Content-Type means JSON.

    `kind` is what the body should hold; without it a refusal does not say so (a DELETE's options).
    """
    return read_strictly(body, content_type, kind, strictly=False).value


def read_strictly(body: bytes, content_type: str, kind: str = "", *, strictly: bool = True) -> Body:
    """Do as `read_body`, and also look for fields that are given twice."""
    if len(body) > MOST_BODY:
        raise ApiFailure(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MOST_BODY}")
    media = media_of(content_type) if content_type else JSON
    twice: tuple[str, ...] = ()
    try:
        if media == JSON:
            value = read_json(body)
            if strictly:
                twice = tuple(f'duplicate field "{path}"' for path in repeated_fields(body, value))
        elif media in _YAML_BODIES:
            value, twice = read_yaml(body)
        elif media == PROTOBUF:
            return Body(decode_object(body))
        else:
            raise unsupported_media(_BODIES)
        _check_head(value)
    except MalformedJson as error:
        raise _unrecognized(f"couldn't get version/kind; json parse error: {error}", body, kind) from None
    except (MalformedYaml, ProtobufError) as error:
        raise _unrecognized(str(error), body, kind) from None
    return Body({} if value is None else value, twice)


def _check_head(value: Any) -> None:
    """Raise MalformedJson for what cannot have a kind and an apiVersion."""
    if value is None:
        return
    if not isinstance(value, dict):
        raise MalformedJson(f"json: cannot unmarshal {json_type(value)} into Go value of type {_HEAD}")
    for name in ("apiVersion", "kind"):
        if not isinstance(value.get(name) or "", str):
            shown = json_type(value[name])
            raise MalformedJson(f"json: cannot unmarshal {shown} into Go struct field .{name} of type string")


def _unrecognized(why: str, body: bytes, kind: str) -> ApiFailure:
    if not kind:
        return bad_request(why)
    summary = "<empty>"
    if body:
        shown = body[:_SUMMARY]
        summary = shown.decode(errors="replace") if body.startswith(b"{") else shown.hex()
        summary += " ..." if len(body) > _SUMMARY else ""
    return bad_request(f"the object provided is unrecognized (must be of type {kind}): {why} ({summary})")


def check_custom_patch(content_type: str) -> None:
    """Raise 415 for the one patch that needs a kind's Go type: a custom resource has none."""
    if content_type.partition(";")[0] == STRATEGIC_PATCH:
        raise unsupported_media((JSON_PATCH, MERGE_PATCH, APPLY_PATCH))


def read_patch(body: bytes, content_type: str) -> tuple[str, Body]:
    """Return the patch type and document; ApiFailure 415 for a type that is not served."""
    # The type is compared as it stands: the server knows it in no other spelling.
    media = content_type.partition(";")[0]
    if media not in PATCHES:
        raise unsupported_patch()
    if len(body) > MOST_BODY:
        raise ApiFailure(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MOST_BODY}")
    try:
        value = read_json(body)
    except MalformedJson as error:
        raise bad_request(
            str(error) if media == STRATEGIC_PATCH else f"error decoding patch: {error}"
        ) from None
    return media, Body(value, tuple(f'duplicate field "{path}"' for path in repeated_fields(body, value)))


class MalformedYaml(Exception):
    """A body that is not YAML."""


class _Loader(yaml.SafeLoader):
    """YAML as the API means it: no aliases, times stay text, and what is said twice is remembered."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.repeated: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    line = key.start_mark.line + 1
                    self.repeated.append(f'line {line}: key "{key.value}" already set in map')
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not accepted")
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(body: bytes) -> tuple[Any, tuple[str, ...]]:
    try:
        loader = _Loader(body)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
        # What JSON cannot hold (a number as a key, bytes, NaN) becomes what it can, or is refused.
        value = decode(encode(value))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise MalformedYaml(f"yaml: {where}{error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, msgspec.MsgspecError) as error:
        raise MalformedYaml(f"yaml: {error}") from None
    return value, tuple(loader.repeated)


def write_yaml(raw: bytes) -> bytes:
    """Return JSON bytes as YAML."""
    text: str = yaml.safe_dump(decode(raw), sort_keys=False)
    return text.encode()

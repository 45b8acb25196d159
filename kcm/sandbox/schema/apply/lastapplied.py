"""From client-side to server-side apply: what kubectl left in its annotation.

A configuration applied by the manager `kubectl` may take the fields that the annotation names, as
long as they still have the values of the annotation, without force; and an annotation that is
there is kept in step (reference: apiserver §7). Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kcm.sandbox.schema.apply.compare import compare, owned
from kcm.sandbox.schema.apply.fieldsets import Tree, difference
from kcm.sandbox.schema.apply.kinds import Kind

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
MANAGER = "kubectl"
_LARGEST = 256 * 1024

Json = dict[str, Any]


def takeable(kind: Kind, api_version: str, live: Json) -> Tree:
    """Return the fields of the annotation that are still as it says; nothing without a good annotation."""
    text = _annotation(live)
    if not text:
        return {}
    try:
        last = msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return {}
    if not isinstance(last, dict) or last.get("apiVersion") != api_version:
        return {}
    found = owned(kind, last)
    for part in compare(kind, last, live):
        found = difference(found, part)
    return found


def kept_in_step(config: Json, merged: Json) -> Json:
    """Return the merged object with its annotation, if it has one, saying what was applied now."""
    if not _annotation(merged):
        return merged
    metadata = merged["metadata"]
    annotations = {**metadata["annotations"], ANNOTATION: _text_of(config)}
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _LARGEST:
        del annotations[ANNOTATION]
    return {**merged, "metadata": {**metadata, "annotations": annotations}}


def _annotation(obj: Json) -> str:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    text = annotations.get(ANNOTATION)
    return text if isinstance(text, str) else ""


def _text_of(config: Json) -> str:
    metadata = dict(config.get("metadata") or {})
    annotations = dict(metadata.get("annotations") or {})
    if ANNOTATION in annotations:
        del annotations[ANNOTATION]
        metadata["annotations"] = annotations
    encoder = msgspec.json.Encoder(order="sorted")
    return encoder.encode({**config, "metadata": metadata}).decode() + "\n"

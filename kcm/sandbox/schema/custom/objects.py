"""What the server does to a custom object: decoding, storing, reading, judging.

The counterpart of defaults and validation of built-in kinds, by the shape that a definition gives.
`decode` is the door for every document from a client; `to_stored` and `from_stored` convert between
versions (strategy None: apiVersion is rewritten, and each schema prunes and fills what it knows).
Guarantees: all but `decode`, `to_stored` and `from_stored` change nothing; none fails on any JSON.
CEL rules (`x-kubernetes-validations`) are not evaluated.
"""

from __future__ import annotations

from typing import Any

from kcm.sandbox.schema.canonical import canonicalize
from kcm.sandbox.schema.custom import embedded, lists, scale
from kcm.sandbox.schema.custom.pruning import fill, prune
from kcm.sandbox.schema.custom.shape import CustomShape
from kcm.sandbox.schema.custom.structural import UNSET, Schema
from kcm.sandbox.schema.custom.values import validate
from kcm.sandbox.schema.fields import type_of
from kcm.sandbox.schema.typecheck import type_errors
from kcm.sandbox.schema.validation import validate_metadata
from kcm.sandbox.schema.validation.failures import FieldError
from kcm.sandbox.schema.validation.metadata import check_metadata_update

Json = dict[str, Any]

_ANY_KIND = "Custom.resource"
_STANDARD_FINALIZERS = frozenset(("foregroundDeletion", "kubernetes", "orphan"))


def decode(shape: CustomShape, obj: Json) -> tuple[list[str], str]:
    """Bring a document into the form that its version gives it, in place.

    Return the paths of the unknown fields that were dropped, and why it cannot be read at all, if so.
    """
    metadata = {"metadata": obj["metadata"]}
    if problems := type_errors(_ANY_KIND, metadata):
        return [], problems[0]
    unknown = [f"metadata.{field}" for field in embedded.drop_unknown_metadata(obj["metadata"])]
    canonicalize(type_of(_ANY_KIND), metadata)
    inner, problem = embedded.coerce(obj, shape.schema)
    if problem:
        return [], problem
    unknown += inner + prune(obj, shape.schema)
    fill(obj, shape.schema)
    return sorted(unknown), ""


def to_stored(shape: CustomShape, obj: Json) -> Json:
    """Return the stored form of an object."""
    if obj.get("apiVersion") != shape.stored_version:
        obj = {**obj, "apiVersion": shape.stored_version}
        _settle(obj, shape.stored)
    return obj


def from_stored(shape: CustomShape, obj: Json, api_version: str) -> Json:
    """Return a stored object in this version; older objects get what the schema has learned since."""
    if shape.verbatim:
        return obj
    obj = {**obj, "apiVersion": api_version}
    _settle(obj, shape.schema)
    return obj


def _settle(obj: Json, schema: Schema) -> None:
    prune(obj, schema)
    fill(obj, schema)


def check_new(shape: CustomShape, obj: Json) -> list[FieldError]:
    """Return what is wrong with a new object."""
    found = [*_metadata_errors(obj), *validate(obj, shape.schema)]
    return found + _check_more(shape, obj) + lists.duplicates(obj, shape.schema)


def check_change(shape: CustomShape, new: Json, old: Json) -> list[FieldError]:
    """Return what is wrong with a changed object; what was left as it was is not judged again."""
    found = [*_metadata_errors(new), *check_metadata_update(new, old)]
    found += validate(new, shape.schema, old=old)
    return found + _check_more(shape, new) + _new_duplicates(shape, new, old)


def check_status(shape: CustomShape, new: Json, old: Json) -> list[FieldError]:
    """Return what is wrong with a changed status."""
    found: list[FieldError] = []
    known = shape.schema.properties.get("status")
    if known is not None and "status" in new:
        found += validate(new["status"], known, "status", old.get("status", UNSET))
    if shape.scale is not None:
        found += scale.check(new, shape.scale, status_only=True)
    return found + _new_duplicates(shape, new, old)


def _metadata_errors(obj: Json) -> list[FieldError]:
    """Return what is wrong with metadata. A finalizer of any name holds a custom resource."""
    found = validate_metadata(_ANY_KIND, obj)
    return [one for one in found if not one.message.endswith("nor is it fully qualified")]


def finalizer_warnings(obj: Json) -> tuple[str, ...]:
    """Return what the server says about finalizers whose names others may use as well."""
    found: list[str] = []
    for name in obj["metadata"].get("finalizers") or ():
        if "/" in name or name in _STANDARD_FINALIZERS:
            continue
        what = "name including a path (/)" if "." in name else "name"
        text = f"prefer a domain-qualified finalizer {what} to avoid accidental conflicts with other"
        found.append(f'metadata.finalizers: "{name}": {text} finalizer writers')
    return tuple(found)


def _check_more(shape: CustomShape, obj: Json) -> list[FieldError]:
    found = scale.check(obj, shape.scale) if shape.scale is not None else []
    return found + embedded.check(obj, shape.schema)


def _new_duplicates(shape: CustomShape, new: Json, old: Json) -> list[FieldError]:
    found = lists.duplicates(new, shape.schema)
    return [] if found and lists.duplicates(old, shape.schema) else found

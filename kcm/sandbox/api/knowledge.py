"""What this package asks of `kcm.sandbox.schema`, in one place.

Thin: turns the schema's field errors into the API's answer and nothing more. Owns the memory
of specs that were found flawless and of what defaults made of them: a pod of a known template
costs no walk over its spec.
"""

from __future__ import annotations

from collections.abc import Sequence

from kcm.sandbox.api.errors import ApiFailure, Json, bad_request, invalid
from kcm.sandbox.api.records import decode, encode
from kcm.sandbox.api.views import from_stored
from kcm.sandbox.schema.defaults import apply_defaults, apply_spelling
from kcm.sandbox.schema.fields import unknown_fields
from kcm.sandbox.schema.resources import ResourceInfo
from kcm.sandbox.schema.validation import (
    FieldError,
    type_errors,
    validate_create,
    validate_metadata,
    validate_status,
    validate_update,
)

__all__ = [
    "apply_defaults",
    "check_create",
    "check_document",
    "check_fields",
    "check_status",
    "check_types",
    "check_update",
    "complete",
]


def check_create(resource: ResourceInfo, obj: Json) -> None:
    """Raise 422 unless the object may be created as it stands."""
    _refuse(resource, obj, validate_create(resource.nature, obj))


def check_update(resource: ResourceInfo, new: Json, old: Json) -> None:
    """Raise 422 unless `old` may become `new`."""
    _refuse(resource, new, validate_update(resource.nature, new, old))


def check_status(resource: ResourceInfo, new: Json, old: Json) -> None:
    """Raise 422 unless the status of `old` may become that of `new`."""
    _refuse(resource, new, validate_status(resource.nature, new, old))


SpecKey = tuple[str, str, bytes]

# Specs that were found flawless: pods of one template share theirs, byte for byte. For a Pod also
# what became of it, encoded: defaults and rules look at nothing but the spec there.
_flawless: dict[SpecKey, bytes] = {}
_MOST_FLAWLESS = 512
_LARGEST_FLAWLESS = 16 * 1024
_POD_PARTS = frozenset(("apiVersion", "kind", "metadata", "spec", "status"))


def check_document(resource: ResourceInfo, obj: Json, mode: str) -> tuple[tuple[str, ...], SpecKey | None]:
    """Do `check_types` and `check_fields` on a new object, its spec only if it was not seen before.

    Return the warnings, and the name under which a flawless spec is remembered.
    """
    spec = obj.get("spec")
    key = (resource.nature, resource.api_version, encode(spec)) if spec else None
    known = key in _flawless
    if known:
        obj = {name: value for name, value in obj.items() if name != "spec"}
    check_types(resource, obj)
    # What Ignore skips must not be taken for flawless.
    warnings = check_fields(resource, obj, mode)
    if key is None or known:
        return warnings, key
    if warnings or mode == "Ignore" or len(key[2]) > _LARGEST_FLAWLESS:
        return warnings, None
    if len(_flawless) >= _MOST_FLAWLESS:
        del _flawless[next(iter(_flawless))]
    _flawless[key] = b""
    return warnings, key


def complete(resource: ResourceInfo, obj: Json, key: SpecKey | None) -> None:
    """Fill in the defaults of a new object and raise 422 unless it may be created as it then stands.

    `key` is what `check_document` returned for it. `obj` is in its stored form.
    """
    finished = _flawless.get(key, b"") if key is not None else b""
    if finished and obj.keys() <= _POD_PARTS:
        apply_spelling(resource.nature, {name: value for name, value in obj.items() if name != "spec"})
        _refuse(resource, obj, validate_metadata(resource.nature, obj))
        obj["spec"] = decode(finished)
        return
    apply_defaults(resource.nature, obj)
    check_create(resource, from_stored(resource, obj))
    if key in _flawless and resource.nature == "Pod":
        _flawless[key] = encode(obj["spec"])


def check_types(resource: ResourceInfo, obj: Json) -> None:
    """Raise 400 for values that the resource's fields cannot hold."""
    if problems := type_errors(resource.nature, obj):
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"{problems[0]}"
        )


def check_fields(resource: ResourceInfo, obj: Json, mode: str) -> tuple[str, ...]:
    """Return warnings about unknown fields, or raise 400, as `fieldValidation` says."""
    if mode == "Ignore":
        return ()
    unknown = unknown_fields(resource.nature, obj)
    if not unknown:
        return ()
    texts = [f'unknown field "{field}"' for field in unknown]
    if mode != "Strict":
        return tuple(texts)
    raise bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        f"strict decoding error: {', '.join(texts)}"
    )


def _refuse(resource: ResourceInfo, obj: Json, errors: Sequence[FieldError]) -> None:
    if errors:
        causes = [
            {"reason": error.reason, "message": error.message, "field": error.field} for error in errors
        ]
        failure: ApiFailure = invalid(resource, obj["metadata"].get("name", ""), causes)
        raise failure

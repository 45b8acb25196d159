"""What this package asks of `kcm.sandbox.schema`, in one place.

Thin: turns the schema's field errors into the API's answer and nothing more. Owns the
memory of specs that were found flawless, which saves two walks over a pod of a known template.
"""

from __future__ import annotations

from collections.abc import Sequence

from kcm.sandbox.api.errors import ApiFailure, Json, bad_request, invalid
from kcm.sandbox.api.records import encode
from kcm.sandbox.schema.defaults import apply_defaults
from kcm.sandbox.schema.fields import unknown_fields
from kcm.sandbox.schema.resources import ResourceInfo
from kcm.sandbox.schema.validation import (
    FieldError,
    type_errors,
    validate_create,
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
]


def check_create(resource: ResourceInfo, obj: Json) -> None:
    """Raise 422 unless the object may be created as it stands."""
    _refuse(resource, obj, validate_create(resource.kind, obj))


def check_update(resource: ResourceInfo, new: Json, old: Json) -> None:
    """Raise 422 unless `old` may become `new`."""
    _refuse(resource, new, validate_update(resource.kind, new, old))


def check_status(resource: ResourceInfo, new: Json, old: Json) -> None:
    """Raise 422 unless the status of `old` may become that of `new`."""
    _refuse(resource, new, validate_status(resource.kind, new, old))


# Specs that were found flawless: pods of one template share theirs, byte for byte.
_flawless: dict[tuple[str, str, bytes], None] = {}
_MOST_FLAWLESS = 512
_LARGEST_FLAWLESS = 16 * 1024


def check_document(resource: ResourceInfo, obj: Json, mode: str) -> tuple[str, ...]:
    """Do `check_types` and `check_fields` on a new object, its spec only if it was not seen before."""
    spec = obj.get("spec")
    key = (resource.kind, resource.api_version, encode(spec)) if spec else None
    if key in _flawless:
        obj = {name: value for name, value in obj.items() if name != "spec"}
        key = None
    check_types(resource, obj)
    # What Ignore skips must not be taken for flawless.
    warnings = check_fields(resource, obj, mode)
    if key is not None and not warnings and mode != "Ignore" and len(key[2]) <= _LARGEST_FLAWLESS:
        if len(_flawless) >= _MOST_FLAWLESS:
            del _flawless[next(iter(_flawless))]
        _flawless[key] = None
    return warnings


def check_types(resource: ResourceInfo, obj: Json) -> None:
    """Raise 400 for values that the resource's fields cannot hold."""
    if problems := type_errors(resource.kind, obj):
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"{problems[0]}"
        )


def check_fields(resource: ResourceInfo, obj: Json, mode: str) -> tuple[str, ...]:
    """Return warnings about unknown fields, or raise 400, as `fieldValidation` says."""
    if mode == "Ignore":
        return ()
    unknown = unknown_fields(resource.kind, obj)
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

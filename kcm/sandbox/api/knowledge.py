"""What this package asks of `kcm.sandbox.schema`, in one place.

Thin: turns the schema's field errors into the API's answer and nothing more. Owns the memory
of specs that were found flawless and of what defaults made of them: a pod of a known template
costs no walk over its spec.
"""

from __future__ import annotations

from collections.abc import Sequence

from kcm.sandbox.api.errors import ApiFailure, Json, Undecodable, invalid
from kcm.sandbox.api.records import decode, encode
from kcm.sandbox.api.views import from_stored
from kcm.sandbox.schema.custom import definition_rules, objects
from kcm.sandbox.schema.custom.cautions import cautions
from kcm.sandbox.schema.custom.definition import definition_schemas
from kcm.sandbox.schema.custom.document import schema_type_problem, unknown_schema_fields
from kcm.sandbox.schema.defaults import apply_defaults, apply_spelling
from kcm.sandbox.schema.fields import drop_unknown_fields, unknown_fields
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
    "apply_spelling",
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
    errors = validate_create(resource.nature, obj)
    if resource.nature == DEFINITION:
        errors += definition_rules.check_new(obj)
    _refuse(resource, obj, errors)


def check_update(resource: ResourceInfo, new: Json, old: Json) -> None:
    """Raise 422 unless `old` may become `new`."""
    if resource.custom is not None:
        _refuse(resource, new, objects.check_change(resource.custom, new, old))
        return
    errors = validate_update(resource.nature, new, old)
    if resource.nature == DEFINITION:
        errors += definition_rules.check_changed(new, old)
    _refuse(resource, new, errors)


def check_status(resource: ResourceInfo, new: Json, old: Json) -> None:
    """Raise 422 unless the status of `old` may become that of `new`."""
    if resource.custom is not None:
        _refuse(resource, new, objects.check_status(resource.custom, new, old))
        return
    _refuse(resource, new, validate_status(resource.nature, new, old))


DEFINITION = "CustomResourceDefinition"
_SCHEMA_PATH = "spec.versions.schema.openAPIV3Schema"

SpecKey = tuple[str, str, bytes]

# Specs that were found flawless: pods of one template share theirs, byte for byte. For a Pod also
# what became of it, encoded: defaults and rules look at nothing but the spec there.
_flawless: dict[SpecKey, bytes] = {}
_MOST_FLAWLESS = 512
_LARGEST_FLAWLESS = 16 * 1024
_POD_PARTS = frozenset(("apiVersion", "kind", "metadata", "spec", "status"))


def check_document(
    resource: ResourceInfo, obj: Json, mode: str, repeated: Sequence[str] = ()
) -> tuple[tuple[str, ...], SpecKey | None]:
    """Do `check_types` and `check_fields` on a new object, its spec only if it was not seen before.

    Return the warnings, and the name under which a flawless spec is remembered.
    """
    if resource.custom is not None or resource.nature == DEFINITION:
        check_types(resource, obj)
        warnings = check_fields(resource, obj, mode, repeated)
        if resource.custom is not None:
            warnings += objects.finalizer_warnings(obj)
        return warnings, None
    spec = obj.get("spec")
    key = (resource.nature, resource.api_version, encode(spec)) if spec else None
    if key is not None and b"null" in key[2]:
        # What null stands for is found out by looking at the spec, each time.
        key = None
    known = key in _flawless
    spec = obj.pop("spec") if known else None
    check_types(resource, obj)
    warnings = check_fields(resource, obj, mode, repeated)
    if known:
        obj["spec"] = spec
    if key is None or known:
        return warnings, key
    # What Ignore drops without a word must not be taken for flawless.
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
    if resource.custom is not None:
        _refuse(resource, obj, objects.check_new(resource.custom, obj))
        return
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
    """Raise 400 for values that the resource's fields cannot hold; see `check_fields` for custom ones."""
    if resource.custom is not None:
        return
    # Metadata was judged before anything else was done with the object.
    parts = {name: value for name, value in obj.items() if name != "metadata"}
    if problems := type_errors(resource.nature, parts):
        raise Undecodable(resource, resource.kind, resource.version, problems[0])
    if resource.nature == DEFINITION:
        for _, schema in definition_schemas(obj):
            if problem := schema_type_problem(schema, _SCHEMA_PATH):
                raise Undecodable(resource, resource.kind, resource.version, problem)


def check_fields(
    resource: ResourceInfo, obj: Json, mode: str, repeated: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return warnings about unknown fields, or raise 400, as `fieldValidation` says; drop those fields.

    `repeated` are complaints about fields that the body gives twice. A custom resource is decoded here.
    """
    unknown = _unknown_fields(resource, obj)
    cautious = cautions(obj) if resource.nature == DEFINITION else ()
    if not unknown and not repeated:
        return () if mode == "Ignore" else cautious
    texts = (*repeated, *(f'unknown field "{field}"' for field in unknown))
    if mode == "Strict":
        problem = f"strict decoding error: {_strictly(texts)}"
        raise Undecodable(resource, resource.kind, resource.version, problem)
    if unknown and resource.custom is None:
        drop_unknown_fields(resource.nature, obj)
    return () if mode == "Ignore" else (*texts, *cautious)


def _unknown_fields(resource: ResourceInfo, obj: Json) -> list[str]:
    if resource.nature == DEFINITION:
        found = unknown_fields(resource.nature, obj)
        for index, schema in definition_schemas(obj):
            found += unknown_schema_fields(schema, f"spec.versions[{index}].schema.openAPIV3Schema")
        return found
    if resource.custom is None:
        return unknown_fields(resource.nature, obj)
    unknown, problem = objects.decode(resource.custom, obj)
    if problem:
        raise Undecodable(resource, resource.kind, resource.version, problem)
    return unknown


def _strictly(texts: Sequence[str]) -> str:
    """Return complaints in one line; YAML's come from its own decoder and stand below its heading."""
    lines = [text for text in texts if text.startswith("line ")]
    if not lines:
        return ", ".join(texts)
    inside = "\n  ".join(("yaml: unmarshal errors:", *lines))
    return ", ".join((inside, *(text for text in texts if text not in lines)))


def _refuse(resource: ResourceInfo, obj: Json, errors: Sequence[FieldError]) -> None:
    if errors:
        causes = [
            {"reason": error.reason, "message": error.message, "field": error.field} for error in errors
        ]
        failure: ApiFailure = invalid(resource, obj["metadata"].get("name", ""), causes)
        raise failure

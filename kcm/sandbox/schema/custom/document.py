"""The fields that a schema document may have, and their JSON types: how `openAPIV3Schema` is decoded.

`unknown_schema_fields` drops what no schema has, and nulls, and returns the paths;
`schema_type_problem` returns the decoder's complaint about the first value of the wrong type.
Guarantees: every schema inside is looked at, to `DEEPEST` levels; values of `default`, `example` and
`enum` are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kcm.sandbox.schema.custom.structural import DEEPEST
from kcm.sandbox.schema.custom.values import type_name

Json = dict[str, Any]

# string, bool, number, int, any; S: a schema, [S]: a list of them, {S}: a map of them.
_FIELDS: Mapping[str, str] = {
    **dict.fromkeys(("$ref", "$schema", "description", "format", "id", "pattern", "title", "type"), "string"),
    **dict.fromkeys(("x-kubernetes-list-type", "x-kubernetes-map-type"), "string"),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum", "nullable", "uniqueItems"), "bool"),
    **dict.fromkeys(
        (
            "x-kubernetes-embedded-resource",
            "x-kubernetes-int-or-string",
            "x-kubernetes-preserve-unknown-fields",
        ),
        "bool",
    ),
    **dict.fromkeys(("maximum", "minimum", "multipleOf"), "float64"),
    **dict.fromkeys(
        ("maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties"), "int64"
    ),
    **dict.fromkeys(("default", "example"), "any"),
    "enum": "[any]",
    "required": "[string]",
    "x-kubernetes-list-map-keys": "[string]",
    "x-kubernetes-validations": "[rule]",
    "externalDocs": "docs",
    **dict.fromkeys(("allOf", "anyOf", "oneOf"), "[S]"),
    "not": "S",
    "items": "S or [S]",
    **dict.fromkeys(("additionalItems", "additionalProperties"), "S or bool"),
    **dict.fromkeys(("definitions", "patternProperties", "properties"), "{S}"),
    "dependencies": "{S or [string]}",
}
_INSIDE: Mapping[str, frozenset[str]] = {
    "[rule]": frozenset(("fieldPath", "message", "messageExpression", "optionalOldSelf", "reason", "rule")),
    "docs": frozenset(("description", "url")),
}
_JSON_TYPES: Mapping[str, tuple[str, ...]] = {
    "string": ("string",),
    "bool": ("boolean",),
    "float64": ("integer", "number"),
    "int64": ("integer",),
    "[any]": ("array",),
    "[string]": ("array",),
    "[S]": ("array",),
    "[rule]": ("array",),
    "docs": ("object",),
    "S": ("object",),
    "S or [S]": ("object", "array"),
    "S or bool": ("object", "boolean"),
    "{S}": ("object",),
    "{S or [string]}": ("object",),
}
_GO_TYPES: Mapping[str, str] = {
    "[any]": "[]v1.JSON",
    "[string]": "[]string",
    "[S]": "[]v1.JSONSchemaProps",
    "[rule]": "v1.ValidationRules",
    "docs": "v1.ExternalDocumentation",
    "S": "v1.JSONSchemaProps",
    "S or [S]": "v1.JSONSchemaProps",
    "S or bool": "v1.JSONSchemaProps",
    "{S}": "map[string]v1.JSONSchemaProps",
    "{S or [string]}": "v1.JSONSchemaDependencies",
}
_DECODED = {"boolean": "bool", "integer": "number"}


def children(schema: Json) -> Iterator[tuple[str, Any]]:
    """Yield path (below the schema) and value of each schema directly inside."""
    for name, value in schema.items():
        kind = _FIELDS.get(name, "")
        if "S" not in kind or value is None:
            continue
        if isinstance(value, list):
            yield from ((f"{name}[{index}]", one) for index, one in enumerate(value) if isinstance(one, dict))
        elif isinstance(value, dict) and kind.startswith("{"):
            yield from ((f"{name}[{key}]", one) for key, one in value.items() if isinstance(one, dict))
        elif isinstance(value, dict):
            yield name, value


def unknown_schema_fields(schema: Json, path: str, depth: int = 0) -> list[str]:
    """Drop unknown fields, also of inner schemas; return their paths. Nulls go, as in decoding."""
    _settle_nulls(schema)
    found = [f"{path}.{name}" for name in schema if name not in _FIELDS]
    for name in [name for name in schema if name not in _FIELDS]:
        del schema[name]
    for name, kind in (("externalDocs", "docs"), ("x-kubernetes-validations", "[rule]")):
        inside = schema.get(name)
        for place, one in enumerate(inside if isinstance(inside, list) else [inside]):
            if not isinstance(one, dict):
                continue
            where = f"{path}.{name}[{place}]" if isinstance(inside, list) else f"{path}.{name}"
            unknown = [key for key in one if key not in _INSIDE[kind]]
            found += [f"{where}.{key}" for key in unknown]
            for key in unknown:
                del one[key]
    if depth < DEEPEST:
        for inner, value in children(schema):
            found += unknown_schema_fields(value, f"{path}.{_dotted(inner)}", depth + 1)
    return found


def _settle_nulls(schema: Json) -> None:
    """Drop fields that are null; a null schema in a list or a map is an empty one."""
    for name in [name for name, value in schema.items() if value is None]:
        del schema[name]
    for name, value in schema.items():
        if "S" not in _FIELDS.get(name, ""):
            continue
        if isinstance(value, list):
            schema[name] = [{} if one is None else one for one in value]
        elif isinstance(value, dict) and _FIELDS[name].startswith("{"):
            schema[name] = {key: {} if one is None else one for key, one in value.items()}


def _dotted(path: str) -> str:
    """Return `properties[a]` as the decoder writes it: properties.a; list places keep their brackets."""
    name, _, rest = path.partition("[")
    key = rest.removesuffix("]")
    return path if not rest or (key.isdecimal() and _FIELDS[name] in ("[S]", "S or [S]")) else f"{name}.{key}"


def schema_type_problem(schema: Any, path: str, depth: int = 0) -> str:
    """Return the decoder's complaint about the first value of the wrong type, "" when there is none."""
    if not isinstance(schema, dict):
        return _mismatch(schema, "CustomResourceValidation", path, "S")
    for name, value in schema.items():
        kind = _FIELDS.get(name, "any")
        if value is None or kind == "any":
            continue
        if type_name(value) not in _JSON_TYPES[kind]:
            return _mismatch(value, "JSONSchemaProps", f"{path}.{name}", kind)
        problem = _inner_problem(value, kind, f"{path}.{name}", depth)
        if problem:
            return problem
    return ""


def _inner_problem(value: Any, kind: str, path: str, depth: int) -> str:
    if kind == "[string]":
        wrong = [one for one in value if not isinstance(one, str)]
        return _mismatch(wrong[0], "JSONSchemaProps", path, "string") if wrong else ""
    if kind == "[rule]":
        wrong = [one for one in value if not isinstance(one, dict)]
        return _mismatch(wrong[0], "JSONSchemaProps", path, "docs") if wrong else ""
    if "S" not in kind or isinstance(value, bool):
        return ""
    if depth >= DEEPEST:
        return f"{path}: nests deeper than {DEEPEST} levels"
    if isinstance(value, dict) and not kind.startswith("{"):
        value = [value]
    for one in value.values() if isinstance(value, dict) else value:
        if one is None or (kind == "{S or [string]}" and isinstance(one, list)):
            continue
        problem = schema_type_problem(one, path, depth + 1)
        if problem:
            return problem
    return ""


def _mismatch(value: Any, struct: str, path: str, kind: str) -> str:
    found = type_name(value)
    return (
        f"json: cannot unmarshal {_DECODED.get(found, found)} into Go struct field "
        f"{struct}.{path} of type {_GO_TYPES.get(kind, kind)}"
    )

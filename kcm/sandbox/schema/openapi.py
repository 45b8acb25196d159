"""OpenAPI v3 documents, one per group-version, made from the table of fields.

They carry what kubectl needs to validate, to explain and to compute strategic patches: types,
required fields, list keys, patch markers, kinds, and for each resource the paths by which it
learns that `fieldValidation` and strategic patches are understood (reference: apiserver §1).
No defaults, no bounds, no prose. Guarantees: a document's hash is of its content; built once
for the same resources of a group-version and kept, since a `ResourceInfo` never changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from kcm.sandbox.schema.custom.published import published
from kcm.sandbox.schema.fields import TYPES, Field, Shape, TypeDef, type_of
from kcm.sandbox.schema.resources import RESOURCES, ResourceInfo

Json = dict[str, Any]

_VERSION = "v1.36.0"
_DOCUMENTS_KEPT = 256
_REFERENCE = "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"

_SCALARS: dict[str, Json] = {
    "string": {"type": "string"},
    "int": {"type": "integer", "format": "int32"},
    "long": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "double"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
}

_NAMED_SCALARS: dict[str, tuple[str, Json]] = {
    "quantity": (
        "io.k8s.apimachinery.pkg.api.resource.Quantity",
        {"oneOf": [{"type": "string"}, {"type": "number"}]},
    ),
    "intOrString": (
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    ),
    "time": (f"{_META}.Time", {"type": "string", "format": "date-time"}),
    "microTime": (f"{_META}.MicroTime", {"type": "string", "format": "date-time"}),
}

_PATCH_TYPES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")


def index(resources: Sequence[ResourceInfo] = RESOURCES) -> Json:
    """Return the document of `/openapi/v3`."""
    members: dict[str, list[ResourceInfo]] = {}
    for item in resources:
        members.setdefault(_path(item), []).append(item)
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={_hash(tuple(inside))}"}
            for path, inside in members.items()
        }
    }


def document(path: str, resources: Sequence[ResourceInfo] = RESOURCES) -> bytes | None:
    """Return the document of a group-version ("api/v1", "apis/apps/v1"), None when it is not served."""
    members = tuple(item for item in resources if _path(item) == path)
    return _document(members) if members else None


def _path(item: ResourceInfo) -> str:
    return f"apis/{item.api_version}" if item.group else f"api/{item.version}"


@lru_cache(maxsize=_DOCUMENTS_KEPT)
def _hash(resources: tuple[ResourceInfo, ...]) -> str:
    return hashlib.sha256(_document(resources)).hexdigest().upper()


@lru_cache(maxsize=_DOCUMENTS_KEPT)
def _document(resources: tuple[ResourceInfo, ...]) -> bytes:
    schemas: Json = {}
    for item in resources:
        if item.custom is not None:
            _add_custom(item, schemas)
            continue
        type_ = type_of(item.kind, item.api_version)
        _add_schema(type_, schemas)
        schemas[_name(type_)]["x-kubernetes-group-version-kind"] = [_kind(item)]
        schemas[f"{_name(type_)}List"] = _list_schema(item, _name(type_))
    _add_schema(TYPES["ListMeta"], schemas)
    return msgspec.json.encode(
        {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": _VERSION},
            "paths": {name: operations for item in resources for name, operations in _paths(item)},
            "components": {"schemas": dict(sorted(schemas.items()))},
        }
    )


def _kind(item: ResourceInfo) -> Json:
    return {"group": item.group, "kind": item.kind, "version": item.version}


def _name(type_: TypeDef) -> str:
    return f"{type_.package}.{type_.name.rpartition('.')[2]}"


def _schema_name(item: ResourceInfo) -> str:
    """Return the name of a resource's schema: for a custom one its group backwards, version and kind."""
    if item.custom is None:
        return _name(type_of(item.kind, item.api_version))
    return f"{'.'.join(reversed(item.group.split('.')))}.{item.version}.{item.kind}"


def _add_custom(item: ResourceInfo, schemas: Json) -> None:
    assert item.custom is not None
    _add_schema(TYPES["ObjectMeta"], schemas)
    name = _schema_name(item)
    schemas[name] = published(item.custom.source, {"allOf": [{"$ref": f"{_REFERENCE}{_META}.ObjectMeta"}]})
    schemas[name]["x-kubernetes-group-version-kind"] = [_kind(item)]
    schemas[f"{name}List"] = _list_schema(item, name)


def _add_schema(type_: TypeDef, schemas: Json) -> None:
    """Add a type and all that it refers to."""
    name = _name(type_)
    if name in schemas:
        return
    schema: Json = {"type": "object"}
    schemas[name] = schema
    if type_.fields:
        schema["properties"] = {
            field.name: _property(field, schemas) for field in sorted(type_.fields.values(), key=_by_name)
        }
    if required := [field.name for field in type_.fields.values() if field.required]:
        schema["required"] = required


def _by_name(field: Field) -> str:
    return field.name


def _property(field: Field, schemas: Json) -> Json:
    found = _schema(field.shape, schemas)
    strategies = [
        name
        for name, used in (
            ("merge", field.merges),
            ("replace", field.replaces),
            ("retainKeys", field.retains_keys),
        )
        if used
    ]
    if strategies:
        found["x-kubernetes-patch-strategy"] = ",".join(strategies)
    if field.merge_key:
        found["x-kubernetes-patch-merge-key"] = field.merge_key
    if field.shape.form == "list":
        found["x-kubernetes-list-type"] = _list_type(field)
    if field.map_keys:
        found["x-kubernetes-list-map-keys"] = list(field.map_keys)
    return found


def _list_type(field: Field) -> str:
    if field.map_keys:
        return "map"
    return "set" if field.merges else "atomic"


def _schema(shape: Shape, schemas: Json) -> Json:
    match shape.form:
        case "list" if shape.item is not None:
            return {"type": "array", "items": _schema(shape.item, schemas)}
        case "map" if shape.item is not None:
            return {"type": "object", "additionalProperties": _schema(shape.item, schemas)}
        case "object":
            _add_schema(TYPES[shape.name], schemas)
            return {"allOf": [{"$ref": _REFERENCE + _name(TYPES[shape.name])}]}
        case "scalar" if shape.name in _NAMED_SCALARS:
            name, schema = _NAMED_SCALARS[shape.name]
            schemas[name] = schema
            return {"allOf": [{"$ref": _REFERENCE + name}]}
        case "scalar":
            return dict(_SCALARS[shape.name])
        case _:
            return {"type": "object"}


def _list_schema(item: ResourceInfo, name: str) -> Json:
    return {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "items": {"type": "array", "items": {"allOf": [{"$ref": _REFERENCE + name}]}},
            "kind": {"type": "string"},
            "metadata": {"allOf": [{"$ref": f"{_REFERENCE}{_META}.ListMeta"}]},
        },
        "x-kubernetes-group-version-kind": [{**_kind(item), "kind": item.list_kind}],
    }


def _paths(item: ResourceInfo) -> Iterator[tuple[str, Json]]:
    scope = "/namespaces/{namespace}" if item.namespaced else ""
    collection = f"/{_path(item)}{scope}/{item.plural}"
    scope_parameters = [_path_parameter("namespace")] if item.namespaced else []
    yield (
        collection,
        {
            "get": _operation(item, "list", reads=item.list_kind),
            "post": _operation(item, "post", writes=("*/*",)),
            "parameters": scope_parameters,
        },
    )
    yield (
        f"{collection}/{{name}}",
        {
            "get": _operation(item, "get"),
            "put": _operation(item, "put", writes=("*/*",)),
            "patch": _operation(
                item, "patch", writes=_PATCH_TYPES if item.custom is None else _PATCH_TYPES[:3]
            ),
            "parameters": [_path_parameter("name"), *scope_parameters],
        },
    )


def _path_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}


def _operation(item: ResourceInfo, action: str, *, writes: tuple[str, ...] = (), reads: str = "") -> Json:
    name = _schema_name(item)
    own = {"$ref": _REFERENCE + name}
    answer = {"$ref": f"{_REFERENCE}{name}List"} if reads else own
    operation: Json = {
        "operationId": f"{action}{item.group.title().replace('.', '')}{item.version.title()}{item.kind}",
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": answer}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _kind(item),
    }
    if writes:
        body = {"type": "object"} if action == "patch" else own
        operation["requestBody"] = {
            "content": {media: {"schema": body} for media in writes},
            "required": True,
        }
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in _WRITE_PARAMETERS
        ]
    return operation

"""From a class to its CustomResourceDefinition.

The class is what the controller reads; `definition_of` makes from it what the API server has to
know: names, scope, schema, subresources, columns. Class attributes say what fields cannot:
`short_names`, `categories`, `columns`, `scale`. A `status` field means a status subresource.
Guarantees: the same class gives the same definition; what an API server would refuse for a reason
that can be seen here is a `SchemaError`. One version, stored and served. Pure.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import inspect

from kcm.objects.resource import Column, Resource, Scale
from kcm.objects.schemas import Schema, SchemaError, schema_of

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_GROUP = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_VERSION = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def definition_of(type_: type[Resource[Any]]) -> Schema:
    """Return the CustomResourceDefinition of a class as plain values; `SchemaError` if it can have none."""
    group, version = _checked_names(type_)
    names: Schema = {
        "plural": type_.plural,
        "singular": type_.kind.lower(),
        "kind": type_.kind,
        "listKind": f"{type_.kind}List",
    }
    if type_.short_names:
        names["shortNames"] = list(type_.short_names)
    if type_.categories:
        names["categories"] = list(type_.categories)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": _metadata(f"{type_.plural}.{group}", group),
        "spec": {
            "group": group,
            "scope": "Namespaced" if type_.namespaced else "Cluster",
            "names": names,
            "versions": [_version(type_, version)],
        },
    }


def _metadata(name: str, group: str) -> Schema:
    if not group.endswith((".k8s.io", ".kubernetes.io")):
        return {"name": name}
    # Groups of these domains are the community's: a server wants to be told that one is not approved.
    return {"name": name, "annotations": {"api-approved.kubernetes.io": "unapproved, not of Kubernetes"}}


def _version(type_: type[Resource[Any]], name: str) -> Schema:
    written: Schema = {
        "name": name,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root(type_)},
    }
    subresources: Schema = {}
    if "status" in type_.__struct_fields__:
        subresources["status"] = {}
    if type_.scale is not None:
        subresources["scale"] = _scale(type_.scale)
    if subresources:
        written["subresources"] = subresources
    if type_.columns:
        written["additionalPrinterColumns"] = [_column(column) for column in type_.columns]
    return written


def _root(type_: type[Resource[Any]]) -> Schema:
    """Return the schema of whole objects: what every object has, and the class's own fields."""
    written = schema_of(type_)
    bare = schema_of(type_, defaults=False)["properties"]
    properties: Schema = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    properties["metadata"] = {"type": "object"}
    for field in type_.__struct_encode_fields__:
        if field == "metadata" or _is_nothing(type_, field):
            continue
        # Defaults are for what people write; a status says what was seen.
        properties[field] = bare[field] if field == "status" else written["properties"][field]
    required = [name for name in written.get("required", ()) if name != "metadata"]
    whole: Schema = {"type": "object", "properties": properties}
    if required:
        whole["required"] = required
    return {"description": written["description"], **whole} if "description" in written else whole


def _is_nothing(type_: type[Resource[Any]], name: str) -> bool:
    """Say whether a field can only be None: a resource without a spec."""
    info: Any = inspect.type_info(type_)
    (field,) = (each for each in info.fields if each.encode_name == name)
    return isinstance(field.type, inspect.NoneType)


def _scale(scale: Scale) -> Schema:
    written = {"specReplicasPath": scale.replicas, "statusReplicasPath": scale.status_replicas}
    return {**written, "labelSelectorPath": scale.selector} if scale.selector else written


def _column(column: Column) -> Schema:
    written: Schema = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        written["description"] = column.description
    if column.wide:
        written["priority"] = 1
    return written


def _checked_names(type_: type[Resource[Any]]) -> tuple[str, str]:
    """Return group and version; `SchemaError` for names that no server takes."""
    what = type_.__name__
    group, slash, version = type_.api.partition("/")
    if not slash or not _GROUP.fullmatch(group) or not _VERSION.fullmatch(version):
        raise SchemaError(f'{what}: api {type_.api!r}: expected a group and a version: "acme.dev/v1"')
    if not _KIND.fullmatch(type_.kind):
        raise SchemaError(f"{what}: kind {type_.kind!r}: expected one CamelCase word")
    for name in (type_.plural, *type_.short_names, *type_.categories):
        if not _NAME.fullmatch(name):
            raise SchemaError(f"{what}: {name!r}: names are lower-case letters, digits and -")
    return group, version

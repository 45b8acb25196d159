"""Structural schemas from declared types: what a CustomResourceDefinition says about a field.

Derived from msgspec's view of a Struct: constraints of `Annotated[..., Meta(...)]`, defaults,
docstrings. Guarantees: what comes out is structural (a type at every level, no $ref, no choice
between types but int-or-string), or a `SchemaError` that names the field and what to write instead.
A default that means "absent" (None, "", 0, False, empty) is not written: readers fill it in. What
has no schema (`Raw`, `Any`) keeps unknown fields. Pure; reads a class's source for its docstrings.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping
from inspect import cleandoc, getsource
from typing import Any

import msgspec
from msgspec import inspect

from kcm.base.errors import KcmError

DEEPEST = 24

Schema = dict[str, Any]

# What Go's regular expressions do not have, and an API server refuses.
_FOREIGN = re.compile(r"\(\?[=!<P]|\\[1-9]|\\Z")
_OPEN: Schema = {"x-kubernetes-preserve-unknown-fields": True}


class SchemaError(KcmError):
    """A type cannot be described by a structural schema."""


def schema_of(type_: type[msgspec.Struct], *, defaults: bool = True) -> Schema:
    """Return the schema of a Struct. `defaults` False: leave defaults out, as for a status."""
    return _Writer(defaults).struct(inspect.type_info(type_), type_.__name__, DEEPEST)


class _Writer:
    """Writes the schema of one type; knows whether defaults are wanted."""

    def __init__(self, defaults: bool) -> None:
        self._defaults = defaults

    def struct(self, type_: inspect.Type, path: str, room: int) -> Schema:
        if not isinstance(type_, inspect.StructType):
            raise SchemaError(f"{path}: expected a class derived from kcm.objects.Spec")
        if type_.tag_field is not None or type_.array_like:
            raise SchemaError(f"{path}: a tagged or array-like Struct has no structural schema")
        told = descriptions(type_.cls)
        properties: Schema = {}
        required: list[str] = []
        for field in type_.fields:
            schema = self.field(field, f"{path}.{field.encode_name}", room - 1)
            if field.name in told and "description" not in schema:
                schema = {"description": told[field.name], **schema}
            properties[field.encode_name] = schema
            if field.required:
                required.append(field.encode_name)
        written: Schema = {"type": "object"}
        if doc := _own_doc(type_.cls):
            written = {"description": doc, **written}
        if required:
            written["required"] = required
        return {**written, "properties": properties} if properties else written

    def field(self, field: inspect.Field, path: str, room: int) -> Schema:
        schema = self.any(field.type, path, room)
        if not self._defaults or field.required:
            return schema
        default = msgspec.NODEFAULT
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        elif field.default is not msgspec.NODEFAULT:
            default = field.default
        plain = _plain(default)
        if plain:
            return {**schema, "default": plain}
        if default is not None and schema.get("type") == "object" and _has_defaults(schema):
            # The server fills in a member's default only where its parent is there.
            return {**schema, "default": {}}
        return schema

    def any(self, type_: inspect.Type, path: str, room: int) -> Schema:
        if room <= 0:
            raise SchemaError(f"{path}: nested in more than {DEEPEST} levels, or in itself; use msgspec.Raw")
        match type_:
            case inspect.Metadata(inner, extra):
                return {**self.any(inner, path, room), **(extra or {})}
            case inspect.StructType():
                return self.struct(type_, path, room)
            case inspect.UnionType(types):
                return self._union(types, path, room)
            case inspect.DictType():
                return self._mapping(type_, path, room)
            case inspect.SetType() | inspect.FrozenSetType() | inspect.ListType() | inspect.VarTupleType():
                return self._array(type_, path, room)
            case inspect.TupleType(item_types):
                first = self.any(item_types[0], path, room) if item_types else _OPEN
                size = len(item_types)
                return {"type": "array", "minItems": size, "maxItems": size, "items": first}
            case _:
                return _scalar(type_, path)

    def _union(self, types: tuple[inspect.Type, ...], path: str, room: int) -> Schema:
        some = [choice for choice in types if not isinstance(choice, inspect.NoneType)]
        if len(some) == 1:
            return self.any(some[0], path, room)
        if {type(choice) for choice in some} == {inspect.IntType, inspect.StrType}:
            return {"x-kubernetes-int-or-string": True}
        raise SchemaError(f"{path}: a choice between types has no structural schema; use msgspec.Raw")

    def _mapping(self, type_: inspect.DictType, path: str, room: int) -> Schema:
        if not isinstance(type_.key_type, inspect.StrType):
            raise SchemaError(f"{path}: keys must be text")
        if isinstance(type_.value_type, inspect.AnyType | inspect.RawType):
            return {"type": "object", **_OPEN}
        each = self.any(type_.value_type, f"{path}[*]", room - 1)
        bounds = {"minProperties": type_.min_length, "maxProperties": type_.max_length}
        return {"type": "object", **_given(bounds), "additionalProperties": each}

    def _array(self, type_: Any, path: str, room: int) -> Schema:
        each = self.any(type_.item_type, f"{path}[]", room - 1)
        schema: Schema = {"type": "array", "items": each}
        schema |= _given({"minItems": type_.min_length, "maxItems": type_.max_length})
        if isinstance(type_, inspect.SetType | inspect.FrozenSetType):
            schema["x-kubernetes-list-type"] = "set"
        return schema


def descriptions(cls: type) -> Mapping[str, str]:
    """Return what the texts behind the fields of a class say, its bases' included."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if each in (object, msgspec.Struct) or not issubclass(each, msgspec.Struct):
            continue
        try:
            (tree,) = ast.parse(textwrap.dedent(getsource(each))).body
        except (OSError, TypeError, SyntaxError, ValueError):
            continue  # made at run time: it has no source
        if isinstance(tree, ast.ClassDef):
            found |= _texts(tree)
    return found


def _texts(tree: ast.ClassDef) -> dict[str, str]:
    texts: dict[str, str] = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str() as said)):
                texts[name] = cleandoc(said)
    return texts


def _own_doc(cls: type) -> str:
    doc = cls.__dict__.get("__doc__")
    return cleandoc(doc) if isinstance(doc, str) else ""


def _scalar(type_: inspect.Type, path: str) -> Schema:
    match type_:
        case inspect.IntType():
            return {"type": "integer", "format": "int64", **_range(type_)}
        case inspect.FloatType():
            return {"type": "number", **_range(type_)}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.StrType():
            return _text(type_, path)
        case inspect.BytesType():
            return {"type": "string", "format": "byte"}
        case inspect.DateTimeType():
            return {"type": "string", "format": "date-time"}
        case inspect.DateType():
            return {"type": "string", "format": "date"}
        case inspect.DecimalType() | inspect.TimeDeltaType() | inspect.UUIDType() | inspect.TimeType():
            return {"type": "string"}
        case inspect.LiteralType(values):
            return _choice(values, path)
        case inspect.EnumType(cls):
            return _choice(tuple(member.value for member in cls), path)
        case inspect.RawType() | inspect.AnyType():
            return dict(_OPEN)
        case inspect.NoneType():
            return {"type": "object"}
    raise SchemaError(f"{path}: {type(type_).__name__} has no structural schema; use msgspec.Raw")


def _text(type_: inspect.StrType, path: str) -> Schema:
    if type_.pattern is not None and (foreign := _FOREIGN.search(type_.pattern)):
        raise SchemaError(f"{path}: pattern {type_.pattern!r}: the API server does not know {foreign[0]!r}")
    bounds = {"minLength": type_.min_length, "maxLength": type_.max_length, "pattern": type_.pattern}
    return {"type": "string", **_given(bounds)}


def _range(type_: inspect.IntType | inspect.FloatType) -> Schema:
    low = type_.ge if type_.gt is None else type_.gt
    high = type_.le if type_.lt is None else type_.lt
    bounds = _given({"minimum": low, "maximum": high, "multipleOf": type_.multiple_of})
    exclusive = {"exclusiveMinimum": type_.gt is not None, "exclusiveMaximum": type_.lt is not None}
    return {**bounds, **{name: True for name, holds in exclusive.items() if holds}}


def _choice(values: tuple[Any, ...], path: str) -> Schema:
    if all(isinstance(value, str) for value in values):
        return {"type": "string", "enum": list(values)}
    if all(isinstance(value, int) for value in values):
        return {"type": "integer", "enum": list(values)}
    raise SchemaError(f"{path}: choices must be all text or all whole numbers")


def _plain(default: Any) -> Any:
    """Return a default as JSON would have it; raw JSON is nobody's default."""
    if default is msgspec.NODEFAULT or isinstance(default, msgspec.Raw):
        return None
    return msgspec.json.decode(msgspec.json.encode(default))


def _has_defaults(schema: Schema) -> bool:
    return any("default" in member for member in schema.get("properties", {}).values())


def _given(bounds: Schema) -> Schema:
    return {name: bound for name, bound in bounds.items() if bound is not None}

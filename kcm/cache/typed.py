"""From JSON to a type, one object at a time, with its identity checked.

Guarantees: what comes back has a name, a uid and a well-formed resourceVersion; null where a
type knows no null counts as absent, as it does in Go (reference: kube-apiserver writes
`currentMetrics: null`); everything else that does not fit raises `Unreadable` and nothing
other than that. A value pins no buffer larger than its own object. Stateless.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from kcm.base.errors import KcmError
from kcm.cache.changes import LONGEST_REASON
from kcm.objects.resource import Key, Resource
from kcm.objects.versions import well_formed

R = TypeVar("R", bound=Resource[Any])

# UnicodeDecodeError is a ValueError too.
_REFUSALS = (ValueError, RecursionError)


class Unreadable(KcmError):
    """An object does not fit its type. Trying again with the same bytes cannot help."""


class _Identity(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class _Identified(msgspec.Struct, frozen=True):
    metadata: _Identity


class Identity(msgspec.Struct, frozen=True):
    """Which object, and which state of it."""

    key: Key
    uid: str
    version: str


class _Reference(msgspec.Struct, frozen=True):
    uid: str = ""
    controller: bool | None = None


class _Owned(msgspec.Struct, frozen=True, rename="camel"):
    owner_references: tuple[_Reference, ...] = ()


class _WithOwners(msgspec.Struct, frozen=True):
    metadata: _Owned


_decode_owned = msgspec.json.Decoder(_WithOwners).decode
_decode_identified = msgspec.json.Decoder(_Identified).decode


def identity_of(text: msgspec.Raw | bytes) -> Identity:
    """Return the identity of an object of any type; `Unreadable` when it has none."""
    try:
        metadata = _decode_identified(text).metadata
    except _REFUSALS as error:
        raise Unreadable(str(error)[:LONGEST_REASON]) from None
    return Identity(Key(metadata.namespace, metadata.name), metadata.uid, metadata.resource_version)


def owner_of(text: msgspec.Raw | bytes) -> str:
    """Return the uid of the controller of an object that cannot be read otherwise, "" if there is none."""
    try:
        references = _decode_owned(text).metadata.owner_references
    except _REFUSALS:
        return ""
    return next((reference.uid for reference in references if reference.controller), "")


def reader(type_: type[R]) -> Callable[[msgspec.Raw | bytes], R]:
    """Return the function that reads one object as `type_`, or raises `Unreadable`."""
    decode = msgspec.json.Decoder(type_).decode
    pins = holds_raw(type_)

    def read(text: msgspec.Raw | bytes) -> R:
        try:
            # A raw member points into the buffer it was decoded from: give it one of its own.
            value: R = decode(bytes(text) if pins else text)
        except _REFUSALS as error:
            value = _read_without_nulls(text, decode, error)
        metadata = value.metadata
        if not (metadata.name and metadata.uid and well_formed(metadata.resource_version)):
            raise Unreadable("metadata: name, uid or a well-formed resourceVersion is missing")
        return value

    return read


def holds_raw(type_: type[Resource[Any]]) -> bool:
    """Say whether values of the type keep raw JSON."""
    waiting: list[inspect.Type] = [inspect.type_info(type_)]
    while waiting:
        match waiting.pop():
            case inspect.RawType():
                return True
            case inspect.StructType() as struct:
                waiting.extend(field.type for field in struct.fields)
            case inspect.UnionType() as union:
                waiting.extend(union.types)
            case inspect.DictType() as mapping:
                waiting.append(mapping.value_type)
            case inspect.CollectionType() as collection:
                waiting.append(collection.item_type)
    return False


def _read_without_nulls(text: msgspec.Raw | bytes, decode: Callable[[bytes], R], why: Exception) -> R:
    try:
        plain = msgspec.json.decode(text)
        value: R = decode(msgspec.json.encode(_without_nulls(plain)))
    except _REFUSALS:
        raise Unreadable(str(why)[:LONGEST_REASON]) from None
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value

"""Pod templates: what they mean, whether two mean the same, and the hash that names one.

Guarantees: `meaning` is equal for two templates exactly if they are semantically equal
(reference: workloads 2.6): absent, null, empty list and empty map are one; quantities and
times count by value; an empty object is not an absent one; the label `pod-template-hash` does
not count. `template_hash` follows from the meaning and the collision count alone, never from
the order of a dict. The spec's bytes are never rewritten when a template is copied. Pure, but
for a bounded memory of meanings, since a template is compared far more often than it changes.

The API server writes canonical JSON, without zero values that Go leaves out; so only what it
may write in two ways is made one here. Other managers hash otherwise: their replica sets are
found by template, never by hash (reference: workloads 4).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from kcm import TerminalError
from kcm.objects.names import safe_text
from kcm.objects.quantities import parse_quantity

HASH_LABEL = "pod-template-hash"
REMEMBERED = 8192

# Where {} is an empty map, and so nothing; elsewhere it is an object, and something.
_TEXT_MAPS = frozenset(("labels", "annotations", "matchLabels", "nodeSelector", "volumeAttributes"))
_QUANTITY_MAPS = frozenset(("limits", "requests", "overhead"))
_QUANTITIES = frozenset(("sizeLimit", "divisor"))
_TIMES = frozenset(("creationTimestamp", "deletionTimestamp"))
# Objects that Go has in place, never as a pointer: empty is their zero value, written or not.
_IN_PLACE = frozenset(("metadata",))

_FNV_OFFSET, _FNV_PRIME = 2166136261, 16777619

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="sorted").encode
_known: OrderedDict[bytes, bytes] = OrderedDict()


class _Parts(msgspec.Struct, omit_defaults=True):
    """A template's metadata to change, its spec to leave alone."""

    metadata: dict[str, Any] | None = None
    spec: msgspec.Raw = msgspec.Raw(b"{}")


def meaning(template: msgspec.Raw) -> bytes:
    """Return a digest that equal templates share. TerminalError for one that is no JSON object."""
    key = hashlib.blake2b(template, digest_size=16).digest()
    if key in _known:
        _known.move_to_end(key)
        return _known[key]
    value = hashlib.blake2b(canonical(template), digest_size=16).digest()
    _known[key] = value
    if len(_known) > REMEMBERED:
        _known.popitem(last=False)
    return value


def canonical(template: msgspec.Raw) -> bytes:
    """Return the template's one spelling, without the hash label."""
    try:
        plain = _decode(template)
    except (ValueError, RecursionError) as error:
        raise TerminalError(f"a pod template cannot be read: {str(error)[:200]}") from None
    if not isinstance(plain, dict):
        raise TerminalError("a pod template is no JSON object")
    metadata = plain.get("metadata")
    if isinstance(metadata, dict) and isinstance(labels := metadata.get("labels"), dict):
        labels.pop(HASH_LABEL, None)
    return _encode(_members(plain, in_container=False))


def template_hash(template: msgspec.Raw, collisions: int | None) -> str:
    """Return 1 to 10 safe characters; another `collisions` (None is not 0) gives other ones."""
    number = fnv32a(canonical(template))
    if collisions is not None:
        number = fnv32a((collisions % 2**32).to_bytes(4, "little") + bytes(4), number)
    return safe_text(str(number))


def fnv32a(text: bytes, start: int = _FNV_OFFSET) -> int:
    """Return the 32-bit FNV-1a hash of `text`, going on from `start`."""
    number = start
    for byte in text:
        number = (number ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return number


def labels_of(template: msgspec.Raw) -> dict[str, str]:
    """Return the labels that the template gives its pods."""
    labels = (_parts(template).metadata or {}).get("labels") or {}
    return {str(name): str(value) for name, value in labels.items()}


def with_hash(template: msgspec.Raw, name: str) -> msgspec.Raw:
    """Return the template whose pods carry the hash label."""
    parts = _parts(template)
    metadata = parts.metadata or {}
    labels = {**(metadata.get("labels") or {}), HASH_LABEL: name}
    return msgspec.Raw(msgspec.json.encode(_Parts({**metadata, "labels": labels}, parts.spec)))


def without_hash(template: msgspec.Raw) -> Mapping[str, Any]:
    """Return metadata and spec of the template, without the hash label."""
    parts = _parts(template)
    metadata = parts.metadata or {}
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != HASH_LABEL}
    metadata = {name: value for name, value in metadata.items() if value is not None}
    return {"metadata": {**metadata, "labels": labels}, "spec": parts.spec}


def _parts(template: msgspec.Raw) -> _Parts:
    try:
        return msgspec.json.decode(template, type=_Parts)
    except (ValueError, RecursionError) as error:
        raise TerminalError(f"a pod template cannot be read: {str(error)[:200]}") from None


def _members(plain: Mapping[str, Any], *, in_container: bool) -> dict[str, Any]:
    named = ((name, _member(name, value, in_container)) for name, value in plain.items())
    return {name: value for name, value in named if value is not None}


def _member(name: str, value: Any, in_container: bool) -> Any:
    """Return a member's one spelling, None where it counts as absent."""
    match value:
        case dict() if name in _TEXT_MAPS:
            return value or None
        case dict() if name in _QUANTITY_MAPS:
            return {resource: _amount(amount) for resource, amount in value.items()} or None
        case dict():
            # A container's resources are in place, a pod's are a pointer: {} differs from absent there.
            plain = _members(value, in_container=False)
            in_place = name in _IN_PLACE or (name == "resources" and in_container)
            return None if in_place and not plain else plain
        case list():
            return _elements(value, in_container=name.lower().endswith("containers")) or None
        case str() if name in _TIMES:
            return _moment(value)
        case str() | int() | float() if name in _QUANTITIES:
            # Go writes a divisor that nobody set as "0".
            amount = _amount(value)
            return None if amount == "0" and name == "divisor" else amount
        case _:
            return value


def _elements(values: Iterable[Any], *, in_container: bool) -> list[Any]:
    return [_members(each, in_container=in_container) if isinstance(each, dict) else each for each in values]


def _amount(amount: Any) -> Any:
    try:
        return str(parse_quantity(str(amount)))
    except ValueError:
        return amount


def _moment(text: str) -> str:
    try:
        return msgspec.convert(text, datetime).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return text

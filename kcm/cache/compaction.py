"""From the bytes of an API object to the bytes of what somebody reads of it.

A `Compactor` is built from a `Projection`: a msgspec type whose leaves are raw JSON, so that
an object is skimmed once and its wanted parts are copied. Guarantees: decoding is per item (an
item that cannot be read becomes a bad `Change` naming its key, or `Unreadable`; the others of
its batch are unharmed); name, namespace, uid and resourceVersion of what passes are bounded
text and the resourceVersion is well formed; a compact object is nested shallowly enough to be
decoded inside a frame. Does not guarantee that leaves are what a reader's type expects. Holds
no state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw

from kcm.cache.changes import (
    DELETE,
    LONGEST_REASON,
    SET,
    BadItem,
    Bookmark,
    Change,
    Event,
    Page,
    StreamError,
    Unreadable,
    bad_change,
)
from kcm.cache.projection import IDENTITY, Fields, Items, Leaf, Projection, Values, check, union
from kcm.cache.scanning import find_object, split_items
from kcm.cache.typed import owner_of
from kcm.objects.resource import Key
from kcm.objects.versions import well_formed

LARGEST_OBJECT = 4 * 1024 * 1024

# Deeper than this inside one object, and a frame around it might not be decodable.
_ROOM = b"[" * 200, b"]" * 200
_OPENERS = 200
# Every level takes two bytes: so short a text is nested far less deeply than a decoder can go.
_SHALLOW = 1000

Decode: TypeAlias = Callable[[bytes], Any]

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
_Text = Annotated[str, msgspec.Meta(max_length=253)]
_Version = Annotated[str, msgspec.Meta(max_length=32)]

# What msgspec raises for input that is not what was declared; UnicodeDecodeError is a ValueError.
_UNREADABLE = (ValueError, RecursionError)


class _Identity(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    name: _Name
    namespace: _Text = ""
    uid: _Text = ""
    resource_version: _Version = ""


class _Identified(msgspec.Struct, frozen=True):
    metadata: _Identity


class _Envelope(msgspec.Struct, frozen=True):
    type: str
    object: Raw


class _BookmarkMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str
    annotations: dict[str, str] | None = None


class _Bookmark(msgspec.Struct, frozen=True):
    metadata: _BookmarkMeta


class _Cause(msgspec.Struct, frozen=True):
    reason: str = ""


class _Details(msgspec.Struct, frozen=True, rename="camel"):
    causes: tuple[_Cause, ...] | None = None
    retry_after_seconds: float | None = None


class _Status(msgspec.Struct, frozen=True):
    code: int = 0
    reason: str = ""
    message: str = ""
    details: _Details | None = None


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str
    next_page: str = msgspec.field(default="", name="continue")


class _ListHead(msgspec.Struct, frozen=True):
    metadata: _ListMeta


class _RawList(msgspec.Struct, frozen=True):
    metadata: _ListMeta
    items: list[Raw] | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_identified = msgspec.json.Decoder(_Identified).decode
_decode_identity = msgspec.json.Decoder(_Identity).decode
_decode_list_meta = msgspec.json.Decoder(_ListMeta).decode
_decode_bookmark = msgspec.json.Decoder(_Bookmark).decode
_decode_status = msgspec.json.Decoder(_Status).decode
_decode_raw_list = msgspec.json.Decoder(_RawList).decode
_decode_list_head = msgspec.json.Decoder(_ListHead).decode
_decode_raw = msgspec.json.Decoder(Raw).decode

_INITIAL_END = "k8s.io/initial-events-end"
_TYPE = re.compile(rb'\s*\{\s*"type"\s*:\s*"(ADDED|MODIFIED|DELETED)"')
_KINDS = {"ADDED": SET, "MODIFIED": SET, "DELETED": DELETE}


class Compactor:
    """Turns watch lines and list bodies into changes. One per projection; stateless."""

    def __init__(self, projection: Projection) -> None:
        """Build the types. ValueError for a projection that is too large or hides the identity."""
        check(projection)
        whole = union(IDENTITY, projection)
        model = _object_model(whole)
        kinds = Literal["ADDED", "MODIFIED", "DELETED"]
        event = msgspec.defstruct("_Event", [("type", kinds), ("object", model)], gc=False)
        many = list[model] | None  # type: ignore[valid-type]  # the type is made at run time
        items = msgspec.defstruct("_List", [("metadata", _ListMeta), ("items", many, None)])
        self._decode_event: Decode = msgspec.json.Decoder(event).decode
        self._decode_list: Decode = msgspec.json.Decoder(items).decode
        self._decode_object: Decode = msgspec.json.Decoder(model).decode
        self._encode = msgspec.json.Encoder().encode

    def events(self, lines: Iterable[bytes]) -> list[Event]:
        """Return one event per line, in order. Stops after a `StreamError`: nothing behind it counts."""
        events: list[Event] = []
        decode, compact = self._decode_event, self._compact
        for line in lines:
            event: Event
            try:
                decoded = decode(line)
                event = compact(_KINDS[decoded.type], decoded.object)
            except _UNREADABLE as error:
                event = self._unusual(line, error)
            events.append(event)
            if isinstance(event, StreamError):
                break
        return events

    def page(self, body: bytes) -> Page:
        """Return the page of a LIST that `body` is; ValueError when it is none at all."""
        try:
            decoded = self._decode_list(body)
            changes = [self._compact(SET, item) for item in decoded.items or ()]
            return Page(tuple(changes), decoded.metadata.resource_version, decoded.metadata.next_page)
        except _UNREADABLE:
            return self._page_by_item(body)

    def _compact(self, kind: str, item: Any) -> Change:
        metadata = item.metadata
        version = metadata.resource_version
        if not well_formed(version):
            raise ValueError(f"resourceVersion {version!r} is not a number")
        body = self._encode(item)
        if len(body) > LARGEST_OBJECT:
            raise ValueError(f"{len(body)} bytes after trimming; {LARGEST_OBJECT} are accepted")
        if len(body) > _SHALLOW and body.count(b"{") + body.count(b"[") > _OPENERS:
            _decode_raw(_ROOM[0] + body + _ROOM[1])
        namespace = metadata.namespace
        return Change(kind, f"{namespace}/{metadata.name}" if namespace else metadata.name, version, body)

    def _unusual(self, line: bytes, why: Exception) -> Event:
        """Read a line that is no plain event: a bookmark, an error, a bad object, or rubbish."""
        try:
            envelope = _decode_envelope(line)
        except RecursionError:
            return self._too_deep(line, why)
        except ValueError as error:
            return StreamError(0, "Undecodable", _text(error))
        try:
            match envelope.type:
                case "BOOKMARK":
                    metadata = _decode_bookmark(envelope.object).metadata
                    if not well_formed(metadata.resource_version):
                        return Unreadable("bookmark: resourceVersion is not a number")
                    ends = (metadata.annotations or {}).get(_INITIAL_END) == "true"
                    return Bookmark(metadata.resource_version, ends)
                case "ERROR":
                    return _stream_error(_decode_status(envelope.object))
        except _UNREADABLE as error:
            if envelope.type == "ERROR":
                return StreamError(0, "Undecodable", _text(error))
            return Unreadable(_text(error))
        if envelope.type not in _KINDS:
            return Unreadable(f"event of unknown type {envelope.type[:32]!r}")
        return self._bad(_KINDS[envelope.type], bytes(envelope.object), why)

    def _bad(self, kind: str, item: bytes, why: Exception) -> Change | Unreadable:
        """Return the change for an object that cannot be compacted: a delete needs only its identity."""
        try:
            identity = _identity(item)
        except _UNREADABLE:
            return Unreadable(_text(why))
        key = str(Key(identity.namespace, identity.name))
        version = identity.resource_version
        if not well_formed(version):
            return bad_change(BadItem(key, _text(why), identity.uid, owner=owner_of(item)))
        if kind == DELETE:
            return Change(DELETE, key, version, self._encode(_Identified(identity)))
        return bad_change(BadItem(key, _text(why), identity.uid, version, owner_of(item)))

    def _too_deep(self, line: bytes, why: Exception) -> Change | Unreadable:
        kind = _TYPE.match(line)
        try:
            item = find_object(line, b"object", 1)
        except ValueError:
            return Unreadable(_text(why))
        return self._bad(_KINDS[kind[1].decode()] if kind else SET, item, why)

    def _page_by_item(self, body: bytes) -> Page:
        metadata, items = _split_list(body)
        changes: list[Change] = []
        unreadable = 0
        for item in items:
            try:
                changes.append(self._compact(SET, self._decode_object(item)))
            except _UNREADABLE as error:
                change = self._bad(SET, item, error)
                if isinstance(change, Change):
                    changes.append(change)
                else:
                    unreadable += 1
        return Page(tuple(changes), metadata.resource_version, metadata.next_page, unreadable)


def list_version(body: bytes) -> str:
    """Return a LIST's resourceVersion without looking at its items; ValueError when it is not well formed."""
    version = _decode_list_head(body).metadata.resource_version
    if not well_formed(version):
        raise ValueError("list: resourceVersion is not a number")
    return version


def _split_list(body: bytes) -> tuple[_ListMeta, list[bytes]]:
    """Take a list apart whose items cannot all be decoded. ValueError when it is no list."""
    try:
        raw = _decode_raw_list(body)
    except RecursionError:
        metadata = _decode_list_meta(find_object(body, b"metadata", 1))
        return metadata, split_items(body)
    return raw.metadata, [bytes(item) for item in raw.items or ()]


def _identity(item: bytes) -> _Identity:
    try:
        return _decode_identified(item).metadata
    except RecursionError:
        return _decode_identity(find_object(item, b"metadata", 1))


def _stream_error(status: _Status) -> StreamError:
    details = status.details or _Details()
    causes = tuple(cause.reason for cause in details.causes or ())
    return StreamError(
        status.code,
        status.reason,
        status.message[:LONGEST_REASON],
        causes,
        details.retry_after_seconds or 0.0,
    )


def _text(error: Exception) -> str:
    return str(error)[:LONGEST_REASON]


def _model(projection: Projection) -> Any:
    match projection:
        case Leaf():
            return Raw
        case Items(each):
            return list[_model(each)]  # type: ignore[misc]  # the type is made at run time
        case Values(each):
            return dict[str, _model(each)]  # type: ignore[misc]  # the type is made at run time
        case Fields(members):
            return _struct(members, {})


def _object_model(projection: Projection) -> Any:
    """Return the type of a whole object: like any other, but its identity is typed and checked."""
    members = dict(projection.members) if isinstance(projection, Fields) else {}
    metadata = members.get("metadata")
    if not isinstance(metadata, Fields):
        raise ValueError("projection: metadata is not given by its fields")
    return _struct(tuple(members.items()), {"metadata": ("metadata", _struct(metadata.members, _IDENTITY))})


_IDENTITY: dict[str, tuple[Any, ...]] = {
    "name": ("name", _Name),
    "namespace": ("namespace", _Text, ""),
    "uid": ("uid", _Text, ""),
    "resourceVersion": ("resource_version", _Version, ""),
}


def _struct(members: Sequence[tuple[str, Projection]], special: dict[str, tuple[Any, ...]]) -> Any:
    """Return a Struct for JSON objects; absent and null members are left out when it is encoded."""
    fields: list[tuple[Any, ...]] = []
    names: dict[str, str] = {}
    for number, (name, projection) in enumerate(members):
        if name in special:
            field = special[name]
        elif isinstance(projection, Leaf):
            field = (f"f{number}", Raw, UNSET)
        else:
            field = (f"f{number}", _model(projection) | None, None)
        fields.append(field)
        names[field[0]] = name
    return msgspec.defstruct(
        "_Compact", fields, rename=names, omit_defaults=True, kw_only=True, frozen=True, gc=False
    )

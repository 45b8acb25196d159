"""How objects are shown: plain, as Table rows, or as PartialObjectMetadata; as JSON or YAML.

A `Renderer` is made once per request and turns records into bytes. Guarantees: the plain form
is the stored bytes themselves; in a watch every event is one line. Owns only the fact whether a
watch has already sent its column definitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kcm.base.clock import Clock
from kcm.sandbox.api.errors import bad_request, go_quote
from kcm.sandbox.api.history import watch_line
from kcm.sandbox.api.lists import Page
from kcm.sandbox.api.negotiation import Wanted
from kcm.sandbox.api.records import Json, Record, decode, encode
from kcm.sandbox.api.views import from_stored, is_view
from kcm.sandbox.schema.resources import ResourceInfo
from kcm.sandbox.schema.tables import IncludeObject, table

TABLE = "Table"
PARTIAL = "PartialObjectMetadata"
PARTIAL_LIST = "PartialObjectMetadataList"
ITEM_SHAPES = (TABLE, PARTIAL)
LIST_SHAPES = (TABLE, PARTIAL_LIST)
ANY_SHAPE = (TABLE, PARTIAL, PARTIAL_LIST)

# A piece of a list costs a few milliseconds; a row of a table a hundred times an item that is sent as stored.
_ITEMS = 250
_ROWS = 25


class Renderer:
    """Writes objects of one resource in the form that one request wants."""

    def __init__(
        self, resource: ResourceInfo, wanted: Wanted, clock: Clock, include_object: str = ""
    ) -> None:
        self._resource = resource
        self._wanted = wanted
        self._clock = clock
        self._include = _include(include_object)
        self._columns_sent = False
        self.is_table = wanted.shape == TABLE
        # Stored bytes can be sent as they are.
        self.verbatim = not wanted.shape and not is_view(resource)
        plain = not wanted.shape and resource.custom is None
        head = f'"kind":"{resource.kind}","apiVersion":"{resource.api_version}",'
        self._items_head = head.encode() if plain else b""

    def item(self, raw: bytes) -> bytes:
        """Return one stored object as the body of an answer."""
        return raw if self.verbatim else encode(self._shape(decode(raw)))

    def page(self, page: Page) -> Iterator[bytes]:
        """Yield the pieces of a collection as the body of an answer; items are never null.

        A piece is made when it is asked for, so that others can be served between two of them.
        """
        metadata: Json = {"resourceVersion": str(page.version)}
        if page.continue_token:
            metadata["continue"] = page.continue_token
            if page.remaining is not None:
                metadata["remainingItemCount"] = page.remaining
        yield self._head(metadata)
        size = _ROWS if self.is_table else _ITEMS
        for first in range(0, len(page.records), size):
            inside = self._items(page.records[first : first + size])
            yield b"," + inside if first else inside
        yield b"]}"

    def _head(self, metadata: Json) -> bytes:
        """Return a collection up to where its first item begins."""
        if self.is_table:
            return encode(self._table([], metadata, columns=True)).removesuffix(b"]}")
        kind, version = self._resource.list_kind, self._resource.api_version
        if self._wanted.shape:
            kind, version = PARTIAL_LIST, f"meta.k8s.io/{self._wanted.version}"
        return encode({"kind": kind, "apiVersion": version, "metadata": metadata})[:-1] + b',"items":['

    def _items(self, records: Sequence[Record]) -> bytes:
        if self.is_table:
            objects = [from_stored(self._resource, record.copy()) for record in records]
            return encode(self._table(objects, {}, columns=False)["rows"])[1:-1]
        # Only in a list of built-in objects is the kind left out: the list's says it for all.
        cut = self._items_head
        return b",".join([_behind(self.item(record.raw), cut) for record in records])

    def event(self, kind: str, raw: bytes) -> bytes:
        """Return one watch line about a stored object."""
        return watch_line(kind, self.item(raw))

    def bookmark(self, version: int, *, initial_end: bool) -> bytes:
        """Return a watch line that only carries a version."""
        metadata: Json = {"resourceVersion": str(version)}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        if self.is_table:
            bare = {"metadata": metadata, "spec": {}, "status": {}}
            shown = self._table([bare], {"resourceVersion": str(version)}, columns=not self._columns_sent)
            self._columns_sent = True
        elif self._wanted.shape:
            shown = {
                "kind": PARTIAL,
                "apiVersion": f"meta.k8s.io/{self._wanted.version}",
                "metadata": metadata,
            }
        else:
            shown = {
                "kind": self._resource.kind,
                "apiVersion": self._resource.api_version,
                "metadata": metadata,
            }
        return watch_line("BOOKMARK", encode(shown))

    def _shape(self, stored: Json) -> Json:
        if self._wanted.shape in (PARTIAL, PARTIAL_LIST):
            return partial(stored, self._wanted.version)
        obj = from_stored(self._resource, stored)
        if not self.is_table:
            return obj
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        shown = self._table([obj], metadata, columns=not self._columns_sent)
        self._columns_sent = True
        return shown

    def _table(self, objects: list[Json], metadata: Json, *, columns: bool) -> Json:
        return table(
            self._resource.nature,
            objects,
            printer=self._resource.custom.printer if self._resource.custom is not None else None,
            list_metadata=metadata,
            include_object=self._include,
            with_columns=columns,
            now=self._clock.wall(),
        )


def _behind(raw: bytes, head: bytes) -> bytes:
    """Return an object's JSON without the fields that `head` holds, if it begins with them."""
    return b"{" + raw[len(head) + 1 :] if head and raw.startswith(head, 1) else raw


def _include(text: str) -> IncludeObject:
    match text:
        case "" | "Metadata":
            return "Metadata"
        case "None" | "Object":
            return text
    message = f"Invalid value: {go_quote(text)}: must be 'Metadata', 'Object', 'None', or empty"
    raise bad_request(f"Unable to convert to Table as requested: includeObject: {message}")


def partial(obj: Json, version: str) -> Json:
    """Return an object's metadata alone."""
    return {"kind": PARTIAL, "apiVersion": f"meta.k8s.io/{version}", "metadata": obj["metadata"]}

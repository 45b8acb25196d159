"""One stored object: its bytes, and the few facts that selectors and owners are asked about.

A `Record` is written once. Its JSON is encoded once and shared by the answer, every LIST and
every watcher; the dict it came from is not kept, because a history of dicts would cost four
times the memory of their bytes. Whoever needs the fields decodes a fresh copy. Owns no state.
managedFields are kept beside the bytes, as a value that objects share, and are put in when the
object is shown: they may be as large as the rest, and hardly anybody reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from kcm.sandbox.schema.apply import NOBODY, Managed, read_managed

Json = dict[str, Any]

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()

_NO_LABELS: Mapping[str, str] = {}

encode: Callable[[Any], bytes] = _encoder.encode
decode: Callable[[bytes], Any] = _decoder.decode


class Record:
    """An object at one resourceVersion, 0 for one that was not stored. Never changed after it was made."""

    __slots__ = (
        "bare",
        "deleting",
        "fields",
        "key",
        "labels",
        "managed",
        "name",
        "namespace",
        "owners",
        "uid",
        "version",
    )

    def __init__(self, obj: Json, version: int, fields: tuple[str, ...]) -> None:
        metadata = obj["metadata"]
        if version:
            metadata["resourceVersion"] = str(version)
        owners = metadata.pop("managedFields", NOBODY)
        self.managed: Managed = owners if isinstance(owners, Managed) else read_managed(owners)
        self.name: str = metadata["name"]
        self.namespace: str = metadata.get("namespace", "")
        self.key = f"{self.namespace}/{self.name}"
        self.uid: str = metadata["uid"]
        self.version = version
        self.labels: Mapping[str, str] = metadata.get("labels") or _NO_LABELS
        self.owners = tuple(owner.get("uid", "") for owner in metadata.get("ownerReferences") or ())
        self.deleting = "deletionTimestamp" in metadata
        self.fields = fields
        self.bare = encode(obj)

    @property
    def raw(self) -> bytes:
        """Return the object as it is shown: the stored bytes with managedFields."""
        return with_owners(self.bare, self.managed)

    def copy(self) -> Json:
        """Return the object, without managedFields, as a dict that the caller may change."""
        obj: Json = decode(self.bare)
        return obj


_METADATA = b'"metadata":{'


def with_owners(bare: bytes, managed: Managed) -> bytes:
    """Return an object's JSON with its managedFields put in."""
    if not managed:
        return bare
    # Kind and apiVersion come before metadata, and cannot hold its name unescaped.
    at = bare.index(_METADATA) + len(_METADATA)
    return b'%b"managedFields":%b,%b' % (bare[:at], managed.encoded, bare[at:])


Extract = Callable[[Json], tuple[str, ...]]

# Field selectors per resource, beside metadata.name and metadata.namespace (reference: apiserver §3).
_FIELDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): (
        "spec.nodeName",
        "status.phase",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ),
    ("", "nodes"): ("spec.unschedulable",),
    ("", "namespaces"): ("status.phase",),
    ("", "secrets"): ("type",),
    ("", "services"): ("spec.clusterIP", "spec.type"),
    ("batch", "jobs"): ("status.successful",),
    ("", "events"): (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
}
_BOOLEAN = frozenset(("spec.hostNetwork", "spec.unschedulable"))


def field_names(group: str, plural: str) -> tuple[str, ...]:
    """Return the fields of a stored resource that selectors may name, in `Record.fields` order."""
    return _FIELDS.get((group, plural), ())


@cache
def extractor(names: tuple[str, ...]) -> Extract:
    """Return the function that reads these fields from an object; what is absent reads as ""."""
    if all(name.count(".") == 1 for name in names):
        split = [(name.partition("."), name in _BOOLEAN) for name in names]
        return _two_deep(tuple((part, name, boolean) for (part, _, name), boolean in split))
    paths = tuple((tuple(name.split(".")), name in _BOOLEAN) for name in names)

    def extract(obj: Json) -> tuple[str, ...]:
        return tuple([_read(obj, path, boolean) for path, boolean in paths])

    return extract


def _two_deep(paths: tuple[tuple[str, str, bool], ...]) -> Extract:
    """Do as `extractor` for `spec.x` and `status.x`: a pod is read so at each of its writes."""

    def extract(obj: Json) -> tuple[str, ...]:
        found: list[str] = []
        for part, name, boolean in paths:
            inside = obj.get(part)
            value = inside.get(name) if isinstance(inside, dict) else None
            if boolean:
                found.append("true" if value is True else "false")
            else:
                found.append(value if isinstance(value, str) else "")
        return tuple(found)

    return extract


def free_extractor(names: tuple[str, ...]) -> Extract:
    """Return the function that reads fields of a custom resource: text, numbers and truth values as text."""
    paths = tuple(tuple(name.split(".")) for name in names)

    def extract(obj: Json) -> tuple[str, ...]:
        return tuple([_read_any(obj, path) for path in paths])

    return extract


def _read_any(obj: Json, path: tuple[str, ...]) -> str:
    value: Any = obj
    for segment in path:
        value = value.get(segment) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else ""


def _read(obj: Json, path: tuple[str, ...], boolean: bool) -> str:
    value: Any = obj
    if path == ("source",):
        component = (obj.get("source") or {}).get("component") or obj.get("reportingComponent")
        return str(component or "")
    for segment in path:
        if not isinstance(value, dict):
            return "false" if boolean else ""
        value = value.get(segment)
    if boolean:
        return "true" if value is True else "false"
    return value if isinstance(value, str) else ""

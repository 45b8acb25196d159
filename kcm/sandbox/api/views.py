"""One store, two group-versions: core Events and events.k8s.io Events.

Every resource has the group-version that it is stored in; a view turns stored objects into its
own and back. All but Events are stored as they are asked for. Guarantees that no field is lost
in either direction. Owns no state.
"""

from __future__ import annotations

from kcm.sandbox.api.records import Json, Record, decode, encode
from kcm.sandbox.schema.resources import ResourceInfo

_EVENT_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_STORED_NAMES = {view: stored for stored, view in _EVENT_NAMES.items()}


def is_view(resource: ResourceInfo) -> bool:
    """Say whether the resource is stored as another one."""
    return resource.group == "events.k8s.io"


def storage_group(resource: ResourceInfo) -> str:
    """Return the group that the resource is stored under."""
    return "" if is_view(resource) else resource.group


def to_stored(resource: ResourceInfo, obj: Json) -> Json:
    """Return the stored form of an object of this resource."""
    if not is_view(resource):
        return obj
    stored = {_STORED_NAMES.get(name, name): value for name, value in obj.items()}
    return {**stored, "apiVersion": "v1"}


def from_stored(resource: ResourceInfo, obj: Json) -> Json:
    """Return the resource's own form of a stored object."""
    if not is_view(resource):
        return obj
    view = {_EVENT_NAMES.get(name, name): value for name, value in obj.items()}
    return {**view, "apiVersion": resource.api_version}


def raw(resource: ResourceInfo, record: Record) -> bytes:
    """Return the bytes that an answer about this resource carries."""
    return encode(from_stored(resource, decode(record.raw))) if is_view(resource) else record.raw

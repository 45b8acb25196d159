"""One store, several group-versions: Events, HorizontalPodAutoscalers, versions of custom resources.

Every resource has the group-version that it is stored in; a view turns stored objects into its
own and back. All others are stored as they are asked for. Guarantees that no field of an Event is
lost in either direction; a custom resource keeps what the schemas of its versions know. Owns no state.
"""

from __future__ import annotations

from kcm.sandbox.api.records import Json, Record, decode, encode
from kcm.sandbox.schema import autoscalers
from kcm.sandbox.schema.custom import objects
from kcm.sandbox.schema.resources import ResourceInfo, find

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
    """Say whether stored objects are not in the resource's own form."""
    if resource.custom is not None:
        return not resource.custom.verbatim
    return resource.group == "events.k8s.io" or _is_old_autoscaler(resource)


def _is_old_autoscaler(resource: ResourceInfo) -> bool:
    return resource.group == "autoscaling" and resource.version == "v1"


def storage_group(resource: ResourceInfo) -> str:
    """Return the group that the resource is stored under."""
    return "" if resource.group == "events.k8s.io" else resource.group


def to_stored(resource: ResourceInfo, obj: Json) -> Json:
    """Return the stored form of an object of this resource."""
    if resource.custom is not None:
        return objects.to_stored(resource.custom, obj)
    if not is_view(resource):
        return obj
    if _is_old_autoscaler(resource):
        return autoscalers.to_v2(obj)
    stored = {_STORED_NAMES.get(name, name): value for name, value in obj.items()}
    return {**stored, "apiVersion": "v1"}


def from_stored(resource: ResourceInfo, obj: Json) -> Json:
    """Return the resource's own form of a stored object."""
    if not is_view(resource):
        return obj
    if resource.custom is not None:
        return objects.from_stored(resource.custom, obj, resource.api_version)
    if _is_old_autoscaler(resource):
        return autoscalers.to_v1(obj)
    view = {_EVENT_NAMES.get(name, name): value for name, value in obj.items()}
    return {**view, "apiVersion": resource.api_version}


def settled(resource: ResourceInfo, new: Json, old: Json, record: Record) -> tuple[ResourceInfo, Json, Json]:
    """Return an update of a record, `old` in the resource's own form, as it is to be judged.

    That is the resource's own form, but for autoscaling/v1, whose annotations carry parts of spec and
    status that a client may drop without meaning to.
    """
    if not _is_old_autoscaler(resource):
        return resource, new, old
    stored = find("autoscaling", "v2", resource.plural)
    assert stored is not None
    return stored, autoscalers.to_v2(new), record.copy()


def raw(resource: ResourceInfo, record: Record) -> bytes:
    """Return the bytes that an answer about this resource carries."""
    return encode(from_stored(resource, decode(record.raw))) if is_view(resource) else record.raw

"""Delete: preconditions, grace, finalizers, propagation.

A DELETE either removes the object, or marks it (deletionTimestamp) for whoever must act first:
the kubelet of a running pod, the holders of finalizers, the namespace controller. Guarantees:
grace is only ever shortened; a marked object is removed by the write that frees it (see
`writes`). Shares the store with `writes` and, like it, never awaits.
"""

from __future__ import annotations

from datetime import timedelta

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time, parse_time
from kcm.sandbox.api import rules
from kcm.sandbox.api.admission import Admission
from kcm.sandbox.api.calls import Call, DeleteOptions
from kcm.sandbox.api.errors import ApiFailure, Json, named
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.api.views import raw, storage_group
from kcm.sandbox.api.writes import Writer
from kcm.sandbox.schema.resources import ResourceInfo

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_DEFAULT_GRACE = 30


class Deleter:
    """The only part that marks and removes objects on request."""

    def __init__(self, store: Store, writer: Writer, admission: Admission, clock: Clock) -> None:
        self._store = store
        self._writer = writer
        self._admission = admission
        self._clock = clock

    def delete(self, call: Call, options: DeleteOptions) -> tuple[Record, bool]:
        """Delete the object that the call names. Return its last state and whether it is gone."""
        resource = call.resource
        record = self._writer.find(call)
        _check_preconditions(resource, record, options)
        self._admission.check_delete(resource, record.name)
        obj = record.copy()
        metadata = obj["metadata"]
        before = _marks(metadata)
        grace = _grace(resource, obj, options)
        if 0 < (metadata.get("deletionGracePeriodSeconds") or 0) <= grace:
            # Who asks again while a pod has its grace changes nothing.
            return record, False
        _set_propagation(metadata, options.propagation)
        self._mark(metadata, grace)
        if resource.nature == "Namespace":
            obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
        elif resource.nature == "CustomResourceDefinition":
            rules.begin_ending(obj, format_time(self._clock.wall()))
        held = bool(metadata.get("finalizers")) or metadata["deletionGracePeriodSeconds"] > 0
        if resource.nature == "Namespace":
            del metadata["deletionGracePeriodSeconds"]
            held = held or bool((obj.get("spec") or {}).get("finalizers"))
        collection = self._store.collection(storage_group(resource), resource.plural)
        if not held and resource.nature != "Pod":
            return self._remove(call, collection, record), True
        if _marks(metadata) == before:
            return record, False
        if resource.nature == "CustomResourceDefinition":
            # The server marks a definition in its own way: without grace, and as the same generation.
            if before[0] is None:
                del metadata["deletionGracePeriodSeconds"]
        elif "generation" in metadata and before[0] is None:
            metadata["generation"] += 1
        if call.dry_run:
            return self._store.draft(collection, obj, record), False
        marked = self._store.put(collection, obj, record, call.cause)
        if held:
            return marked, False
        # A pod that nothing holds is seen ending before it is seen gone.
        return self._remove(call, collection, marked), True

    def _remove(self, call: Call, collection: Collection, record: Record) -> Record:
        if call.dry_run:
            return record
        return self._store.remove(collection, record, call.cause)

    def _mark(self, metadata: Json, grace: int) -> None:
        """Set or shorten the deletion; a later DELETE never lengthens it."""
        present = metadata.get("deletionTimestamp")
        if present is None:
            ends = self._clock.wall() + timedelta(seconds=grace)
        else:
            earlier: int = metadata.get("deletionGracePeriodSeconds") or 0
            if grace >= earlier:
                metadata["deletionGracePeriodSeconds"] = earlier
                return
            ends = parse_time(present) + timedelta(seconds=grace - earlier)
        metadata["deletionTimestamp"] = format_time(ends)
        metadata["deletionGracePeriodSeconds"] = grace


def answer(call: Call, record: Record, gone: bool) -> Json | bytes:
    """Return what a DELETE answers: the object while it lives (and for some kinds anyway), else a Status."""
    resource = call.resource
    if not gone or resource.nature in rules.RETURNED_BY_DELETE:
        return raw(resource, record)
    details = named(resource, record.name)
    details["uid"] = record.uid
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _marks(metadata: Json) -> tuple[object, object, tuple[str, ...]]:
    return (
        metadata.get("deletionTimestamp"),
        metadata.get("deletionGracePeriodSeconds"),
        tuple(metadata.get("finalizers") or ()),
    )


def _check_preconditions(resource: ResourceInfo, record: Record, options: DeleteOptions) -> None:
    if options.uid and options.uid != record.uid:
        why = f"the UID in the precondition ({options.uid}) does not match the UID in record ({record.uid})."
        raise _refused(resource, record, f"{why} The object might have been deleted and then recreated")
    if options.resource_version and options.resource_version != str(record.version):
        why = f"the ResourceVersion in the precondition ({options.resource_version}) does not match "
        why += f"the ResourceVersion in record ({record.version})."
        raise _refused(resource, record, f"{why} The object might have been modified")


def _refused(resource: ResourceInfo, record: Record, why: str) -> ApiFailure:
    """Return the conflict of a precondition: here the server names the kind, not the resource."""
    qualified = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = {**named(resource, record.name), "kind": resource.kind}
    message = f'Operation cannot be fulfilled on {qualified} "{record.name}": {why}'
    return ApiFailure(409, "Conflict", message, details=details)


def _set_propagation(metadata: Json, policy: str) -> None:
    """Turn the policy into the finalizer that the garbage collector acts on; "" keeps what is there."""
    if not policy:
        return
    kept = [text for text in metadata.get("finalizers") or () if text not in (FOREGROUND, ORPHAN)]
    match policy:
        case "Foreground":
            kept.append(FOREGROUND)
        case "Orphan":
            kept.append(ORPHAN)
    if kept:
        metadata["finalizers"] = kept
    else:
        metadata.pop("finalizers", None)


def _grace(resource: ResourceInfo, obj: Json, options: DeleteOptions) -> int:
    """Return the seconds that the object is given; only a pod that runs somewhere gets any."""
    if resource.nature != "Pod":
        return 0
    if not (obj.get("spec") or {}).get("nodeName"):
        return 0
    if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    if options.grace_seconds is not None:
        return options.grace_seconds
    if "deletionTimestamp" in obj["metadata"]:
        # A repeated DELETE without a wish of its own changes nothing.
        pending: int = obj["metadata"].get("deletionGracePeriodSeconds") or 0
        return pending
    grace: int = obj["spec"].get("terminationGracePeriodSeconds", _DEFAULT_GRACE)
    # A negative grace means the shortest one that still is one.
    return grace if grace >= 0 else 1

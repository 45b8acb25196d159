"""Who owns what after each write: the server's side of `kcm.sandbox.schema.apply`.

`Ownership` is asked by `Writer` at every create, update and apply, and answers with the entries
that the object has from then on. Guarantees: an entry per manager, operation, version and
subresource; what a write changes nothing of keeps its entries, times included; what admission adds
to a new object has no owner, as on the real server. Pods of one template by one manager share one
set, worked out once, and so do events of one form. Binding and eviction own nothing, and neither do
the sandbox's own components (simulated kubelets, scheduler), unlike real ones: the addresses of each
pod would make its set one of its own, at twice the cost of a status write. What they change is still
taken from its owners. Owns the memory of such sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.configurations import unfitting
from kcm.sandbox.api.errors import ApiFailure, Json
from kcm.sandbox.api.records import Record, encode
from kcm.sandbox.api.views import from_stored, to_stored
from kcm.sandbox.schema.apply import (
    NOBODY,
    ApplyConflict,
    ConfigurationUnfit,
    Conflict,
    Entry,
    FieldSetError,
    Managed,
    Version,
    Writing,
    apply,
    builtin,
    custom,
    managed,
    paths_shown,
    read_managed,
    resets,
    track_update,
)
from kcm.sandbox.schema.apply.fieldsets import Path, Tree, field_element
from kcm.sandbox.schema.apply.kinds import FREE, Kind
from kcm.sandbox.schema.apply.managers import UPDATE
from kcm.sandbox.schema.apply.scale import REPLICAS, to_parent, to_scale
from kcm.sandbox.schema.apply.scale import VERSION as SCALE_VERSION
from kcm.sandbox.schema.resources import ResourceInfo, find

# These change their object in the server's own name.
_UNTRACKED = frozenset(("binding", "eviction"))
# The User-Agent of the sandbox's own components ends so.
SIMULATED = "/sandbox"
_MOST_SHAPES = 4096
# apiVersion, kind, metadata, spec, status: a pod with more is no ordinary one.
_POD_PARTS = 5
_MOST_MANAGER = 128

Shape = tuple[object, ...]


class Ownership:
    """Works out managedFields."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shapes: dict[Shape, Managed] = {}
        self._second = (0, "")

    def created(self, call: Call, obj: Json, given: Any, spec_key: object | None) -> Managed:
        """Return the entries of a new object, in its stored form, before admission completes it.

        `given` are the managedFields of its body; `spec_key` names its spec among known ones.
        """
        present = _read(given, NOBODY)
        if call.agent.endswith(SIMULATED):
            return present
        shape = None if present else _shape_of(call, obj, spec_key)
        if shape is None:
            return track_update(present, {}, obj, self._writing(call))
        time = self._time()
        known = self._shapes.get(shape)
        if known is None:
            known = track_update(NOBODY, {}, obj, self._writing(call))
            if len(self._shapes) >= _MOST_SHAPES:
                del self._shapes[next(iter(self._shapes))]
        elif known and known.entries[0].time != time:
            known = managed((known.entries[0]._replace(time=time),))
        self._shapes[shape] = known
        return known

    def updated(self, call: Call, record: Record, old: Json, new: Json, given: Any) -> Managed:
        """Return the entries after `record`, `old` in its stored form, became `new`.

        `given` are the managedFields of the body. A subresource cannot change others' entries.
        """
        present = record.managed
        ours = call.agent.endswith(SIMULATED)
        if call.subresource in _UNTRACKED or (ours and _concerns_no_status(call, present)):
            return present
        if given is not None and not call.subresource and encode(given) != present.encoded:
            present = NOBODY if resets(given) else _read(given, present)
        if not present:
            return NOBODY
        writing = self._writing(call)
        if call.subresource == "scale":
            # What came by a Scale has no time, as on the real server.
            writing = replace(writing, time="")
        return track_update(present, old, new, writing, silently=ours)

    def apply(self, call: Call, record: Record | None, config: Json, *, force: bool) -> tuple[Json, Managed]:
        """Return what applying `config` makes of the object (None: it is new), and its entries.

        409 names every conflict. `config` was checked to be an object of the resource.
        """
        live = record.copy() if record is not None else {}
        present = record.managed if record is not None else NOBODY
        try:
            return apply(
                present,
                from_stored(call.resource, live),
                config,
                self._writing(call, stored=False),
                force=force,
            )
        except ApplyConflict as conflict:
            raise _conflict(conflict.conflicts) from None
        except ConfigurationUnfit as unfit:
            raise unfitting(call.resource, config, unfit.problems) from None

    def apply_scale(
        self, call: Call, record: Record, scale: Json, config: Json, *, force: bool
    ) -> tuple[Json, Managed]:
        """Return what applying `config` makes of the object's Scale, and the entries of the object then."""
        writing = self._writing(call)
        kind = builtin("Scale", SCALE_VERSION)
        assert kind is not None
        version = Version(kind, _as_it_is, _as_it_is, _STATUS)
        scaling = replace(writing, api_version=SCALE_VERSION, versions={SCALE_VERSION: version}.get)
        path = _replicas_path(call.resource)
        try:
            merged, entries = apply(to_scale(record.managed, path), scale, config, scaling, force=force)
        except ApplyConflict as conflict:
            raise _conflict(conflict.conflicts) from None
        except ConfigurationUnfit as unfit:
            raise unfitting(call.resource, config, unfit.problems) from None
        return merged, to_parent(record.managed, entries, writing.api_version, path)

    def _time(self) -> str:
        """Return the present time as the API writes it."""
        now = self._clock.wall()
        second = int(now.timestamp())
        if second != self._second[0]:
            self._second = (second, format_time(now))
        return self._second[1]

    def _writing(self, call: Call, *, stored: bool = True) -> Writing:
        resource = call.resource
        return Writing(
            manager_of(call),
            resource.api_version,
            call.subresource,
            self._time(),
            _versions(resource, call.subresource, stored=stored),
        )


# What the server gives to a new object's spec, in nobody's name, where its creator did not.
_ALLOCATED: Mapping[str, frozenset[str]] = {
    "Namespace": frozenset(("finalizers",)),
    "Service": frozenset(("clusterIP", "clusterIPs", "healthCheckNodePort", "ipFamilies", "ipFamilyPolicy")),
}


def asked_fields(resource: ResourceInfo, obj: Json) -> Callable[[Json], Json]:
    """Return what shows the completed form of a new object without what the server allocates by itself."""
    allocated = _ALLOCATED.get(resource.nature)
    if allocated is None:
        return _as_it_is
    hidden = allocated.difference(obj.get("spec") or ())

    def show(completed: Json) -> Json:
        spec = completed.get("spec") or {}
        return {**completed, "spec": {name: spec[name] for name in spec if name not in hidden}}

    return show


def manager_of(call: Call) -> str:
    """Return the name a write is remembered by: fieldManager, or the User-Agent up to its first slash."""
    manager = call.options.get("fieldManager", "")
    if manager:
        return manager
    text = "".join(filter(str.isprintable, call.agent.partition("/")[0]))
    return text if len(text) <= 32 else text.encode()[:_MOST_MANAGER].decode(errors="ignore")


def _as_it_is(obj: Json) -> Json:
    return obj


def _replicas_path(resource: ResourceInfo) -> Path:
    """Return where an object of the resource keeps its replicas."""
    if resource.custom is None or resource.custom.scale is None:
        return REPLICAS
    return tuple(field_element(name) for name in resource.custom.scale.spec.strip(".").split("."))


def _shape_of(call: Call, obj: Json, spec_key: object | None) -> Shape | None:
    """Return what the entry of a new object depends on beside the time.

    None where it is not worth knowing: only pods and events come by the thousand.
    """
    rest: object = spec_key
    if call.resource.nature == "Event":
        rest = tuple([_outline(name, value) for name, value in obj.items() if name != "metadata"])
    elif call.resource.nature != "Pod" or spec_key is None or len(obj) > _POD_PARTS:
        return None
    metadata = obj["metadata"]
    return (
        rest,
        call.resource.api_version,
        manager_of(call),
        tuple(metadata),
        tuple(metadata.get("labels") or ()),
        tuple(metadata.get("annotations") or ()),
        tuple([owner.get("uid") for owner in metadata.get("ownerReferences") or ()]),
        tuple(metadata.get("finalizers") or ()),
    )


def _outline(name: str, value: Any) -> Shape:
    """Return what decides which fields an event's part has: names, and which of them say something."""
    if isinstance(value, dict):
        return (name, *[(inside, bool(value[inside])) for inside in value])
    return (name, bool(value))


def _concerns_no_status(call: Call, present: Managed) -> bool:
    """Say whether a write to the status can take nothing from anybody."""
    if call.subresource != "status":
        return not present
    return not any(entry.subresource or b'"f:status"' in entry.fields.encoded for entry in present.entries)


def _read(given: Any, otherwise: Managed) -> Managed:
    """Return a client's managedFields; what cannot be read counts as not given."""
    if not given:
        return otherwise
    try:
        return read_managed(given) or otherwise
    except FieldSetError:
        return otherwise


_STATUS: Tree = {"f:status": {}}
_SPEC: Tree = {"f:spec": {}}
_CUSTOM_STATUS: Tree = {"f:spec": {}, "f:metadata": {}}
_STATUS_RESETS: Mapping[str, Tree] = {
    "Deployment": {"f:spec": {}, "f:metadata": {"f:labels": {}}},
    "Pod": {"f:spec": {}, "f:metadata": {"f:deletionTimestamp": {}, "f:ownerReferences": {}}},
}


@lru_cache(maxsize=256)
def _versions(resource: ResourceInfo, subresource: str, *, stored: bool) -> Callable[[str], Version | None]:
    """Return how to see objects of the resource in each version that entries may name.

    `stored`: the objects are in their stored form, else in the resource's own.
    """

    @cache
    def version(name: str) -> Version | None:
        info = _info(resource, name)
        if info is None:
            return None

        def convert(obj: Json) -> Json:
            if not obj or info.custom is not None or (info is resource and not stored):
                return obj
            return from_stored(info, obj if stored else to_stored(resource, obj))

        def revert(obj: Json) -> Json:
            return obj if info.custom is not None else from_stored(resource, to_stored(info, obj))

        kind = custom(info.custom.source) if info.custom else builtin(info.nature, info.api_version)
        return Version(kind or Kind("map", item=FREE), convert, revert, _reset(info, subresource))

    return version


def _info(resource: ResourceInfo, version: str) -> ResourceInfo | None:
    if version == resource.api_version:
        return resource
    group, _, name = version.rpartition("/")
    if group != resource.group:
        # Events of the core group and of their own know nothing of each other's owners.
        return None
    # The versions of a custom resource differ in name, and seldom in what matters here.
    return find(group, name, resource.plural) if resource.custom is None else resource


def _reset(resource: ResourceInfo, subresource: str) -> Tree:
    """Return the fields that a write by this endpoint does not reach."""
    if "status" not in resource.subresources:
        return {}
    if subresource != "status":
        return _STATUS
    if resource.custom is not None:
        return _CUSTOM_STATUS
    return _STATUS_RESETS.get(resource.nature, _SPEC)


def _conflict(conflicts: list[Conflict]) -> ApiFailure:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {_shown(conflict.entry)}",
            "field": paths_shown(conflict.path),
        }
        for conflict in conflicts
    ]
    if len(conflicts) == 1:
        told = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines: dict[str, list[str]] = {}
        for cause in causes:
            lines.setdefault(cause["message"].removeprefix("conflict "), []).append(cause["field"])
        texts = [
            text
            for who, fields in lines.items()
            for text in (f"conflicts {who}:", *(f"- {one}" for one in fields))
        ]
        told = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(texts)
    return ApiFailure(409, "Conflict", told, details={"causes": causes})


def _shown(entry: Entry) -> str:
    text = f'"{entry.manager}"'
    if entry.subresource:
        text += f' with subresource "{entry.subresource}"'
    return f"{text} using {entry.api_version}" if entry.operation == UPDATE else text

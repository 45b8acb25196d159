"""Create, update and patch.

Each takes a `Call` and a document, applies the rules in the order of the real server, and
commits at most once; nothing awaits in between, so no write can come between check and commit.
Guarantees: a write that changes nothing keeps the resourceVersion and sends no event; dryRun
does everything but commit. Deletion is `kcm.sandbox.api.deletion`'s.
"""

from __future__ import annotations

from collections.abc import Callable

from kcm.base.clock import Clock
from kcm.base.rng import Rng
from kcm.base.timestamps import format_time
from kcm.sandbox.api import rules
from kcm.sandbox.api.admission import Admission
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.configurations import check_configuration, check_new
from kcm.sandbox.api.errors import (
    ApiFailure,
    Json,
    already_exists,
    bad_request,
    cause,
    conflict,
    go_quote,
    invalid,
    name_not_found_in_time,
    named,
    not_found,
    unparsable_number,
)
from kcm.sandbox.api.knowledge import (
    apply_defaults,
    apply_spelling,
    check_document,
    check_fields,
    check_status,
    check_types,
    check_update,
    complete,
)
from kcm.sandbox.api.ownership import Ownership, asked_fields
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.api.views import from_stored, settled, storage_group, to_stored
from kcm.sandbox.schema.apply import Managed
from kcm.sandbox.schema.resources import ResourceInfo

_NAME_TRIES = 8
# What a client says in its own words; the rest is the server's own doing.
_OWN_WORDS = frozenset(("update", "patch"))
_CHECKED = frozenset(("", "status"))
_REGISTRY = {"endpoints": "services/endpoints", "nodes": "minions", "services": "services/specs"}

Change = Callable[[Json], Json]


class Writer:
    """The only part that stores new and changed objects."""

    def __init__(self, store: Store, admission: Admission, clock: Clock, rng: Rng) -> None:
        self._store = store
        self._admission = admission
        self._clock = clock
        self._rng = rng
        self._owners = Ownership(clock)

    def collection(self, resource: ResourceInfo) -> Collection:
        """Return where objects of the resource are stored."""
        return self._store.collection(storage_group(resource), resource.plural)

    def find(self, call: Call) -> Record:
        """Return the object that the call names; 404 when it is absent."""
        record = self.collection(call.resource).records.get(f"{call.namespace}/{call.name}")
        if record is None:
            raise not_found(call.resource, call.name)
        return record

    def create(self, call: Call, document: object, owners: Managed | None = None) -> Record:
        """Store a new object. A name in the call (PUT that creates) must be the object's.

        `owners` are its managedFields where they are known already.
        """
        resource = call.resource
        obj = rules.check_shape(resource, document)
        warnings, known = check_document(resource, obj, call.validation, call.duplicates)
        call.warnings += warnings
        rules.check_namespace(resource, obj, call.namespace)
        obj = to_stored(resource, obj)
        collection = self.collection(resource)
        self._choose_name(resource, collection, obj, call.namespace)
        metadata = obj["metadata"]
        self._admission.grants.check_write(call, obj, None)
        if resource.namespaced:
            self._admission.check_namespace(resource, call.namespace, metadata.get("name", ""))
        given = metadata.pop("managedFields", None)
        asked = asked_fields(resource, obj)
        rules.begin_life(resource, obj, format_time(self._clock.wall()), self._rng)
        complete(resource, obj, known)
        owners = owners or self._owners.created(call, asked(obj), given, known)
        self._admission.complete(resource, obj)
        metadata["managedFields"] = owners
        old = collection.records.get(f"{call.namespace}/{metadata['name']}")
        if old is not None:
            if metadata.get("generateName"):
                raise name_not_found_in_time(resource, metadata["name"])
            raise already_exists(resource, old.name, deleting=old.deleting)
        if call.dry_run:
            return self._store.draft(collection, obj)
        return self._store.put(collection, obj, None, call.cause)

    def _choose_name(self, resource: ResourceInfo, collection: Collection, obj: Json, namespace: str) -> None:
        metadata = obj["metadata"]
        if metadata.get("name"):
            return
        base = metadata.get("generateName")
        if not base:
            cause = {
                "reason": "FieldValueRequired",
                "message": "Required value: name or generateName is required",
                "field": "metadata.name",
            }
            raise invalid(resource, "", (cause,))
        for _ in range(_NAME_TRIES):
            metadata["name"] = rules.generated_name(base, self._rng)
            if f"{namespace}/{metadata['name']}" not in collection.records:
                return

    def update(self, call: Call, document: object) -> tuple[Record, bool]:
        """Put an object in the place of the stored one. Return it and whether it is new."""
        new = rules.check_shape(call.resource, document)
        if new["metadata"].get("name") != call.name:
            raise wrong_name(call, new)
        rules.check_namespace(call.resource, new, call.namespace)
        collection = self.collection(call.resource)
        if f"{call.namespace}/{call.name}" not in collection.records:
            if call.subresource or call.resource.nature not in rules.CREATED_BY_UPDATE:
                raise not_found(call.resource, call.name)
            if uid := new["metadata"].get("uid"):
                raise another_uid(call, uid, "")
            new["metadata"].pop("resourceVersion", None)
            self._admission.grants.check_creates(call)
            return self.create(call, new), True
        return self.replace(call, lambda _: new), False

    def apply(self, call: Call, config: Json, *, force: bool) -> tuple[Record, bool]:
        """Apply a configuration (server-side). Return the object and whether it is new."""
        check_configuration(call, config)
        record = self.collection(call.resource).records.get(f"{call.namespace}/{call.name}")
        if record is not None:
            merged, owners = self._owners.apply(call, record, config, force=force)
            return self.replace(call, lambda _: merged, owners=owners), False
        if call.subresource:
            raise not_found(call.resource, call.name)
        self._admission.grants.check_creates(call)
        obj, owners = self._owners.apply(call, None, config, force=force)
        check_new(call, config)
        obj["metadata"].pop("resourceVersion", None)
        if obj["metadata"].get("name") != call.name:
            raise wrong_name(call, obj)
        return self.create(call, obj, owners), True

    def apply_scale(self, call: Call, scale: Json, config: Json, *, force: bool) -> tuple[Json, Managed]:
        """Apply a configuration to the Scale of an object. Return the Scale and the object's entries."""
        check_configuration(call, config, ("autoscaling/v1", "Scale"))
        return self._owners.apply_scale(call, self.find(call), scale, config, force=force)

    def replace(
        self, call: Call, change: Change, *, owners: Managed | None = None, shows_owners: bool = False
    ) -> Record:
        """Store what `change` makes of the present object (given as a copy, without managedFields).

        `owners` are its managedFields after the change where they are known already;
        `shows_owners` is for a change that looks into them.
        """
        resource, collection = call.resource, self.collection(call.resource)
        record = self.find(call)
        old = from_stored(resource, record.copy())
        # Defaults write into what a patch left alone, so only a status write may share parts with `old`.
        document = old if call.subresource == "status" else from_stored(resource, record.copy())
        if shows_owners:
            document["metadata"]["managedFields"] = record.managed.decoded()
        new = rules.check_shape(resource, change(document))
        _check_identity(resource, call, new, record)
        new = _checked(resource, call, new, old)
        given = new["metadata"].pop("managedFields", None)
        old["metadata"].pop("managedFields", None)
        resource, new, old = settled(resource, new, old, record)
        rules.keep_system_metadata(new, old)
        new = self._admitted(resource, call, new, old)
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        same = new == old
        if same and given is None and owners is None:
            return record
        stored = to_stored(resource, new)
        if owners is None:
            owners = self._owners.updated(call, record, to_stored(resource, old), stored, given)
        if same and owners.same_sets(record.managed):
            return record
        stored["metadata"]["managedFields"] = owners
        if call.dry_run:
            return self._store.draft(collection, stored, record)
        if _may_go(resource, stored):
            # Watchers learn of the object as it was stored last; the answer shows what the writer made of it.
            self._store.remove(collection, record, call.cause)
            return Record(stored, record.version, collection.extract(stored))
        return self._store.put(collection, stored, record, call.cause)

    def _admitted(self, resource: ResourceInfo, call: Call, new: Json, old: Json) -> Json:
        """Return as much of a document as its kind of write may change, with defaults, checked."""
        if call.subresource == "status":
            new = rules.only_status(resource, new, old)
            if resource.custom is None:
                part = {"apiVersion": resource.api_version, "status": new["status"]}
                apply_spelling(resource.nature, part)
            check_status(resource, new, old)
        elif call.subresource in ("", "scale"):
            rules.keep_status(resource, new, old)
            apply_defaults(resource.nature, new)
            self._admission.keep(resource, new, old)
            self._admission.grants.check_write(call, new, old)
            check_update(resource, new, old)
            _check_finalizers(resource, new, old)
            rules.count_generation(resource, new, old)
        return new


def _checked(resource: ResourceInfo, call: Call, new: Json, old: Json) -> Json:
    """Return a document without what its type does not know; what is wrong is refused, or warned of."""
    if resource.custom is not None:
        call.warnings += check_fields(resource, new, call.validation, call.duplicates)
    elif call.verb in _OWN_WORDS and call.subresource in _CHECKED:
        changed = {name: value for name, value in new.items() if old.get(name) != value}
        changed |= {"apiVersion": resource.api_version, "metadata": new["metadata"]}
        check_types(resource, changed)
        call.warnings += check_fields(resource, changed, call.validation, call.duplicates)
        return {
            name: changed.get(name, value) for name, value in new.items() if name in old or name in changed
        }
    return new


def _check_identity(resource: ResourceInfo, call: Call, new: Json, record: Record) -> None:
    """Raise 409 when the document speaks of another object or another version than the stored one."""
    metadata = new["metadata"]
    if metadata.get("name") != record.name:
        raise wrong_name(call, new)
    if (metadata.get("namespace") or record.namespace) != record.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    uid, version = metadata.get("uid"), metadata.get("resourceVersion") or "0"
    if uid and uid != record.uid and call.verb == "update":
        raise another_uid(call, uid, record.uid)
    if not version.isdecimal() or not version.isascii():
        raise ApiFailure(500, "", unparsable_number(version, "ParseUint"))
    if int(version) == 0:
        _require_version(call)
    elif version != str(record.version):
        raise conflict(resource, record.name)
    if uid and uid != record.uid:
        # A PUT states what it was made for; of a patch, the uid is one more field that may not change.
        raise _immutable(call, "uid", uid)
    if not record.deleting and metadata.get("deletionTimestamp"):
        raise _immutable(call, "deletionTimestamp", metadata["deletionTimestamp"])


def _immutable(call: Call, field: str, value: str) -> ApiFailure:
    message = f"Invalid value: {go_quote(value)}: field is immutable"
    return invalid(call.resource, call.name, (cause(f"metadata.{field}", message, "FieldValueInvalid"),))


def another_uid(call: Call, asked: str, present: str) -> ApiFailure:
    """Return the conflict of a write that was meant for an earlier object of the name."""
    why = f"StorageError: invalid object, Code: 4, Key: {_registry_key(call)}, ResourceVersion: 0, "
    why += f"AdditionalErrorMsg: Precondition failed: UID in precondition: {asked}, "
    return conflict(call.resource, call.name, f"{why}UID in object meta: {present}")


def _registry_key(call: Call) -> str:
    """Return the key under which the real server keeps the object, which its message tells."""
    resource = call.resource
    place = _REGISTRY.get(resource.plural, resource.plural)
    if resource.custom is not None:
        place = f"{resource.group}/{resource.plural}"
    return "/".join(part for part in ("/registry", place, call.namespace, call.name) if part)


def wrong_name(call: Call, obj: Json) -> ApiFailure:
    """Return the refusal of an object that is not the one that the URL names."""
    name = obj["metadata"].get("name")
    if not name:
        return bad_request(
            f"the name of the object ({call.name} based on URL) was undeterminable: name must be provided"
        )
    return bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.name})")


def _require_version(call: Call) -> None:
    """Raise 422 for a kind whose objects nobody may overwrite unseen."""
    resource = call.resource
    if call.verb not in _OWN_WORDS or not rules.requires_version(resource):
        return
    message = "Invalid value: 0: must be specified for an update"
    why = f"metadata.resourceVersion: {message}"
    details = named(resource, call.name)
    details["causes"] = [cause("metadata.resourceVersion", message, "FieldValueInvalid")]
    # Here, and only here, the server names the resource in the kind's place.
    raise ApiFailure(422, "Invalid", f'{resource.qualified} "{call.name}" is invalid: {why}', details=details)


def _check_finalizers(resource: ResourceInfo, new: Json, old: Json) -> None:
    """An object that is being deleted takes no new finalizers."""
    if "deletionTimestamp" not in old["metadata"]:
        return
    added = set(new["metadata"].get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ())
    if added:
        message = "Forbidden: no new finalizers can be added if the object is being deleted, "
        message += f"found new finalizers {sorted(added)}"
        cause = {"reason": "FieldValueForbidden", "message": message, "field": "metadata.finalizers"}
        failure: ApiFailure = invalid(resource, old["metadata"]["name"], (cause,))
        raise failure


def _may_go(resource: ResourceInfo, obj: Json) -> bool:
    """Say whether an object that was being deleted has nothing left that holds it."""
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    if metadata.get("deletionGracePeriodSeconds"):
        return False
    return resource.nature != "Namespace" or not (obj.get("spec") or {}).get("finalizers")

"""The life of CustomResourceDefinitions: names, routes, the end.

Stands in for the controllers that a real server runs for them (reference: apiserver §2, CRD). A new
definition gets its names or a conflict, is served, and only then called Established, so that whoever
has seen the condition is not answered 404. A change of its spec counts from its commit on; watches of
its objects end then, as on the real server. A deleted one waits until its objects are gone. Guarantees:
routes are there exactly while the definition is accepted. Owns what the registry says about custom
resources. Writes through `Writer` and `Deleter` like any client.
"""

from __future__ import annotations

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time
from kcm.sandbox.api import rules
from kcm.sandbox.api.background import Pending
from kcm.sandbox.api.calls import Call, DeleteOptions
from kcm.sandbox.api.deletion import Deleter
from kcm.sandbox.api.errors import ApiFailure, Json
from kcm.sandbox.api.history import DELETED, Event
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.api.writes import Writer
from kcm.sandbox.schema.custom.naming import accept
from kcm.sandbox.schema.custom_resources import resources_of
from kcm.sandbox.schema.registry import Registry
from kcm.sandbox.schema.resources import find

AGENT = "kcm-sandbox/definitions"
GROUP, PLURAL = "apiextensions.k8s.io", "customresourcedefinitions"
_BATCH = 64
_ACCEPTED = "the initial names have been accepted"


class Definitions:
    """Makes custom resources appear and vanish."""

    def __init__(
        self, store: Store, registry: Registry, writer: Writer, deleter: Deleter, clock: Clock
    ) -> None:
        self._store = store
        self._registry = registry
        self._writer = writer
        self._deleter = deleter
        self._clock = clock
        self._definitions = store.collection(GROUP, PLURAL)
        self._pending: Pending[str] = Pending()
        # What is served, by definition: its spec, whether all its objects were written by it, and what
        # else its routes depend on.
        self._served: dict[str, tuple[Json, bool, tuple[bool, Json | None]]] = {}
        store.listeners.append(self._heard)

    def resume(self) -> None:
        """Serve what a store brought along; what was under way goes on."""
        for record in self._definitions.ordered():
            obj = record.copy()
            if _is_true(obj, "Established"):
                self._serve(obj, resumed=True)
            self._pending.add(record.name)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            name = await self._pending.take()
            record = self._definitions.records.get(f"/{name}")
            if record is None:
                continue
            try:
                if record.deleting:
                    await self._end(record)
                else:
                    self._establish(record.copy())
            except ApiFailure:
                # Changed meanwhile: its next event brings it back.
                continue

    def _heard(self, collection: Collection, event: Event) -> None:
        if collection is self._definitions:
            self._heard_definition(event)
        elif event.kind == DELETED:
            definition = self._definitions.records.get(f"/{collection.qualified}")
            if definition is not None and definition.deleting:
                self._pending.add(definition.name)

    def _heard_definition(self, event: Event) -> None:
        obj = event.new.copy()
        if event.kind != DELETED:
            if event.new.name in self._served:
                self._serve(obj)
            self._pending.add(event.new.name)
            return
        self._vanish(obj)
        for record in self._definitions.ordered():
            # Its names are free now.
            self._pending.add(record.name)

    def _establish(self, obj: Json) -> None:
        """Give a definition its names and, if it got them, its routes."""
        status = obj.get("status") or {}
        present = status.get("acceptedNames") or {}
        names, reason, message = accept(obj["spec"]["names"], present, self._others(obj))
        accepted = "True" if reason == "NoConflicts" else "False"
        if _is_true(obj, "Established"):
            established = None
        elif accepted == "True":
            established = ("False", "Installing", _ACCEPTED)
        else:
            established = ("False", "NotAccepted", "not all names are accepted")
        name = obj["metadata"]["name"]
        if status.get("acceptedNames") != names or _condition(obj, "NamesAccepted").get("reason") != reason:
            said = ("NamesAccepted", (accepted, reason, message))
            self._tell(name, said, ("Established", established), names=names)
        if established is None or accepted != "True":
            return
        record = self._definitions.records[f"/{name}"]
        self._serve(record.copy())
        self._tell(name, ("Established", ("True", "InitialNamesAccepted", _ACCEPTED)))

    def _others(self, obj: Json) -> list[Json]:
        found: list[Json] = []
        for record in self._definitions.ordered():
            other = record.copy()
            if record.name != obj["metadata"]["name"] and other["spec"]["group"] == obj["spec"]["group"]:
                found.append((other.get("status") or {}).get("acceptedNames") or {})
        return found

    def _serve(self, obj: Json, *, resumed: bool = False) -> None:
        """Put a definition's versions into the registry; end watches when its spec is another than before."""
        name, spec = obj["metadata"]["name"], obj["spec"]
        before = self._served.get(name)
        changed = before is None or before[0] != spec
        facts = (_is_true(obj, "Terminating"), (obj.get("status") or {}).get("acceptedNames"))
        if before is not None and not changed and before[2] == facts:
            return
        collection = self._store.collection(spec["group"], spec["names"]["plural"])
        fresh = not collection.records if before is None or changed else before[1]
        served, stored = resources_of(obj, fresh=fresh)
        if before is None and not resumed:
            # What an earlier resource of this name was must not be watched on from.
            collection.history.compact(self._store.version)
        self._served[name] = (spec, fresh, facts)
        self._registry.put(served, stored)
        if changed:
            shapes = [one.custom for one in (*served, stored) if one.custom is not None]
            fields = dict.fromkeys(field for shape in shapes for field in shape.selectable)
            collection.select_by(tuple(fields))
            collection.end_watches()

    def _vanish(self, obj: Json) -> None:
        name, spec = obj["metadata"]["name"], obj["spec"]
        if self._served.pop(name, None) is None:
            return
        self._registry.drop(spec["group"], spec["names"]["plural"])
        self._store.collection(spec["group"], spec["names"]["plural"]).end_watches()

    async def _end(self, record: Record) -> None:
        """Delete the objects of a definition that is being deleted; let it go when there are none."""
        if rules.CLEANUP not in (record.copy()["metadata"].get("finalizers") or ()):
            return
        name = record.name
        if name not in self._served:
            never = ("False", "NeverEstablished", "resource was never established")
            self._tell(name, ("Terminating", never), last=True)
            return
        going_on = ("True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
        if _condition(record.copy(), "Terminating").get("reason") != going_on[1]:
            self._tell(name, ("Terminating", going_on))
        spec = self._served[name][0]
        collection = self._store.collection(spec["group"], spec["names"]["plural"])
        await self._delete_all(collection)
        if not collection.records and f"/{name}" in self._definitions.records:
            done = ("False", "InstanceDeletionCompleted", "removed all instances")
            self._tell(name, ("Terminating", done), last=True)

    async def _delete_all(self, collection: Collection) -> None:
        resource = self._registry.stored(collection.group, collection.plural)
        if resource is None:
            return
        for number, record in enumerate(list(collection.records.values())):
            if number % _BATCH == _BATCH - 1:
                await self._clock.sleep(0)
            if record.deleting:
                continue
            call = Call(
                resource, "deletecollection", record.namespace, record.name, agent=AGENT, validation="Ignore"
            )
            try:
                self._deleter.delete(call, DeleteOptions())
            except ApiFailure:
                # Gone meanwhile, which is what was wanted.
                continue

    def _tell(
        self,
        name: str,
        *conditions: tuple[str, tuple[str, str, str] | None],
        names: Json | None = None,
        last: bool = False,
    ) -> None:
        """Write conditions (status, reason, message) of a definition; `last` lets it go."""

        def change(obj: Json) -> Json:
            status = dict(obj.get("status") or {})
            if names is not None:
                status["acceptedNames"] = names
            for kind, said in conditions:
                if said is not None:
                    status["conditions"] = self._with_condition(status.get("conditions") or [], kind, said)
            metadata = dict(obj["metadata"])
            if last:
                left = [one for one in metadata.get("finalizers") or () if one != rules.CLEANUP]
                metadata["finalizers"] = left
            return {**obj, "metadata": metadata, "status": status}

        resource = find(GROUP, "v1", PLURAL)
        assert resource is not None
        call = Call(resource, "update", "", name, "status", agent=AGENT, validation="Ignore")
        self._writer.replace(call, change)

    def _with_condition(self, present: list[Json], kind: str, said: tuple[str, str, str]) -> list[Json]:
        status, reason, message = said
        earlier = next((one for one in present if one.get("type") == kind), {})
        same = earlier.get("status") == status
        moment = earlier.get("lastTransitionTime") if same else format_time(self._clock.wall())
        fresh = {
            "type": kind,
            "status": status,
            "lastTransitionTime": moment,
            "reason": reason,
            "message": message,
        }
        if earlier:
            return [fresh if one is earlier else one for one in present]
        return [*present, fresh]


def _condition(obj: Json, kind: str) -> Json:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    found: Json = next((one for one in conditions if one.get("type") == kind), {})
    return found


def _is_true(obj: Json, kind: str) -> bool:
    return _condition(obj, kind).get("status") == "True"

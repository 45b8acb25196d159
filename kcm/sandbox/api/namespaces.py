"""The built-in namespace controller: what is being deleted is emptied, then finalized.

Stands in for the namespace controller of a real cluster. Deletes everything in a namespace that
has a deletionTimestamp, waits for what needs its time (pods with grace, finalizers), then takes
`kubernetes` out of the namespace's finalizers, which lets it go. Writes through `Writer` and
`Deleter` like any client.
"""

from __future__ import annotations

from kcm.base.clock import Clock
from kcm.sandbox.api.background import Pending
from kcm.sandbox.api.calls import Call, DeleteOptions
from kcm.sandbox.api.collector import stored_resource
from kcm.sandbox.api.deletion import Deleter
from kcm.sandbox.api.errors import ApiFailure, Json
from kcm.sandbox.api.history import DELETED, Event
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.api.writes import Writer
from kcm.sandbox.schema.registry import Registry

AGENT = "kcm-sandbox/namespace-controller"
_BATCH = 64


class NamespaceController:
    """Empties namespaces that are being deleted."""

    def __init__(
        self, store: Store, registry: Registry, writer: Writer, deleter: Deleter, clock: Clock
    ) -> None:
        self._store = store
        self._registry = registry
        self._writer = writer
        self._deleter = deleter
        self._clock = clock
        self._pending: Pending[str] = Pending()
        self._namespaces = store.collection("", "namespaces")
        store.listeners.append(self._heard)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            name = await self._pending.take()
            record = self._namespaces.records.get(f"/{name}")
            if record is None or not record.deleting:
                continue
            if await self._empty(name):
                self._finalize(name)

    def _heard(self, collection: Collection, event: Event) -> None:
        if collection is self._namespaces:
            if event.kind != DELETED and event.new.deleting:
                self._pending.add(event.new.name)
        elif event.kind == DELETED and event.new.namespace:
            namespace = self._namespaces.records.get(f"/{event.new.namespace}")
            if namespace is not None and namespace.deleting:
                self._pending.add(namespace.name)

    async def _empty(self, namespace: str) -> bool:
        """Delete what is in the namespace; say whether nothing is left."""
        left = False
        for collection in list(self._store.collections.values()):
            records = list(collection.within(namespace).values())
            for number, record in enumerate(records):
                if not record.deleting:
                    self._delete(collection, namespace, record.name)
                if number % _BATCH == _BATCH - 1:
                    await self._clock.sleep(0)
            left = left or bool(collection.within(namespace))
        return not left

    def _delete(self, collection: Collection, namespace: str, name: str) -> None:
        resource = self._registry.stored(collection.group, collection.plural)
        if resource is None:
            return
        call = Call(resource, "deletecollection", namespace, name, agent=AGENT, validation="Ignore")
        try:
            self._deleter.delete(call, DeleteOptions(propagation="Background"))
        except ApiFailure:
            # Gone meanwhile, which is what was wanted.
            return

    def _finalize(self, name: str) -> None:
        def change(obj: Json) -> Json:
            spec = obj.get("spec") or {}
            finalizers = [one for one in spec.get("finalizers") or () if one != "kubernetes"]
            obj["spec"] = {**spec, "finalizers": finalizers}
            return obj

        call = Call(
            stored_resource(self._registry, self._namespaces),
            "update",
            "",
            name,
            "finalize",
            agent=AGENT,
            validation="Ignore",
        )
        self._writer.replace(call, change)

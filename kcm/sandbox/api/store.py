"""Every object of the sandbox, in memory, under one rising resourceVersion.

The store commits what it is given: rules about what may be written live above it. Guarantees:
one counter for all resources, started from the wall clock so that a restarted server goes on
rising; every commit takes the next version, is added to its resource's history, wakes that
resource's watchers, and is offered to listeners before the writer gets its answer. Does not
copy: a dict that was committed belongs to the store. An object without managedFields inherits
those of the one whose place it takes. Used by one event loop, without locks.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from kcm.base.clock import Clock
from kcm.sandbox.api.history import ADDED, DELETED, MODIFIED, Cause, Event, History
from kcm.sandbox.api.records import Json, Record, decode, extractor, field_names, free_extractor

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
# So many writes a second, on average since the start, keep a restarted server ahead of its past.
_VERSIONS_PER_SECOND = 10_000
_SNAPSHOTS = 4
_RESTORED = Cause("restore", "kcm-sandbox")

Listener = Callable[["Collection", Event], None]


class Collection:
    """All objects of one stored resource, and who waits for its changes."""

    def __init__(self, group: str, plural: str, floor: int) -> None:
        self.group = group
        self.plural = plural
        self.qualified = f"{plural}.{group}" if group else plural
        self.records: dict[str, Record] = {}
        self.namespaces: dict[str, dict[str, Record]] = {}
        self.history = History(floor)
        self.waiting: list[Callable[[], None]] = []
        self.field_names = field_names(group, plural)
        self.extract = extractor(self.field_names)
        # How often all watches were ended: a watch from before the last time ends once it has read on.
        self.epoch = 0
        self._keys: list[str] | None = None
        self._sorted: list[Record] | None = None
        self._past: OrderedDict[int, list[Record]] = OrderedDict()

    def within(self, namespace: str) -> dict[str, Record]:
        """Return the records of a namespace, or of all when it is ""."""
        return self.namespaces.get(namespace, {}) if namespace else self.records

    def ordered(self) -> list[Record]:
        """Return all records by namespace and name. The list is shared: do not change it."""
        if self._sorted is None:
            if self._keys is None:
                self._keys = sorted(self.records)
            self._sorted = [self.records[key] for key in self._keys]
        return self._sorted

    def ordered_at(self, version: int) -> list[Record]:
        """Return the records as they were at `version`; the caller has checked the floor."""
        events = self.history.events
        if not events or events[-1].version <= version:
            return self.ordered()
        found = self._past.get(version)
        if found is None:
            then = dict(self.records)
            for event in self.history.events[self.history.position_after(version) - self.history.base :][
                ::-1
            ]:
                if event.old is None:
                    then.pop(event.new.key, None)
                else:
                    then[event.old.key] = event.old
            found = self._past[version] = [then[key] for key in sorted(then)]
            while len(self._past) > _SNAPSHOTS:
                self._past.popitem(last=False)
        return found

    def hold(self, record: Record) -> None:
        """Have an object without history."""
        self.records[record.key] = record
        self.namespaces.setdefault(record.namespace, {})[record.key] = record
        self._keys = self._sorted = None

    def select_by(self, names: tuple[str, ...]) -> None:
        """Let field selectors name these fields of a custom resource."""
        if names == self.field_names:
            return
        self.field_names = names
        self.extract = free_extractor(names)
        for record in self.records.values():
            record.fields = self.extract(decode(record.raw))

    def end_watches(self) -> None:
        """End every watch after what it has not read yet: its resource is not what it was."""
        self.epoch += 1
        self._wake()

    def apply(self, event: Event) -> None:
        """Make the change, remember it, wake who waits."""
        record = event.new
        if event.kind == DELETED:
            del self.records[record.key]
            inside = self.namespaces[record.namespace]
            del inside[record.key]
            if not inside:
                del self.namespaces[record.namespace]
        else:
            self.records[record.key] = record
            self.namespaces.setdefault(record.namespace, {})[record.key] = record
        self._sorted = None
        if event.kind != MODIFIED:
            self._keys = None
        self.history.append(event)
        self._wake()

    def _wake(self) -> None:
        if self.waiting:
            waiting, self.waiting = self.waiting, []
            for wake in waiting:
                wake()


class Store:
    """All collections, the counter, and the indexes by uid."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        seconds = int((clock.wall() - _EPOCH).total_seconds())
        self.version = max(1, seconds) * _VERSIONS_PER_SECOND
        self.collections: dict[tuple[str, str], Collection] = {}
        self.by_uid: dict[str, tuple[Collection, str]] = {}
        self.dependents: dict[str, dict[tuple[str, str], Collection]] = {}
        self.listeners: list[Listener] = []
        self._reached: list[asyncio.Future[None]] = []

    def collection(self, group: str, plural: str) -> Collection:
        """Return the collection of a stored resource, made on first use."""
        found = self.collections.get((group, plural))
        if found is None:
            found = self.collections[(group, plural)] = Collection(group, plural, self.version)
        return found

    def restore(self, collection: Collection, obj: Json, version: int, when: float) -> None:
        """Put back an object of an earlier process as it was, last written at `when` (monotonic seconds).

        Listeners hear of it as of a new one; history does not. `resume` follows the last of them.
        """
        event = Event(ADDED, Record(obj, version, collection.extract(obj)), None, when, _RESTORED)
        self._index(collection, event)
        collection.hold(event.new)
        for listener in self.listeners:
            listener(collection, event)

    def resume(self, version: int) -> None:
        """Go on behind `version`, the last of an earlier process; what was before it is compacted."""
        self.version = max(self.version, version)
        self.compact()

    def draft(self, collection: Collection, obj: Json, old: Record | None = None) -> Record:
        """Return what `obj` would be stored as in place of `old`, without storing it (dryRun)."""
        _inherit(obj, old)
        return Record(obj, old.version if old is not None else 0, collection.extract(obj))

    def put(self, collection: Collection, obj: Json, old: Record | None, cause: Cause) -> Record:
        """Store `obj` in place of `old` (None: it is new)."""
        _inherit(obj, old)
        record = Record(obj, self.version + 1, collection.extract(obj))
        kind = MODIFIED if old else ADDED
        self._commit(collection, Event(kind, record, old, self._clock.monotonic(), cause))
        return record

    def remove(self, collection: Collection, old: Record, cause: Cause, last: Json | None = None) -> Record:
        """Remove `old`; `last` is its final state when that differs. Return that state at the new version."""
        final = old.copy() if last is None else last
        _inherit(final, old)
        record = Record(final, self.version + 1, collection.extract(final))
        self._commit(collection, Event(DELETED, record, old, self._clock.monotonic(), cause))
        return record

    def _commit(self, collection: Collection, event: Event) -> None:
        self.version = event.version
        self._index(collection, event)
        collection.apply(event)
        if self._reached:
            reached, self._reached = self._reached, []
            for future in reached:
                if not future.done():
                    future.set_result(None)
        for listener in self.listeners:
            listener(collection, event)

    def _index(self, collection: Collection, event: Event) -> None:
        new, old = event.new, event.old
        if event.kind == DELETED:
            self.by_uid.pop(new.uid, None)
        elif old is None:
            self.by_uid[new.uid] = (collection, new.key)
        if old is not None and (event.kind == DELETED or old.owners != new.owners):
            self._forget_owners(collection, old.owners, new.key)
        if event.kind != DELETED and (old is None or old.owners != new.owners):
            for owner in new.owners:
                self.dependents.setdefault(owner, {})[(collection.qualified, new.key)] = collection

    def _forget_owners(self, collection: Collection, owners: Iterable[str], key: str) -> None:
        for owner in owners:
            inside = self.dependents.get(owner)
            if inside is None:
                continue
            inside.pop((collection.qualified, key), None)
            if not inside:
                del self.dependents[owner]

    async def reach(self, version: int, seconds: float) -> bool:
        """Wait until the counter is at `version`; False when it is not after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while self.version < version:
                    future = asyncio.get_running_loop().create_future()
                    self._reached.append(future)
                    await future
        except TimeoutError:
            return False
        return True

    def compact(self) -> None:
        """Forget all history now: every watch and continue token from before answers 410."""
        for collection in self.collections.values():
            collection.history.compact(self.version)

    def forget_before(self, moment: float) -> None:
        """Drop history from before `moment` (monotonic seconds)."""
        for collection in self.collections.values():
            collection.history.forget_before(moment)


def _inherit(obj: Json, old: Record | None) -> None:
    if old is not None and old.managed:
        obj["metadata"].setdefault("managedFields", old.managed)

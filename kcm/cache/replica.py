"""A host's copy of one watch: typed objects, own writes included at once.

Fed by the manager in order, and by the answers of the host's own writes. Guarantees, with
`version` (the position: every server-side change up to it is in here):
- an answer is taken in unless the position has passed it; an older event never overwrites it;
- an object whose deletion the server confirmed to us is gone at once, and no late event of that
  uid brings it back;
- a Replace is atomic; it keeps what we wrote after the list was made and does not resurrect;
- handlers hear (old, new, initial) after the state changed; another uid under the same key is a
  delete and a create; an unchanged object is no news;
- an object that cannot be read marks its key in `bad`; its last readable state stays.
Does not guarantee to show every state an object went through. One task uses it: no locks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from kcm.cache.cacheview import Cache
from kcm.cache.changes import LONGEST_REASON, BadItem
from kcm.cache.feed import Changes, FeedData, Progress, ReplaceBegin, ReplaceEnd, ReplaceItems
from kcm.cache.indexer import Indexer, IndexFunction
from kcm.cache.interning import Interner
from kcm.cache.notifying import Handler, Handlers, Subscription
from kcm.cache.ownwrites import OwnWrites
from kcm.cache.scope import Belongs, Scope
from kcm.cache.typed import Unreadable, holds_raw, identity_of, owner_of, reader
from kcm.cache.watchspec import WatchSpec
from kcm.objects.resource import Key, Resource
from kcm.objects.versions import at_least, newer, well_formed
from kcm.telemetry.logging import logger

__all__ = ["Cache", "Handler", "Replica", "Subscription", "Unreadable"]

R = TypeVar("R", bound=Resource[Any])

log = logger("cache.replica")

_decode_bad = msgspec.json.Decoder(BadItem).decode


class _Staged(Generic[R]):
    """A Replace that is still coming: objects by namespace and name."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, R]] = {}
        self.bad: dict[Key, BadItem] = {}


class Replica(Generic[R]):
    """One watch's objects as one type.

    `faults` counts objects and functions that failed, `stale` events that came too late.
    """

    def __init__(self, spec: WatchSpec, type_: type[R]) -> None:
        self.spec = spec
        self.type = type_
        self.faults = 0
        self.stale = 0
        self._scope = Scope(spec)
        self._read = reader(type_)
        self._holds_raw = holds_raw(type_)
        self._objects: Indexer[R] = Indexer(self._fault)
        self._handlers: Handlers[R] = Handlers(self._fault)
        self._own = OwnWrites()
        self._interner = Interner()
        self._bad: dict[Key, str] = {}
        self._unseen: dict[Key, str] = {}
        self._version = ""
        self._staged: _Staged[R] | None = None

    @property
    def objects(self) -> Indexer[R]:
        """Return the objects and their indexes, to be read only."""
        return self._objects

    @property
    def version(self) -> str:
        """Return the position; "" before the first Replace."""
        return self._version

    @property
    def synced(self) -> bool:
        """Say whether the replica was filled once."""
        return self._version != ""

    @property
    def bad(self) -> Mapping[Key, str]:
        """Return the keys whose objects cannot be read now, and why."""
        return self._bad

    @property
    def unseen(self) -> Mapping[Key, str]:
        """Return the keys of bad objects that no state is known of, and the uids of their controllers."""
        return self._unseen

    @property
    def unconfirmed(self) -> bool:
        """Say whether an own deletion of unknown version has not come back through the feed yet."""
        return self._own.undated > 0

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Add a custom index and fill it. ValueError when the name has another function already."""
        self._objects.add_index(name, function)

    def subscribe(self, handler: Handler[R]) -> Subscription[R]:
        """Add a handler; it hears of everything that is there at once, then of each change."""
        return self._handlers.subscribe(handler, self._objects.everything(), self.synced)

    def resync(self) -> None:
        """Tell all handlers of all objects again, with old and new the same."""
        for present in self._objects.everything():
            self._handlers.changed(present, present)

    def feed(self, message: FeedData) -> None:
        """Take one message of the feed. `Unreadable` for a message that contradicts itself."""
        match message:
            case Changes():
                self._take(message)
            case Progress(version=version):
                self._advance(version)
            case ReplaceBegin():
                self._staged = _Staged()
            case ReplaceItems():
                self._stage(message)
            case ReplaceEnd(version=version, rolled_back=rolled_back):
                self._replace(version, rolled_back)

    def wrote(self, answer: bytes) -> R:
        """Take the server's answer to an own write and return it as an object.

        It goes into the replica unless the position has passed it. `Unreadable` when it does not
        fit the type: the write happened, only its result cannot be shown.
        """
        new = self._read(answer)
        metadata = new.metadata
        key, version = new.key, metadata.resource_version
        if at_least(self._version, version) or self._own.hide(key, metadata.uid, version):
            return new
        old = self._objects.get(*key)
        if old is not None and at_least(old.metadata.resource_version, version):
            return new
        if old is not None and old.metadata.uid != metadata.uid:
            # A namesake exists, so the old object does not: an answer about it may still be on its way.
            self._own.delete(old.metadata.uid, old.metadata.resource_version)
        match self._scope.judge(metadata):
            case Belongs.NO:
                self._own.leave(key, version)
                if old is not None:
                    self._remove(key)
            case Belongs.IF_KNOWN if old is None:
                pass
            case _:
                self._interner.share(metadata)
                self._put(old, new)
        return new

    def deleted(self, key: Key, uid: str, version: str = "") -> None:
        """Note that the server has confirmed our deletion of that object: it is gone for good.

        `version` is the deletion's resourceVersion, "" where the answer told none.
        """
        if not uid or (version and at_least(self._version, version)):
            return
        old = self._objects.get(*key)
        same = old is not None and old.metadata.uid == uid
        known = old.metadata.resource_version if old is not None and same else ""
        self._own.delete(uid, version or known, dated=bool(version))
        if same:
            self._remove(key)

    def _take(self, changes: Changes) -> None:
        if len(changes.kinds) != len(changes.objects):
            raise Unreadable(f"changes: {len(changes.kinds)} kinds for {len(changes.objects)} objects")
        for kind, text in zip(changes.kinds, changes.objects, strict=True):
            match kind:
                case "s":
                    self._take_set(text)
                case "d":
                    self._take_delete(text)
                case "b":
                    self._take_bad(_decode_bad(text))
                case _:
                    raise Unreadable(f"changes: unknown kind {kind!r}")
        self._advance(changes.version)

    def _take_set(self, text: msgspec.Raw) -> None:
        try:
            new = self._read(text)
        except Unreadable as error:
            identity = identity_of(text)
            owner = owner_of(text)
            self._take_bad(BadItem(str(identity.key), str(error), identity.uid, identity.version, owner))
            return
        metadata = new.metadata
        key, version = new.key, metadata.resource_version
        if self._is_stale(version):
            return
        self._version = version
        if self._own and self._own.hide(key, metadata.uid, version):
            return
        if self._bad:
            self._unmark(key)
        old = self._objects.get(*key)
        self._interner.share(metadata)
        if old is None or newer(version, old.metadata.resource_version):
            self._put(old, new)
        elif version == old.metadata.resource_version and self._holds_raw:
            # The same state, but the written one pins the whole answer it came in.
            self._objects.put(new)

    def _take_delete(self, text: msgspec.Raw) -> None:
        identity = identity_of(text)
        if self._is_stale(identity.version):
            return
        self._version = identity.version
        self._own.confirm(identity.uid)
        self._unmark(identity.key)
        old = self._objects.get(*identity.key)
        # Equal too: an own write that left the selector comes as a DELETED of its own version.
        if old is not None and at_least(identity.version, old.metadata.resource_version):
            self._remove(identity.key)

    def _take_bad(self, item: BadItem) -> None:
        if well_formed(item.version):
            if self._is_stale(item.version):
                return
            self._version = item.version
        self._mark(Key.parse(item.key), item)

    def _is_stale(self, version: str) -> bool:
        if self.synced and at_least(self._version, version):
            self.stale += 1
            return True
        return False

    def _advance(self, version: str) -> None:
        if self.synced and newer(version, self._version):
            self._version = version
        if self._own:
            self._own.reach(self._version)

    def _stage(self, items: ReplaceItems) -> None:
        if self._staged is None:
            raise Unreadable("items of a Replace that was not begun")
        staged = self._staged
        for text in items.objects:
            try:
                new = self._read(text)
            except Unreadable as error:
                identity = identity_of(text)
                item = BadItem(str(identity.key), str(error), identity.uid, owner=owner_of(text))
                staged.bad[identity.key] = item
                continue
            metadata = new.metadata
            namespace, name = metadata.namespace, metadata.name
            names = staged.objects.get(namespace)
            if names is None:
                names = staged.objects[namespace] = {}
            old = self._objects.get(namespace, name)
            if old is not None and _is_same_state(old, new):
                # The object that is there already, so that a relist does not hold everything twice.
                names[name] = old
            else:
                self._interner.share(metadata)
                names[name] = new
        for item in items.bad:
            staged.bad[Key.parse(item.key)] = item

    def _replace(self, version: str, rolled_back: bool) -> None:
        if self._staged is None:
            raise Unreadable("end of a Replace that was not begun")
        staged, self._staged = self._staged, None
        if newer(self._version, version) and not rolled_back:
            self.stale += 1
            return
        if rolled_back:
            self._own.clear()
        # What is newer than the list is our own writing; after a rollback nothing can be.
        horizon = version if not rolled_back else ""
        gone = [old for old in self._objects if not self._stays(old, staged, horizon)]
        for old in gone:
            self._objects.remove(*old.key)
        olds: list[R | None] = []
        news: list[R] = []
        for names in staged.objects.values():
            for name, new in names.items():
                kept = self._objects.get(new.metadata.namespace, name)
                if kept is new or (horizon and self._is_ahead(kept, new, horizon)):
                    continue
                self._objects.put(new)
                olds.append(kept)
                news.append(new)
        initial = not self.synced
        self._version = version
        if self._own:
            listed = {new.metadata.uid for names in staged.objects.values() for new in names.values()}
            self._own.replace(version, listed)
        self._bad.clear()
        self._unseen.clear()
        for key, item in staged.bad.items():
            self._mark(key, item)
        for old in gone:
            self._handlers.changed(old, None)
        for kept, new in zip(olds, news, strict=True):
            self._handlers.changed(kept, new, initial)
        if initial:
            self._handlers.synced()

    def _stays(self, old: R, staged: _Staged[R], horizon: str) -> bool:
        metadata = old.metadata
        names = staged.objects.get(metadata.namespace)
        if names is not None and metadata.name in names:
            return True
        if horizon and newer(metadata.resource_version, horizon):
            return True
        bad = staged.bad.get(old.key)
        return bad is not None and bad.uid == old.metadata.uid

    def _is_ahead(self, kept: R | None, new: R, horizon: str) -> bool:
        """Say whether our own writes are newer than what the list says of an object."""
        if self._own and self._own.hide(new.key, new.metadata.uid, new.metadata.resource_version):
            return True
        return kept is not None and newer(kept.metadata.resource_version, horizon)

    def _put(self, old: R | None, new: R) -> None:
        self._objects.put(new)
        if self._bad:
            self._unmark(new.key)
        self._handlers.changed(old, new)

    def _remove(self, key: Key) -> None:
        old = self._objects.remove(*key)
        self._handlers.changed(old, None)

    def _mark(self, key: Key, item: BadItem) -> None:
        self._bad[key] = item.reason[:LONGEST_REASON]
        self._unseen.pop(key, None)
        if item.owner and self._objects.get(*key) is None:
            self._unseen[key] = item.owner
        self.faults += 1
        log.warning("object cannot be read", resource=str(self.spec), key=str(key), reason=item.reason)

    def _unmark(self, key: Key) -> None:
        self._bad.pop(key, None)
        self._unseen.pop(key, None)

    def _fault(self, key: Key, reason: str) -> None:
        self.faults += 1
        log.error("a controller's function failed", resource=str(self.spec), key=str(key), reason=reason)


def _is_same_state(one: Resource[Any], other: Resource[Any]) -> bool:
    return (
        one.metadata.uid == other.metadata.uid
        and one.metadata.resource_version == other.metadata.resource_version
    )

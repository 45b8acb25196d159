"""The whole data path against a simple oracle, under every order that a server and a feed allow."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kcm.base.clock import SystemClock
from kcm.cache.compaction import Compactor
from kcm.cache.feed import FeedData, FeedSink
from kcm.cache.projection import projection_of
from kcm.cache.replica import Replica
from kcm.cache.store import Store
from kcm.cache.watchspec import WatchSpec
from kcm.objects import Key, Pod
from kcm.objects.versions import newer

decode = msgspec.json.Decoder(FeedData).decode

NAMES = st.sampled_from(["a", "b"])
OWNERS = st.sampled_from(["", "r1"])


class Server:
    """The truth: objects, a history, one counter."""

    def __init__(self) -> None:
        self.version = 7
        self.uids = 0
        self.objects: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[int, str, dict[str, Any]]] = []

    def put(self, name: str, owner: str) -> bytes:
        self.version += 1
        if name in self.objects:
            kind, uid = "MODIFIED", self.objects[name]["metadata"]["uid"]
        else:
            self.uids += 1
            kind, uid = "ADDED", f"u{self.uids}"
        metadata: dict[str, Any] = {
            "name": name,
            "namespace": "ns",
            "uid": uid,
            "resourceVersion": str(self.version),
        }
        if owner:
            metadata["ownerReferences"] = [
                {"apiVersion": "v1", "kind": "R", "name": owner, "uid": owner, "controller": True}
            ]
        self.objects[name] = {"metadata": metadata}
        self.history.append((self.version, kind, self.objects[name]))
        return json.dumps(self.objects[name]).encode()

    def delete(self, name: str) -> str:
        self.version += 1
        metadata = self.objects.pop(name)["metadata"]
        body = {"metadata": {**metadata, "resourceVersion": str(self.version)}}
        self.history.append((self.version, "DELETED", body))
        return str(metadata["uid"])


class Outlet:
    """A host's end that can stop reading."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.congested = False
        self._waiting: list[Callable[[], None]] = []

    def send(self, payload: bytes) -> None:
        self.payloads.append(payload)

    def when_clear(self, callback: Callable[[], None]) -> None:
        self._waiting.append(callback)

    def clear(self) -> None:
        self.congested = False
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()


class DataPath(RuleBasedStateMachine):
    """Writes, own and foreign, events, lists, bookmarks, slow hosts and late answers, in any order."""

    @initialize(filled=st.booleans())
    def begin(self, filled: bool) -> None:
        self.server = Server()
        self.compactor = Compactor(projection_of(Pod))
        self.store = Store(SystemClock())
        self.outlet = Outlet()
        self.store.subscribe(FeedSink(0, self.outlet))
        self.replica = Replica(WatchSpec(Pod.resource_type()), Pod)
        self.replica.add_index("owner", lambda pod: [o.uid for o in pod.metadata.owner_references])
        self.mirror: dict[Key, Pod] = {}
        self.replica.subscribe(self.hear)
        self.streamed = 0
        self.answers: list[bytes] = []
        self.own: dict[str, str] = {}
        self.deleted: set[str] = set()
        self.pending: list[tuple[str, str]] = []
        if filled:
            self.everything_is_listed()
            self.the_host_reads(20)

    def hear(self, old: Pod | None, new: Pod | None, initial: bool) -> None:
        if old is not None:
            assert self.mirror.pop(old.key) == old
        if new is not None:
            assert new.key not in self.mirror
            self.mirror[new.key] = new

    # What happens on the server.

    @rule(name=NAMES, owner=OWNERS)
    def someone_writes(self, name: str, owner: str) -> None:
        self.server.put(name, owner)

    @rule(name=NAMES)
    def someone_deletes(self, name: str) -> None:
        if name in self.server.objects:
            self.server.delete(name)

    @rule()
    def something_else_changes(self) -> None:
        self.server.version += 1

    # What the host does.

    @rule(name=NAMES, owner=OWNERS, late=st.booleans())
    def the_host_writes(self, name: str, owner: str, late: bool) -> None:
        answer = self.server.put(name, owner)
        self.answers.append(answer) if late else self.take(answer)

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def an_answer_arrives(self, data: st.DataObject) -> None:
        self.take(self.answers.pop(data.draw(st.integers(0, len(self.answers) - 1))))

    def take(self, answer: bytes) -> None:
        written = self.replica.wrote(answer)
        self.own[written.metadata.uid] = max(
            self.own.get(written.metadata.uid, ""),
            written.metadata.resource_version,
            key=lambda version: (len(version), version),
        )

    @rule(name=NAMES, late=st.booleans())
    def the_host_deletes(self, name: str, late: bool) -> None:
        if name in self.server.objects:
            uid = self.server.delete(name)
            self.pending.append((name, uid)) if late else self.confirm(name, uid)

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def a_deletion_is_confirmed(self, data: st.DataObject) -> None:
        self.confirm(*self.pending.pop(data.draw(st.integers(0, len(self.pending) - 1))))

    def confirm(self, name: str, uid: str) -> None:
        self.replica.deleted(Key("ns", name), uid)
        self.deleted.add(uid)

    # What the manager and the feed do.

    @precondition(lambda self: self.store.synced)
    @rule(count=st.sampled_from([1, 2, 20]), again=st.integers(0, 2))
    def events_arrive(self, count: int, again: int) -> None:
        first = max(0, self.streamed - again)
        events = self.server.history[first : self.streamed + count]
        self.streamed = min(len(self.server.history), self.streamed + count)
        lines = [json.dumps({"type": kind, "object": body}).encode() for _, kind, body in events]
        self.store.apply(self.compactor.events(lines))  # type: ignore[arg-type]  # only changes in here

    @rule()
    def everything_is_listed(self) -> None:
        items = list(self.server.objects.values())
        body = json.dumps({"metadata": {"resourceVersion": str(self.server.version)}, "items": items})
        self.store.replace(self.compactor.page(body.encode()).changes, str(self.server.version))
        self.streamed = len(self.server.history)

    @precondition(lambda self: self.store.synced and self.streamed == len(self.server.history))
    @rule()
    def a_bookmark_arrives(self) -> None:
        self.store.progress(str(self.server.version))

    @rule(count=st.sampled_from([1, 2, 20]))
    def the_host_reads(self, count: int) -> None:
        for _ in range(count):
            if self.outlet.payloads:
                message: FeedData = decode(self.outlet.payloads.pop(0))
                self.replica.feed(message)

    @rule(behind=st.sampled_from([False, False, False, True]))
    def the_host_falls_behind_or_catches_up(self, behind: bool) -> None:
        self.outlet.congested = behind
        if not behind:
            self.outlet.clear()

    # What must hold.

    @invariant()
    def nothing_is_older_than_an_own_write(self) -> None:
        for present in self.replica.objects:
            metadata = present.metadata
            assert not newer(self.own.get(metadata.uid, ""), metadata.resource_version)

    @invariant()
    def nothing_that_was_deleted_comes_back(self) -> None:
        assert not {present.metadata.uid for present in self.replica.objects} & self.deleted

    @invariant()
    def handlers_and_indexes_agree_with_the_objects(self) -> None:
        objects = self.replica.objects
        present = {found.key: found for found in objects.everything()}
        assert self.mirror == present
        assert len(objects) == len(present)
        for owner in ("r1",):
            owned = {
                key
                for key, pod in present.items()
                if [o.uid for o in pod.metadata.owner_references] == [owner]
            }
            assert {pod.key for pod in objects.controlled_by(owner)} == owned
            assert {pod.key for pod in objects.by_index("owner", owner)} == owned
        orphans = {key for key, pod in present.items() if not pod.metadata.owner_references}
        assert {pod.key for pod in objects.orphans("ns")} == orphans

    def teardown(self) -> None:
        """Once everything has arrived, the replica is what the server has."""
        if not hasattr(self, "server"):
            return
        for answer in self.answers:
            self.replica.wrote(answer)
        for name, uid in self.pending:
            self.replica.deleted(Key("ns", name), uid)
        self.everything_is_listed() if not self.store.synced else self.events_arrive(10_000, 0)
        self.server.version += 1
        self.store.progress(str(self.server.version))
        self.outlet.clear()
        self.the_host_reads(10_000)
        held = {pod.metadata.name: pod.metadata.resource_version for pod in self.replica.objects}
        assert held == {
            name: body["metadata"]["resourceVersion"] for name, body in self.server.objects.items()
        }
        assert self.replica.version == str(self.server.version)
        self.handlers_and_indexes_agree_with_the_objects()


TestDataPath = DataPath.TestCase
TestDataPath.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)

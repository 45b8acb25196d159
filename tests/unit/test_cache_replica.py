from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from kcm.cache.changes import BadItem
from kcm.cache.feed import Changes, Progress, ReplaceBegin, ReplaceEnd, ReplaceItems
from kcm.cache.replica import Cache, Replica, Unreadable
from kcm.cache.watchspec import WatchSpec
from kcm.objects import Key, Pod, ReplicaSet, Selector

SPEC = WatchSpec(Pod.resource_type())
KEY = Key("ns", "a")


def pod(
    version: int, name: str = "a", *, uid: str = "", owner: str = "", namespace: str = "ns", **more: Any
) -> bytes:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"u-{name}",
        "resourceVersion": str(version),
        **more,
    }
    if owner:
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": True}
        ]
    return json.dumps({"metadata": metadata}).encode()


def changes(*events: tuple[str, bytes], version: int = 0) -> Changes:
    last = json.loads(events[-1][1]).get("metadata", {}).get("resourceVersion", "") if events else ""
    kinds = "".join(kind for kind, _ in events)
    return Changes(
        0, str(version) if version else last, kinds, tuple(msgspec.Raw(body) for _, body in events)
    )


def replace(
    replica: Replica[Any],
    version: int,
    *bodies: bytes,
    bad: tuple[BadItem, ...] = (),
    rolled_back: bool = False,
) -> None:
    replica.feed(ReplaceBegin(0))
    for body in bodies:
        replica.feed(ReplaceItems(0, (msgspec.Raw(body),)))
    replica.feed(ReplaceItems(0, (), bad))
    replica.feed(ReplaceEnd(0, str(version), rolled_back))


def filled(*bodies: bytes, version: int = 10, spec: WatchSpec = SPEC) -> Replica[Pod]:
    replica = Replica(spec, Pod)
    replace(replica, version, *bodies)
    return replica


def versions(replica: Replica[Any]) -> dict[str, str]:
    return {
        present.metadata.name: present.metadata.resource_version for present in replica.objects.everything()
    }


class Ear:
    """A handler that remembers what it heard, as text."""

    def __init__(self, replica: Replica[Any]) -> None:
        self.replica = replica
        self.heard: list[str] = []
        self.subscription = replica.subscribe(self)

    def __call__(self, old: Any, new: Any, initial: bool) -> None:
        key = (new or old).key
        # What a handler sees is the state after the change.
        assert self.replica.objects.get(*key) is new or new is None or old is None
        self.heard.append(f"{_state(old)}->{_state(new)}{' initial' if initial else ''}")

    def take(self) -> list[str]:
        heard, self.heard = self.heard, []
        return heard


def _state(present: Any) -> str:
    return "." if present is None else f"{present.metadata.name}@{present.metadata.resource_version}"


# --- the feed


def test_a_replace_fills_the_replica_at_its_end_and_not_before() -> None:
    replica = Replica(SPEC, Pod)
    replica.feed(ReplaceBegin(0))
    replica.feed(ReplaceItems(0, (msgspec.Raw(pod(3)),)))
    assert (replica.synced, len(replica.objects)) == (False, 0)
    replica.feed(ReplaceEnd(0, "10"))
    assert (replica.synced, replica.version, versions(replica)) == (True, "10", {"a": "3"})


def test_a_replace_that_is_begun_anew_forgets_the_first_attempt() -> None:
    replica = Replica(SPEC, Pod)
    replica.feed(ReplaceBegin(0))
    replica.feed(ReplaceItems(0, (msgspec.Raw(pod(3)),)))
    replace(replica, 10, pod(4, "b"))
    assert versions(replica) == {"b": "4"}


def test_events_are_applied_in_order_and_move_the_position() -> None:
    replica = filled(pod(3))
    replica.feed(changes(("s", pod(11)), ("s", pod(12, "b")), ("d", pod(13))))
    assert (replica.version, versions(replica)) == ("13", {"b": "12"})
    replica.feed(Progress(0, "20"))
    replica.feed(Progress(0, "19"))
    assert replica.version == "20"


def test_late_and_repeated_events_are_dropped_and_counted() -> None:
    replica = filled(pod(3))
    replica.feed(changes(("s", pod(9)), ("d", pod(10)), ("s", pod(11)), ("s", pod(11)), version=11))
    assert (versions(replica), replica.stale) == ({"a": "11"}, 3)


def test_a_replace_that_is_older_than_the_position_is_dropped() -> None:
    replica = filled(pod(3))
    replace(replica, 9)
    assert (replica.version, versions(replica)) == ("10", {"a": "3"})


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(Changes(0, "11", "ss", (msgspec.Raw(pod(11)),)), id="counts differ"),
        pytest.param(Changes(0, "11", "x", (msgspec.Raw(pod(11)),)), id="unknown kind"),
        pytest.param(ReplaceItems(0), id="items without a begin"),
        pytest.param(ReplaceEnd(0, "11"), id="end without a begin"),
    ],
)
def test_a_message_that_contradicts_itself_is_refused(message: Any) -> None:
    with pytest.raises(Unreadable):
        filled().feed(message)


# --- own writes


def test_an_own_write_is_seen_at_once_and_confirmed_silently() -> None:
    replica = filled()
    ear = Ear(replica)
    assert replica.wrote(pod(12)).metadata.resource_version == "12"
    assert versions(replica) == {"a": "12"}
    replica.feed(changes(("s", pod(12))))
    assert ear.take() == [".->a@12"]
    assert replica.version == "12"


@pytest.mark.parametrize("position", [12, 13])
def test_an_own_write_that_the_feed_has_passed_changes_nothing(position: int) -> None:
    replica = filled(version=position)
    replica.wrote(pod(12))
    assert versions(replica) == {}


def test_an_older_event_never_overwrites_an_own_write() -> None:
    replica = filled(pod(3))
    replica.wrote(pod(14))
    replica.feed(changes(("s", pod(12))))
    assert (versions(replica), replica.version) == ({"a": "14"}, "12")
    replica.feed(changes(("s", pod(15))))
    assert versions(replica) == {"a": "15"}


def test_an_older_answer_never_overwrites_a_newer_one() -> None:
    replica = filled(pod(3))
    replica.wrote(pod(14))
    replica.wrote(pod(12))
    assert versions(replica) == {"a": "14"}


def test_a_deletion_older_than_an_own_write_leaves_it() -> None:
    replica = filled(pod(3, uid="old"))
    replica.wrote(pod(14, uid="new"))
    replica.feed(changes(("d", pod(12, uid="old"))))
    assert versions(replica) == {"a": "14"}


def test_a_replace_keeps_own_writes_that_are_newer_than_the_list() -> None:
    replica = filled(pod(3), pod(4, "b"))
    replica.wrote(pod(14))
    replica.wrote(pod(15, "c"))
    replace(replica, 12, pod(11))
    assert versions(replica) == {"a": "14", "c": "15"}
    replace(replica, 16, pod(14))
    assert versions(replica) == {"a": "14"}


def test_own_writes_before_the_first_list_survive_it() -> None:
    replica = Replica(SPEC, Pod)
    ear = Ear(replica)
    replica.wrote(pod(14))
    replace(replica, 12, pod(5, "b"))
    assert versions(replica) == {"a": "14", "b": "5"}
    assert ear.take() == [".->a@14", ".->b@5 initial"]


def test_an_own_deletion_is_seen_at_once_and_no_late_event_brings_the_object_back() -> None:
    replica = filled(pod(3))
    replica.deleted(KEY, "u-a")
    assert versions(replica) == {}
    replica.feed(changes(("s", pod(12))))
    replica.wrote(pod(13))
    assert versions(replica) == {}
    replica.feed(changes(("d", pod(14))))
    assert versions(replica) == {}
    replica.feed(changes(("s", pod(15, uid="another"))))
    assert versions(replica) == {"a": "15"}


def test_a_deletion_of_known_version_needs_no_confirmation() -> None:
    replica = filled(pod(3))
    replica.deleted(KEY, "u-a", "14")
    assert (versions(replica), replica.unconfirmed) == ({}, False)
    replica.feed(changes(("s", pod(12)), ("s", pod(13))))
    assert versions(replica) == {}
    replica.feed(changes(("d", pod(14))))
    assert len(replica._own) == 0


def test_a_deletion_whose_event_came_before_its_answer_leaves_nothing_to_remember() -> None:
    replica = filled(pod(3))
    replica.feed(changes(("d", pod(14))))
    replica.deleted(KEY, "u-a", "14")
    assert len(replica._own) == 0


def test_a_deletion_of_unknown_version_is_unconfirmed_until_its_event() -> None:
    replica = filled(pod(3))
    replica.deleted(KEY, "u-a")
    assert replica.unconfirmed
    replica.feed(changes(("d", pod(14))))
    assert not replica.unconfirmed


def test_a_replace_does_not_resurrect_what_we_deleted() -> None:
    replica = filled(pod(3))
    replica.deleted(KEY, "u-a")
    replace(replica, 12, pod(11))
    assert versions(replica) == {}
    replica.feed(changes(("s", pod(13))))
    assert versions(replica) == {}


def test_an_own_deletion_is_forgotten_when_a_list_proves_it() -> None:
    replica = filled(pod(3))
    replica.deleted(KEY, "u-a")
    replace(replica, 12)
    assert len(replica._own) == 0


def test_a_deletion_of_what_was_never_seen_holds_until_its_event() -> None:
    replica = filled()
    replica.wrote(pod(12))
    replica.deleted(KEY, "u-a")
    replace(replica, 11)
    replica.feed(changes(("s", pod(12))))
    assert versions(replica) == {}
    replica.feed(changes(("d", pod(13))))
    assert len(replica._own) == 0


def test_a_deletion_names_a_uid_and_leaves_a_namesake() -> None:
    replica = filled(pod(3, uid="new"))
    replica.deleted(KEY, "old")
    assert versions(replica) == {"a": "3"}


def test_after_a_rollback_of_the_server_its_word_counts_alone() -> None:
    replica = filled(pod(8), pod(9, "b"))
    replica.wrote(pod(14, "c"))
    replica.deleted(Key("ns", "b"), "u-b")
    replace(replica, 5, pod(3), pod(4, "b"), rolled_back=True)
    assert (replica.version, versions(replica)) == ("5", {"a": "3", "b": "4"})


# --- selectors


def test_an_own_write_that_leaves_the_selector_is_gone_at_once_and_stays_gone() -> None:
    replica = filled(pod(3, labels={"app": "x"}), spec=WatchSpec(Pod.resource_type(), label_selector="app=x"))
    replica.wrote(pod(14, labels={"app": "y"}))
    assert versions(replica) == {}
    replica.feed(changes(("s", pod(12, labels={"app": "x"}))))
    assert versions(replica) == {}
    replica.feed(changes(("d", pod(14, labels={"app": "x"}))))
    replica.feed(changes(("s", pod(15, labels={"app": "x"}))))
    assert versions(replica) == {"a": "15"}
    assert len(replica._own) == 0


def test_leaving_the_selector_is_a_deletion_of_the_writes_own_version() -> None:
    replica = filled(pod(3), spec=WatchSpec(Pod.resource_type(), field_selector="spec.nodeName=n"))
    replica.wrote(pod(14))
    replica.feed(changes(("d", pod(14))))
    assert versions(replica) == {}


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        pytest.param(WatchSpec(Pod.resource_type(), namespace="other"), False, id="another namespace"),
        pytest.param(WatchSpec(Pod.resource_type(), namespace="ns"), True, id="the namespace"),
        pytest.param(WatchSpec(Pod.resource_type(), field_selector="metadata.name=a"), True, id="the name"),
        pytest.param(WatchSpec(Pod.resource_type(), field_selector="metadata.name!=a"), False, id="not it"),
        pytest.param(
            WatchSpec(Pod.resource_type(), field_selector="spec.nodeName=n"), False, id="cannot be judged"
        ),
    ],
)
def test_a_created_object_is_taken_in_if_it_belongs_to_the_watch(spec: WatchSpec, taken: bool) -> None:
    replica = filled(spec=spec)
    assert replica.wrote(pod(14)).metadata.name == "a"
    assert bool(versions(replica)) is taken


# --- handlers


def test_handlers_hear_of_changes_after_the_state_has_changed() -> None:
    replica = filled(pod(3), pod(4, "b"))
    ear = Ear(replica)
    assert ear.take() == [".->a@3 initial", ".->b@4 initial"]
    assert ear.subscription.synced
    replica.feed(changes(("s", pod(11)), ("d", pod(12, "b")), ("s", pod(13, "c"))))
    assert ear.take() == ["a@3->a@11", "b@4->.", ".->c@13"]


def test_a_handler_is_in_step_when_the_first_list_was_told() -> None:
    replica = Replica(SPEC, Pod)
    ear = Ear(replica)
    assert not ear.subscription.synced
    replace(replica, 10, pod(3))
    assert ear.subscription.synced
    assert ear.take() == [".->a@3 initial"]


def test_a_relist_tells_only_what_changed_and_vanished_things_first() -> None:
    replica = filled(pod(3), pod(4, "b"), pod(5, "c"))
    ear = Ear(replica)
    ear.take()
    kept = replica.objects.get("ns", "a")
    replace(replica, 20, pod(3), pod(15, "c"), pod(16, "d"))
    assert ear.take() == ["b@4->.", "c@5->c@15", ".->d@16"]
    assert replica.objects.get("ns", "a") is kept


def test_another_uid_under_the_same_key_is_an_end_and_a_beginning() -> None:
    replica = filled(pod(3, uid="one"), pod(4, "b", uid="one-b"))
    ear = Ear(replica)
    ear.take()
    replica.feed(changes(("s", pod(11, uid="two"))))
    replace(replica, 20, pod(11, uid="two"), pod(15, "b", uid="two-b"))
    assert ear.take() == ["a@3->.", ".->a@11", "b@4->.", ".->b@15"]


def test_a_resync_tells_everything_again() -> None:
    replica = filled(pod(3))
    ear = Ear(replica)
    ear.take()
    replica.resync()
    assert ear.take() == ["a@3->a@3"]


def test_a_handler_that_fails_harms_neither_the_others_nor_the_replica() -> None:
    replica = filled()

    def broken(old: Any, new: Any, initial: bool) -> None:
        raise RuntimeError("a mapping that cannot cope")

    replica.subscribe(broken)
    ear = Ear(replica)
    replica.feed(changes(("s", pod(11)), ("s", pod(12, "b"))))
    assert ear.take() == [".->a@11", ".->b@12"]
    assert (versions(replica), replica.faults) == ({"a": "11", "b": "12"}, 2)


def test_a_cancelled_handler_hears_no_more() -> None:
    replica = filled()
    ear = Ear(replica)
    ear.subscription.cancel()
    ear.subscription.cancel()
    replica.feed(changes(("s", pod(11))))
    assert ear.take() == []


# --- bad objects


def test_a_bad_object_marks_its_key_until_it_can_be_read_again() -> None:
    replica = filled(pod(3))
    broken = b'{"metadata":{"name":"a","namespace":"ns","uid":"u-a","resourceVersion":"11","generation":"x"}}'
    replica.feed(changes(("s", broken), ("s", pod(12, "b"))))
    assert list(replica.bad) == [KEY]
    assert "int" in replica.bad[KEY]
    assert versions(replica) == {"a": "3", "b": "12"}
    cache = Cache({Pod: replica})
    assert "int" in cache.obstacle(KEY)
    assert cache.obstacle(Key("ns", "b")) == ""
    replica.feed(changes(("s", pod(13))))
    assert (dict(replica.bad), versions(replica)["a"]) == ({}, "13")


def test_a_bad_object_that_the_manager_found_marks_its_key() -> None:
    replica = filled(pod(3))
    item = BadItem("ns/a", "odd", "u-a", "11")
    replica.feed(changes(("b", msgspec.json.encode(item)), version=11))
    assert (dict(replica.bad), replica.version) == ({KEY: "odd"}, "11")
    replica.feed(changes(("d", pod(12))))
    assert (dict(replica.bad), versions(replica)) == ({}, {})


def test_a_bad_item_of_a_list_keeps_the_last_readable_state_but_not_a_namesakes() -> None:
    replica = filled(pod(3), pod(4, "b"))
    replace(
        replica, 20, bad=(BadItem("ns/a", "odd", "u-a", "15"), BadItem("ns/b", "odd", "another uid", "16"))
    )
    assert versions(replica) == {"a": "3"}
    assert sorted(key.name for key in replica.bad) == ["a", "b"]


@pytest.mark.parametrize("arrives", ["as an event", "in a list", "from the manager"])
def test_who_controls_a_bad_object_that_was_never_readable_cannot_count_and_must_wait(arrives: str) -> None:
    owner = Key("ns", "web")
    pods = filled(pod(3, "b", owner="web-uid"))
    sets = Replica(WatchSpec(ReplicaSet.resource_type()), ReplicaSet)
    replace(sets, 10, pod(5, "web", uid="web-uid"))
    cache = Cache({ReplicaSet: sets, Pod: pods})
    assert cache.obstacle(owner) == ""
    broken = pod(11, owner="web-uid", generation="x")
    match arrives:
        case "as an event":
            pods.feed(changes(("s", broken)))
        case "in a list":
            replace(pods, 20, broken, pod(3, "b", owner="web-uid"))
        case _:
            item = BadItem("ns/a", "odd", "u-a", "11", "web-uid")
            pods.feed(changes(("b", msgspec.json.encode(item)), version=11))
    assert "ns/a, which it controls, cannot be read" in cache.obstacle(owner)
    assert cache.obstacle(Key("ns", "other")) == ""
    pods.feed(changes(("d", pod(21))))
    assert cache.obstacle(owner) == ""


def test_null_counts_as_absent_where_a_type_knows_no_null() -> None:
    replica = filled()
    text = (
        b'{"metadata":{"name":"a","namespace":"ns","uid":"u","resourceVersion":"11","labels":null,'
        b'"ownerReferences":null},"spec":null,"status":{"conditions":null}}'
    )
    replica.feed(changes(("s", text)))
    assert (dict(replica.bad), versions(replica)) == ({}, {"a": "11"})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"nonsense", id="not JSON"),
        pytest.param(b'{"metadata":{"name":"a","resourceVersion":"14"}}', id="no uid"),
        pytest.param(b'{"metadata":{"name":"a","uid":"u","resourceVersion":"0x1"}}', id="no version"),
        pytest.param(b'{"kind":"Status"}', id="a Status"),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error_of_its_own_kind(text: bytes) -> None:
    replica = filled()
    with pytest.raises(Unreadable):
        replica.wrote(text)
    assert versions(replica) == {}


# --- reading


def named(found: Iterable[Any]) -> list[str]:
    return sorted(present.metadata.name for present in found)


def test_a_cache_finds_objects_by_everything_it_promises() -> None:
    replica = Replica(SPEC, Pod)
    replica.add_index("node", lambda present: (present.spec.node_name,) if present.spec.node_name else ())
    body = json.loads(pod(5, "c", namespace="other", owner="r1"))
    body["spec"] = {"nodeName": "n1"}
    replace(
        replica,
        10,
        pod(3, owner="r1", labels={"app": "x"}),
        pod(4, "b", labels={"app": "y"}),
        json.dumps(body).encode(),
    )
    cache = Cache({Pod: replica})
    assert cache.get(Pod, KEY) is not None
    assert cache.get(Pod, Key("ns", "zzz")) is None
    assert named(cache.list(Pod)) == ["a", "b", "c"]
    assert named(cache.list(Pod, "ns")) == ["a", "b"]
    assert named(cache.list(Pod, "nowhere")) == []
    assert named(cache.list(Pod, selector=Selector.parse("app=x"))) == ["a"]
    assert named(cache.controlled_by(Pod, "r1")) == ["a", "c"]
    assert named(cache.orphans(Pod, "ns")) == ["b"]
    assert named(cache.by_index(Pod, "node", "n1")) == ["c"]
    assert (cache.version(Pod), cache.synced) == ("10", True)
    with pytest.raises(KeyError, match="ReplicaSet is not among"):
        cache.list(ReplicaSet)
    with pytest.raises(KeyError):
        cache.by_index(Pod, "unknown", "x")


def test_an_object_that_changes_hands_moves_between_indexes_and_leaves_nothing_behind() -> None:
    replica = filled(pod(3, owner="r1"))
    objects = replica.objects
    replica.feed(changes(("s", pod(11, owner="r2"))))
    assert (named(objects.controlled_by("r1")), named(objects.controlled_by("r2"))) == ([], ["a"])
    replica.feed(changes(("s", pod(12))))
    assert (named(objects.controlled_by("r2")), named(objects.orphans("ns"))) == ([], ["a"])
    replica.feed(changes(("d", pod(13))))
    assert dict(objects.sizes()) == {"namespace": 0, "controller": 0, "orphans": 0}


def test_an_index_may_be_added_late_and_follows_every_change() -> None:
    replica = filled(pod(3, labels={"x": "1"}), pod(4, "b", labels={"x": "1"}))

    def by_x(present: Pod) -> Iterable[str]:
        return (present.metadata.labels["x"], "all") if "x" in present.metadata.labels else ()

    replica.add_index("x", by_x)
    replica.add_index("x", by_x)
    with pytest.raises(ValueError, match="another function"):
        replica.add_index("x", lambda present: ())
    objects = replica.objects
    assert named(objects.by_index("x", "1")) == ["a", "b"]
    replica.feed(changes(("s", pod(11, labels={"x": "2"})), ("s", pod(12, "b", uid="new"))))
    assert (named(objects.by_index("x", "1")), named(objects.by_index("x", "2"))) == ([], ["a"])
    assert objects.by_index("x", "2")[0].metadata.resource_version == "11"
    replica.feed(changes(("d", pod(13))))
    assert objects.sizes()["x"] == 0


def test_an_index_function_that_fails_leaves_its_object_out_of_that_index_only() -> None:
    replica = Replica(SPEC, Pod)
    replica.add_index("odd", lambda present: [present.metadata.labels["missing"]])
    replica.add_index("wrong", lambda present: [5])
    replace(replica, 10, pod(3))
    assert (versions(replica), replica.faults) == ({"a": "3"}, 2)


def test_raw_parts_pin_no_buffer_larger_than_their_object() -> None:
    replica = Replica(WatchSpec(ReplicaSet.resource_type()), ReplicaSet)
    text = json.dumps(
        {
            "metadata": {"name": "r", "namespace": "ns", "uid": "u", "resourceVersion": "3"},
            "spec": {"template": {"spec": {"x": 1}}},
        }
    ).encode()
    replace(replica, 10, text)
    present = replica.objects.get("ns", "r")
    assert present is not None
    assert bytes(present.spec.template.spec) == b'{"x": 1}'
    written = text.replace(b'"3"', b'"12"')
    replica.wrote(written)
    before = replica.objects.get("ns", "r")
    ear = Ear(replica)
    ear.take()
    replica.feed(changes(("s", written)))
    assert replica.objects.get("ns", "r") is not before
    assert ear.take() == []

"""What becomes of an object whose owners stand so: the whole table, and which changes touch whom."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from msgspec import structs

from controllers.garbagecollector.decide import decide, orphans, released, without_owners
from controllers.garbagecollector.observe import Asked, Dependent, Emptying, Orphaning, Standing, look
from controllers.garbagecollector.touches import touched
from kcm import Delete, Key, ObjectGraph, Plan
from kcm.cache.feed import Changes
from kcm.cache.replica import Replica
from kcm.cache.watchspec import WatchSpec
from kcm.objects import (
    ObjectKey,
    OwnerReference,
    PartialMetadata,
    PartialObject,
    ResourceType,
    object_key,
    partial,
)
from kcm.runtime.plan import Patch

MAPS = ResourceType("v1", "ConfigMap", "configmaps")
ROLES = ResourceType("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", False)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def refer(uid: str, *, blocking: bool = True) -> OwnerReference:
    return OwnerReference("v1", "ConfigMap", f"n-{uid}", uid, None, blocking)


def thing(
    uid: str,
    *owners: str,
    finalizers: tuple[str, ...] = (),
    deleting: bool = False,
    resource: ResourceType = MAPS,
    namespace: str = "default",
    version: str = "5",
    labels: Any = None,
) -> PartialObject:
    metadata = PartialMetadata(
        name=f"n-{uid}",
        namespace=namespace if resource.namespaced else "",
        uid=uid,
        resource_version=version,
        deletion_timestamp=NOW if deleting else None,
        owner_references=tuple(refer(owner) for owner in owners),
        finalizers=finalizers,
        labels=labels or {},
    )
    return partial(resource)(metadata=metadata)


def called(present: PartialObject, **wrong: str) -> PartialObject:
    """Return an object whose one reference calls its owner something else."""
    (reference,) = present.metadata.owner_references
    references = (structs.replace(reference, **wrong),)
    return structs.replace(present, metadata=structs.replace(present.metadata, owner_references=references))


def decided(present: PartialObject, *standings: Standing, children: tuple[PartialObject, ...] = ()) -> Plan:
    told = tuple(zip(present.metadata.owner_references, standings, strict=True))
    return decide(Dependent(present, (), children, True), told)


DOUBTFUL = {Standing.UNKNOWN, Standing.MISPLACED}
KEEPING = {Standing.SOLID, *DOUBTFUL}


@pytest.mark.parametrize("standings", list(product(Standing, Standing)))
def test_only_who_is_kept_by_nobody_is_deleted_and_only_who_is_kept_is_changed(
    standings: tuple[Standing, ...],
) -> None:
    present = thing("x", "a", "b")
    plan = decided(present, *standings)
    ends = {Standing.WAITING} if DOUBTFUL & set(standings) else {Standing.WAITING, Standing.ABSENT}
    staying = [uid for uid, standing in zip("ab", standings, strict=True) if standing not in ends]
    if len(staying) == 2:
        assert not plan
    elif KEEPING & set(standings):
        (patch,) = plan.actions
        assert isinstance(patch, Patch)
        assert patch.exact
        assert not isinstance(patch.changes, tuple)
        assert [each.uid for each in patch.changes["metadata"]["ownerReferences"]] == staying
    else:
        (delete,) = plan.actions
        assert isinstance(delete, Delete)
        assert (delete.target.uid, delete.target.resource_version) == ("x", "5")
        assert delete.propagation == "Background"


def test_an_owner_that_waits_for_others_only_is_left_alone_while_another_is_in_doubt() -> None:
    present = thing("x", "a", "b")
    free = tuple(
        structs.replace(each, block_owner_deletion=False) for each in present.metadata.owner_references
    )
    present = structs.replace(present, metadata=structs.replace(present.metadata, owner_references=free))
    assert not decided(present, Standing.WAITING, Standing.UNKNOWN)


@pytest.mark.parametrize(
    ("finalizers", "propagation"),
    [
        ((), "Background"),
        (("orphan",), "Orphan"),
        (("foregroundDeletion",), "Foreground"),
        (("o/x",), "Background"),
    ],
)
def test_a_propagation_that_was_asked_for_before_is_kept(
    finalizers: tuple[str, ...], propagation: str
) -> None:
    (delete,) = decided(thing("x", "a", finalizers=finalizers), Standing.ABSENT).actions
    assert isinstance(delete, Delete)
    assert delete.propagation == propagation


def test_who_has_dependents_and_is_waited_for_ends_in_the_foreground() -> None:
    (delete,) = decided(thing("x", "a"), Standing.WAITING, children=(thing("y", "x"),)).actions
    assert isinstance(delete, Delete)
    assert delete.propagation == "Foreground"


def test_a_circle_is_broken_where_it_closes_before_anything_is_deleted() -> None:
    waiting = thing("a", "x", finalizers=("foregroundDeletion",), deleting=True)
    (patch,) = decided(thing("x", "a"), Standing.WAITING, children=(waiting,)).actions
    assert isinstance(patch, Patch)
    assert not isinstance(patch.changes, tuple)
    assert [each.block_owner_deletion for each in patch.changes["metadata"]["ownerReferences"]] == [False]


def test_two_references_to_one_owner_stand_and_fall_together() -> None:
    twice = thing("x", "a", "a")
    assert not decided(twice, Standing.SOLID, Standing.UNKNOWN)
    assert isinstance(decided(twice, Standing.ABSENT, Standing.ABSENT).actions[0], Delete)
    # One of them misnames it: as long as the other holds, nothing is taken out.
    assert not decided(twice, Standing.SOLID, Standing.ABSENT)


def test_the_last_reference_goes_as_the_whole_field() -> None:
    (patch,) = without_owners(thing("x", "a"), {"a"}).actions
    assert isinstance(patch, Patch)
    assert patch.changes == {"metadata": {"ownerReferences": None}}


def test_orphaning_changes_only_those_who_name_the_owner() -> None:
    plan = orphans(thing("a"), [thing("x", "a"), thing("y", "b"), thing("z", "b", "a")])
    assert [action.target.uid for action in plan.actions if isinstance(action, Patch)] == ["x", "z"]


def test_releasing_leaves_the_finalizers_of_others() -> None:
    (patch,) = released(thing("a", finalizers=("o/x", "orphan")), "orphan").actions
    assert isinstance(patch, Patch)
    assert patch.changes == {"metadata": {"finalizers": ["o/x"]}}


# The graph.


class Scene:
    """A graph that is fed as a host's is."""

    def __init__(self, *things: PartialObject) -> None:
        self.graph = ObjectGraph()
        self.keys: list[ObjectKey] = []
        self._replicas = {}
        for resource in (MAPS, ROLES):
            replica = self._replicas[resource] = Replica(WatchSpec(resource), partial(resource))
            self.graph.open(resource, replica)
        self.graph.learn((MAPS, ROLES))
        self._version = 10
        self.graph.subscribe(lambda old, new, initial: self.keys.extend(touched(self.graph, old, new)))
        for each in things:
            self.put(each)
        self.keys.clear()

    def _feed(self, kind: str, present: PartialObject) -> None:
        from msgspec import Raw, json

        self._version += 1
        metadata = structs.replace(present.metadata, resource_version=str(self._version))
        body = json.encode(structs.replace(present, metadata=metadata))
        changes = Changes(0, str(self._version), kind, (Raw(body),))
        self._replicas[present.resource_type()].feed(changes)

    def put(self, present: PartialObject) -> None:
        self._feed("s", present)

    def delete(self, present: PartialObject) -> None:
        self._feed("d", present)

    def touched(self) -> set[str]:
        found = {key.uid for key in self.keys}
        self.keys.clear()
        return found

    def look(self, present: PartialObject) -> Any:
        return look(self.graph, object_key(present))


def test_a_change_that_means_nothing_for_owners_touches_nobody() -> None:
    scene = Scene(thing("a"), thing("x", "a"))
    scene.put(thing("x", "a", labels={"new": "label"}))
    scene.put(thing("x", "a", finalizers=("o/x",)))
    assert scene.touched() == set()


def test_an_end_touches_the_dependents_and_the_owners_who_wait() -> None:
    waiting = thing("a", finalizers=("foregroundDeletion",), deleting=True)
    scene = Scene(waiting, thing("b"), thing("x", "a", "b"), thing("y", "x"))
    scene.delete(thing("x", "a", "b"))
    assert scene.touched() == {"a", "y"}


def test_a_foreground_deletion_touches_the_dependents() -> None:
    scene = Scene(thing("a"), thing("x", "a"), thing("y", "x"))
    scene.put(thing("a", finalizers=("foregroundDeletion",), deleting=True))
    assert scene.touched() == {"a", "x"}


def test_who_forgets_an_owner_touches_it_if_it_waits() -> None:
    waiting = thing("a", finalizers=("foregroundDeletion",), deleting=True)
    scene = Scene(waiting, thing("x", "a"))
    scene.put(thing("x"))
    assert scene.touched() == {"a"}


def test_an_object_with_owners_is_looked_at_when_it_comes_and_one_without_is_not() -> None:
    scene = Scene()
    scene.put(thing("a"))
    scene.put(thing("x", "a"))
    assert scene.touched() == {"x"}
    assert scene.look(thing("x", "a")) is None


def test_an_owner_elsewhere_or_unknown_is_asked_for_where_it_should_be() -> None:
    scene = Scene(thing("a", namespace="other"), thing("x", "a"))
    seen = scene.look(thing("x", "a"))
    assert isinstance(seen, Dependent)
    assert seen.owners[0].standing == Asked(MAPS, Key("default", "n-a"))
    assert seen.owners[0].elsewhere


@pytest.mark.parametrize(
    ("wrong", "asked"),
    [
        ({"name": "misnamed"}, Asked(MAPS, Key("default", "misnamed"))),
        ({"api_version": ROLES.api, "kind": "ClusterRole"}, Asked(ROLES, Key("", "n-a"))),
        ({"kind": "Unheard"}, Standing.UNKNOWN),
        ({"api_version": "example.org/v1"}, Standing.UNKNOWN),
    ],
)
def test_an_owner_that_is_called_something_else_is_asked_for_as_what_it_is_called(
    wrong: dict[str, str], asked: Any
) -> None:
    owner, dependent = thing("a"), called(thing("x", "a"), **wrong)
    scene = Scene(owner, dependent)
    seen = scene.look(dependent)
    assert isinstance(seen, Dependent)
    assert (seen.owners[0].standing, seen.owners[0].elsewhere) == (asked, False)


def test_an_owner_in_another_version_of_its_group_is_the_owner() -> None:
    dependent = called(thing("x", "a"), api_version="v2")
    assert Scene(thing("a"), dependent).look(dependent) is None


def test_nobody_waits_for_a_dependent_that_calls_its_owner_something_else() -> None:
    waiting = thing("a", finalizers=("foregroundDeletion",), deleting=True)
    seen = Scene(waiting, called(thing("x", "a"), name="misnamed")).look(waiting)
    assert isinstance(seen, Emptying)
    assert not seen.blocking


def test_a_cluster_scoped_object_has_no_owner_in_a_namespace() -> None:
    scene = Scene(thing("a"), thing("x", "a", resource=ROLES))
    seen = scene.look(thing("x", "a", resource=ROLES))
    assert isinstance(seen, Dependent)
    assert seen.owners[0].standing is Standing.MISPLACED


def test_another_object_of_the_name_is_not_looked_at_for_its_predecessor() -> None:
    scene = Scene(thing("a"), thing("x", "b"))
    stale = ObjectKey(MAPS, "default", "n-x", "older")
    assert look(scene.graph, stale) is None


def test_only_dependents_that_block_and_are_near_are_waited_for() -> None:
    waiting = thing("a", finalizers=("foregroundDeletion",), deleting=True)
    scene = Scene(waiting, thing("x", "a"), thing("far", "a", namespace="other"))
    seen = scene.look(waiting)
    assert isinstance(seen, Emptying)
    assert [each.metadata.uid for each in seen.blocking] == ["x"]


def test_everybody_who_names_an_owner_is_let_go_wherever_they_are() -> None:
    ending = thing("a", finalizers=("orphan",), deleting=True)
    scene = Scene(ending, thing("x", "a"), thing("far", "a", namespace="other"))
    seen = scene.look(ending)
    assert isinstance(seen, Orphaning)
    assert {each.metadata.uid for each in seen.children} == {"x", "far"}


def test_a_resource_that_is_closed_takes_its_objects_with_it() -> None:
    scene = Scene(thing("a", resource=ROLES), thing("x", "a"))
    scene.graph.close(ROLES)
    assert scene.graph.get("a") is None
    assert scene.touched() == {"x"}
    assert len(scene.graph) == 1


def test_a_graph_is_complete_when_each_type_is_filled_or_excused() -> None:
    scene = Scene()
    assert not scene.graph.complete
    scene.graph.excuse(MAPS, "forbidden")
    scene.graph.excuse(ROLES, "forbidden")
    assert scene.graph.complete
    assert scene.graph.unreadable == {MAPS: "forbidden", ROLES: "forbidden"}


def test_keys_of_namesakes_of_different_types_differ() -> None:
    keys = [ObjectKey(resource, "d", "n", uid) for resource in (MAPS, ROLES, MAPS) for uid in ("u", "v")]
    assert len(set(keys)) == 4
    first = keys[0]
    assert (first.resource, first.namespace, first.name, first.uid) == (MAPS, "d", "n", "u")
    assert str(first) == "configmaps d/n"

"""Which keys a change touches: a key too many costs a look, a key too few is a lost change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from controllers.replicaset.observe import selector_of
from kcm.cache.cacheview import Cache
from kcm.cache.replica import Replica
from kcm.cache.watchspec import WatchSpec
from kcm.objects import Key, LabelSelector, ObjectMeta, Pod, ReplicaSet
from kcm.objects.metadata import OwnerReference
from kcm.objects.pods import PodMeta
from kcm.objects.replicasets import ReplicaSetSpec
from kcm.runtime.enqueue import keys_of
from kcm.runtime.watches import owns, places_of, primary, watches


def pod(owner: str = "", kind: str = "ReplicaSet", app: str = "web", namespace: str = "ns") -> Pod:
    references = (OwnerReference("apps/v1", kind, owner, f"uid-{owner}", True),) if owner else ()
    return Pod(
        metadata=PodMeta(name="p", namespace=namespace, labels={"app": app}, owner_references=references)
    )


def replica_set(name: str, selector: LabelSelector | None, namespace: str = "ns") -> ReplicaSet:
    metadata = ObjectMeta(name=name, namespace=namespace, uid=f"{namespace}-{name}", resource_version="1")
    return ReplicaSet(metadata=metadata, spec=ReplicaSetSpec(selector=selector))


def web() -> LabelSelector:
    return LabelSelector(match_labels={"app": "web"})


def cache() -> Cache:
    replica: Replica[ReplicaSet] = Replica(WatchSpec(ReplicaSet.resource_type()), ReplicaSet)
    for present in (
        replica_set("one", web()),
        replica_set("nonsense", LabelSelector(match_labels={"-/-": "?"})),
        replica_set("everything", LabelSelector()),
        replica_set("nothing", None),
        replica_set("two", web()),
        replica_set("other", LabelSelector(match_labels={"app": "other"})),
        replica_set("elsewhere", web(), "far"),
    ):
        replica.objects.put(present)
    return Cache({ReplicaSet: replica})


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        pytest.param(None, pod("a"), {"ns/a"}, id="created"),
        pytest.param(pod("a"), pod("a"), {"ns/a"}, id="changed"),
        pytest.param(pod("a"), None, {"ns/a"}, id="deleted"),
        pytest.param(pod("a"), pod("b"), {"ns/a", "ns/b"}, id="changed hands: both are told"),
        pytest.param(pod("a"), pod(), {"ns/a", "ns/one", "ns/two"}, id="set free: k/k#32829"),
        pytest.param(pod(), pod("b"), {"ns/b"}, id="adopted"),
        pytest.param(None, pod(), {"ns/one", "ns/two"}, id="an orphan wakes all whom it would suit"),
        pytest.param(pod(app="x"), pod(), {"ns/one", "ns/two"}, id="an orphan that suits now"),
        pytest.param(pod(), pod(), set(), id="an orphan that stayed the same"),
        pytest.param(pod(), None, set(), id="an orphan that is gone"),
        pytest.param(None, pod("a", kind="Job"), set(), id="another kind of owner"),
        pytest.param(None, pod(namespace="far"), {"far/elsewhere"}, id="only in its own namespace"),
    ],
)
def test_a_change_of_a_pod_touches(old: Pod | None, new: Pod | None, keys: set[str]) -> None:
    change = keys_of(owns(Pod, adopts=selector_of), ReplicaSet, cache())
    assert {str(key) for key in change(old, new)} == keys


def test_a_change_of_a_primary_touches_its_own_key() -> None:
    change = keys_of(primary(ReplicaSet), ReplicaSet, cache())
    seen = replica_set("one", web())
    assert [
        str(key) for old, new in ((None, seen), (seen, seen), (seen, None)) for key in change(old, new)
    ] == ["ns/one"] * 3


def test_a_mapping_is_asked_about_the_old_and_the_new_object() -> None:
    change = keys_of(
        watches(Pod, to=lambda seen: [seen.key] if seen.metadata.labels["app"] == "web" else []),
        ReplicaSet,
        cache(),
    )
    assert [str(key) for key in change(pod(), pod(app="x"))] == ["ns/p"]
    assert [str(key) for key in change(pod(app="x"), pod())] == ["ns/p"]
    assert not list(change(pod(app="x"), None))


def test_a_mapping_may_look_into_the_cache() -> None:
    def wanting(seen: Pod, cache: Cache) -> list[Key]:
        app = seen.metadata.labels["app"]
        return [each.key for each in cache.list(ReplicaSet, namespace="ns") if app == wanted(each)]

    def wanted(each: ReplicaSet) -> str:
        selector = each.spec.selector
        return selector.match_labels.get("app", "") if selector else ""

    change = keys_of(watches(Pod, to=wanting), ReplicaSet, cache())
    assert {str(key) for key in change(None, pod())} == {"ns/one", "ns/two"}
    assert {str(key) for key in change(pod(), pod(app="other"))} == {"ns/one", "ns/two", "ns/other"}


def bound(seen: Pod, *, verbose: bool = False) -> Iterable[Key]:
    return ()


@pytest.mark.parametrize(
    ("to", "places"),
    [
        pytest.param(lambda seen: (), 1, id="the object"),
        pytest.param(lambda seen, cache: (), 2, id="object and cache"),
        pytest.param(lambda seen, verbose=False: (), 1, id="a default is the function's own"),
        pytest.param(lambda *seen: (), 1, id="whatever comes"),
        pytest.param(bound, 1, id="a keyword of its own"),
        pytest.param(partial(lambda cache, seen: (), None), 1, id="partly filled in"),
        pytest.param(str, 1, id="a class"),
        pytest.param(lambda: (), 0, id="nothing"),
        pytest.param(lambda seen, cache, more: (), 0, id="three"),
        pytest.param(lambda seen, *, cache: (), 0, id="a keyword that nobody gives"),
    ],
)
def test_what_a_mapping_is_given_follows_from_what_it_takes(to: Callable[..., Any], places: int) -> None:
    assert places_of(to) == places

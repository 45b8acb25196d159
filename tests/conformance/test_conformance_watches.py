"""reference: apiserver 3: WATCH: where it begins, what selectors make of changes, bookmarks, WatchList."""

import time

import pytest
from paths import configmap, everywhere, pod
from target import PATIENCE, with_query

END = "k8s.io/initial-events-end"
WATCH_LIST = {
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
}


def seen(events):
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


# --- where it begins


@pytest.mark.parametrize("version", [None, "", "0"])
def test_a_watch_without_a_version_begins_with_what_is_there(target, paths, made, name, version):
    """reference: apiserver 3, row 'WATCH rv unset/"0"': synthetic ADDED, then live"""
    path, before = made("leases", {"metadata": {"labels": {"mine": name}}})
    with target.watch(paths.of("leases"), labelSelector=f"mine={name}", resourceVersion=version) as watch:
        assert watch.next()["type"] == "ADDED"
        target.patch(path, {"metadata": {"annotations": {"a": "b"}}}).ok(200)
        changed = watch.next()
    assert changed["type"] == "MODIFIED"
    assert int(changed["object"]["metadata"]["resourceVersion"]) > int(before.version)


def test_a_watch_from_n_tells_what_came_after_n(target, paths, made, name):
    """reference: apiserver 3, row 'WATCH rv=N': events >N, in order, no gaps, no duplicates"""
    path, first = made("configmaps", configmap())
    for value in ("a", "b", "c"):
        target.patch(path, {"data": {"k": value}}).ok(200)
    target.delete(path).ok(200)
    with target.watch(paths.of("configmaps"), resourceVersion=first.version) as watch:
        events = watch.until(lambda event: event["type"] == "DELETED")
    assert [event["type"] for event in events] == ["MODIFIED", "MODIFIED", "MODIFIED", "DELETED"]
    assert [event["object"]["data"]["k"] for event in events] == ["a", "b", "c", "c"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))


def test_a_watch_from_a_version_of_another_kind_works(target, paths, made, name):
    """reference: apiserver 2, RV: one global counter: any version is a place to watch from"""
    _, elsewhere = made("leases")
    with target.watch(paths.of("secrets"), resourceVersion=elsewhere.version) as watch:
        target.post(paths.of("secrets"), {"metadata": {"name": name}}).ok(201)
        assert seen([watch.next()]) == [("ADDED", name)]


def test_a_forgotten_version_is_an_error_event(target, paths):
    """reference: apiserver 3, row 'WATCH rv=N': HTTP 200 + ERROR event, 410 Expired; 9, trap 12"""
    with target.watch(paths.of("configmaps"), resourceVersion="1") as watch:
        assert watch.code == 200
        event = watch.next()
        assert watch.line() == b""
    status = event["object"]
    assert (event["type"], status["kind"], status["code"]) == ("ERROR", "Status", 410)
    assert status["reason"] == "Expired"
    assert status["message"].startswith("too old resource version: 1 (")


def test_a_watch_from_the_future_is_silent_until_it_ends(target, paths, made):
    """reference: apiserver 3, row 'WATCH rv=N': future → silent until passed"""
    _, now = made("leases")
    query = {"resourceVersion": str(int(now.version) + 10**9), "timeoutSeconds": "1"}
    with target.watch(paths.of("leases"), **query) as watch:
        assert watch.code == 200
        target.post(paths.of("leases"), {"metadata": {"generateName": "after-"}}).ok(201)
        assert watch.rest() == []


def test_a_version_that_is_no_number_is_refused(target, paths):
    """reference: apiserver 3, WATCH"""
    answer = target.get(paths.of("configmaps"), watch="true", resourceVersion="newest")
    assert answer.code >= 400
    assert 'resourceVersion: Invalid value: "newest"' in answer.message


@pytest.mark.parametrize("word", ["true", "True", "1", "yes"])
def test_whatever_is_not_false_or_0_is_true(target, paths, word):
    """reference: apiserver 1, Python client: everything but `false`/`0` is true"""
    with target.watch(paths.of("serviceaccounts"), watch=word, timeoutSeconds="1") as watch:
        assert watch.next()["type"] == "ADDED"


@pytest.mark.parametrize("word", ["false", "0"])
def test_false_and_0_are_false(target, paths, word):
    """reference: apiserver 1, Python client: booleans"""
    assert target.get(paths.of("serviceaccounts"), watch=word).json["kind"] == "ServiceAccountList"


def test_one_object_is_watched_by_its_name(target, paths, made, name):
    """reference: apiserver 3: watch with metadata.name"""
    made("configmaps", finalizers=None)
    query = {"fieldSelector": f"metadata.name={name}", "resourceVersion": "0"}
    with target.watch(paths.of("configmaps"), **query) as watch:
        assert seen([watch.next()]) == [("ADDED", name)]


def test_all_namespaces_are_watched_at_once(target, paths, other_paths, unique, made):
    """reference: apiserver 3: RV order over all namespaces"""
    _, begin = made("leases")
    query = {"resourceVersion": begin.version, "labelSelector": f"over={unique}"}
    with target.watch(everywhere("leases"), **query) as watch:
        for place in (paths, other_paths, paths):
            body = {"metadata": {"generateName": "over-", "labels": {"over": unique}}}
            target.post(place.of("leases"), body).ok(201)
        found = [watch.next()["object"]["metadata"] for _ in range(3)]
    wanted = [paths.namespace, other_paths.namespace, paths.namespace]
    assert [each["namespace"] for each in found] == wanted
    assert found == sorted(found, key=lambda each: int(each["resourceVersion"]))


def test_the_old_watch_path_works(target, paths, made, name):
    """reference: apiserver 3: /api/v1/watch/… is a watch too"""
    made("configmaps")
    inner = paths.of("configmaps").removeprefix("/api/v1/")
    with target.watch(f"/api/v1/watch/{inner}", watch=None) as watch:
        assert ("ADDED", name) in watch.through(name)


# --- selectors


@pytest.fixture
def labelled(target, paths, made, name):
    """A configmap without the label, and a watch of those with it, from its creation."""
    path, before = made("configmaps", configmap())
    query = {"resourceVersion": before.version, "labelSelector": f"in={name}"}

    def label(value):
        return target.patch(path, {"metadata": {"labels": {"in": value}}, "data": {"k": str(value)}}).ok(200)

    with target.watch(paths.of("configmaps"), **query) as watch:
        yield label, watch, path


def test_entering_a_selector_is_added(labelled, name):
    """reference: apiserver 3, Selector watch: enters→ADDED"""
    label, watch, _ = labelled
    label(name)
    assert watch.next()["type"] == "ADDED"


def test_staying_in_a_selector_is_modified(target, labelled, name):
    """reference: apiserver 3, Selector watch: stays→MODIFIED"""
    label, watch, path = labelled
    label(name)
    target.patch(path, {"data": {"more": "1"}}).ok(200)
    assert [watch.next()["type"], watch.next()["type"]] == ["ADDED", "MODIFIED"]


def test_leaving_a_selector_is_deleted_with_the_old_object_and_the_new_version(labelled, name):
    """reference: apiserver 3, Selector watch: leaves→DELETED, old object, new RV; 9, trap 11"""
    label, watch, _ = labelled
    label(name)
    left = label("elsewhere")
    event = [watch.next(), watch.next()][-1]
    assert event["type"] == "DELETED"
    assert event["object"]["metadata"]["labels"] == {"in": name}
    assert event["object"]["data"] == {"k": name}
    assert event["object"]["metadata"]["resourceVersion"] == left.version


def test_what_happens_outside_a_selector_is_not_told(target, labelled, name):
    """reference: apiserver 3, Selector watch: outside, nothing"""
    label, watch, path = labelled
    target.patch(path, {"data": {"k": "unseen"}}).ok(200)
    label(name)
    assert watch.next()["object"]["data"] == {"k": name}


def test_leaving_a_field_selector_is_deleted(target, paths, made, name):
    """reference: apiserver 3, Selector watch: fields as labels"""
    path, before = made("pods", pod())
    query = {"resourceVersion": before.version, "fieldSelector": f"status.phase=Pending,metadata.name={name}"}
    with target.watch(paths.of("pods"), **query) as watch:
        target.patch(f"{path}/status", {"status": {"phase": "Running"}}).ok(200)
        event = watch.next()
    assert (event["type"], event["object"]["status"]["phase"]) == ("DELETED", "Pending")


def test_a_deletion_has_its_own_version(target, paths, made):
    """reference: apiserver 3: DELETED has the deletion's RV; 9, trap 10"""
    path, before = made("configmaps")
    with target.watch(paths.of("configmaps"), resourceVersion=before.version) as watch:
        target.delete(path).ok(200)
        event = watch.next()
    assert event["type"] == "DELETED"
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(before.version)


# --- bookmarks, WatchList


@pytest.fixture
def watch_list(target, paths, made):
    """A WatchList of a kind with two objects; and its first three events."""
    _, first = made("leases")
    target.post(paths.of("leases"), {"metadata": {"generateName": "more-"}}).ok(201)
    with target.watch(paths.of("leases"), **WATCH_LIST) as watch:
        events = watch.until(lambda event: event["type"] == "BOOKMARK")
        yield watch, events, first


def test_a_watch_list_begins_with_everything(target, paths, watch_list):
    """reference: apiserver 3, row 'sendInitialEvents=true': ADDED…; 9, trap 1"""
    _, events, _ = watch_list
    assert {event["type"] for event in events[:-1]} == {"ADDED"}
    assert {name for _, name in seen(events[:-1])} == set(target.get(paths.of("leases")).names)


def test_a_watch_list_marks_the_end_of_the_beginning(watch_list):
    """reference: apiserver 3, row 'sendInitialEvents=true': BOOKMARK with annotation; 9, trap 2"""
    _, events, _ = watch_list
    assert events[-1]["object"]["metadata"]["annotations"] == {END: "true"}


def test_a_bookmark_is_a_bare_object_of_the_kind(watch_list):
    """reference: apiserver 3, Bookmarks: bare kind + RV; 9, trap 2 (bookmark without kind)"""
    _, events, first = watch_list
    bookmark = events[-1]["object"]
    assert (bookmark["kind"], bookmark["apiVersion"]) == ("Lease", "coordination.k8s.io/v1")
    assert int(bookmark["metadata"]["resourceVersion"]) >= int(first.version)
    assert "name" not in bookmark["metadata"]


def test_a_watch_list_goes_on_live(target, paths, watch_list, unique):
    """reference: apiserver 3, row 'sendInitialEvents=true': live"""
    watch, _, _ = watch_list
    target.post(paths.of("leases"), {"metadata": {"name": unique}}).ok(201)
    assert seen([watch.next()]) == [("ADDED", unique)]


def test_a_watch_list_of_nothing_is_a_bookmark_alone(target, paths):
    """reference: apiserver 9, trap 1 (hang) on an empty collection"""
    with target.watch(paths.of("daemonsets"), **WATCH_LIST) as watch:
        event = watch.next()
    assert (event["type"], event["object"]["metadata"]["annotations"][END]) == ("BOOKMARK", "true")


def test_a_watch_list_may_begin_at_a_version(target, paths, made, name):
    """reference: apiserver 3, row 'sendInitialEvents=true, NotOlderThan'"""
    _, first = made("configmaps")
    with target.watch(paths.of("configmaps"), resourceVersion=first.version, **WATCH_LIST) as watch:
        assert ("ADDED", name) in seen(watch.until(lambda event: event["type"] == "BOOKMARK")[:-1])


def test_false_send_initial_events_begins_at_now(target, paths, name):
    """reference: apiserver 3, row 'sendInitialEvents': false: no synthetic events"""
    query = {**WATCH_LIST, "sendInitialEvents": "false"}
    with target.watch(paths.of("serviceaccounts"), **query) as watch:
        target.post(paths.of("serviceaccounts"), {"metadata": {"name": name}}).ok(201)
        assert seen([watch.next()]) == [("ADDED", name)]


@pytest.mark.parametrize(
    "change",
    [{"resourceVersionMatch": None}, {"resourceVersionMatch": "Exact"}],
    ids=["without-match", "exact"],
)
def test_a_watch_list_without_not_older_than_is_refused(target, paths, change):
    """reference: apiserver 3, row 'sendInitialEvents=true': without NotOlderThan 422"""
    target.get(paths.of("leases"), watch="true", **(WATCH_LIST | change)).ok(422)


def test_a_match_on_a_plain_watch_is_refused(target, paths):
    """reference: apiserver 3: resourceVersionMatch on a watch without sendInitialEvents 422"""
    query = {"resourceVersion": "0", "resourceVersionMatch": "NotOlderThan"}
    target.get(paths.of("leases"), watch="true", **query).ok(422)


def test_a_bookmark_comes_before_the_end(target, paths, made):
    """reference: apiserver 3, Bookmarks: 2 s before timeout, when asked"""
    path, first = made("configmaps")
    query = {"resourceVersion": first.version, "allowWatchBookmarks": "true", "timeoutSeconds": "4"}
    with target.watch(paths.of("configmaps"), labelSelector="none=here", **query) as watch:
        after = target.patch(path, {"data": {"k": "later"}}).ok(200)
        events = watch.rest()
    assert {event["type"] for event in events} == {"BOOKMARK"}
    assert int(events[-1]["object"]["metadata"]["resourceVersion"]) >= int(after.version)


def test_no_bookmark_comes_unasked(target, paths, made):
    """reference: apiserver 3, Bookmarks when asked"""
    _, first = made("configmaps")
    with target.watch(paths.of("configmaps"), resourceVersion=first.version, timeoutSeconds="2") as watch:
        assert watch.rest() == []


# --- the connection


def test_headers_of_an_idle_watch_come_at_once(target, paths, made):
    """reference: apiserver 3: flush headers at once; 9, trap 13"""
    _, first = made("leases")
    begin = time.monotonic()
    with target.watch(paths.of("daemonsets"), resourceVersion=first.version) as watch:
        assert watch.code == 200
    assert time.monotonic() - begin < PATIENCE / 4


def test_a_watch_is_json(target, paths):
    """reference: apiserver 3: Content-Type application/json"""
    with target.watch(paths.of("serviceaccounts")) as watch:
        assert watch.headers["Content-Type"] == "application/json"


def test_each_event_is_one_line(target, paths, made, name):
    """reference: apiserver 9, trap 14: multi-line watch JSON, even when asked to be pretty"""
    made("configmaps", configmap(data={"k": "two\nlines"}))
    query = {"resourceVersion": "0", "fieldSelector": f"metadata.name={name}", "pretty": "true"}
    with target.watch(paths.of("configmaps"), **query) as watch:
        assert watch.next()["object"]["data"] == {"k": "two\nlines"}


def test_an_event_tells_the_objects_kind(target, paths, made, name):
    """reference: apiserver 3: unlike items of a list, objects of a watch have apiVersion and kind"""
    made("leases")
    query = {"resourceVersion": "0", "fieldSelector": f"metadata.name={name}"}
    with target.watch(paths.of("leases"), **query) as watch:
        found = watch.next()["object"]
    assert (found["kind"], found["apiVersion"]) == ("Lease", "coordination.k8s.io/v1")


def test_a_watch_ends_cleanly_in_time(target, paths, made):
    """reference: apiserver 3: timeoutSeconds honoured, clean EOF"""
    _, first = made("leases")
    begin = time.monotonic()
    with target.watch(paths.of("daemonsets"), resourceVersion=first.version, timeoutSeconds="1") as watch:
        assert watch.rest() == []
    assert 0.8 < time.monotonic() - begin < 4


def test_a_time_out_that_is_no_number_is_refused(target, paths):
    """reference: apiserver 3: timeoutSeconds; 4, 400"""
    answer = target.get(paths.of("leases"), watch="true", timeoutSeconds="soon").ok(400)
    assert answer.message == 'strconv.ParseInt: parsing "soon": invalid syntax'


def test_one_object_cannot_be_watched_at_its_own_path(target, paths, made):
    """reference: apiserver 3: watch=true on an item's path is a plain GET"""
    path, before = made("configmaps")
    answer = target.get(with_query(path, {"watch": "true", "timeoutSeconds": "1"}))
    assert answer.code in (200, 405)
    assert before.meta["uid"] in answer.text or answer.code == 405

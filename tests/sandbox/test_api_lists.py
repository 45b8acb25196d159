"""LIST and WATCH (reference: apiserver §3, and its traps)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kcm.serving.http import Request

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
ALL = "/api/v1/configmaps"
ROOT = "fieldSelector"
MINE = "metadata.name!=kube-root-ca.crt"
WATCH_LIST = {
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
}


def config(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


async def make(api: Any, *names: str) -> str:
    """Create ConfigMaps; return the version after the last."""
    version = ""
    for name in names:
        version = (await api.post(MAPS, config(name, own="yes"))).version
    return version


def names(answer: Any) -> list[str]:
    return [item["metadata"]["name"] for item in answer.body["items"]]


def test_an_empty_list_has_items_and_the_current_version(play):
    async def scenario(api):
        answer = await api.get(PODS)
        assert (answer.body["kind"], answer.body["apiVersion"], answer.body["items"]) == ("PodList", "v1", [])
        assert answer.version == str(api.server.store.version)

    play(scenario)


def test_pages_show_one_version_whatever_happens_between_them(play):
    async def scenario(api):
        await make(api, "a", "b", "c", "d")
        first = await api.get(MAPS, limit=2)
        assert names(first) == ["a", "b"]
        assert first.body["metadata"]["remainingItemCount"] == 3
        await api.delete(f"{MAPS}/c")
        await make(api, "bb")
        second = await api.get(MAPS, **{"limit": 2, "continue": first.body["metadata"]["continue"]})
        assert names(second) == ["c", "d"]
        assert second.version == first.version
        third = await api.get(MAPS, **{"limit": 2, "continue": second.body["metadata"]["continue"]})
        assert names(third) == ["kube-root-ca.crt"]
        assert "continue" not in third.body["metadata"]

    play(scenario)


def test_pages_with_a_selector_do_not_tell_what_remains(play):
    async def scenario(api):
        await make(api, "a", "b", "c")
        first = await api.get(MAPS, limit=2, labelSelector="own=yes")
        assert "remainingItemCount" not in first.body["metadata"]
        rest = await api.get(
            MAPS, **{"labelSelector": "own=yes", "continue": first.body["metadata"]["continue"]}
        )
        assert names(rest) == ["c"]

    play(scenario)


def test_a_compacted_continue_token_comes_with_a_fresh_one(play):
    async def scenario(api):
        await make(api, "a", "b", "c")
        first = await api.get(MAPS, limit=1)
        await api.delete(f"{MAPS}/b")
        api.server.store.compact()
        gone = await api.get(MAPS, **{"limit": 1, "continue": first.body["metadata"]["continue"]})
        assert (gone.status, gone.body["reason"]) == (410, "Expired")
        rest = await api.get(MAPS, **{"continue": gone.body["metadata"]["continue"]})
        assert names(rest) == ["c", "kube-root-ca.crt"]

    play(scenario)


def test_limit_is_ignored_at_version_zero(play):
    async def scenario(api):
        await make(api, "a", "b")
        assert len(names(await api.get(MAPS, limit=1, resourceVersion="0"))) == 3

    play(scenario)


def test_an_exact_list_shows_the_past_until_it_is_compacted(play):
    async def scenario(api):
        version = await make(api, "a")
        later = await make(api, "b")
        exact = {"resourceVersion": version, "resourceVersionMatch": "Exact"}
        past = await api.get(MAPS, **exact)
        assert (names(past), past.version) == (["a", "kube-root-ca.crt"], version)
        assert names(await api.get(MAPS, resourceVersion=version, limit=5)) == ["a", "kube-root-ca.crt"]
        newer = await api.get(MAPS, resourceVersion=version)
        assert (names(newer), newer.version) == (["a", "b", "kube-root-ca.crt"], later)
        api.server.store.compact()
        gone = await api.get(MAPS, **exact)
        assert (gone.status, gone.body["reason"]) == (410, "Expired")

    play(scenario)


def test_a_version_from_the_future_is_waited_for_and_then_refused(play):
    async def scenario(api):
        future = str(api.server.store.version + 10)
        answer = await api.get(MAPS, resourceVersion=future)
        assert (answer.status, answer.body["reason"]) == (504, "Timeout")
        assert answer.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
        assert answer.headers["Retry-After"] == "1"
        assert api.clock.monotonic() == pytest.approx(3.0)

    play(scenario)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, 422),
        ({"resourceVersionMatch": "Never", "resourceVersion": "1"}, 422),
        ({"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}, 422),
        ({"resourceVersion": "abc"}, 400),
        ({"continue": "rubbish"}, 400),
        ({"limit": "many"}, 400),
        ({"labelSelector": "a in"}, 400),
        ({"fieldSelector": "spec.color=red"}, 400),
        ({"watch": "true", "sendInitialEvents": "true"}, 422),
        ({"watch": "true", "resourceVersionMatch": "NotOlderThan"}, 422),
        ({"watch": "true", "continue": "abc"}, 422),
        ({"watch": "true", "resourceVersion": "abc"}, 500),
        ({"watch": "true", "timeoutSeconds": "soon"}, 400),
    ],
)
def test_options_that_the_real_server_refuses_are_refused(play, query, status):
    async def scenario(api):
        assert (await api.get(MAPS, **query)).status == status

    play(scenario)


def test_labels_and_fields_select(play):
    async def scenario(api):
        await api.post(MAPS, config("a", tier="web"))
        await api.post(MAPS, config("b", tier="db"))
        await api.post(MAPS, config("c"))
        for selector, found in (
            ("tier", ["a", "b"]),
            ("tier=web", ["a"]),
            ("tier!=web", ["b", "c", "kube-root-ca.crt"]),
            ("tier notin (web,db)", ["c", "kube-root-ca.crt"]),
            ("tier in (web)", ["a"]),
            ("!tier", ["c", "kube-root-ca.crt"]),
        ):
            assert names(await api.get(MAPS, labelSelector=selector)) == found
        assert names(await api.get(ALL, fieldSelector="metadata.namespace=default,metadata.name=a")) == ["a"]
        pod = {
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "image": "i"}], "nodeName": "n"},
        }
        await api.post(PODS, pod)
        for selector, found in (
            ("spec.nodeName=n", ["p"]),
            ("spec.nodeName!=n", []),
            ("status.phase=Pending", ["p"]),
            ("status.phase!=Succeeded,status.phase!=Failed", ["p"]),
            ("spec.hostNetwork=false", ["p"]),
        ):
            assert names(await api.get(PODS, fieldSelector=selector)) == found

    play(scenario)


def test_a_watch_from_a_version_sees_each_later_event_once_and_in_order(play):
    async def scenario(api):
        version = await make(api, "a")
        await make(api, "b")
        await api.patch(f"{MAPS}/a", {"data": {"x": "y"}})
        await api.delete(f"{MAPS}/b")
        watch = await api.watch(MAPS, resourceVersion=version)
        assert await watch.take(3) == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
        await make(api, "c")
        assert await watch.take(1) == [("ADDED", "c")]
        assert watch.text.endswith(b"}\n")

    play(scenario)


@pytest.mark.parametrize("version", ["", "0"])
def test_a_watch_without_a_version_begins_with_what_is_there(play, version):
    async def scenario(api):
        await make(api, "a")
        watch = await api.watch(MAPS, resourceVersion=version)
        assert await watch.take(2) == [("ADDED", "a"), ("ADDED", "kube-root-ca.crt")]
        await make(api, "b")
        assert await watch.take(1) == [("ADDED", "b")]

    play(scenario)


def test_a_watch_list_ends_its_state_with_an_annotated_bookmark(play):
    async def scenario(api):
        version = await make(api, "a")
        watch = await api.watch(MAPS, **WATCH_LIST)
        assert await watch.take(2) == [("ADDED", "a"), ("ADDED", "kube-root-ca.crt")]
        bookmark = await watch.next()
        assert bookmark["type"] == "BOOKMARK"
        assert (bookmark["object"]["kind"], bookmark["object"]["apiVersion"]) == ("ConfigMap", "v1")
        metadata = bookmark["object"]["metadata"]
        assert metadata["resourceVersion"] == version
        assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
        await make(api, "b")
        assert await watch.take(1) == [("ADDED", "b")]

    play(scenario)


def test_a_watch_whose_version_is_compacted_is_told_so_in_the_stream(play):
    async def scenario(api):
        version = await make(api, "a")
        await make(api, "b")
        api.server.store.compact()
        watch = await api.watch(MAPS, resourceVersion=version)
        events = await watch.rest()
        assert [event["type"] for event in events] == ["ERROR"]
        status = events[0]["object"]
        assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
        assert status["message"].startswith(f"too old resource version: {version} (")

    play(scenario)


def test_a_watch_that_falls_behind_the_history_is_cut_off(play):
    async def scenario(api):
        version = await make(api, "a")
        watch = await api.watch(MAPS, resourceVersion=version)
        await make(api, "b")
        assert await watch.take(1) == [("ADDED", "b")]
        await make(api, "c")
        api.server.store.compact()
        events = await watch.rest()
        assert (events[-1]["type"], events[-1]["object"]["code"]) == ("ERROR", 410)

    play(scenario)


def test_history_is_kept_for_minutes_and_then_let_go(play):
    async def scenario(api):
        version = await make(api, "a")
        await make(api, "b")
        await api.settle(76)
        watch = await api.watch(MAPS, resourceVersion=version)
        assert await watch.take(1) == [("ADDED", "b")]
        await api.settle(600)
        events = await (await api.watch(MAPS, resourceVersion=version)).rest()
        assert events[0]["type"] == "ERROR"

    play(scenario)


def test_a_watch_from_the_future_is_silent_until_it_is_passed(play):
    async def scenario(api):
        future = str(api.server.store.version + 1)
        watch = await api.watch(MAPS, resourceVersion=future)
        await make(api, "a", "b")
        assert await watch.take(1) == [("ADDED", "b")]

    play(scenario)


def test_entering_and_leaving_a_selection_are_added_and_deleted(play):
    async def scenario(api):
        version = await make(api, "a")
        watch = await api.watch(MAPS, resourceVersion=version, labelSelector="in=yes")
        await api.patch(f"{MAPS}/a", {"metadata": {"labels": {"in": "yes"}}, "data": {"n": "1"}})
        await api.patch(f"{MAPS}/a", {"data": {"n": "2"}})
        left = await api.patch(f"{MAPS}/a", {"metadata": {"labels": {"in": None}}, "data": {"n": "3"}})
        events = [await watch.next() for _ in range(3)]
        assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
        gone = events[2]["object"]
        assert gone["data"] == {"n": "2"}
        assert gone["metadata"]["labels"]["in"] == "yes"
        assert gone["metadata"]["resourceVersion"] == left.version
        await api.delete(f"{MAPS}/a")
        await api.post(MAPS, config("b", **{"in": "yes"}))
        assert await watch.take(1) == [("ADDED", "b")]

    play(scenario)


def test_the_last_write_of_a_finalized_object_that_also_leaves_the_selection_is_deleted(play):
    async def scenario(api):
        sent = config("a", keep="yes")
        sent["metadata"]["finalizers"] = ["x.io/hold"]
        await api.post(MAPS, sent)
        version = (await api.delete(f"{MAPS}/a")).version
        watch = await api.watch(MAPS, resourceVersion=version, labelSelector="keep=yes")
        await api.patch(f"{MAPS}/a", {"metadata": {"finalizers": None, "labels": {"keep": None}}})
        assert await watch.take(1) == [("DELETED", "a")]

    play(scenario)


def test_a_watch_of_one_namespace_or_one_name_sees_nothing_else(play):
    async def scenario(api):
        version = await make(api, "a")
        inside = await api.watch(MAPS, resourceVersion=version)
        named = await api.watch(ALL, resourceVersion=version, fieldSelector="metadata.name=z")
        await api.post("/api/v1/namespaces/kube-system/configmaps", config("other"))
        await make(api, "z")
        assert await inside.take(1) == [("ADDED", "z")]
        assert await named.take(1) == [("ADDED", "z")]

    play(scenario)


def test_bookmarks_come_each_minute_and_two_seconds_before_the_end(play):
    async def scenario(api):
        version = await make(api, "a")
        watch = await api.watch(MAPS, resourceVersion=version, allowWatchBookmarks="true", timeoutSeconds=100)
        await api.post("/api/v1/namespaces/default/secrets", {"metadata": {"name": "elsewhere"}})
        times = []
        for _ in range(2):
            assert (await watch.next())["type"] == "BOOKMARK"
            times.append(api.clock.monotonic())
        assert times == pytest.approx([60.0, 98.0])
        assert await watch.rest() == []
        assert api.clock.monotonic() == pytest.approx(100.0)

    play(scenario)


def test_a_bookmark_that_would_tell_nothing_new_is_not_sent(play):
    async def scenario(api):
        version = await make(api, "a")
        watch = await api.watch(MAPS, resourceVersion=version, allowWatchBookmarks="true", timeoutSeconds=100)
        assert await watch.rest() == []

    play(scenario)


def test_a_watch_from_the_future_is_silent_until_it_has_come(play):
    async def scenario(api):
        future = api.server.store.version + 3
        watch = await api.watch(MAPS, resourceVersion=future, timeoutSeconds=30)
        for name in "abcde":
            await make(api, name)
        events = await watch.rest()
        assert [event["object"]["metadata"]["name"] for event in events] == ["d", "e"]

    play(scenario)


def test_a_watch_that_begins_with_a_state_of_the_future_fails_in_its_stream(play):
    async def scenario(api):
        future = str(api.server.store.version + 10)
        initial = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        watch = await api.watch(MAPS, resourceVersion=future, **initial)
        (event,) = await watch.rest()
        assert (event["type"], event["object"]["code"]) == ("ERROR", 504)
        assert event["object"]["details"]["retryAfterSeconds"] == 1
        assert api.clock.monotonic() == pytest.approx(3.0)

    play(scenario)


def test_without_bookmarks_a_watch_list_does_not_say_where_its_state_ends(play):
    async def scenario(api):
        await make(api, "a")
        initial = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        watch = await api.watch(MAPS, timeoutSeconds=5, fieldSelector="metadata.name=a", **initial)
        assert [event["type"] for event in await watch.rest()] == ["ADDED"]

    play(scenario)


def test_a_watch_from_nowhere_says_where_its_state_ends(play):
    async def scenario(api):
        watch = await api.watch(MAPS, timeoutSeconds=5, allowWatchBookmarks="true", labelSelector="none")
        (event,) = await watch.rest()
        assert event["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}

    play(scenario)


def test_without_being_asked_there_are_no_bookmarks_and_a_watch_ends_within_the_hour(play):
    async def scenario(api):
        version = await make(api, "a")
        watch = await api.watch(MAPS, resourceVersion=version)
        assert await watch.rest() == []
        assert 1800 <= api.clock.monotonic() <= 3600

    play(scenario)


def test_a_bookmark_is_as_new_as_what_the_watch_has_seen(play):
    async def scenario(api):
        version = await make(api, "a")
        watch = await api.watch(MAPS, resourceVersion=version, allowWatchBookmarks="true")
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        other = (await api.post(PODS, pod)).version
        assert (await watch.next())["object"]["metadata"]["resourceVersion"] == other

    play(scenario)


def test_a_watch_that_is_closed_leaves_nothing_behind(play):
    async def scenario(api):
        version = await make(api, "a")
        watch = await api.watch(MAPS, resourceVersion=version)
        await make(api, "b")
        await watch.take(1)
        await watch.close()
        assert api.server.store.collection("", "configmaps").waiting == []

    play(scenario)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param("", id="plain"),
        pytest.param("Table", id="table"),
        pytest.param("PartialObjectMetadataList", id="metadata"),
    ],
)
def test_a_long_list_comes_in_pieces_that_show_one_version(play, shape):
    async def scenario(api):
        wanted = [f"m{number:04}" for number in range(2100)]
        for name in wanted:
            await api.post(MAPS, config(name))
        accept = f"application/json;as={shape};v=v1;g=meta.k8s.io" if shape else "application/json"
        asked = Request("GET", MAPS, (), {"accept": accept})
        body = (await api.server.handle(asked)).body
        assert not isinstance(body, bytes)
        pieces = [await anext(body), await anext(body)]
        assert (await api.delete(f"{MAPS}/m2099")).status == 200
        pieces += [piece async for piece in body]
        assert max(map(len, pieces)) < 256 * 1024
        shown = json.loads(b"".join(pieces))
        objects = [row["object"] for row in shown["rows"]] if shape == "Table" else shown["items"]
        names = [each["metadata"]["name"] for each in objects]
        assert [name for name in names if name.startswith("m")] == wanted

    play(scenario)

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.cache.changes import BAD, DELETE, SET, BadItem, Bookmark, Change, StreamError, Unreadable
from kcm.cache.compaction import LARGEST_OBJECT, Compactor, list_version
from kcm.cache.feed import FeedData, encode_changes
from kcm.cache.projection import LEAF, Fields, projection_of
from kcm.objects import Pod, ReplicaSet

PODS = Compactor(projection_of(Pod))
SETS = Compactor(projection_of(ReplicaSet))


def pod(version: str = "7", **more: Any) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": "a",
            "namespace": "ns",
            "uid": "u1",
            "resourceVersion": version,
            "managedFields": [{"manager": "m"}],
            "labels": {"app": "web"},
        },
        "spec": {"nodeName": "n1", "volumes": [{"name": "v"}], "initContainers": None},
        "status": {"phase": "Running", "containerStatuses": [{"name": "c", "restartCount": 2, "state": {}}]},
        **more,
    }


def line(type_: str, what: Any) -> bytes:
    return json.dumps({"type": type_, "object": what}).encode()


def only(found: list[Any]) -> Any:
    assert len(found) == 1
    return found[0]


def test_an_object_is_trimmed_to_the_fields_asked_for() -> None:
    change = only(PODS.events([line("ADDED", pod())]))
    assert (change.kind, change.key, change.version) == (SET, "ns/a", "7")
    kept = json.loads(change.body)
    assert kept == {
        "metadata": {
            "name": "a",
            "namespace": "ns",
            "uid": "u1",
            "resourceVersion": "7",
            "labels": {"app": "web"},
        },
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Running", "containerStatuses": [{"name": "c", "restartCount": 2}]},
    }


def test_what_was_kept_reads_as_the_type_it_was_kept_for() -> None:
    whole = json.dumps(pod()).encode()
    change = only(PODS.events([line("MODIFIED", pod())]))
    assert msgspec.json.decode(change.body, type=Pod) == msgspec.json.decode(
        json.dumps({**pod(), "spec": {"nodeName": "n1"}}), type=Pod
    )
    assert b"managedFields" in whole


def test_raw_parts_are_copied_byte_by_byte() -> None:
    text = (
        b'{"type":"ADDED","object":{"metadata":{"name":"r","resourceVersion":"3","uid":"u"},'
        b'"spec":{"template":{"spec":{"z": 1.50,"a":null}}}}}'
    )
    assert b'"spec":{"z": 1.50,"a":null}' in only(SETS.events([text])).body


@pytest.mark.parametrize(
    ("text", "event"),
    [
        pytest.param(
            line("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "9"}}),
            Bookmark("9"),
            id="bookmark",
        ),
        pytest.param(
            line(
                "BOOKMARK",
                {"metadata": {"resourceVersion": "9", "annotations": {"k8s.io/initial-events-end": "true"}}},
            ),
            Bookmark("9", ends_initial=True),
            id="end of the initial events",
        ),
        pytest.param(
            line("BOOKMARK", {"metadata": {"resourceVersion": "x"}}),
            Unreadable("bookmark: resourceVersion is not a number"),
            id="bookmark without a version",
        ),
        pytest.param(
            line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}),
            StreamError(410, "Expired", "too old"),
            id="410",
        ),
        pytest.param(
            line(
                "ERROR",
                {
                    "code": 504,
                    "reason": "Timeout",
                    "message": "m",
                    "status": "Failure",
                    "details": {
                        "causes": [{"reason": "ResourceVersionTooLarge"}],
                        "retryAfterSeconds": 1,
                    },
                },
            ),
            StreamError(504, "Timeout", "m", ("ResourceVersionTooLarge",), 1.0),
            id="too large a version",
        ),
        pytest.param(line("SURPRISE", pod()), Unreadable("event of unknown type 'SURPRISE'"), id="unknown"),
    ],
)
def test_lines_that_are_no_objects_are_told_apart(text: bytes, event: object) -> None:
    assert only(PODS.events([text])) == event


@pytest.mark.parametrize(
    "text", [b'{"type":"ADDED","object":{"meta', b"not json", b"", b"\xff\xfe", b'{"type":"ADDED"}', b"[]"]
)
def test_bytes_that_are_no_event_end_the_stream(text: bytes) -> None:
    after = line("ADDED", pod())
    assert [type(event) for event in PODS.events([text, after])] == [StreamError]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"status": "no object"}, id="a part of another shape"),
        pytest.param({"status": {"containerStatuses": {"a": 1}}}, id="a map instead of a list"),
        pytest.param({"spec": {"initContainers": [7]}}, id="an item of another shape"),
    ],
)
def test_a_bad_object_marks_its_own_key_and_the_others_pass(wrong: dict[str, Any]) -> None:
    bad, good = PODS.events([line("ADDED", pod(**wrong)), line("ADDED", pod("8"))])
    assert isinstance(bad, Change)
    assert (bad.kind, bad.key, bad.version) == (BAD, "ns/a", "7")
    item = msgspec.json.decode(bad.body, type=BadItem)
    assert (item.key, item.uid) == ("ns/a", "u1")
    assert "Expected" in item.reason
    assert isinstance(good, Change)
    assert good.kind == SET


def test_the_deletion_of_a_bad_object_is_a_deletion() -> None:
    change = only(PODS.events([line("DELETED", pod(status="bad"))]))
    assert (change.kind, change.key) == (DELETE, "ns/a")


@pytest.mark.parametrize("version", ["", "0", "01", "-1", "1e9", "9" * 33, "٣", "NaN"])
def test_a_resource_version_that_no_server_writes_makes_the_object_bad(version: str) -> None:
    change = only(PODS.events([line("ADDED", pod(version))]))
    assert isinstance(change, Change | Unreadable)
    if isinstance(change, Change):
        assert (change.kind, change.version) == (BAD, "")


@pytest.mark.parametrize("name", ["", "n" * 254, 5, None])
def test_an_object_without_a_usable_name_is_counted_only(name: object) -> None:
    broken = pod()
    broken["metadata"]["name"] = name
    assert isinstance(only(PODS.events([line("ADDED", broken)])), Unreadable)


@pytest.mark.parametrize("depth", [500, 1500, 50_000])
def test_a_bottomless_object_is_one_keys_problem(depth: int) -> None:
    bottomless = b'{"metadata":{"name":"a","namespace":"ns","uid":"u1","resourceVersion":"7"},"spec":%s}'
    spec = b'{"template":{"spec":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}"
    item = bottomless % spec
    for kind in (b"ADDED", b"DELETED"):
        event = only(SETS.events([b'{"type":"%s","object":%s}' % (kind, item)]))
        assert isinstance(event, Change)
        assert event.key == "ns/a"
        assert event.kind in ((SET, BAD) if kind == b"ADDED" else (DELETE,))
        # Whatever passes can be decoded inside a frame.
        for payload in encode_changes(1, [event], "7"):
            msgspec.json.decode(payload, type=FeedData)
    page = SETS.page(
        b'{"metadata":{"resourceVersion":"9","continue":"c"},"items":[%s,%s]}'
        % (item, json.dumps(pod()).encode())
    )
    assert (page.version, page.next_page, len(page.changes)) == ("9", "c", 2)
    assert page.changes[1].kind == SET


def test_an_object_that_stays_huge_after_trimming_is_bad() -> None:
    huge = pod()
    huge["metadata"]["labels"] = {"a": "x" * LARGEST_OBJECT}
    assert only(PODS.events([line("ADDED", huge)])).kind == BAD


def test_a_page_is_read_item_by_item_when_one_is_bad() -> None:
    items = [pod(), pod(status="bad"), {"metadata": {}}, pod("8")]
    body = json.dumps({"metadata": {"resourceVersion": "9", "continue": "c"}, "items": items}).encode()
    page = PODS.page(body)
    assert [change.kind for change in page.changes] == [SET, BAD, SET]
    assert (page.version, page.next_page, page.unreadable) == ("9", "c", 1)


@pytest.mark.parametrize("items", [[], None])
def test_an_empty_list_is_a_page(items: list[Any] | None) -> None:
    body = json.dumps({"metadata": {"resourceVersion": "9"}, "items": items}).encode()
    assert PODS.page(body).changes == ()
    assert list_version(body) == "9"


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"items":[]}', b'{"metadata":{"resourceVersion":'])
def test_a_body_that_is_no_list_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        PODS.page(body)
    with pytest.raises(ValueError, match=r".+"):
        list_version(body)


def test_a_projection_that_hides_the_identity_is_refused() -> None:
    with pytest.raises(ValueError, match="metadata"):
        Compactor(Fields((("metadata", LEAF),)))


@given(st.binary(max_size=200))
def test_no_bytes_can_stop_the_reader(text: bytes) -> None:
    PODS.events([text, b'{"type":"ADDED","object":' + text + b"}"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["metadata", "name", "namespace", "uid", "resourceVersion", "spec", "status", "labels", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_a_change_or_reported(what: Any) -> None:
    for event in PODS.events([line("MODIFIED", what)]):
        assert isinstance(event, Change | Unreadable | StreamError)
        if isinstance(event, Change) and event.kind == SET:
            json.loads(event.body)

"""What is refused is refused in the words of a real server (each compared with one)."""

from __future__ import annotations

import pytest

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
UNREAD = "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; "
HEAD = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"kind":', 'json parse error: unexpected end of JSON input ({"kind":)'),
        (b"hello", "json parse error: invalid character 'h' looking for beginning of value (68656c6c6f)"),
        (b"[]", f"json parse error: json: cannot unmarshal array into Go value of type {HEAD} (5b5d)"),
        (b'{"a":1} x', "json parse error: invalid character 'x' after top-level value ({\"a\":1} x)"),
        (
            b'{"a":1,}',
            "json parse error: invalid character '}' looking for beginning of object key string ({\"a\":1,})",
        ),
        (b"", "json parse error: unexpected end of JSON input (<empty>)"),
    ],
)
def test_a_body_that_is_not_json_is_refused_with_its_first_mistake(play, body, problem):
    async def scenario(api):
        answer = await api.post(MAPS, body)
        assert (answer.status, answer.body["message"]) == (400, UNREAD + problem)

    play(scenario)


def test_unknown_fields_are_told_and_dropped(play):
    async def scenario(api):
        made = await api.post(MAPS, {"metadata": {"name": "a", "foo": 1}, "frob": {"x": 1}})
        assert made.headers["Warning"] == (
            '299 - "unknown field \\"metadata.foo\\"", 299 - "unknown field \\"frob\\""'
        )
        assert made.response.repeats == (("Warning", '299 - "unknown field \\"frob\\""'),)
        assert "frob" not in made.body
        assert "foo" not in made.body["metadata"]
        silent = await api.post(MAPS, {"metadata": {"name": "b"}, "frob": 1}, fieldValidation="Ignore")
        assert "Warning" not in silent.headers
        assert "frob" not in silent.body

    play(scenario)


def test_fields_given_twice_are_told_or_refused(play):
    body = b'{"metadata":{"name":"a","name":"a"},"data":{"a":"1","a":"2"}}'

    async def scenario(api):
        strict = await api.post(MAPS, body, fieldValidation="Strict")
        assert strict.body["message"] == (
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
            'duplicate field "metadata.name", duplicate field "data.a"'
        )
        assert 'duplicate field \\"data.a\\"' in (await api.post(MAPS, body)).headers["Warning"]

    play(scenario)


@pytest.mark.parametrize(
    ("kind", "patch", "status", "message"),
    [
        (
            "merge",
            [],
            400,
            "error decoding patch: json: cannot unmarshal array into Go value of type map[stri",
        ),
        (
            "strategic-merge",
            {"data": {"z": 3}},
            422,
            ' "" is invalid: patch: Invalid value: "map[data:map[z:3]',
        ),
        ("strategic-merge", {"$patch": "x"}, 500, "unknown patch type: x in map: map[$patch:x]"),
        ("json", {}, 400, "error decoding patch: json: cannot unmarshal object into Go value of type []hand"),
        (
            "json",
            [{"op": "remove", "path": "/x"}],
            422,
            "the server rejected our request due to an error in o",
        ),
        (
            "merge",
            {"metadata": {"name": None}},
            400,
            "the name of the object (a based on URL) was undetermina",
        ),
        (
            "merge",
            {"metadata": {"namespace": "b"}},
            400,
            "the namespace of the provided object does not match",
        ),
        (
            "merge",
            {"metadata": {"uid": "b"}},
            422,
            'ConfigMap "a" is invalid: metadata.uid: Invalid value: "',
        ),
        (
            "merge",
            {"metadata": {"resourceVersion": "b"}},
            500,
            'strconv.ParseUint: parsing "b": invalid synta',
        ),
    ],
)
def test_a_patch_that_cannot_be_done_is_refused(play, kind, patch, status, message):
    media = "application/json-patch+json" if kind == "json" else f"application/{kind}-patch+json"

    async def scenario(api):
        await api.post(MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
        answer = await api.patch(f"{MAPS}/a", patch, media)
        assert answer.status == status
        assert answer.body["message"].startswith(message)

    play(scenario)


def test_a_pod_that_nothing_holds_is_seen_ending_before_it_is_seen_gone(play):
    async def scenario(api):
        pod = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        version = (await api.post(PODS, pod)).version
        watch = await api.watch(PODS, resourceVersion=version)
        gone = await api.delete(f"{PODS}/a")
        ending, deleted = await watch.next(), await watch.next()
        assert (ending["type"], deleted["type"]) == ("MODIFIED", "DELETED")
        assert ending["object"]["metadata"]["deletionGracePeriodSeconds"] == 0
        assert ending["object"]["metadata"]["generation"] == 2
        assert gone.version == deleted["object"]["metadata"]["resourceVersion"]

    play(scenario)


def test_the_write_that_frees_an_object_shows_it_freed_and_watchers_see_it_as_it_was_stored(play):
    async def scenario(api):
        held = {"metadata": {"name": "a", "finalizers": ["a.b/c"]}}
        await api.post(MAPS, held)
        version = (await api.delete(f"{MAPS}/a")).version
        watch = await api.watch(MAPS, resourceVersion=version)
        freed = await api.patch(f"{MAPS}/a", {"metadata": {"finalizers": None}})
        deleted = await watch.next()
        assert "finalizers" not in freed.body["metadata"]
        assert (deleted["type"], deleted["object"]["metadata"]["finalizers"]) == ("DELETED", ["a.b/c"])

    play(scenario)


def test_a_dry_creation_has_no_version_and_an_item_of_a_list_no_kind(play):
    async def scenario(api):
        made = await api.post(MAPS, {"metadata": {"name": "a"}}, dryRun="All")
        assert "resourceVersion" not in made.body["metadata"]
        items = (await api.get(MAPS)).body["items"]
        assert items
        assert all("kind" not in item and "apiVersion" not in item for item in items)

    play(scenario)


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        ("a in", "unable to parse requirement: found '' expected: '('"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a>b", "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, "),
    ],
)
def test_a_selector_that_cannot_be_read_is_refused(play, selector, problem):
    async def scenario(api):
        answer = await api.get(MAPS, labelSelector=selector)
        assert answer.status == 400
        assert answer.body["message"].startswith(problem)

    play(scenario)

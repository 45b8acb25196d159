"""Routes, media types, tables, discovery, faults and audit: the edges of a request."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from kcm.base.clock import SystemClock
from kcm.base.rng import SeededRng
from kcm.sandbox.api import (
    ApiServer,
    Compact,
    ConnectionLost,
    CutWatch,
    Delay,
    DropAfter,
    DropBefore,
    Fault,
    Mutation,
    Refuse,
    SilenceWatch,
)
from kcm.serving.http import HttpServer

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


def config(name: str = "m") -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {"a": "1"}}


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/apis/apps/v1/widgets", 404, "NotFound"),
        ("GET", "/apis/apps/v2/replicasets", 404, "NotFound"),
        ("GET", "/api/v1/pods/a", 404, "NotFound"),
        ("GET", f"{PODS}/a/unheard", 404, "NotFound"),
        ("GET", f"{PODS}/absent", 404, "NotFound"),
        ("POST", f"{PODS}/a", 405, "MethodNotAllowed"),
        ("POST", "/api/v1/pods", 405, "MethodNotAllowed"),
        ("PUT", PODS, 405, "MethodNotAllowed"),
        ("PATCH", PODS, 405, "MethodNotAllowed"),
        ("DELETE", "/api/v1/pods", 405, "MethodNotAllowed"),
        ("PUT", f"{PODS}/a/binding", 405, "MethodNotAllowed"),
        ("DELETE", "/api/v1/namespaces", 405, "MethodNotAllowed"),
        ("OPTIONS", PODS, 405, "MethodNotAllowed"),
        ("GET", f"{PODS}/a/log", 404, "NotFound"),
        ("POST", f"{PODS}/a/exec", 501, "NotImplemented"),
        ("GET", "/openapi/v2", 406, "NotAcceptable"),
    ],
)
def test_what_is_not_served_is_a_status(play, method, path, status, reason):
    async def scenario(api):
        answer = await api(method, path, b"{}" if method in ("POST", "PUT") else None)
        assert (answer.status, answer.body["kind"], answer.body["reason"]) == (status, "Status", reason)
        assert answer.body["code"] == status

    play(scenario)


@pytest.mark.parametrize("path", ["/nowhere", "/apis/none/v1/things", "/openapi/v3/apis/none/v1"])
def test_a_path_that_no_part_of_the_server_knows_is_answered_in_text(play, path):
    async def scenario(api):
        answer = await api.get(path)
        assert (answer.status, answer.response.body) == (404, b"404 page not found\n")
        assert answer.content_type == "text/plain; charset=utf-8"

    play(scenario)


def test_every_answer_says_its_audit_id_and_that_it_is_not_to_be_kept(play):
    async def scenario(api):
        answers = [await api.get(path) for path in (PODS, f"{PODS}/absent", "/nowhere", "/version")]
        assert all(answer.headers["Cache-Control"] == "no-cache, private" for answer in answers)
        assert len({answer.headers["Audit-Id"] for answer in answers}) == len(answers)

    play(scenario)


def test_only_long_answers_are_compressed_and_only_for_who_asks(play):
    async def scenario(api):
        maps = "/api/v1/namespaces/default/configmaps"
        await api.post(maps, {"metadata": {"name": "long"}, "data": {"a": "x" * 200_000}})
        asked = {"accept-encoding": "gzip, deflate"}
        packed = await api("GET", f"{maps}/long", headers=asked)
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.response.body) == (await api.get(f"{maps}/long")).response.body
        assert "Content-Encoding" not in (await api("GET", f"{maps}/kube-root-ca.crt", headers=asked)).headers

    play(scenario)


@pytest.mark.parametrize(
    "path",
    ["/version", "/version/", "/api", "/apis/", "/api/v1/", "/apis/apps/v1", "/apis/apps", "/openapi/v3"],
)
def test_documents_are_served_with_and_without_a_trailing_slash(play, path):
    async def scenario(api):
        answer = await api.get(path)
        assert answer.status == 200
        assert isinstance(answer.body, dict)

    play(scenario)


def test_kubectl_gets_an_openapi_v2_without_definitions_in_its_own_format(play):
    async def scenario(api):
        asked = {"accept": "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"}
        answer = await api("GET", "/openapi/v2", headers=asked)
        assert (answer.status, answer.response.body) == (200, b"\x0a\x032.0")
        # Go's parser of media types refuses "@", so an answer that has it is refused.
        assert "@" not in answer.content_type

    play(scenario)


def test_trailing_slashes_of_resources_are_accepted(play):
    async def scenario(api):
        assert (await api.get(PODS + "/")).status == 200

    play(scenario)


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/readyz/ping"])
def test_health_is_ok(play, path):
    async def scenario(api):
        assert (await api.get(path)).response.body == b"ok"

    play(scenario)


def test_aggregated_discovery_repeats_its_type_and_plain_discovery_does_not(play):
    async def scenario(api):
        for path in ("/api", "/apis"):
            answer = await api("GET", path, headers={"accept": AGGREGATED})
            assert (
                answer.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            )
            assert answer.body["kind"] == "APIGroupDiscoveryList"
            assert (await api.get(path)).content_type == "application/json"

    play(scenario)


def test_only_what_is_served_is_advertised(play):
    async def scenario(api):
        groups = (await api.get("/apis")).body["groups"]
        roots = ["/api/v1"] + [f"/apis/{one['preferredVersion']['groupVersion']}" for one in groups]
        # A list of measurements has no items of its own: what it can measure stands for them.
        for root in [one for one in roots if "metrics.k8s.io" not in one]:
            for item in (await api.get(root)).body["resources"]:
                if "list" in item["verbs"]:
                    assert (await api.get(f"{root}/{item['name']}")).status == 200

    play(scenario)


def test_an_openapi_document_is_found_under_its_hash(play):
    async def scenario(api):
        paths = (await api.get("/openapi/v3")).body["paths"]
        path, _, digest = paths["apis/apps/v1"]["serverRelativeURL"].partition("?hash=")
        answer = await api.get(path, hash=digest)
        assert answer.status == 200
        assert "paths" in answer.body

    play(scenario)


def test_a_table_is_served_for_objects_lists_and_watches(play):
    async def scenario(api):
        headers = {"accept": TABLE}
        made = await api("POST", MAPS, config(), headers=headers)
        assert (made.status, made.body["kind"], len(made.body["rows"])) == (201, "Table", 1)
        listed = (await api("GET", MAPS, headers=headers)).body
        assert [row["cells"][0] for row in listed["rows"]] == ["kube-root-ca.crt", "m"]
        assert listed["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
        whole = (await api("GET", MAPS, headers=headers, includeObject="Object")).body
        assert whole["rows"][1]["object"]["data"] == {"a": "1"}
        answer = await api("GET", MAPS, headers=headers, watch="true")
        lines = [json.loads(line) for line in (await anext(answer.response.body)).splitlines()]
        assert [bool(line["object"].get("columnDefinitions")) for line in lines] == [True, False]
        await answer.response.body.aclose()

    play(scenario)


def test_metadata_alone_is_served(play):
    async def scenario(api):
        await api.post(MAPS, config())
        item = (await api("GET", f"{MAPS}/m", headers={"accept": PARTIAL})).body
        assert item.keys() == {"kind", "apiVersion", "metadata"}
        assert item["kind"] == "PartialObjectMetadata"
        listed = (await api("GET", MAPS, headers={"accept": PARTIAL_LIST})).body
        assert listed["kind"] == "PartialObjectMetadataList"
        assert listed["items"][1]["metadata"]["name"] == "m"

    play(scenario)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/vnd.kubernetes.protobuf,application/json", 200),
        ("*/*", 200),
        ("", 200),
        ("application/vnd.kubernetes.protobuf", 406),
        ("text/html", 406),
    ],
)
def test_the_first_serviceable_clause_of_accept_decides(play, accept, status):
    async def scenario(api):
        assert (await api("GET", PODS, headers={"accept": accept})).status == status

    play(scenario)


def test_bodies_may_be_yaml_or_protobuf_but_neither_broken_nor_full_of_aliases(play):
    async def scenario(api):
        async def send(body: bytes, kind: str) -> int:
            return int((await api("POST", MAPS, body, headers={"content-type": kind})).status)

        text = b"metadata:\n  name: y\ndata:\n  day: 2026-01-01\n"
        assert await send(text, "application/yaml") == 201
        assert (await api("GET", f"{MAPS}/y", headers={"accept": "application/yaml"})).content_type.endswith(
            "yaml"
        )
        assert await send(b"a: &a [x]\nb: *a\n", "application/yaml") == 400
        assert await send(b"a: [", "application/yaml") == 400
        protobuf = "application/vnd.kubernetes.protobuf"
        message = (
            b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x0d\x0a\x03\x0a\x01p\x12\x06\x0a\x01k\x12\x01v"
        )
        assert await send(message, protobuf) == 201
        assert (await api.get(f"{MAPS}/p")).body["data"] == {"k": "v"}
        assert await send(message, f"{protobuf};charset=utf-8") == 409
        assert await send(message.replace(b"ConfigMap", b"NoSuchMap"), protobuf) == 400
        assert await send(message[:-3], protobuf) == 400
        assert await send(b"k8s\0rest", protobuf) == 400
        assert await send(b"{}", protobuf) == 400
        assert await send(b"{}", "text/plain") == 415
        assert await send(b" " * (3 * 1024 * 1024 + 1), "application/json") == 413

    play(scenario)


def test_faults_refuse_delay_and_drop_the_requests_they_name(play):
    async def scenario(api):
        faults = api.server.faults
        faults.add(Fault(Refuse(429, retry_after=7), verb="create", resource="configmaps", times=1))
        refused = await api.post(MAPS, config())
        assert (refused.status, refused.headers["Retry-After"]) == (429, "7")
        assert refused.body["reason"] == "TooManyRequests"
        assert (await api.post(MAPS, config())).status == 201
        second = faults.add(Fault(Refuse(503), verb="get", name="^m$", first=2))
        assert [(await api.get(f"{MAPS}/m")).status for _ in range(3)] == [200, 503, 503]
        assert faults.met(second) == 3
        faults.clear()
        faults.add(Fault(Delay(5.0), verb="get"))
        await api.get(f"{MAPS}/m")
        assert api.clock.monotonic() == pytest.approx(5.0)

    play(scenario)


def test_a_connection_lost_before_or_after_the_commit_tells_the_client_nothing(play):
    async def scenario(api):
        api.server.faults.add(Fault(DropBefore(), verb="create", times=1))
        with pytest.raises(ConnectionLost):
            await api.post(MAPS, config())
        assert (await api.get(f"{MAPS}/m")).status == 404
        api.server.faults.add(Fault(DropAfter(), verb="create", times=2))
        with pytest.raises(ConnectionLost):
            await api.post(MAPS, config())
        assert (await api.get(f"{MAPS}/m")).status == 200

    play(scenario)


def test_a_watch_is_cut_in_the_middle_of_a_line(play):
    async def scenario(api):
        api.server.faults.add(Fault(CutWatch(1), verb="watch"))
        version = (await api.post(MAPS, config("a"))).version
        watch = await api.get(MAPS, watch="true", resourceVersion=version)
        await api.post(MAPS, config("b"))
        await api.post(MAPS, config("c"))
        text = await anext(watch.response.body)
        assert text.count(b"\n") == 1
        with pytest.raises(json.JSONDecodeError):
            json.loads(text.splitlines()[1])
        with pytest.raises(ConnectionLost):
            await anext(watch.response.body)

    play(scenario)


def test_a_silenced_watch_stays_open_and_says_nothing(play):
    async def scenario(api):
        api.server.faults.add(Fault(SilenceWatch(1), verb="watch"))
        version = (await api.post(MAPS, config("a"))).version
        watch = await api.watch(MAPS, resourceVersion=version, allowWatchBookmarks="true", timeoutSeconds=200)
        await api.post(MAPS, config("b"))
        await api.post(MAPS, config("c"))
        assert [event["object"]["metadata"]["name"] for event in await watch.rest()] == ["b"]
        assert api.clock.monotonic() == pytest.approx(200.0)

    play(scenario)


def test_history_is_compacted_on_order(play):
    async def scenario(api):
        version = (await api.post(MAPS, config("a"))).version
        await api.post(MAPS, config("b"))
        api.server.faults.add(Fault(Compact(), verb="watch", times=1))
        events = await (await api.watch(MAPS, resourceVersion=version)).rest()
        assert events[0]["object"]["code"] == 410

    play(scenario)


def test_every_mutation_is_audited_once_and_in_order(play):
    async def scenario(api):
        seen: list[Mutation] = []
        stop = api.server.audit.subscribe(seen.append)
        await api("POST", MAPS, config(), headers={"user-agent": "tester/1"})
        await api.patch(f"{MAPS}/m", {"data": {"a": "2"}})
        await api.patch(f"{MAPS}/m", {"data": {"a": "2"}})
        await api.delete(f"{MAPS}/m")
        stop()
        await api.post(MAPS, config())
        assert [(one.verb, one.event) for one in seen] == [
            ("create", "ADDED"),
            ("patch", "MODIFIED"),
            ("delete", "DELETED"),
        ]
        assert (seen[0].resource, seen[0].user_agent, seen[0].before) == ("configmaps", "tester/1", None)
        assert (seen[1].before["data"], seen[1].after["data"]) == ({"a": "1"}, {"a": "2"})
        assert seen[2].after is None
        assert [one.revision for one in seen] == sorted({one.revision for one in seen})

    play(scenario)


def test_a_restarted_server_goes_on_with_higher_versions():
    first = ApiServer(SystemClock(), SeededRng(1))

    class Later(SystemClock):
        def wall(self):
            from datetime import timedelta

            return super().wall() + timedelta(seconds=1)

    second = ApiServer(Later(), SeededRng(1))
    assert second.store.version > first.store.version


def test_the_server_answers_over_http_and_drops_connections_for_faults():
    async def main() -> None:
        server = ApiServer(SystemClock(), SeededRng(1))
        http = HttpServer(server.handle)
        port = await http.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/v1/namespaces?limit=1 HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        server.faults.add(Fault(DropAfter(), verb="list"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/v1/namespaces HTTP/1.1\r\nHost: h\r\n\r\n")
        try:
            assert await reader.read() == b""
        except ConnectionResetError:
            pass
        writer.close()
        await http.stop()

    asyncio.run(main())

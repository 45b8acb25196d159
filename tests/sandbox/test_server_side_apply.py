"""Server-side apply and managedFields: the sandbox beside what a real API server said.

`ownership/cases.yaml` has sequences of writes, `ownership/observed.json` what a server of the same
version answered to each step: status, errors with their causes, entries but for their times, and
what of the object applying decides. Whoever adds a case runs `outcomes` against a server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kcm.base.rng import SeededRng
from kcm.sandbox.api import ApiServer
from kcm.sandbox.api.records import Record
from kcm.serving.http import Request
from kcm.testing.virtual import VirtualClock, run

Json = dict[str, Any]
# Sends method, path, query, media type and body; returns status and answer.
Send = Callable[[str, str, dict[str, str], str, Any], Awaitable[tuple[int, Json]]]

HERE = Path(__file__).parent / "ownership"
SPACE = "case-space"
KINDS = {
    "configmaps": ("v1", "ConfigMap"),
    "crontabs": ("stable.example.com/v1", "CronTab"),
    "customresourcedefinitions": ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    "daemonsets": ("apps/v1", "DaemonSet"),
    "deployments": ("apps/v1", "Deployment"),
    "events": ("v1", "Event"),
    "events.v1": ("events.k8s.io/v1", "Event"),
    "horizontalpodautoscalers": ("autoscaling/v2", "HorizontalPodAutoscaler"),
    "horizontalpodautoscalers.v1": ("autoscaling/v1", "HorizontalPodAutoscaler"),
    "jobs": ("batch/v1", "Job"),
    "leases": ("coordination.k8s.io/v1", "Lease"),
    "namespaces": ("v1", "Namespace"),
    "nodes": ("v1", "Node"),
    "poddisruptionbudgets": ("policy/v1", "PodDisruptionBudget"),
    "pods": ("v1", "Pod"),
    "replicasets": ("apps/v1", "ReplicaSet"),
    "rolebindings": ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    "roles": ("rbac.authorization.k8s.io/v1", "Role"),
    "secrets": ("v1", "Secret"),
    "serviceaccounts": ("v1", "ServiceAccount"),
    "services": ("v1", "Service"),
    "statefulsets": ("apps/v1", "StatefulSet"),
}
PATCHES = {
    "apply": "application/apply-patch+yaml",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
# Kinds of which the outcome shows what applying decides; of others the server decides too much.
SHOWN = ("ConfigMap", "Secret", "Deployment", "HorizontalPodAutoscaler", "Lease", "CronTab")


class Target:
    """An object, or a subresource of one, by the short name that cases use."""

    def __init__(self, text: str, space: str) -> None:
        known, self.name, *rest = text.strip("/").split("/")
        self.subresource = "/".join(rest)
        self.version, self.kind = KINDS[known]
        plural = known.partition(".")[0]
        root = "/api/v1" if self.version == "v1" else f"/apis/{self.version}"
        inside = "" if text.startswith("/") else f"/namespaces/{space}"
        self.collection = f"{root}{inside}/{plural}"
        self.path = f"{self.collection}/{self.name}" + "".join(f"/{part}" for part in rest)

    def whole(self, body: Json) -> Json:
        """Return a body with what every object has."""
        scale = self.subresource == "scale"
        head = {
            "apiVersion": "autoscaling/v1" if scale else self.version,
            "kind": "Scale" if scale else self.kind,
        }
        return {**head, **body, "metadata": {"name": self.name, **(body.get("metadata") or {})}}


def merged(document: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


async def outcomes(
    send: Send, steps: list[Json], space: str, pause: Callable[[], Awaitable[None]]
) -> list[Json]:
    """Do the steps of a case; return what each of them led to."""
    found = []
    for given in steps:
        step = json.loads(json.dumps(given).replace("NAMESPACE", space))
        outcome = await _outcome(send, step, space)
        found.append(json.loads(json.dumps(outcome).replace(space, "NAMESPACE")))
        if step.get("pause"):
            await pause()
    return found


async def _outcome(send: Send, step: Json, space: str) -> Json:
    verb = next(verb for verb in ("create", "edit", "delete", *PATCHES) if verb in step)
    target = Target(step[verb], space)
    query = {"fieldManager": step["as"]} if "as" in step else {}
    query |= {"force": "true"} if step.get("force") else {}
    query |= {"dryRun": "All"} if step.get("dry") else {}
    body: Any = step.get("body")
    match verb:
        case "delete":
            status, _ = await send("DELETE", target.path, {}, "", None)
            return {"code": status}
        case "create":
            answer = await send("POST", target.collection, query, "application/json", target.whole(body))
        case "edit":
            _, present = await send("GET", target.path, {}, "", None)
            answer = await send("PUT", target.path, query, "application/json", merged(present, body))
        case "apply":
            answer = await send("PATCH", target.path, query, PATCHES[verb], target.whole(body))
        case _:
            answer = await send("PATCH", target.path, query, PATCHES[verb], body)
    status, obj = answer
    if status >= 400:
        causes = (obj.get("details") or {}).get("causes")
        # The real server names conflicts with several managers in any order.
        causes = causes and sorted(causes, key=lambda cause: (cause["field"], cause["message"]))
        return {"code": status, "message": obj.get("message"), "reason": obj.get("reason"), "causes": causes}
    if "see" in step:
        _, obj = await send("GET", Target(step["see"], space).path, {}, "", None)
    return {"code": status, **_seen(obj)}


def _seen(obj: Json) -> Json:
    metadata = obj["metadata"]
    entries = metadata.get("managedFields") or []
    if obj["kind"] == "CustomResourceDefinition":
        # What the server itself says of a definition goes by the name of its program.
        entries = [entry for entry in entries if "subresource" not in entry]
    seen: Json = {
        "owners": [{name: entry[name] for name in entry if name != "time"} for entry in entries],
        "timeless": [entry["manager"] for entry in entries if "time" not in entry],
    }
    # Entries of one second are in the order of names, so that a slow server has another order.
    seen["owners"].sort(key=lambda entry: json.dumps(entry, sort_keys=True))
    if obj["kind"] in SHOWN:
        seen |= {part: obj[part] for part in ("data", "spec") if part in obj}
        seen |= {part: metadata[part] for part in ("labels", "annotations", "finalizers") if part in metadata}
    return seen


def cases() -> list[Json]:
    """Return all cases."""
    found: list[Json] = yaml.safe_load((HERE / "cases.yaml").read_text())
    return found


def _parameters() -> Iterator[Any]:
    observed = json.loads((HERE / "observed.json").read_text())
    for case in cases():
        yield pytest.param(case["steps"], observed[case["name"]], id=case["name"].replace(" ", "-"))


def sender(server: ApiServer) -> Send:
    """Return what sends requests to a server."""

    async def send(method: str, path: str, query: dict[str, str], media: str, body: Any) -> tuple[int, Json]:
        headers = {"content-type": media, "user-agent": "test/1"}
        sent = b"" if body is None else json.dumps(body).encode()
        response = await server.handle(Request(method, path, tuple(query.items()), headers, sent))
        assert isinstance(response.body, bytes)
        return response.status, json.loads(response.body)

    return send


@pytest.mark.parametrize(("steps", "observed"), list(_parameters()))
def test_owners_are_those_that_a_real_server_has(steps: list[Json], observed: list[Json]) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        server = ApiServer(clock, SeededRng(1))
        send = sender(server)
        await send("POST", "/api/v1/namespaces", {}, "application/json", {"metadata": {"name": SPACE}})

        async def pause() -> None:
            await clock.sleep(1.1)

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(server.run())
            found = await outcomes(send, steps, SPACE, pause)
            running.cancel()
        for index, outcome in enumerate(found):
            assert outcome == observed[index], f"step {index}: {steps[index]}"

    run(scenario())


CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
PATH = "/api/v1/namespaces/default/configmaps"


def in_sandbox(scenario: Callable[[Send, VirtualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        await scenario(sender(ApiServer(clock, SeededRng(1))), clock)

    run(main())


def test_times_tell_when_a_manager_last_changed_something() -> None:
    async def scenario(send: Send, clock: VirtualClock) -> None:
        async def times() -> dict[str, str]:
            _, obj = await send("GET", f"{PATH}/a", {}, "", None)
            return {entry["manager"]: entry["time"] for entry in obj["metadata"]["managedFields"]}

        apply, one = PATCHES["apply"], {"fieldManager": "one"}
        await send("PATCH", f"{PATH}/a", one, apply, CONFIG)
        first = await times()
        await clock.sleep(10)
        await send("PATCH", f"{PATH}/a", one, apply, CONFIG)
        assert await times() == first
        await send("PATCH", f"{PATH}/a", {"fieldManager": "two"}, PATCHES["merge"], {"data": {"l": "w"}})
        later = await times()
        assert later["one"] == first["one"] < later["two"]
        await clock.sleep(10)
        await send("PATCH", f"{PATH}/a", {"fieldManager": "two"}, PATCHES["merge"], {"data": {"l": "w"}})
        assert await times() == later

    in_sandbox(scenario)


def test_applying_the_same_again_is_no_write() -> None:
    async def scenario(send: Send, clock: VirtualClock) -> None:
        apply, one = PATCHES["apply"], {"fieldManager": "one"}
        status, made = await send("PATCH", f"{PATH}/a", one, apply, CONFIG)
        assert status == 201
        await clock.sleep(10)
        status, again = await send("PATCH", f"{PATH}/a", one, apply, CONFIG)
        assert (status, again) == (200, made)
        status, read = await send("GET", f"{PATH}/a", {}, "", None)
        assert read == made

    in_sandbox(scenario)


def test_owners_alone_make_a_write() -> None:
    async def scenario(send: Send, clock: VirtualClock) -> None:
        _, made = await send("PATCH", f"{PATH}/a", {"fieldManager": "one"}, PATCHES["apply"], CONFIG)
        _, shared = await send("PATCH", f"{PATH}/a", {"fieldManager": "two"}, PATCHES["apply"], CONFIG)
        assert shared["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
        assert shared["data"] == made["data"]

    in_sandbox(scenario)


def test_a_configuration_may_be_yaml() -> None:
    async def scenario() -> None:
        server = ApiServer(VirtualClock(), SeededRng(1))
        text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: v\n  k: w\n"
        headers = {"content-type": PATCHES["apply"]}
        request = Request("PATCH", f"{PATH}/a", (("fieldManager", "one"),), headers, text)
        answer = await server.handle(request)
        assert answer.status == 201
        assert isinstance(answer.body, bytes)
        assert json.loads(answer.body)["data"] == {"k": "w"}
        assert answer.headers["Warning"] == '299 - "line 7: key \\"k\\" already set in map"'

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            b"[1]",
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ",
        ),
        (b"a: b: c", "error decoding YAML: error converting YAML to JSON: yaml: "),
        (b"a: &a [b]\nc: *a\n", "error decoding YAML: error converting YAML to JSON: yaml: "),
        (b"", "invalid object type: /, Kind="),
        (b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}', "the name of the object"),
    ],
)
def test_what_is_no_configuration_is_refused(body: bytes, message: str) -> None:
    async def scenario() -> None:
        server = ApiServer(VirtualClock(), SeededRng(1))
        headers = {"content-type": PATCHES["apply"]}
        request = Request("PATCH", f"{PATH}/a", (("fieldManager", "one"),), headers, body)
        answer = await server.handle(request)
        assert isinstance(answer.body, bytes)
        assert (answer.status, json.loads(answer.body)["reason"]) == (400, "BadRequest")
        assert json.loads(answer.body)["message"].startswith(message)

    asyncio.run(scenario())


def test_an_apply_needs_a_manager() -> None:
    async def scenario(send: Send, clock: VirtualClock) -> None:
        status, answer = await send("PATCH", f"{PATH}/a", {}, PATCHES["apply"], CONFIG)
        assert status == 422
        assert answer["details"]["causes"][0]["field"] == "fieldManager"

    in_sandbox(scenario)


def test_a_writer_without_a_name_is_known_by_its_program() -> None:
    async def scenario(send: Send, clock: VirtualClock) -> None:
        _, made = await send("POST", PATH, {}, "application/json", CONFIG)
        assert made["metadata"]["managedFields"][0]["manager"] == "test"

    in_sandbox(scenario)


def test_owners_are_in_lists_watches_and_metadata_alone(play: Any) -> None:
    async def scenario(api: Any) -> None:
        await api.post(PATH, CONFIG, fieldManager="one")
        (item,) = [one for one in (await api.get(PATH)).body["items"] if one["metadata"]["name"] == "a"]
        assert item["metadata"]["managedFields"][0]["manager"] == "one"
        watch = await api.watch(PATH, fieldSelector="metadata.name=a")
        event = await watch.next()
        assert event["object"]["metadata"] == item["metadata"]
        await watch.close()
        accept = {"accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
        partial = await api("GET", f"{PATH}/a", headers=accept)
        assert partial.body["metadata"] == item["metadata"]
        deleted = await api.delete(f"{PATH}/a")
        assert deleted.status == 200

    play(scenario)


def test_simulated_components_own_nothing_but_take_what_they_change(play: Any) -> None:
    async def scenario(api: Any) -> None:
        pods = "/api/v1/namespaces/default/pods"
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        await api.post(pods, pod, fieldManager="one")
        own = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
        own["status"] = {"conditions": [{"type": "Mine", "status": "True"}], "message": "m"}
        applied = await api.patch(f"{pods}/p/status", own, PATCHES["apply"], fieldManager="two")
        assert applied.status == 200
        headers = {"content-type": PATCHES["merge"], "user-agent": "kubelet/sandbox"}
        done = await api("PATCH", f"{pods}/p/status", {"status": {"message": "n"}}, headers=headers)
        owners = {entry["manager"]: entry for entry in done.body["metadata"]["managedFields"]}
        assert owners.keys() == {"one", "two"}
        assert "f:message" not in owners["two"]["fieldsV1"]["f:status"]

    play(scenario)


def test_owners_come_back_with_the_bytes_of_their_object() -> None:
    async def scenario(send: Send, clock: VirtualClock) -> None:
        _, made = await send("PATCH", f"{PATH}/a", {"fieldManager": "one"}, PATCHES["apply"], CONFIG)
        record = Record(json.loads(json.dumps(made)), 7, ())
        shown = json.loads(record.raw)
        assert shown["metadata"].pop("resourceVersion") == "7"
        assert made["metadata"].pop("resourceVersion")
        assert shown == made
        assert "managedFields" not in record.copy()["metadata"]

    in_sandbox(scenario)

"""CustomResourceDefinitions and what they define, on the API server in virtual time."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest

from kcm.base.clock import SystemClock
from kcm.base.rng import SeededRng
from kcm.sandbox.api import ApiServer
from kcm.sandbox.api.durable import Durability
from kcm.serving.http import Request

STRATEGIC = "application/strategic-merge-patch+json"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "stable.example.com"
WIDGETS = f"/apis/{GROUP}/v1/namespaces/default/widgets"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}

SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 10},
        "mode": {"type": "string", "enum": ["on", "off"], "default": "on"},
        "selector": {"type": "string"},
        "color": {"type": "string"},
        "deep": {"type": "object", "default": {}, "properties": {"level": {"type": "integer", "default": 7}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "note": {"type": "string", "nullable": True},
    },
}
STATUS = {"type": "object", "properties": {"replicas": {"type": "integer"}, "phase": {"type": "string"}}}
SUBRESOURCES = {
    "status": {},
    "scale": {
        "specReplicasPath": ".spec.size",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".spec.selector",
    },
}
COLUMNS = [
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
    {"name": "Born", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase", "priority": 1},
]


def version(name: str = "v1", **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}
    return {
        "name": name,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": copy.deepcopy(schema)},
        "subresources": SUBRESOURCES,
        "additionalPrinterColumns": COLUMNS,
        **more,
    }


def definition(plural: str = "widgets", kind: str = "Widget", *versions: Any, **names: Any) -> dict[str, Any]:
    spec = {
        "group": GROUP,
        "scope": names.pop("scope", "Namespaced"),
        "names": {"plural": plural, "kind": kind, **names},
        "versions": list(versions) or [version()],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": spec,
    }


def widget(name: str = "w", api: str = "v1", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name}
    return {
        "apiVersion": f"{GROUP}/{api}",
        "kind": "Widget",
        "metadata": metadata,
        "spec": {"size": 1, **spec},
    }


async def define(api: Any, crd: dict[str, Any] | None = None) -> None:
    answer = await api.post(CRDS, crd or definition())
    assert answer.status == 201, answer.body
    await api.settle()


def conditions(crd: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in crd["status"]["conditions"]}


def test_a_definition_gets_its_names_and_is_established(play):
    async def scenario(api):
        made = (await api.post(CRDS, definition(shortNames=["wd"]))).body
        assert made["status"]["storedVersions"] == ["v1"]
        assert made["status"]["acceptedNames"] == {"plural": "", "kind": ""}
        assert made["spec"]["names"]["listKind"] == "WidgetList"
        assert made["spec"]["names"]["singular"] == "widget"
        assert made["spec"]["conversion"] == {"strategy": "None"}
        assert made["metadata"]["generation"] == 1
        watch = await api.watch(CRDS, resourceVersion=made["metadata"]["resourceVersion"])
        first, second = await watch.next(), await watch.next()
        assert conditions(first["object"]) == {
            "NamesAccepted": ("True", "NoConflicts"),
            "Established": ("False", "Installing"),
        }
        assert conditions(second["object"])["Established"] == ("True", "InitialNamesAccepted")
        # Whoever has seen the condition is not sent away.
        assert (await api.get(WIDGETS)).body["items"] == []
        accepted = (await api.get(f"{CRDS}/widgets.{GROUP}")).body["status"]["acceptedNames"]
        assert accepted == {
            "plural": "widgets",
            "singular": "widget",
            "kind": "Widget",
            "listKind": "WidgetList",
            "shortNames": ["wd"],
        }

    play(scenario)


def test_routes_discovery_and_openapi_come_and_go_with_the_definition(play):
    async def scenario(api):
        assert (await api.get(WIDGETS)).status == 404
        before = (await api.get("/openapi/v3")).body["paths"]
        await define(api, definition(shortNames=["wd"], categories=["all"]))
        assert (await api.get(WIDGETS)).body["kind"] == "WidgetList"
        group = (await api.get(f"/apis/{GROUP}")).body
        assert group["preferredVersion"]["groupVersion"] == f"{GROUP}/v1"
        resources = (await api.get(f"/apis/{GROUP}/v1")).body["resources"]
        assert {one["name"] for one in resources} == {"widgets", "widgets/status", "widgets/scale"}
        assert next(one for one in resources if one["name"] == "widgets")["shortNames"] == ["wd"]
        paths = (await api.get("/openapi/v3")).body["paths"]
        assert set(paths) - set(before) == {f"apis/{GROUP}/v1"}
        document = (await api.get(f"/openapi/v3/apis/{GROUP}/v1")).body
        schema = document["components"]["schemas"]["com.example.stable.v1.Widget"]
        assert schema["properties"]["spec"]["properties"]["size"]["maximum"] == 10
        assert "allOf" in schema["properties"]["metadata"]
        hashed = paths[f"apis/{GROUP}/v1"]["serverRelativeURL"]
        changed = version()
        changed["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["more"] = {"type": "string"}
        crd = (await api.get(f"{CRDS}/widgets.{GROUP}")).body
        crd["spec"]["versions"] = [changed]
        assert (await api.put(f"{CRDS}/widgets.{GROUP}", crd)).status == 200
        assert (await api.get("/openapi/v3")).body["paths"][f"apis/{GROUP}/v1"]["serverRelativeURL"] != hashed
        await api.delete(f"{CRDS}/widgets.{GROUP}")
        await api.settle()
        assert (await api.get(f"{CRDS}/widgets.{GROUP}")).status == 404
        assert (await api.get(WIDGETS)).status == 404
        assert (await api.get(f"/apis/{GROUP}")).status == 404
        assert (await api.get("/openapi/v3")).body["paths"] == before

    play(scenario)


def test_names_that_another_definition_has_are_not_accepted_until_it_is_gone(play):
    async def scenario(api):
        await define(api)
        await define(api, definition("gadgets", "Widget", singular="gadget"))
        second = (await api.get(f"{CRDS}/gadgets.{GROUP}")).body
        assert conditions(second) == {
            "NamesAccepted": ("False", "ListKindConflict"),
            "Established": ("False", "NotAccepted"),
        }
        assert second["status"]["acceptedNames"] == {"plural": "gadgets", "singular": "gadget", "kind": ""}
        assert (await api.get(f"/apis/{GROUP}/v1/gadgets")).status == 404
        await api.delete(f"{CRDS}/widgets.{GROUP}")
        await api.settle()
        assert conditions((await api.get(f"{CRDS}/gadgets.{GROUP}")).body)["Established"][0] == "True"
        assert (await api.get(f"/apis/{GROUP}/v1/gadgets")).status == 200

    play(scenario)


def test_an_object_is_defaulted_pruned_and_judged(play):
    async def scenario(api):
        await define(api)
        made = await api.post(
            WIDGETS, {**widget(zoo=1, note=None, color=None, free={"x": {"y": 1}}), "odd": 1}
        )
        assert made.status == 201
        assert made.body["spec"] == {
            "size": 1,
            "note": None,
            "free": {"x": {"y": 1}},
            "mode": "on",
            "deep": {"level": 7},
        }
        assert "odd" not in made.body
        assert 'unknown field \\"odd\\"' in made.headers["Warning"]
        assert 'unknown field \\"spec.zoo\\"' in made.headers["Warning"]
        assert made.body["metadata"]["generation"] == 1
        strict = await api.post(WIDGETS, widget("s", zoo=1), fieldValidation="Strict")
        assert strict.status == 400
        assert strict.body["message"] == (
            'Widget in version "v1" cannot be handled as a Widget: strict decoding error: '
            'unknown field "spec.zoo"'
        )
        ignored = await api.post(WIDGETS, widget("i", zoo=1), fieldValidation="Ignore")
        assert (ignored.status, "Warning" in ignored.headers) == (201, False)
        bad = await api.post(WIDGETS, widget("b", size=11, mode="x"))
        assert bad.status == 422
        assert bad.body["message"] == (
            f'Widget.{GROUP} "b" is invalid: [spec.size: Invalid value: 11: spec.size in body should be less '
            'than or equal to 10, spec.mode: Unsupported value: "x": supported values: "on", "off"]'
        )
        assert [one["reason"] for one in bad.body["details"]["causes"]] == [
            "FieldValueInvalid",
            "FieldValueNotSupported",
        ]

    play(scenario)


def test_generation_counts_every_change_but_those_of_metadata_and_status(play):
    async def scenario(api):
        await define(api)
        path = f"{WIDGETS}/w"
        await api.post(WIDGETS, {**widget(), "status": {"phase": "ignored"}})
        first = (await api.get(path)).body
        assert "status" not in first
        labelled = await api.patch(path, {"metadata": {"labels": {"a": "b"}}})
        assert labelled.body["metadata"]["generation"] == 1
        resized = await api.patch(path, {"spec": {"size": 2}, "status": {"phase": "x"}})
        assert (resized.body["metadata"]["generation"], "status" in resized.body) == (2, False)
        told = await api.patch(
            f"{path}/status",
            {"status": {"phase": "x"}, "spec": {"size": 9}, "metadata": {"labels": {"q": "r"}}},
        )
        assert told.body["status"] == {"phase": "x"}
        assert told.body["spec"]["size"] == 2
        assert told.body["metadata"]["labels"] == {"a": "b"}
        assert told.body["metadata"]["generation"] == 2
        same = await api.patch(path, {"spec": {"size": 2}})
        assert same.version == told.version
        bad = await api.patch(f"{path}/status", {"status": {"phase": 5}})
        assert bad.body["message"] == (
            f'Widget.{GROUP} "w" is invalid: status.phase: Invalid value: "integer": phase in body must '
            'be of type string: "integer"'
        )

    play(scenario)


def test_a_put_needs_the_version_and_a_strategic_patch_is_no_patch(play):
    async def scenario(api):
        await define(api)
        await api.post(WIDGETS, widget())
        refused = await api.put(f"{WIDGETS}/w", widget(size=2))
        assert refused.status == 422
        assert refused.body["message"] == (
            f'widgets.{GROUP} "w" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified '
            "for an update"
        )
        present = (await api.get(f"{WIDGETS}/w")).body
        present["spec"]["size"] = 3
        assert (await api.put(f"{WIDGETS}/w", present)).body["spec"]["size"] == 3
        assert (await api.put(f"{WIDGETS}/none", widget("none"))).status == 404
        strategic = await api.patch(f"{WIDGETS}/w", {"spec": {"size": 4}}, STRATEGIC)
        assert strategic.status == 415
        assert "application/apply-patch+yaml" in strategic.body["message"]
        crd = (await api.get(f"{CRDS}/widgets.{GROUP}")).body
        del crd["metadata"]["resourceVersion"]
        assert (await api.put(f"{CRDS}/widgets.{GROUP}", crd)).status == 422

    play(scenario)


def test_scale_reads_and_writes_the_paths_of_the_definition(play):
    async def scenario(api):
        await define(api)
        path = f"{WIDGETS}/w/scale"
        await api.post(WIDGETS, widget(size=4, selector="app=w"))
        await api.patch(f"{WIDGETS}/w/status", {"status": {"replicas": 2}})
        scale = (await api.get(path)).body
        assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
        assert (scale["spec"], scale["status"]) == ({"replicas": 4}, {"replicas": 2, "selector": "app=w"})
        assert (await api.patch(path, {"spec": {"replicas": 7}})).body["spec"] == {"replicas": 7}
        present = (await api.get(f"{WIDGETS}/w")).body
        assert (present["spec"]["size"], present["metadata"]["generation"]) == (7, 2)
        refused = await api.patch(path, {"spec": {"replicas": -7}})
        assert [one["field"] for one in refused.body["details"]["causes"]] == ["spec.size", ".spec.size"]
        assert (await api.get(f"{WIDGETS}/w/log")).status == 404

    play(scenario)


def test_tables_have_the_columns_of_the_definition(play):
    async def scenario(api):
        await define(api)
        await define(api, definition("plains", "Plain", version(additionalPrinterColumns=[])))
        await api.post(WIDGETS, widget())
        await api.settle(60)
        table = (await api("GET", WIDGETS, None, TABLE)).body
        assert [one["name"] for one in table["columnDefinitions"]] == ["Name", "Size", "Born", "Phase"]
        assert table["rows"][0]["cells"] == ["w", 1, "60s", None]
        assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
        plain = (await api("GET", f"/apis/{GROUP}/v1/plains", None, TABLE)).body
        assert [one["name"] for one in plain["columnDefinitions"]] == ["Name", "Age"]
        shown = (await api("GET", CRDS, None, TABLE)).body
        assert [one["name"] for one in shown["columnDefinitions"]] == ["Name", "Created At"]

    play(scenario)


def test_versions_are_converted_by_rewriting_and_each_fills_in_its_own(play):
    async def scenario(api):
        old = version("v1alpha1", storage=False)
        old["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["mode"]["default"] = "off"
        await define(api, definition("widgets", "Widget", old, version("v1")))
        alpha = WIDGETS.replace("v1/", "v1alpha1/", 1)
        assert (await api.get(f"/apis/{GROUP}")).body["preferredVersion"]["version"] == "v1"
        made = (await api.post(alpha, widget(api="v1alpha1"))).body
        assert (made["apiVersion"], made["spec"]["mode"]) == (f"{GROUP}/v1alpha1", "off")
        other = (await api.get(f"{WIDGETS}/w")).body
        assert (other["apiVersion"], other["spec"]["mode"]) == (f"{GROUP}/v1", "off")
        watch = await api.watch(alpha, resourceVersion="0")
        assert (await watch.next())["object"]["apiVersion"] == f"{GROUP}/v1alpha1"
        await api.patch(f"{WIDGETS}/w", {"spec": {"size": 2}})
        seen = (await watch.next())["object"]
        assert (seen["apiVersion"], seen["metadata"]["generation"]) == (f"{GROUP}/v1alpha1", 2)
        crd = (await api.get(f"{CRDS}/widgets.{GROUP}")).body
        crd["spec"]["versions"][0]["served"] = False
        assert (await api.put(f"{CRDS}/widgets.{GROUP}", crd)).status == 200
        assert (await api.get(alpha)).status == 404
        assert (await api.get(WIDGETS)).status == 200

    play(scenario)


def test_older_objects_get_what_the_schema_has_learned_since(play):
    async def scenario(api):
        await define(api)
        await api.post(WIDGETS, widget())
        before = (await api.get(f"{WIDGETS}/w")).body
        crd = (await api.get(f"{CRDS}/widgets.{GROUP}")).body
        properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
            "properties"
        ]
        properties["fresh"] = {"type": "string", "default": "yes"}
        del properties["deep"]
        watch = await api.watch(WIDGETS, resourceVersion=before["metadata"]["resourceVersion"])
        assert (await api.put(f"{CRDS}/widgets.{GROUP}", crd)).status == 200
        # A watch speaks one schema: it ends, and its reader comes back.
        assert await watch.rest() == []
        now = (await api.get(f"{WIDGETS}/w")).body
        assert now["spec"] == {"size": 1, "mode": "on", "fresh": "yes"}
        assert now["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        assert (await api.get(WIDGETS)).body["items"][0]["spec"]["fresh"] == "yes"

    play(scenario)


def test_what_an_update_leaves_alone_is_not_judged_by_a_stricter_schema(play):
    async def scenario(api):
        await define(api)
        await api.post(WIDGETS, widget(size=9))
        crd = (await api.get(f"{CRDS}/widgets.{GROUP}")).body
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"]["spec"]["properties"]["size"]["maximum"] = 5
        assert (await api.put(f"{CRDS}/widgets.{GROUP}", crd)).status == 200
        assert (await api.patch(f"{WIDGETS}/w", {"spec": {"color": "red"}})).status == 200
        assert (await api.patch(f"{WIDGETS}/w", {"spec": {"size": 8}})).status == 422
        assert (await api.patch(f"{WIDGETS}/w", {"spec": {"size": 5}})).status == 200

    play(scenario)


def test_a_deleted_definition_takes_its_objects_along_and_waits_for_their_finalizers(play):
    async def scenario(api):
        await define(api)
        await api.post(WIDGETS, widget("a"))
        held = widget("b")
        held["metadata"]["finalizers"] = ["example.com/wait"]
        await api.post(WIDGETS, held)
        watch = await api.watch(WIDGETS, resourceVersion=(await api.get(WIDGETS)).version)
        deleted = (await api.delete(f"{CRDS}/widgets.{GROUP}")).body
        assert deleted["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
        assert conditions(deleted)["Terminating"] == ("True", "InstanceDeletionPending")
        await api.settle()
        crd = (await api.get(f"{CRDS}/widgets.{GROUP}")).body
        assert conditions(crd)["Terminating"] == ("True", "InstanceDeletionInProgress")
        assert [one["metadata"]["name"] for one in (await api.get(WIDGETS)).body["items"]] == ["b"]
        refused = await api.post(WIDGETS, widget("c"))
        assert refused.status == 403
        assert "create not allowed while custom resource definition is terminating" in refused.body["message"]
        await api.patch(f"{WIDGETS}/b", {"metadata": {"finalizers": None}})
        await api.settle()
        assert (await api.get(f"{CRDS}/widgets.{GROUP}")).status == 404
        kinds = [(one["type"], one["object"]["metadata"]["name"]) for one in await watch.rest()]
        assert kinds == [("DELETED", "a"), ("MODIFIED", "b"), ("DELETED", "b")]

    play(scenario)


def test_a_definition_that_comes_back_has_no_memory_of_the_first(play):
    async def scenario(api):
        await define(api)
        version_before = (await api.post(WIDGETS, widget())).version
        await api.delete(f"{CRDS}/widgets.{GROUP}")
        await api.settle()
        await define(api)
        assert (await api.get(WIDGETS)).body["items"] == []
        watch = await api.watch(WIDGETS, resourceVersion=version_before)
        assert (await watch.next())["object"]["reason"] == "Expired"

    play(scenario)


def test_owners_and_namespaces_take_custom_resources_along(play):
    async def scenario(api):
        await define(api)
        owner = (await api.post(WIDGETS, widget("owner"))).body
        reference = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "Widget",
            "name": "owner",
            "uid": owner["metadata"]["uid"],
        }
        owned = widget("owned")
        owned["metadata"]["ownerReferences"] = [reference]
        await api.post(WIDGETS, owned)
        maps = "/api/v1/namespaces/default/configmaps"
        await api.post(maps, {"metadata": {"name": "c", "ownerReferences": [reference]}})
        await api.delete(f"{WIDGETS}/owner")
        await api.settle()
        assert (await api.get(f"{WIDGETS}/owned")).status == 404
        assert (await api.get(f"{maps}/c")).status == 404
        await api.post("/api/v1/namespaces", {"metadata": {"name": "n"}})
        inside = WIDGETS.replace("/default/", "/n/")
        await api.post(inside, widget())
        await api.delete("/api/v1/namespaces/n")
        await api.settle()
        assert (await api.get(f"{inside}/w")).status == 404
        assert (await api.get("/api/v1/namespaces/n")).status == 404
        assert (await api.post(inside, widget())).status == 404

    play(scenario)


def test_a_cluster_scoped_kind_with_the_name_of_a_built_in_one_is_not_taken_for_it(play):
    async def scenario(api):
        await define(api, definition("pods", "Pod", version(additionalPrinterColumns=[]), scope="Cluster"))
        path = f"/apis/{GROUP}/v1/pods"
        pod = {"apiVersion": f"{GROUP}/v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"size": 1}}
        made = (await api.post(path, pod)).body
        assert made["spec"] == {"size": 1, "mode": "on", "deep": {"level": 7}}
        assert "status" not in made
        assert "namespace" not in made["metadata"]
        table = (await api("GET", path, None, TABLE)).body
        assert [one["name"] for one in table["columnDefinitions"]] == ["Name", "Age"]
        gone = (await api.delete(f"{path}/p")).body
        assert (gone["kind"], gone["status"]) == ("Status", "Success")
        assert (await api.get("/api/v1/pods")).body["items"] == []

    play(scenario)


def test_field_selectors_follow_the_definition(play):
    async def scenario(api):
        fields = [{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.size"}]
        await define(api, definition("widgets", "Widget", version(selectableFields=fields)))
        await api.post(WIDGETS, widget("a", color="red", size=1))
        await api.post(WIDGETS, widget("b", color="blue", size=2))

        async def selected(selector):
            items = (await api.get(WIDGETS, fieldSelector=selector)).body["items"]
            return [one["metadata"]["name"] for one in items]

        assert await selected("spec.color=red") == ["a"]
        assert await selected("spec.size=2") == ["b"]
        assert await selected("spec.color!=red,metadata.name=b") == ["b"]
        refused = await api.get(WIDGETS, fieldSelector="spec.mode=on")
        assert (refused.status, refused.body["message"]) == (400, "field label not supported: spec.mode")

    play(scenario)


def test_a_definition_warns_of_what_is_not_evaluated_or_deprecated(play):
    async def scenario(api):
        old = version(deprecated=True)
        old["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = [
            {"rule": "self.size > 1"}
        ]
        made = await api.post(CRDS, definition("widgets", "Widget", old))
        assert "does not evaluate its 1 x-kubernetes-validations" in made.headers["Warning"]
        await api.settle()
        listed = await api.get(WIDGETS)
        assert f"{GROUP}/v1 Widget is deprecated" in listed.headers["Warning"]
        assert (await api.post(WIDGETS, widget())).status == 201

    play(scenario)


@pytest.mark.parametrize(
    ("path", "value"),
    [(("scope",), "Cluster"), (("names", "kind"), "Other"), (("group",), "x.example.com")],
)
def test_what_an_established_definition_may_not_change(play, path, value):
    async def scenario(api):
        await define(api)
        crd = (await api.get(f"{CRDS}/widgets.{GROUP}")).body
        here = crd["spec"]
        for name in path[:-1]:
            here = here[name]
        here[path[-1]] = value
        refused = await api.put(f"{CRDS}/widgets.{GROUP}", crd)
        assert refused.status == 422
        assert f"spec.{'.'.join(path)}: Invalid value" in refused.body["message"]
        assert "field is immutable" in refused.body["message"]

    play(scenario)


def test_a_version_in_which_objects_may_be_stored_stays(play):
    async def scenario(api):
        await define(api)
        crd = (await api.get(f"{CRDS}/widgets.{GROUP}")).body
        crd["spec"]["versions"] = [version("v2")]
        refused = await api.put(f"{CRDS}/widgets.{GROUP}", crd)
        assert "v1 was previously a storage version" in refused.body["message"]
        crd["spec"]["versions"] = [version("v1", storage=False), version("v2")]
        changed = (await api.put(f"{CRDS}/widgets.{GROUP}", crd)).body
        assert changed["status"]["storedVersions"] == ["v1", "v2"]

    play(scenario)


def test_custom_resources_outlive_their_server(tmp_path):
    async def ask(server: ApiServer, method: str, path: str, body: Any = None) -> Any:
        sent = b"" if body is None else json.dumps(body).encode()
        answer = await server.handle(Request(method, path, (), {}, sent))
        assert isinstance(answer.body, bytes)
        return json.loads(answer.body)

    async def life(second: bool) -> Any:
        clock = SystemClock()
        durability = Durability(tmp_path, clock)
        server = ApiServer(clock, SeededRng(int(second)), durability=durability)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(server.run())
            if not second:
                await ask(server, "POST", CRDS, definition())
                watch = await server.handle(Request("GET", CRDS, (("watch", "true"),), {}, b""))
                assert not isinstance(watch.body, bytes)
                async for chunk in watch.body:
                    if b"InitialNamesAccepted" in chunk:
                        break
                await watch.body.aclose()
                await ask(server, "POST", WIDGETS, widget())
            found = await ask(server, "GET", f"{WIDGETS}/w")
            await durability.flushed()
            running.cancel()
        await durability.close()
        return found

    assert asyncio.run(life(second=False)) == asyncio.run(life(second=True))

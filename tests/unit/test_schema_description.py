"""What is served: the table of fields, discovery and OpenAPI, which all say the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kcm.sandbox.schema import discovery, openapi
from kcm.sandbox.schema.fields import TYPES, Shape, parse_type, type_of, unknown_fields
from kcm.sandbox.schema.resources import RESOURCES, ResourceInfo, find, find_kind, subresource


def named(shape: Shape) -> Iterator[str]:
    if shape.form == "object":
        yield shape.name
    if shape.item is not None:
        yield from named(shape.item)


def test_every_type_that_a_field_names_exists() -> None:
    used = {
        name for type_ in TYPES.values() for field in type_.fields.values() for name in named(field.shape)
    }
    assert used <= TYPES.keys()


def test_every_merge_key_is_a_field_of_what_it_merges() -> None:
    for type_ in TYPES.values():
        for field in type_.fields.values():
            if field.merge_key and field.shape.item is not None:
                element = TYPES[field.shape.item.name]
                assert {field.merge_key, *field.map_keys} <= element.fields.keys(), (type_.name, field.name)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.qualified)
def test_every_resource_has_a_type_with_metadata(resource: ResourceInfo) -> None:
    type_ = type_of(resource.kind, resource.api_version)
    assert type_.is_object
    assert not type_.is_free
    assert find(resource.group, resource.version, resource.plural) is resource
    assert find_kind(resource.api_version, resource.kind) is resource


def test_a_malformed_definition_is_refused() -> None:
    with pytest.raises(ValueError, match="not a field definition"):
        parse_type("X", "p", "name")


UNKNOWN = [
    pytest.param("Deployment", {"spec": {"foo": 1}}, ["spec.foo"], id="in the spec"),
    pytest.param(
        "Deployment",
        {"spec": {"template": {"spec": {"containers": [{"name": "a"}, {"imagee": "x"}]}}}},
        ["spec.template.spec.containers[1].imagee"],
        id="in a container",
    ),
    pytest.param("Pod", {"metadata": {"labels": {"anything": "x"}}, "x": {}}, ["x"], id="but not in a map"),
    pytest.param(
        "Pod", {"metadata": {"managedFields": [{"fieldsV1": {"f:spec": {}}}]}}, [], id="not in fieldsV1"
    ),
    pytest.param("Pod", {"spec": ["not", "an", "object"]}, [], id="not where the type is wrong"),
    pytest.param("Event", {"apiVersion": "events.k8s.io/v1", "message": "x"}, ["message"], id="by group"),
    pytest.param("Event", {"apiVersion": "v1", "message": "x"}, [], id="in the core group"),
    pytest.param(
        "Widget", {"metadata": {"x": 1}, "spec": {"free": 1}, "more": 1}, ["metadata.x"], id="custom"
    ),
]


@pytest.mark.parametrize(("kind", "obj", "paths"), UNKNOWN)
def test_unknown_fields_are_found(kind: str, obj: dict[str, Any], paths: list[str]) -> None:
    assert unknown_fields(kind, obj) == paths


def test_both_forms_of_discovery_say_the_same() -> None:
    for core in (True, False):
        for group in discovery.aggregated(core)["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"]:
                plain = discovery.resource_list(name, version["version"])
                assert plain is not None
                listed = {entry["name"]: entry["kind"] for entry in plain["resources"]}
                found: dict[str, str] = {}
                for resource in version["resources"]:
                    found[resource["resource"]] = resource["responseKind"]["kind"]
                    for sub in resource.get("subresources", ()):
                        found[f"{resource['resource']}/{sub['subresource']}"] = sub["responseKind"]["kind"]
                assert listed == found


def test_groups_are_listed_with_a_preferred_version() -> None:
    groups = {group["name"]: group for group in discovery.group_list()["groups"]}
    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert discovery.group("apps") == {"kind": "APIGroup", "apiVersion": "v1", **groups["apps"]}
    assert discovery.group("nope") is None
    assert discovery.resource_list("apps", "v2") is None
    assert discovery.api_versions()["versions"] == ["v1"]


def test_a_custom_resource_is_discovered_by_being_in_the_list() -> None:
    widget = ResourceInfo("demo.dev", "v1", "Widget", "widgets", "widget")
    found = discovery.aggregated(False, (*RESOURCES, widget))["items"][-1]
    assert found["versions"][0]["resources"][0]["responseKind"]["kind"] == "Widget"


def test_a_scale_is_of_another_group_than_its_parent() -> None:
    deployment = find("apps", "v1", "deployments")
    assert deployment is not None
    assert subresource(deployment, "scale").group == "autoscaling"
    assert subresource(deployment, "status").kind == "Deployment"
    with pytest.raises(KeyError):
        subresource(deployment, "log")


def documents() -> dict[str, dict[str, Any]]:
    paths = openapi.index()["paths"]
    return {path: json.loads(openapi.document(path) or b"{}") for path in paths}


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_every_reference_in_a_document_leads_somewhere() -> None:
    for path, document in documents().items():
        schemas = document["components"]["schemas"]
        for reference in references(document):
            assert reference.removeprefix("#/components/schemas/") in schemas, path


def test_the_index_names_documents_by_the_hash_of_their_content() -> None:
    index = openapi.index()
    assert index["paths"]["apis/apps/v1"]["serverRelativeURL"].startswith("/openapi/v3/apis/apps/v1?hash=")
    assert openapi.index() == index
    assert openapi.document("apis/nope/v1") is None


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.qualified)
def test_every_kind_has_a_patch_path_that_knows_field_validation(resource: ResourceInfo) -> None:
    path = f"apis/{resource.api_version}" if resource.group else "api/v1"
    kind = {"group": resource.group, "kind": resource.kind, "version": resource.version}
    patches = [
        item["patch"]
        for item in documents()[path]["paths"].values()
        if "patch" in item and item["patch"]["x-kubernetes-group-version-kind"] == kind
    ]
    assert len(patches) == 1
    assert "fieldValidation" in {parameter["name"] for parameter in patches[0]["parameters"]}
    assert "application/strategic-merge-patch+json" in patches[0]["requestBody"]["content"]


def test_patch_markers_are_in_the_document() -> None:
    schemas = documents()["apis/apps/v1"]["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    strategy = schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"]
    assert strategy["x-kubernetes-patch-strategy"] == "retainKeys"
    assert (
        schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["tolerations"]["x-kubernetes-list-type"]
        == "atomic"
    )

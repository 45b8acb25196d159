"""The real kubectl on custom resources: definitions, objects, columns, explain, scale."""

import json
import re

import pytest


def definition(group, scope="Namespaced"):
    spec = {
        "type": "object",
        "required": ["size"],
        "description": "What is wanted.",
        "properties": {
            "size": {"type": "integer", "minimum": 1, "description": "How many there are to be."},
            "color": {"type": "string", "default": "grey"},
            "ports": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "port": {"type": "integer"}},
                },
            },
        },
    }
    status = {"type": "object", "properties": {"replicas": {"type": "integer"}}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "description": "A widget of the workshop.",
                "properties": {"spec": spec, "status": status},
            }
        },
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"},
        },
        "additionalPrinterColumns": [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
            {"name": "Color", "type": "string", "jsonPath": ".spec.color", "priority": 1},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }
    names = {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {"group": group, "scope": scope, "names": names, "versions": [version]},
    }


@pytest.fixture
def group(kubectl):
    """Define widgets in a group of their own; return the group."""
    name = f"{kubectl.namespace[:40].strip('-')}.example.com"
    assert kubectl.apply(definition(name)) == (
        f"customresourcedefinition.apiextensions.k8s.io/widgets.{name} created\n"
    )
    kubectl("wait", "--for=condition=established", f"crd/widgets.{name}", "--timeout=10s")
    yield name
    kubectl("delete", "crd", f"widgets.{name}", "--ignore-not-found", "--timeout=10s")


def widget(group, name="w", **spec):
    spec = {"size": 2, **spec}
    return {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


def test_a_definition_and_its_objects_are_applied_and_shown(kubectl, group):
    assert kubectl.apply(definition(group)).endswith("unchanged\n")
    assert re.search(rf"widgets\.{re.escape(group)} +20\d\d-", kubectl("get", "crd"))
    assert re.search(rf"widgets +wd +{re.escape(group)}/v1 +true +Widget", kubectl("api-resources"))
    assert f"{group}/v1" in kubectl("api-versions").splitlines()
    assert kubectl.apply(widget(group)) == f"widget.{group}/w created\n"
    assert kubectl.apply(widget(group)) == f"widget.{group}/w unchanged\n"
    assert kubectl.apply(widget(group, size=3)) == f"widget.{group}/w configured\n"
    resource = f"widgets.{group}"
    assert re.search(r"NAME +SIZE +AGE\nw +3 +\d+s", kubectl("get", resource))
    assert re.search(r"NAME +SIZE +COLOR +AGE\nw +3 +grey +\d+s", kubectl("get", resource, "-o", "wide"))
    assert kubectl("get", resource, "-o", "name") == f"widget.{group}/w\n"
    assert f"widget.{group}/w" in kubectl("get", "all")
    assert re.search(r"Color: +grey", kubectl("describe", resource, "w"))
    established = 'jsonpath={.status.conditions[?(@.type=="Established")].status}'
    assert kubectl("get", "crd", resource, "-o", established) == "True"


def test_fields_are_explained(kubectl, group):
    text = kubectl("explain", "widgets.spec", f"--api-version={group}/v1")
    assert "How many there are to be." in text
    assert re.search(r"size\t<integer> -required-", text)
    assert "A widget of the workshop." in kubectl("explain", "widgets", f"--api-version={group}/v1")


def test_objects_are_edited_patched_scaled_and_deleted(kubectl, group):
    resource = f"widgets.{group}"
    kubectl.apply(widget(group))
    kubectl("patch", resource, "w", "--type=merge", "-p", json.dumps({"spec": {"color": "red"}}))
    replace = [{"op": "replace", "path": "/spec/size", "value": 4}]
    kubectl("patch", resource, "w", "--type=json", "-p", json.dumps(replace))
    assert kubectl.json("get", resource, "w")["spec"] == {"size": 4, "color": "red"}
    status = json.dumps({"status": {"replicas": 4}})
    kubectl("patch", resource, "w", "--type=merge", "--subresource=status", "-p", status)
    kubectl("label", resource, "w", "a=b")
    present = kubectl.json("get", resource, "w")
    assert (present["status"], present["metadata"]["generation"]) == ({"replicas": 4}, 3)
    assert kubectl("scale", resource, "w", "--replicas=7") == f"widget.{group}/w scaled\n"
    assert kubectl.json("get", resource, "w")["spec"]["size"] == 7
    kubectl("replace", "-f", "-", stdin=widget(group, size=5))
    assert kubectl("wait", "--for=jsonpath={.spec.size}=5", f"{resource}/w", "--timeout=5s").endswith("met\n")
    assert kubectl("delete", resource, "w").startswith(f'widget.{group} "w" deleted')
    assert "not found" in kubectl("get", resource, "w", fails=True)


def test_a_changed_definition_is_applied_over_the_old_one(kubectl, group):
    kubectl.apply(widget(group, color="red"))
    changed = definition(group)
    schema = changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    properties = schema["properties"]["spec"]["properties"]
    del properties["color"]
    properties["fresh"] = {"type": "string", "default": "yes"}
    assert kubectl.apply(changed).endswith("configured\n")
    versions = kubectl.json("get", "crd", f"widgets.{group}")["spec"]["versions"]
    stored = versions[0]["schema"]["openAPIV3Schema"]
    assert set(stored["properties"]["spec"]["properties"]) == {"size", "ports", "fresh"}
    assert kubectl.json("get", f"widgets.{group}", "w")["spec"] == {"size": 2, "fresh": "yes"}


def test_a_strategic_patch_is_refused_and_an_unknown_field_is_named(kubectl, group):
    kubectl.apply(widget(group))
    patch = json.dumps({"spec": {"color": "red"}})
    refused = kubectl("patch", f"widgets.{group}", "w", "--type=strategic", "-p", patch, fails=True)
    assert "application/merge-patch+json" in refused or "UnsupportedMediaType" in refused
    assert 'unknown field "spec.colour"' in kubectl.apply(widget(group, "v", colour="red"), fails=True)
    assert "spec.size in body should be greater than or equal to 1" in kubectl.apply(
        widget(group, "v", size=0), fails=True
    )


def test_a_watch_sees_the_objects_of_a_definition_go_with_it(kubectl, group):
    resource = f"widgets.{group}"
    kubectl.apply(widget(group))
    with kubectl.running("get", resource, "-w", "--output-watch-events") as lines:
        lines.until("ADDED", "w")
        kubectl("delete", "crd", resource, "--timeout=10s")
        lines.until("DELETED", "w")
    assert "the server doesn't have a resource type" in kubectl("get", resource, fails=True)


def test_a_server_side_apply_merges_lists_by_their_keys(kubectl, group):
    one = widget(group, ports=[{"name": "a", "port": 1}])
    two = widget(group, ports=[{"name": "b", "port": 2}])
    kubectl("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=one)
    kubectl("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=two)
    ports = kubectl.json("get", f"widgets.{group}", "w")["spec"]["ports"]
    assert ports == [{"name": "a", "port": 1}, {"name": "b", "port": 2}]

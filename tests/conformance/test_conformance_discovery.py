"""reference: apiserver 1: discovery, OpenAPI, versions, health, protobuf bodies."""

import re

import pytest
from paths import nowhere, pod
from target import JSON

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

# --- versions, health


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_health_is_a_short_word(target, path):
    """reference: apiserver 1, Common: `/healthz /livez /readyz` → 200 `ok`"""
    answer = target.get(path).ok(200)
    assert (answer.text, answer.headers["Content-Type"]) == ("ok", "text/plain; charset=utf-8")


@pytest.mark.parametrize("path", ["/version", "/version/"])
def test_the_version_is_told(target, path):
    """reference: apiserver 1, Common: `/version`, trailing-slash variants too"""
    found = target.get(path).ok(200).json
    assert found["major"] == "1"
    assert re.fullmatch(r"[0-9]+\+?", found["minor"])
    assert {"gitVersion", "gitCommit", "platform", "goVersion"} <= set(found)


# --- discovery


@pytest.mark.parametrize("path", ["/api", "/api/"])
def test_the_core_versions_are_listed(target, path):
    """reference: apiserver 1, Common: plain discovery"""
    found = target.get(path).ok(200).json
    assert (found["kind"], found["versions"]) == ("APIVersions", ["v1"])


@pytest.mark.parametrize("path", ["/apis", "/apis/"])
def test_the_groups_are_listed(target, path):
    """reference: apiserver 1, Common: plain discovery"""
    found = target.get(path).ok(200).json
    assert found["kind"] == "APIGroupList"
    groups = {group["name"] for group in found["groups"]}
    assert {"apps", "autoscaling", "coordination.k8s.io", "events.k8s.io", "policy"} <= groups


def test_a_group_tells_its_preferred_version(target):
    """reference: apiserver 1, Common: GET per group"""
    found = target.get("/apis/autoscaling").ok(200).json
    assert (found["kind"], found["preferredVersion"]["groupVersion"]) == ("APIGroup", "autoscaling/v2")


@pytest.mark.parametrize("path", ["/apis/apps/v1", "/apis/apps/v1/"])
def test_resources_of_a_version_are_listed(target, path):
    """reference: apiserver 1, Common: GET per group-version; Python: `/apis/apps/v1/`"""
    found = target.get(path).ok(200).json
    assert (found["kind"], found["groupVersion"]) == ("APIResourceList", "apps/v1")
    by_name = {each["name"]: each for each in found["resources"]}
    assert {"deployments", "deployments/scale", "deployments/status", "replicasets/scale"} <= set(by_name)
    entry = by_name["deployments"]
    assert (entry["kind"], entry["namespaced"], entry["singularName"]) == ("Deployment", True, "deployment")
    assert entry["shortNames"] == ["deploy"]
    assert set(entry["verbs"]) == {
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    }
    scale = by_name["deployments/scale"]
    assert (scale["kind"], scale["group"], scale["version"]) == ("Scale", "autoscaling", "v1")


SHORT = {
    "configmaps": "cm",
    "events": "ev",
    "namespaces": "ns",
    "nodes": "no",
    "pods": "po",
    "services": "svc",
    "serviceaccounts": "sa",
}


@pytest.mark.parametrize("resource", SHORT)
def test_resources_have_their_short_names(target, resource):
    """reference: apiserver 1, kubectl: short names come from discovery"""
    by_name = {each["name"]: each for each in target.get("/api/v1").ok(200).json["resources"]}
    assert SHORT[resource] in by_name[resource]["shortNames"]


def test_everyday_resources_are_in_all(target):
    """reference: apiserver 1, kubectl get all: categories"""
    by_name = {each["name"]: each for each in target.get("/apis/apps/v1").ok(200).json["resources"]}
    assert "all" in by_name["deployments"]["categories"]


def test_what_is_advertised_is_served(target):
    """reference: apiserver 9, trap 8: advertising what is not served"""
    versions = [
        each["preferredVersion"]["groupVersion"] for each in target.get("/apis").ok(200).json["groups"]
    ]
    # Metrics of one's own naming have no collection to list: their `list` is by name and selector.
    versions = [each for each in versions if not each.startswith(("custom.metrics", "external.metrics"))]
    missing = []
    for base in ("/api/v1", *(f"/apis/{each}" for each in versions)):
        for entry in target.get(base).ok(200).json["resources"]:
            if "list" in entry["verbs"] and target.get(f"{base}/{entry['name']}", limit=1).code != 200:
                missing.append((base, entry["name"]))
    assert missing == []


@pytest.mark.parametrize("path", ["/api", "/apis"])
def test_aggregated_discovery_says_what_it_is(target, path):
    """reference: apiserver 1, Common: the response Content-Type repeats g/v/as; 9, trap 7"""
    answer = target.get(path, headers={"Accept": f"{AGGREGATED},{JSON}"}).ok(200)
    kind = dict(part.split("=") for part in answer.headers["Content-Type"].split(";")[1:])
    assert kind == {"g": "apidiscovery.k8s.io", "v": "v2", "as": "APIGroupDiscoveryList"}
    assert answer.json["kind"] == "APIGroupDiscoveryList"


def test_aggregated_discovery_has_every_resource(target):
    """reference: apiserver 1, Common: aggregated discovery, same result"""
    found = target.get("/apis", headers={"Accept": f"{AGGREGATED},{JSON}"}).ok(200).json
    groups = {group["metadata"]["name"]: group["versions"] for group in found["items"]}
    (apps,) = groups["apps"]
    assert (apps["version"], apps["freshness"]) == ("v1", "Current")
    by_name = {each["resource"]: each for each in apps["resources"]}
    entry = by_name["deployments"]
    assert entry["responseKind"]["kind"] == "Deployment"
    assert (entry["scope"], entry["singularResource"]) == ("Namespaced", "deployment")
    assert {each["subresource"] for each in entry["subresources"]} == {"scale", "status"}
    assert [each["version"] for each in groups["autoscaling"]] == ["v2", "v1"]


def test_aggregated_discovery_of_an_unknown_version_falls_back(target):
    """reference: apiserver 1, Common: v2beta1 no longer served; both endpoints use the same form"""
    accept = f"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,{JSON}"
    answer = target.get("/apis", headers={"Accept": accept}).ok(200)
    assert (answer.headers["Content-Type"], answer.json["kind"]) == (JSON, "APIGroupList")


# --- OpenAPI


@pytest.fixture(scope="module")
def index(target):
    return target.get("/openapi/v3").ok(200).json["paths"]


def description(target, index, group):
    return target.get(index[group]["serverRelativeURL"]).ok(200).json


def test_openapi_v3_lists_its_documents_by_hash(index):
    """reference: apiserver 1, kubectl: `/openapi/v3`, `?hash=`; 9, trap 5: no OpenAPI v3"""
    assert {"api/v1", "apis/apps/v1", "apis/autoscaling/v2"} <= set(index)
    assert re.match(r"/openapi/v3/apis/apps/v1\?hash=.+", index["apis/apps/v1"]["serverRelativeURL"])


def test_a_wrong_hash_is_redirected(target, index):
    """reference: apiserver 1, Common: wrong hash → 301"""
    answer = target.get("/openapi/v3/apis/apps/v1", hash="OLD").ok(301)
    assert answer.headers["Location"] == index["apis/apps/v1"]["serverRelativeURL"]


def test_a_document_is_there_without_a_hash_too(target, index):
    """reference: apiserver 1, Common: v3 documents by `?hash=`, or without"""
    assert target.get("/openapi/v3/apis/apps/v1").ok(200).json["openapi"].startswith("3.")


def operations(document, kind):
    for path in document["paths"].values():
        for method, operation in path.items():
            if (
                isinstance(operation, dict)
                and operation.get("x-kubernetes-group-version-kind", {}).get("kind") == kind
            ):
                yield method, operation


def test_openapi_has_a_patch_with_field_validation(target, index):
    """reference: apiserver 1, kubectl: needs a PATCH path for the GVK with parameter `fieldValidation`"""
    document = description(target, index, "apis/apps/v1")
    patches = [operation for method, operation in operations(document, "Deployment") if method == "patch"]
    names = {each.get("name") for operation in patches for each in operation.get("parameters", ())}
    for path in document["paths"].values():
        names |= {each.get("name") for each in path.get("parameters", ())}
    assert patches
    assert "fieldValidation" in names


def test_openapi_lists_the_patch_types(target, index):
    """reference: apiserver 1, apply: requestBody lists application/strategic-merge-patch+json"""
    document = description(target, index, "apis/apps/v1")
    kinds = [
        set(operation["requestBody"]["content"])
        for method, operation in operations(document, "Deployment")
        if method == "patch"
    ]
    assert {"application/strategic-merge-patch+json", "application/apply-patch+yaml"} <= set.union(*kinds)


def schema_of(document, kind):
    for schema in document["components"]["schemas"].values():
        if any(each["kind"] == kind for each in schema.get("x-kubernetes-group-version-kind", ())):
            return schema
    raise AssertionError(f"{kind} has no schema")


def resolve(document, schema):
    """Follow references, `allOf` ones too."""
    while True:
        inner = schema.get("$ref") or (schema.get("allOf") or [{}])[0].get("$ref")
        if not inner:
            return schema
        schema = document["components"]["schemas"][inner.rpartition("/")[2]]


def test_openapi_has_patch_markers(target, index):
    """reference: apiserver 1, apply: computed from the v3 patch markers; 9, trap 6"""
    document = description(target, index, "apis/apps/v1")
    found = schema_of(document, "Deployment")
    for step in ("spec", "template", "spec"):
        found = resolve(document, found["properties"][step])
    containers = found["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    assert containers["x-kubernetes-list-map-keys"] == ["name"]


def test_openapi_tells_types_and_required_fields(target, index):
    """reference: apiserver 5: v3 gives types, required, unknown fields"""
    document = description(target, index, "apis/apps/v1")
    spec = resolve(document, schema_of(document, "Deployment")["properties"]["spec"])
    assert set(spec["required"]) == {"selector", "template"}
    assert spec["properties"]["replicas"]["type"] == "integer"


# --- protobuf


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, content):
    """A field: bytes or text length-delimited, numbers as varints."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def message(version, kind, raw):
    """The envelope of a protobuf body."""
    return b"k8s\0" + field(1, field(1, version) + field(2, kind)) + field(2, raw)


def entry(key, value):
    return field(1, key) + field(2, value)


PROTOBUF = "application/vnd.kubernetes.protobuf"


def test_a_configmap_may_be_protobuf(target, paths, name):
    """reference: apiserver 1, PROTOBUF: prefix k8s\\0, runtime.Unknown; 9, trap 3"""
    raw = field(1, field(1, name)) + field(2, entry("k", "v")) + field(2, entry("l", ""))
    body = message("v1", "ConfigMap", raw)
    answer = target.post(paths.of("configmaps"), body, kind=PROTOBUF).ok(201)
    assert answer.json["data"] == {"k": "v", "l": ""}


def test_zeros_of_plain_numbers_are_as_good_as_absent(target, paths, name):
    """reference: apiserver 1, PROTOBUF: non-pointer scalars are always sent, so drop zeros"""
    container = field(1, "c") + field(2, "i:1") + field(6, field(3, 80) + field(2, 0) + field(4, "TCP"))
    spec = field(2, container) + field(19, "conformance-nobody") + field(11, 0)
    body = message("v1", "Pod", field(1, field(1, name)) + field(2, spec))
    found = target.post(paths.of("pods"), body, kind=PROTOBUF).ok(201).json["spec"]
    assert found["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert "hostNetwork" not in found


def test_pointers_to_zero_are_kept(target, paths, name):
    """reference: apiserver 1, PROTOBUF: except for pointer scalars"""
    labels = field(1, entry("app", "w"))
    template = field(1, field(11, entry("app", "w"))) + field(2, field(2, field(1, "c") + field(2, "i:1")))
    spec = field(1, 0) + field(2, labels) + field(3, template)
    body = message("apps/v1", "Deployment", field(1, field(1, name)) + field(2, spec))
    found = target.post(paths.of("deployments"), body, kind=PROTOBUF).ok(201).json
    assert found["spec"]["replicas"] == 0
    assert found["spec"]["selector"] == {"matchLabels": {"app": "w"}}


def test_delete_options_may_be_protobuf(target, made):
    """reference: apiserver 1, PROTOBUF: DeleteOptions (any group's apiVersion) is meta/v1"""
    path, _ = made("pods", pod(nodeName=nowhere()))
    body = message("v1", "DeleteOptions", field(1, 7))
    answer = target.delete(path, body, kind=PROTOBUF).ok(200)
    assert answer.meta["deletionGracePeriodSeconds"] == 7


@pytest.mark.parametrize("body", [b"", b"nope", b"k8s\0\xff\xff\xff"], ids=["empty", "no-prefix", "broken"])
def test_broken_protobuf_is_a_bad_request(target, paths, body):
    """reference: apiserver 4, 400"""
    assert target.post(paths.of("configmaps"), body, kind=PROTOBUF).ok(400).reason == "BadRequest"

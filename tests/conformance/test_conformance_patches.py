"""reference: apiserver 7: JSON patch, merge patch, strategic merge with its directives."""

import copy

import pytest
from paths import autoscaler, configmap, pod, workload
from target import MERGE, OPERATIONS, STRATEGIC

REJECTED = "the server rejected our request due to an error in our request"


@pytest.fixture(scope="module")
def map_path(target, paths):
    """A configmap that is patched only for show (dryRun)."""
    body = configmap("m", {"a": "1", "b": "2"}, labels={"x/y": "z"}, finalizers=["a.b/1", "a.b/2"])
    target.post(paths.of("configmaps"), body).ok(201)
    yield paths.of("configmaps", "m")
    target.patch(paths.of("configmaps", "m"), {"metadata": {"finalizers": None}}).ok(200)


def shown(answer):
    found = answer.ok(200)
    return {
        "data": found.json.get("data"),
        "labels": found.meta.get("labels"),
        "finalizers": found.meta.get("finalizers"),
    }


# --- JSON patch


def op(kind, path, **more):
    return {"op": kind, "path": path, **more}


DATA = {"a": "1", "b": "2"}
HOLDS = ["a.b/1", "a.b/2"]
DONE = {
    "add": ([op("add", "/data/c", value="3")], "data", {**DATA, "c": "3"}),
    "add-replaces": ([op("add", "/data/a", value="3")], "data", {**DATA, "a": "3"}),
    "remove": ([op("remove", "/data/a")], "data", {"b": "2"}),
    "replace": ([op("replace", "/data/a", value="9")], "data", {**DATA, "a": "9"}),
    "replace-of-a-missing-key-adds": ([op("replace", "/data/c", value="9")], "data", {**DATA, "c": "9"}),
    "move": ([op("move", "/data/z", **{"from": "/data/a"})], "data", {"b": "2", "z": "1"}),
    "copy": ([op("copy", "/data/z", **{"from": "/data/a"})], "data", {**DATA, "z": "1"}),
    "test-then-add": (
        [op("test", "/data/a", value="1"), op("add", "/data/c", value="3")],
        "data",
        {**DATA, "c": "3"},
    ),
    "slash-is-escaped": ([op("remove", "/metadata/labels/x~1y")], "labels", None),
    "append": ([op("add", "/metadata/finalizers/-", value="a.b/3")], "finalizers", [*HOLDS, "a.b/3"]),
    "insert": ([op("add", "/metadata/finalizers/0", value="a.b/3")], "finalizers", ["a.b/3", *HOLDS]),
    "negative-index": (
        [op("add", "/metadata/finalizers/-1", value="a.b/3")],
        "finalizers",
        [*HOLDS, "a.b/3"],
    ),
    "null-as-value": ([op("add", "/data/q", value=None)], "data", {**DATA, "q": ""}),
    "nothing": ([], "data", DATA),
}


@pytest.mark.parametrize("case", DONE)
def test_operations_are_applied_in_order(target, map_path, case):
    """reference: apiserver 7, JSON patch"""
    operations, field, wanted = DONE[case]
    assert shown(target.patch(map_path, operations, OPERATIONS, dryRun="All"))[field] == wanted


FAILED = {
    "remove-of-nothing": [op("remove", "/data/none")],
    "test": [op("test", "/data/a", value="9")],
    "path-into-nothing": [op("replace", "/spec/none/x", value="9")],
    "unknown-operation": [op("frob", "/data/a")],
    "no-path": [{"op": "add", "value": 1}],
    "index-too-high": [op("add", "/metadata/finalizers/9", value="a.b/3")],
    "second-of-two": [op("add", "/data/c", value="3"), op("remove", "/data/none")],
}


@pytest.mark.parametrize("case", FAILED)
def test_an_operation_that_fails_fails_the_patch(target, map_path, case):
    """reference: apiserver 7, JSON patch: apply 422; 4, 422: failed JSON patch: no details"""
    answer = target.patch(map_path, FAILED[case], OPERATIONS).ok(422)
    assert (answer.reason, answer.message) == ("Invalid", REJECTED)
    assert not answer.json.get("details")


UNREADABLE = {
    "json-object": (OPERATIONS, b'{"op":"add"}', "error decoding patch: json: cannot unmarshal object"),
    "json-cut": (OPERATIONS, b"[{", "error decoding patch: unexpected end of JSON input"),
    "merge-cut": (MERGE, b"{", "error decoding patch: unexpected end of JSON input"),
    "merge-list": (MERGE, b"[]", "error decoding patch: json: cannot unmarshal array"),
    "strategic-cut": (STRATEGIC, b"{", "unexpected end of JSON input"),
    "strategic-list": (STRATEGIC, b"[]", "json: cannot unmarshal array"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_patch_that_cannot_be_read_is_a_bad_request(target, map_path, case):
    """reference: apiserver 7: parse 400"""
    kind, body, words = UNREADABLE[case]
    assert target.patch(map_path, body, kind).ok(400).message.startswith(words)


def test_a_patch_that_takes_the_name_away_is_a_bad_request(target, map_path):
    """reference: apiserver 7, JSON patch of the whole document"""
    answer = target.patch(map_path, [op("replace", "", value={})], OPERATIONS).ok(400)
    assert answer.message == (
        "the name of the object (m based on URL) was undeterminable: name must be provided"
    )


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (OPERATIONS, [op("replace", "/data", value=5)]),
        (MERGE, {"kind": "Secret"}),
        (MERGE, {"apiVersion": "v2"}),
        (MERGE, {"data": {"a": 5}}),
    ],
    ids=["json-type", "merge-kind", "merge-version", "merge-type"],
)
def test_a_patch_that_makes_it_unreadable_is_invalid(target, map_path, kind, change):
    """reference: apiserver 7: the patched object is decoded again: 422 of the field `patch`"""
    answer = target.patch(map_path, change, kind).ok(422)
    assert answer.causes == [("FieldValueInvalid", "patch")]


UNFIT = {
    "text-as-number": ({"spec": {"replicas": "x"}}, "unrecognized type: int32"),
    "bool-as-number": ({"spec": {"replicas": True}}, "unrecognized type: int32"),
    "fraction-as-number": ({"spec": {"replicas": 1.5}}, "cannot convert float64 to int32"),
    "text-as-long": ({"metadata": {"generation": "x"}}, "unrecognized type: int64"),
    "number-as-bool": ({"spec": {"paused": 1}}, "unrecognized type: bool"),
    "text-as-object": ({"spec": "x"}, "cannot restore struct from: string"),
    "list-as-object": ({"spec": [1]}, "cannot restore struct from: slice"),
    "text-as-list": ({"metadata": {"finalizers": "x"}}, "cannot restore slice from string"),
    "text-as-map": ({"metadata": {"labels": "x"}}, "cannot restore map from string"),
    "list-as-map": ({"metadata": {"labels": ["x"]}}, "cannot restore map from slice"),
    "number-as-text": ({"metadata": {"labels": {"a": 1}}}, "cannot convert int64 to string"),
    "fraction-as-text": ({"metadata": {"labels": {"a": 1.5}}}, "unrecognized type: string"),
    "bool-as-text": ({"metadata": {"annotations": {"a": True}}}, "unrecognized type: string"),
    "list-as-either": (
        {"spec": {"strategy": {"rollingUpdate": {"maxSurge": [1]}}}},
        "json: cannot unmarshal array into Go value of type int32",
    ),
    "text-as-time": (
        {"metadata": {"creationTimestamp": "soon"}},
        'parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006"',
    ),
}


@pytest.fixture(scope="module")
def workload_path(target, paths):
    """A deployment that is patched only in vain."""
    target.post(paths.of("deployments"), workload(name="unfit")).ok(201)
    return paths.of("deployments", "unfit")


@pytest.mark.parametrize("case", UNFIT)
def test_a_strategic_patch_that_does_not_fit_is_told_in_the_converters_words(target, workload_path, case):
    """reference: apiserver 7: the merged object is converted to its type: 422 of the field `patch`"""
    change, words = UNFIT[case]
    answer = target.patch(workload_path, change, STRATEGIC).ok(422)
    assert answer.message.endswith(f": {words}")


def test_a_number_that_is_too_large_is_shown_where_a_merge_patch_does_not_fit(target, workload_path):
    """reference: apiserver 7: the patched object is decoded again"""
    answer = target.patch(workload_path, {"spec": {"replicas": 99999999999}}, MERGE).ok(422)
    end = (
        "cannot unmarshal number 99999999999 into Go struct field DeploymentSpec.spec.replicas of type int32"
    )
    assert answer.message.endswith(end)


@pytest.mark.parametrize(
    "change", [{"kind": "Secret"}, {"apiVersion": "apps/v1"}, {"apiVersion": "v2", "kind": "Other"}]
)
def test_a_strategic_patch_goes_by_the_kind_of_its_url(target, map_path, change):
    """reference: apiserver 7: what it says of kind and version does not matter"""
    found = target.patch(map_path, {**change, "data": {"c": "3"}}, STRATEGIC, dryRun="All").ok(200).json
    assert (found["apiVersion"], found["kind"], found["data"]["c"]) == ("v1", "ConfigMap", "3")


def test_force_is_for_apply_only(target, map_path):
    """reference: apiserver 7: `force` only with apply (422)"""
    answer = target.patch(map_path, {"data": {}}, MERGE, force="true").ok(422)
    assert answer.causes == [("FieldValueForbidden", "force")]


# --- merge patch

MERGED = {
    "adds": ({"data": {"c": "3"}}, "data", {**DATA, "c": "3"}),
    "null-deletes": ({"data": {"a": None}}, "data", {"b": "2"}),
    "null-of-a-map-deletes-it": ({"data": None}, "data", None),
    "lists-are-replaced": ({"metadata": {"finalizers": ["x.y/z"]}}, "finalizers", ["x.y/z"]),
    "null-of-nothing": ({"data": {"none": None}}, "data", DATA),
}


@pytest.mark.parametrize("case", MERGED)
def test_a_merge_patch_merges_maps_and_replaces_lists(target, map_path, case):
    """reference: apiserver 7, Merge patch"""
    change, field, wanted = MERGED[case]
    assert shown(target.patch(map_path, change, MERGE, dryRun="All"))[field] == wanted


def test_a_merge_patch_replaces_containers(target, made):
    """reference: apiserver 7, Merge patch: lists whole, even those with keys"""
    path, _ = made("deployments", with_two())
    change = {"spec": {"template": {"spec": {"containers": [{"name": "z", "image": "z:1"}]}}}}
    found = target.patch(path, change, MERGE, dryRun="All").ok(200).json
    assert [each["name"] for each in found["spec"]["template"]["spec"]["containers"]] == ["z"]


# --- strategic merge


def with_two():
    """A deployment of two containers, the first with something in every list."""
    body = workload("Deployment")
    first = {"name": "a", "image": "a:1", "args": ["1", "2"]}
    first["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    first["ports"] = [{"containerPort": 80, "name": "x"}]
    first["volumeMounts"] = [{"name": "v", "mountPath": "/a"}]
    spec = body["spec"]["template"]["spec"]
    spec["containers"] = [first, {"name": "b", "image": "b:1"}]
    spec["volumes"] = [{"name": "v", "emptyDir": {}}]
    spec["tolerations"] = [{"key": "t", "operator": "Exists"}]
    spec["imagePullSecrets"] = [{"name": "s"}]
    spec["hostAliases"] = [{"ip": "10.0.0.1", "hostnames": ["h"]}]
    spec["topologySpreadConstraints"] = [
        {
            "topologyKey": "zone",
            "maxSkew": 1,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": "w"}},
        }
    ]
    return body


@pytest.fixture(scope="module")
def two_path(target, paths):
    body = with_two()
    body["metadata"]["name"] = "two"
    target.post(paths.of("deployments"), body).ok(201)
    return paths.of("deployments", "two")


def inside(**fields):
    return {"spec": {"template": {"spec": fields}}}


def of_a(**fields):
    return inside(containers=[{"name": "a", **fields}])


def brief(items, *fields):
    return [tuple(each.get(field) for field in fields) for each in items or ()]


CONTAINERS = ("containers", "name", "image")
A, B = ("a", "a:1"), ("b", "b:1")
LISTS = {
    "element-is-merged": (of_a(image="a:2"), CONTAINERS, [("a", "a:2"), B]),
    "new-element-comes-first": (
        inside(containers=[{"name": "c", "image": "c:1"}]),
        CONTAINERS,
        [("c", "c:1"), A, B],
    ),
    "element-is-deleted": (of_a(**{"$patch": "delete"}), CONTAINERS, [B]),
    "list-is-replaced": (
        inside(containers=[{"$patch": "replace"}, {"name": "z", "image": "z:1"}]),
        CONTAINERS,
        [("z", "z:1")],
    ),
    "order-is-set": (
        inside(
            **{
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [{"name": "a", "image": "a:3"}],
            }
        ),
        CONTAINERS,
        [B, ("a", "a:3")],
    ),
    "order-with-new": (
        inside(
            **{
                "$setElementOrder/containers": [{"name": "a"}, {"name": "c"}, {"name": "b"}],
                "containers": [{"name": "c", "image": "c:1"}],
            }
        ),
        CONTAINERS,
        [A, ("c", "c:1"), B],
    ),
    "tolerations-are-atomic": (
        inside(tolerations=[{"key": "n", "operator": "Exists"}]),
        ("tolerations", "key"),
        [("n",)],
    ),
    "volumes-by-name": (
        inside(volumes=[{"name": "w", "emptyDir": {}}]),
        ("volumes", "name"),
        [("w",), ("v",)],
    ),
    "pull-secrets-by-name": (
        inside(imagePullSecrets=[{"name": "s2"}]),
        ("imagePullSecrets", "name"),
        [("s2",), ("s",)],
    ),
    "host-aliases-by-ip": (
        inside(hostAliases=[{"ip": "10.0.0.1", "hostnames": ["g"]}]),
        ("hostAliases", "ip", "hostnames"),
        [("10.0.0.1", ["g"])],
    ),
    "spread-by-topology-key": (
        inside(topologySpreadConstraints=[{"topologyKey": "zone", "maxSkew": 2}]),
        ("topologySpreadConstraints", "topologyKey", "maxSkew", "whenUnsatisfiable"),
        [("zone", 2, "ScheduleAnyway")],
    ),
}


@pytest.mark.needs("quiet")
@pytest.mark.parametrize("case", LISTS)
def test_a_strategic_patch_merges_lists_by_their_keys(target, two_path, case):
    """reference: apiserver 7, Strategic: name, ip, topologyKey; directives; tolerations atomic"""
    change, (field, *shown_fields), wanted = LISTS[case]
    found = target.patch(two_path, change, STRATEGIC, dryRun="All").ok(200).json
    assert brief(found["spec"]["template"]["spec"][field], *shown_fields) == wanted


WITHIN = {
    "env-by-name": (
        of_a(env=[{"name": "B", "value": "9"}]),
        "env",
        [{"name": "A", "value": "1"}, {"name": "B", "value": "9"}],
    ),
    "env-deleted": (of_a(env=[{"name": "A", "$patch": "delete"}]), "env", [{"name": "B", "value": "2"}]),
    "ports-by-number": (
        of_a(ports=[{"containerPort": 80, "name": "y"}]),
        "ports",
        [{"name": "y", "containerPort": 80, "protocol": "TCP"}],
    ),
    "args-are-atomic": (of_a(args=["9"]), "args", ["9"]),
    "null-deletes": (of_a(args=None), "args", None),
    "mounts-by-path": (
        of_a(volumeMounts=[{"name": "v", "mountPath": "/b"}, {"mountPath": "/a", "readOnly": True}]),
        "volumeMounts",
        [{"name": "v", "mountPath": "/b"}, {"name": "v", "mountPath": "/a", "readOnly": True}],
    ),
}


@pytest.mark.needs("quiet")
@pytest.mark.parametrize("case", WITHIN)
def test_a_strategic_patch_reaches_into_a_container(target, two_path, case):
    """reference: apiserver 7, Strategic: env, ports, volumeMounts by key; args atomic"""
    change, field, wanted = WITHIN[case]
    found = target.patch(two_path, change, STRATEGIC, dryRun="All").ok(200).json
    (container,) = [each for each in found["spec"]["template"]["spec"]["containers"] if each["name"] == "a"]
    got = container.get(field)
    order = {"mounts-by-path": "mountPath"}.get(case)
    if order:
        got, wanted = (sorted(each, key=lambda item: item[order]) for each in (got, wanted))
    assert got == wanted


def test_finalizers_are_a_set_in_a_strategic_patch(target, map_path):
    """reference: apiserver 7, Strategic: finalizers primitive"""
    change = {"metadata": {"finalizers": ["a.b/2", "a.b/3"]}}
    found = shown(target.patch(map_path, change, STRATEGIC, dryRun="All"))["finalizers"]
    assert sorted(found) == ["a.b/1", "a.b/2", "a.b/3"]


def test_an_element_is_taken_from_a_primitive_list(target, map_path):
    """reference: apiserver 7, Strategic: $deleteFromPrimitiveList/f"""
    change = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.b/1"]}}
    assert shown(target.patch(map_path, change, STRATEGIC, dryRun="All"))["finalizers"] == ["a.b/2"]


def test_a_map_is_replaced(target, map_path):
    """reference: apiserver 7, Strategic: $patch: replace of a map"""
    change = {"data": {"$patch": "replace", "only": "1"}}
    assert shown(target.patch(map_path, change, STRATEGIC, dryRun="All"))["data"] == {"only": "1"}


def test_a_map_is_deleted(target, map_path):
    """reference: apiserver 7, Strategic: $patch: delete of a map"""
    change = {"metadata": {"labels": {"$patch": "delete"}}}
    assert shown(target.patch(map_path, change, STRATEGIC, dryRun="All"))["labels"] is None


def test_owners_are_merged_by_uid(target, paths, made):
    """reference: apiserver 7, Strategic: ownerReferences uid; 1, Go KCM: adoption and release"""
    path, before = made("configmaps")
    owners = {}
    for plural, kind, owner in (
        ("configmaps", "ConfigMap", "first"),
        ("serviceaccounts", "ServiceAccount", "second"),
    ):
        uid = target.post(paths.of(plural), {"metadata": {"name": owner}}).ok(201).meta["uid"]
        owners[uid] = {"apiVersion": "v1", "kind": kind, "name": owner, "uid": uid}
    for owner in owners.values():
        change = {"metadata": {"uid": before.meta["uid"], "ownerReferences": [owner]}}
        after = target.patch(path, change, STRATEGIC).ok(200)
    assert {each["uid"] for each in after.meta["ownerReferences"]} == set(owners)
    first, second = owners
    release = {"metadata": {"ownerReferences": [{"$patch": "delete", "uid": first}]}}
    left = target.patch(path, release, STRATEGIC).ok(200).meta["ownerReferences"]
    assert [each["uid"] for each in left] == [second]


@pytest.mark.needs("quiet")
def test_only_the_keys_named_are_retained(target, two_path):
    """reference: apiserver 7, Strategic: Deployment.strategy (*retainKeys)"""
    change = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    found = target.patch(two_path, change, STRATEGIC, dryRun="All").ok(200).json
    assert found["spec"]["strategy"] == {"type": "Recreate"}


STATUS = {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Other", "status": "True"}]}


def test_conditions_are_merged_by_type(target, made):
    """reference: apiserver 7, Strategic: conditions type; 9, trap 20: conditions replaced"""
    path, _ = made("pods", pod())
    target.patch(f"{path}/status", {"status": copy.deepcopy(STATUS)}, STRATEGIC).ok(200)
    change = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    found = target.patch(f"{path}/status", change, STRATEGIC).ok(200).json["status"]["conditions"]
    assert brief(found, "type", "status") == [("Ready", "True"), ("Other", "True")]


def test_container_statuses_are_replaced(target, made):
    """reference: apiserver 7, Strategic: containerStatuses atomic; 9, trap 20: merged by name"""
    path, _ = made("pods", pod(containers=[{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]))
    for wanted in (["a", "b"], ["b"]):
        statuses = [
            {"name": each, "image": "i", "imageID": "", "ready": False, "restartCount": 0} for each in wanted
        ]
        change = {"status": {"containerStatuses": statuses}}
        found = target.patch(f"{path}/status", change, STRATEGIC).ok(200).json["status"]
        assert [each["name"] for each in found["containerStatuses"]] == wanted


def test_metrics_of_an_autoscaler_are_atomic(target, made):
    """reference: apiserver 7, Strategic: HPA metrics atomic"""
    path, _ = made("horizontalpodautoscalers", autoscaler())
    memory = {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}},
    }
    found = target.patch(path, {"spec": {"metrics": [memory]}}, STRATEGIC).ok(200).json["spec"]["metrics"]
    assert [each["resource"]["name"] for each in found] == ["memory"]


def test_ports_of_a_service_are_merged_by_port(target, made):
    """reference: apiserver 7, Strategic: Service port"""
    path, _ = made("services", {"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}})
    change = {"spec": {"ports": [{"port": 81, "targetPort": 9}]}}
    found = target.patch(path, change, STRATEGIC).ok(200).json["spec"]["ports"]
    assert brief(found, "name", "port", "targetPort") == [("a", 80, 80), ("b", 81, 9)]


def test_the_selector_of_a_budget_is_replaced(target, made):
    """reference: apiserver 7, Strategic: PDB selector replace"""
    path, _ = made(
        "poddisruptionbudgets", {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"a": "1"}}}}
    )
    change = {"spec": {"selector": {"matchLabels": {"b": "2"}}}}
    found = target.patch(path, change, STRATEGIC).ok(200).json["spec"]["selector"]
    assert found == {"matchLabels": {"b": "2"}}


def test_secrets_of_an_account_are_merged_by_name(target, made):
    """reference: apiserver 7, Strategic: SA secrets"""
    path, _ = made("serviceaccounts", {"secrets": [{"name": "a"}]})
    found = target.patch(path, {"secrets": [{"name": "b"}]}, STRATEGIC).ok(200).json["secrets"]
    assert {each["name"] for each in found} == {"a", "b"}


@pytest.mark.parametrize(
    ("element", "words"),
    [
        ({"image": "x"}, "does not contain declared merge key: name"),
        ({"name": "a", "$patch": "spin"}, "unknown patch type: spin"),
    ],
    ids=["no-key", "unknown-directive"],
)
def test_a_strategic_patch_that_makes_no_sense_is_refused(target, two_path, element, words):
    """reference: apiserver 7, Strategic: directives and keys"""
    answer = target.patch(two_path, inside(containers=[element]), STRATEGIC)
    assert answer.code >= 400
    assert words in answer.message

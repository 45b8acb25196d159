"""reference: apiserver 7, row SSA: who owns what, conflicts, and what goes when dropped."""

import json

import pytest
from paths import configmap, workload
from target import APPLY, MERGE


def document(name, data=None, **meta):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}}
    return body if data is None else {**body, "data": data}


def owners(answer):
    """(manager, operation, subresource) → owned fields."""
    return {
        (each["manager"], each["operation"], each.get("subresource", "")): each["fieldsV1"]
        for each in answer.meta.get("managedFields", ())
    }


@pytest.fixture
def applied(target, paths, name):
    """A configmap applied by `me` with a=1, and its path."""
    path = paths.of("configmaps", name)
    target.apply(path, document(name, {"a": "1"}), "me").ok(201)
    return path


def test_an_apply_creates(target, paths, name):
    """reference: apiserver 2, PATCH: apply → 201"""
    answer = target.apply(paths.of("configmaps", name), document(name, {"a": "1"}), "me").ok(201)
    assert owners(answer) == {("me", "Apply", ""): {"f:data": {"f:a": {}}}}


def test_the_same_apply_again_changes_nothing(target, applied, name):
    """reference: apiserver 7, SSA; 2, RV: no-op"""
    before = target.get(applied)
    assert target.apply(applied, document(name, {"a": "1"}), "me").ok(200).version == before.version


def test_an_apply_takes_yaml(target, paths, name):
    """reference: apiserver 7: apply-patch+yaml"""
    body = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  k: v\n".encode()
    answer = target.ask("PATCH", paths.of("configmaps", name), body, APPLY, fieldManager="me")
    assert answer.ok(201).json["data"] == {"k": "v"}


def test_an_apply_needs_a_manager(target, paths, name):
    """reference: apiserver 7, SSA: fieldManager required"""
    answer = target.ask("PATCH", paths.of("configmaps", name), document(name), APPLY).ok(422)
    assert answer.causes == [("FieldValueRequired", "fieldManager")]


def test_another_value_of_anothers_field_is_a_conflict(target, applied, name):
    """reference: apiserver 4, 409 Conflict: SSA; 7, SSA: conflict unless equal or force"""
    answer = target.apply(applied, document(name, {"a": "2"}), "you").ok(409)
    assert answer.message == 'Apply failed with 1 conflict: conflict with "me": .data.a'
    assert answer.causes == [("FieldManagerConflict", ".data.a")]
    assert target.get(applied).json["data"] == {"a": "1"}


def test_several_conflicts_are_counted(target, applied, name):
    """reference: apiserver 4, 409 Conflict: SSA"""
    target.apply(applied, document(name, {"a": "1", "b": "1"}), "me").ok(200)
    answer = target.apply(applied, document(name, {"a": "2", "b": "2"}), "you").ok(409)
    assert answer.message.startswith('Apply failed with 2 conflicts: conflicts with "me":')
    assert {field for _, field in answer.causes} == {".data.a", ".data.b"}


def test_a_conflict_with_an_update_names_its_version(target, made, name):
    """reference: apiserver 4, 409 Conflict: `conflict with "m" using apps/v1: .spec.replicas`"""
    path, _ = made("deployments", {**workload("Deployment"), "kind": "Deployment"})
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 4},
    }
    answer = target.apply(path, body, "you").ok(409)
    assert answer.message == (
        'Apply failed with 1 conflict: conflict with "conformance" using apps/v1: .spec.replicas'
    )


def test_an_equal_value_is_shared(target, applied, name):
    """reference: apiserver 7, SSA: conflict unless equal"""
    answer = target.apply(applied, document(name, {"a": "1"}), "you").ok(200)
    assert set(owners(answer)) == {("me", "Apply", ""), ("you", "Apply", "")}


def test_force_takes_the_field(target, applied, name):
    """reference: apiserver 7, SSA: force"""
    answer = target.apply(applied, document(name, {"a": "2"}), "you", force=True).ok(200)
    assert answer.json["data"] == {"a": "2"}
    assert owners(answer) == {("you", "Apply", ""): {"f:data": {"f:a": {}}}}


def test_what_is_dropped_and_nobody_elses_goes(target, applied, name):
    """reference: apiserver 7, SSA: apply removes what it dropped and nobody else owns"""
    target.apply(applied, document(name, {"a": "1", "b": "2"}), "me").ok(200)
    assert target.apply(applied, document(name, {"b": "2"}), "me").ok(200).json["data"] == {"b": "2"}


def test_what_is_dropped_but_shared_stays(target, applied, name):
    """reference: apiserver 7, SSA: … and nobody else owns"""
    target.apply(applied, document(name, {"a": "1"}), "you").ok(200)
    answer = target.apply(applied, document(name), "me").ok(200)
    assert answer.json["data"] == {"a": "1"}
    assert set(owners(answer)) == {("you", "Apply", "")}


def test_an_update_steals(target, applied, name):
    """reference: apiserver 7, SSA: Update steals"""
    answer = target.patch(applied, {"data": {"a": "9"}}, MERGE, fieldManager="thief").ok(200)
    assert owners(answer) == {("thief", "Update", ""): {"f:data": {"f:a": {}}}}


def test_what_others_wrote_is_left_alone(target, applied, name):
    """reference: apiserver 7, SSA: apply touches its own fields"""
    target.patch(applied, {"data": {"other": "x"}}, MERGE, fieldManager="editor").ok(200)
    answer = target.apply(applied, document(name, {"a": "3"}), "me").ok(200)
    assert answer.json["data"] == {"a": "3", "other": "x"}


def test_lists_are_owned_by_key(target, paths, name):
    """reference: apiserver 7, SSA: leaf ownership (f:, k:, v:, `.`)"""
    body = workload("Deployment", name)
    path = paths.of("deployments", name)
    answer = target.apply(path, {**body, "metadata": {"name": name, "finalizers": ["a.b/c"]}}, "me").ok(201)
    fields = owners(answer)["me", "Apply", ""]
    template = fields["f:spec"]["f:template"]["f:spec"]
    assert set(template["f:containers"]['k:{"name":"c"}']) >= {".", "f:name", "f:image"}
    assert fields["f:metadata"] == {"f:finalizers": {'v:"a.b/c"': {}}}
    target.patch(path, {"metadata": {"finalizers": None}}).ok(200)


def test_elements_of_two_managers_live_together(target, paths, name):
    """reference: apiserver 7, SSA: associative lists"""
    path = paths.of("deployments", name)
    body = workload("Deployment", name)
    target.apply(path, body, "me").ok(201)
    side = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
    side["spec"] = {"template": {"spec": {"containers": [{"name": "side", "image": "s:1"}]}}}
    found = target.apply(path, side, "you").ok(200).json["spec"]["template"]["spec"]["containers"]
    assert {each["name"] for each in found} == {"c", "side"}
    del side["spec"]
    found = target.apply(path, side, "you").ok(200).json["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in found] == ["c"]


def test_ports_are_keyed_by_number_and_protocol(target, paths, name):
    """reference: apiserver 7: SSA keys differ (ports containerPort+protocol)"""
    body = workload("Deployment", name)
    ports = [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]
    body["spec"]["template"]["spec"]["containers"][0]["ports"] = ports
    answer = target.apply(paths.of("deployments", name), body, "me").ok(201)
    container = owners(answer)["me", "Apply", ""]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert set(container['k:{"name":"c"}']["f:ports"]) == {
        'k:{"containerPort":53,"protocol":"TCP"}',
        'k:{"containerPort":53,"protocol":"UDP"}',
    }


@pytest.mark.needs("quiet")
def test_status_is_owned_by_its_endpoint(target, made, name):
    """reference: apiserver 7, SSA: per subresource; reset status/spec per endpoint"""
    path, _ = made("replicasets", workload("ReplicaSet"))
    body = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name},
        "status": {"replicas": 3},
    }
    answer = target.apply(f"{path}/status", body, "st").ok(200)
    assert owners(answer)["st", "Apply", "status"] == {"f:status": {"f:replicas": {}}}
    body["status"]["replicas"] = 8
    ignored = target.apply(path, body, "main").ok(200)
    assert ignored.json["status"]["replicas"] == 3
    assert ("main", "Apply", "") not in owners(ignored)


def test_metadata_of_the_system_is_not_owned(target, applied, name):
    """reference: apiserver 7, SSA: metadata stripped"""
    uid = target.get(applied).meta["uid"]
    answer = target.apply(applied, document(name, {"a": "1"}, uid=uid, namespace=None), "me").ok(200)
    assert owners(answer)["me", "Apply", ""] == {"f:data": {"f:a": {}}}


def test_ownership_is_reset_by_an_empty_entry(target, applied):
    """reference: apiserver 7, SSA: `managedFields:[{}]` resets"""
    answer = target.patch(applied, {"metadata": {"managedFields": [{}]}}).ok(200)
    assert "managedFields" not in answer.meta


def test_an_object_without_ownership_is_not_tracked(target, applied):
    """reference: apiserver 7, SSA: after a reset, updates are not noted until somebody applies"""
    target.patch(applied, {"metadata": {"managedFields": [{}]}}).ok(200)
    answer = target.patch(applied, {"data": {"new": "1"}}, fieldManager="x").ok(200)
    assert "managedFields" not in answer.meta


def test_eleven_updaters_become_ten_and_the_ancient(target, made):
    """reference: apiserver 7, SSA: >10 Update managers → `ancient-changes`"""
    path, _ = made("configmaps", configmap())
    for number in range(12):
        answer = target.patch(path, {"data": {f"k{number}": "v"}}, fieldManager=f"m{number}").ok(200)
    managers = [each["manager"] for each in answer.meta["managedFields"]]
    assert managers.count("ancient-changes") == 1
    assert len(managers) == 10


BAD = {
    "managed-fields": (
        {
            "metadata": {
                "managedFields": [
                    {
                        "manager": "x",
                        "operation": "Apply",
                        "apiVersion": "v1",
                        "fieldsType": "FieldsV1",
                        "fieldsV1": {},
                    }
                ]
            }
        },
        400,
        "metadata.managedFields must be nil",
    ),
    "no-kind": ({"apiVersion": None, "kind": None}, 400, "invalid object type: /, Kind="),
    "wrong-kind": ({"kind": "Secret"}, 400, "invalid object type: /v1, Kind=Secret"),
    "unknown-field": ({"dta": {}}, 500, ".dta: field not declared in schema"),
    "wrong-type": ({"data": "x"}, 500, ".data: expected map"),
    "another-name": (
        {"metadata": {"name": "other"}},
        400,
        "the name of the object (other) does not match the name on the URL",
    ),
    "no-name": ({"metadata": {"name": None}}, 400, "was undeterminable: name must be provided"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_body_that_cannot_be_applied_is_refused(target, paths, name, case):
    """reference: apiserver 7, SSA: managedFields in the body 400; types, names"""
    change, code, words = BAD[case]
    body = document(name, {"a": "1"})
    body |= {key: value for key, value in change.items() if key != "metadata"}
    body["metadata"] |= change.get("metadata", {})
    body = {key: value for key, value in body.items() if value is not None}
    body["metadata"] = {key: value for key, value in body["metadata"].items() if value is not None}
    answer = target.apply(paths.of("configmaps", name), body, "me").ok(code)
    assert words in answer.message


def test_duplicates_in_a_keyed_list_are_refused(target, paths, name):
    """reference: apiserver 7, SSA: list keys"""
    body = workload("Deployment", name)
    body["spec"]["template"]["spec"]["containers"] *= 2
    answer = target.apply(paths.of("deployments", name), body, "me")
    assert answer.code >= 400
    assert '.spec.template.spec.containers: duplicate entries for key [name="c"]' in answer.message


def test_yaml_that_cannot_be_read_is_a_bad_request(target, paths, name):
    """reference: apiserver 7: parse 400"""
    answer = target.ask("PATCH", paths.of("configmaps", name), b"a: [", APPLY, fieldManager="me").ok(400)
    assert answer.message.startswith("error decoding YAML: ")


def test_a_dry_apply_stores_nothing(target, paths, name):
    """reference: apiserver 1, kubectl diff = dryRun=All"""
    target.apply(paths.of("configmaps", name), document(name), "me", dryRun="All").ok(201)
    target.get(paths.of("configmaps", name)).ok(404)


def test_an_apply_with_an_old_version_is_a_conflict(target, applied, name):
    """reference: apiserver 2, PATCH: 409 only if the patch carries RV"""
    body = document(name, {"a": "5"}, resourceVersion="1")
    assert target.apply(applied, body, "me").ok(409).reason == "Conflict"


def test_kubectls_client_side_fields_are_taken_over(target, paths, name):
    """reference: apiserver 7, SSA: manager `kubectl` may take over last-applied fields"""
    last = json.dumps(document(name, {"a": "1"}, annotations={}))
    note = {"kubectl.kubernetes.io/last-applied-configuration": last}
    path = paths.of("configmaps")
    body = configmap(name, {"a": "1"}, annotations=note)
    target.post(path, body, fieldManager="kubectl-client-side-apply").ok(201)
    answer = target.apply(f"{path}/{name}", document(name, {"a": "2"}), "kubectl").ok(200)
    assert answer.json["data"] == {"a": "2"}


def test_the_order_of_managers_is_by_time_not_by_chance(target, applied, name):
    """reference: apiserver 7, SSA: a write by one manager leaves the entries of others as they are"""
    before = target.get(applied).meta["managedFields"]
    after = target.patch(applied, {"data": {"z": "1"}}, fieldManager="z").ok(200).meta["managedFields"]
    assert [each for each in after if each["manager"] == "me"] == before

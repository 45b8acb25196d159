"""reference: apiserver 2, rows status, PUT, PATCH, dryRun, fieldManager, fieldValidation."""

import json

import pytest
from paths import autoscaler, configmap, event, lease, pod, service, workload
from target import MERGE, OPERATIONS, STRATEGIC

# --- status


@pytest.mark.needs("quiet")
@pytest.mark.parametrize("resource", ["deployments", "replicasets", "horizontalpodautoscalers"])
def test_creation_clears_status(made, resource):
    """reference: apiserver 2, status: create clears it"""
    body = autoscaler() if resource.startswith("h") else workload()
    _, answer = made(resource, {**body, "kind": None, "status": {"replicas": 7, "currentReplicas": 7}})
    assert answer.json.get("status", {}).get("replicas", 0) == 0


def test_a_new_pod_is_pending(made):
    """reference: apiserver 2, status: Pod: Pending + qosClass"""
    _, answer = made("pods", {**pod(), "status": {"phase": "Running", "podIP": "10.0.0.9"}})
    status = answer.json["status"]
    assert (status["phase"], status["qosClass"]) == ("Pending", "BestEffort")
    assert "podIP" not in status


QUALITY = {
    "guaranteed": ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
    "burstable": ({"requests": {"cpu": "1"}}, "Burstable"),
}


@pytest.mark.parametrize("case", QUALITY)
def test_a_pods_quality_follows_its_resources(made, case):
    """reference: apiserver 2, status: qosClass"""
    resources, quality = QUALITY[case]
    spec = {"containers": [{"name": "c", "image": "i", "resources": resources}]}
    assert made("pods", pod(**spec))[1].json["status"]["qosClass"] == quality


@pytest.mark.needs("quiet")
@pytest.mark.parametrize("how", ["put", "patch"])
def test_the_main_endpoint_keeps_the_old_status(target, made, how):
    """reference: apiserver 2, status: main endpoint keeps the old status"""
    path, before = made("replicasets", workload("ReplicaSet"))
    target.patch(f"{path}/status", {"status": {"replicas": 2}}).ok(200)
    body = {**before.json, "status": {"replicas": 9}}
    body["metadata"].pop("resourceVersion")
    after = target.put(path, body) if how == "put" else target.patch(path, {"status": {"replicas": 9}})
    assert after.ok(200).json["status"]["replicas"] == 2


@pytest.mark.needs("quiet")
@pytest.mark.parametrize("how", ["put", "patch"])
def test_the_status_endpoint_keeps_the_spec(target, made, how):
    """reference: apiserver 2, status: /status keeps spec; 9, trap 16"""
    path, before = made("replicasets", workload("ReplicaSet"))
    body = {**before.json, "status": {"replicas": 1}}
    body["spec"] = {**body["spec"], "minReadySeconds": 50}
    change = {"spec": {"minReadySeconds": 50}, "status": {"replicas": 1}}
    after = target.put(f"{path}/status", body) if how == "put" else target.patch(f"{path}/status", change)
    found = after.ok(200).json
    assert (found["status"]["replicas"], found["spec"].get("minReadySeconds", 0)) == (1, 0)


LABELLED = {"deployments": False, "replicasets": True, "horizontalpodautoscalers": True}


@pytest.mark.needs("quiet")
@pytest.mark.parametrize("resource", LABELLED)
def test_the_status_endpoint_and_labels(target, made, resource):
    """reference: apiserver 2, status: Deployment keeps labels; others may change labels/annotations"""
    path, _ = made(resource, autoscaler() if resource.startswith("h") else {**workload(), "kind": None})
    change = {"metadata": {"labels": {"new": "1"}}, "status": {"replicas": 0}}
    labels = target.patch(f"{path}/status", change).ok(200).meta.get("labels", {})
    assert ("new" in labels) == LABELLED[resource]


def test_the_status_endpoint_keeps_a_pods_owners(target, made, name):
    """reference: apiserver 2, status: Pod also ownerReferences"""
    path, before = made("pods", pod())
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": before.meta["uid"]}
    after = target.patch(f"{path}/status", {"metadata": {"ownerReferences": [owner]}}).ok(200)
    assert "ownerReferences" not in after.meta


def test_status_is_read_at_its_endpoint(target, made):
    """reference: apiserver 2, status: GET /status gives the whole object"""
    path, before = made("pods", pod())
    assert target.get(f"{path}/status").ok(200).meta["uid"] == before.meta["uid"]


def test_configmaps_have_no_status_endpoint(target, made):
    """reference: apiserver 4, 404 unknown route"""
    path, _ = made("configmaps")
    target.get(f"{path}/status").ok(404)


# --- PUT


def test_a_put_with_the_present_version_replaces(target, made):
    """reference: apiserver 2, PUT: RV equal"""
    path, before = made("configmaps", configmap(data={"a": "1", "b": "2"}))
    after = target.put(path, {**before.json, "data": {"c": "3"}}).ok(200)
    assert after.json["data"] == {"c": "3"}


def test_a_put_with_an_old_version_is_a_conflict(target, made, name):
    """reference: apiserver 2, PUT: or 409; 4, 409 Conflict"""
    path, before = made("configmaps")
    target.patch(path, {"data": {"x": "y"}}).ok(200)
    answer = target.put(path, before.json).ok(409)
    assert answer.reason == "Conflict"
    assert answer.message == (
        f'Operation cannot be fulfilled on configmaps "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert answer.json["details"] == {"name": name, "kind": "configmaps"}


def test_a_conflict_names_the_group(target, made, name):
    """reference: apiserver 4, 409 Conflict: deployments.apps "x\""""
    path, _ = made("replicasets", {**workload(), "kind": None})
    answer = target.patch(path, {"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}}).ok(409)
    assert answer.message.startswith(f'Operation cannot be fulfilled on replicasets.apps "{name}": ')
    assert answer.json["details"] == {"name": name, "group": "apps", "kind": "replicasets"}


def test_a_put_without_a_version_is_unconditional(target, made, name):
    """reference: apiserver 2, PUT: RV empty = unconditional; 9, trap 18"""
    path, _ = made("configmaps")
    assert target.put(path, configmap(name, {"new": "1"})).ok(200).json["data"] == {"new": "1"}


@pytest.mark.parametrize("resource", ["leases", "poddisruptionbudgets"])
def test_a_put_without_a_version_is_refused(target, made, name, resource):
    """reference: apiserver 2, PUT: except Lease, PDB…: 422; 9, trap 18"""
    body = (
        lease(name) if resource == "leases" else {"metadata": {"name": name}, "spec": {"maxUnavailable": 1}}
    )
    path, _ = made(resource, body)
    answer = target.put(path, body).ok(422)
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in answer.message


def test_a_uid_in_a_put_is_a_precondition(target, made, name):
    """reference: apiserver 2, PUT: uid in body = precondition 409"""
    path, _ = made("configmaps")
    body = configmap(name, uid="00000000-0000-4000-8000-000000000000")
    answer = target.put(path, body).ok(409)
    assert "Precondition failed: UID in precondition: 00000000-0000-4000-8000-000000000000" in answer.message


@pytest.mark.parametrize("resource", ["leases", "services", "events", "roles"])
def test_a_put_creates(target, paths, name, resource):
    """reference: apiserver 2, PUT creates (201) for Lease, Event, Service, RBAC"""
    body = {
        "leases": lease(name),
        "services": service(name),
        "events": event(paths.namespace, name),
        "roles": {"metadata": {"name": name}, "rules": []},
    }[resource]
    assert target.put(paths.of(resource, name), body).ok(201).meta["uid"]


@pytest.mark.parametrize("resource", ["configmaps", "replicasets", "horizontalpodautoscalers", "secrets"])
def test_a_put_does_not_create(target, paths, name, resource):
    """reference: apiserver 2, PUT: not found for the other kinds"""
    body = {"configmaps": configmap(name), "replicasets": workload("ReplicaSet", name)}.get(resource)
    target.put(paths.of(resource, name), body or {"metadata": {"name": name}}).ok(404)


def test_a_name_other_than_the_urls_is_refused(target, made, name):
    """reference: apiserver 2, PUT: name ≠ URL 400"""
    path, _ = made("configmaps")
    answer = target.put(path, configmap("other")).ok(400)
    assert answer.message == (f"the name of the object (other) does not match the name on the URL ({name})")


def test_a_put_keeps_what_the_system_owns(target, made, name):
    """reference: apiserver 2, PUT: uid and creationTimestamp stay"""
    path, before = made("configmaps")
    after = target.put(path, configmap(name, creationTimestamp="2001-01-01T00:00:00Z")).ok(200)
    assert after.meta["uid"] == before.meta["uid"]
    assert after.meta["creationTimestamp"] == before.meta["creationTimestamp"]


def test_a_put_cannot_mark_as_deleted(target, made, name):
    """reference: apiserver 2, PUT: deletionTimestamp belongs to DELETE"""
    path, _ = made("configmaps")
    body = configmap(name, deletionTimestamp="2001-01-01T00:00:00Z")
    assert "deletionTimestamp" not in target.put(path, body).json["metadata"]


# --- PATCH


def test_a_patch_of_what_is_not_there_is_not_found(target, paths, name):
    """reference: apiserver 2, PATCH: missing → 404"""
    answer = target.patch(paths.of("configmaps", name), {"data": {}}).ok(404)
    assert (answer.reason, answer.message) == ("NotFound", f'configmaps "{name}" not found')


def test_a_patch_without_a_version_never_conflicts(target, made):
    """reference: apiserver 2, PATCH: 409 only if the patch carries RV/uid"""
    path, _ = made("configmaps")
    for value in ("1", "2"):
        assert target.patch(path, {"data": {"k": value}}).ok(200).json["data"]["k"] == value


def test_a_patch_with_an_old_version_conflicts(target, made):
    """reference: apiserver 2, PATCH: 409 if the patch carries RV"""
    path, before = made("configmaps")
    target.patch(path, {"data": {"k": "1"}}).ok(200)
    change = {"metadata": {"resourceVersion": before.version}, "data": {"k": "2"}}
    assert target.patch(path, change).ok(409).reason == "Conflict"


def test_a_patch_with_the_present_version_succeeds(target, made):
    """reference: apiserver 2, PATCH with RV"""
    path, before = made("configmaps")
    change = {"metadata": {"resourceVersion": before.version}, "data": {"k": "2"}}
    target.patch(path, change).ok(200)


def test_a_patch_of_another_uid_is_refused(target, made):
    """reference: apiserver 2, PATCH carries uid: another object is not touched"""
    path, before = made("configmaps")
    change = {"metadata": {"uid": "00000000-0000-4000-8000-000000000000"}, "data": {"k": "2"}}
    target.patch(path, change, STRATEGIC).ok(422)
    assert target.get(path).version == before.version


def test_a_patch_with_a_wrong_uid_says_that_the_field_is_immutable(target, made):
    """reference: apiserver 5, Immutable: uid"""
    path, _ = made("configmaps")
    answer = target.patch(path, {"metadata": {"uid": "00000000-0000-4000-8000-000000000000"}}).ok(422)
    assert ("FieldValueInvalid", "metadata.uid") in answer.causes
    assert "field is immutable" in answer.message


# --- dry run


def test_a_dry_creation_stores_nothing(target, paths, name):
    """reference: apiserver 2, dryRun=All: everything but storing"""
    answer = target.post(paths.of("configmaps"), configmap(name), dryRun="All").ok(201)
    assert answer.meta["uid"]
    target.get(paths.of("configmaps", name)).ok(404)


def test_a_dry_creation_has_no_version(target, paths, name):
    """reference: apiserver 2, dryRun=All: nothing stored, no resourceVersion"""
    answer = target.post(paths.of("configmaps"), configmap(name), dryRun="All").ok(201)
    assert "resourceVersion" not in answer.meta


@pytest.mark.parametrize("how", ["put", "patch", "delete"])
def test_a_dry_change_changes_nothing(target, made, how):
    """reference: apiserver 2, dryRun=All"""
    path, before = made("configmaps")
    change = {**before.json, "data": {"k": "dry"}}
    answer = {
        "put": lambda: target.put(path, change, dryRun="All"),
        "patch": lambda: target.patch(path, {"data": {"k": "dry"}}, dryRun="All"),
        "delete": lambda: target.delete(path, dryRun="All"),
    }[how]()
    answer.ok(200)
    assert target.get(path).json == before.json


def test_a_dry_run_validates(target, paths, name):
    """reference: apiserver 2, dryRun=All: everything but storing"""
    target.post(paths.of("configmaps"), configmap(f"{name}_"), dryRun="All").ok(422)


def test_a_dry_run_sees_what_is_there(target, paths, made, name):
    """reference: apiserver 2, dryRun=All: everything but storing"""
    made("configmaps")
    target.post(paths.of("configmaps"), configmap(name), dryRun="All").ok(409)


def test_another_word_for_a_dry_run_is_refused(target, paths, name):
    """reference: apiserver 2, dryRun=All, and no other value"""
    answer = target.post(paths.of("configmaps"), configmap(name), dryRun="Some").ok(422)
    assert answer.causes == [("FieldValueNotSupported", "dryRun")]


# --- field managers


def manager_of(answer):
    return [(each["manager"], each["operation"]) for each in answer.meta["managedFields"]]


def test_the_manager_is_the_user_agent_up_to_the_slash(target, paths, name):
    """reference: apiserver 2, fieldManager: default User-Agent up to "/\""""
    answer = target.post(paths.of("configmaps"), configmap(name), headers={"User-Agent": "some-tool/1.2 (x)"})
    assert manager_of(answer.ok(201)) == [("some-tool", "Update")]


def test_the_manager_may_be_named(target, paths, name):
    """reference: apiserver 2, fieldManager"""
    answer = target.post(paths.of("configmaps"), configmap(name), fieldManager="me")
    assert manager_of(answer.ok(201)) == [("me", "Update")]


def test_a_long_manager_is_refused(target, paths, name):
    """reference: apiserver 2, fieldManager ≤128"""
    answer = target.post(paths.of("configmaps"), configmap(name), fieldManager="m" * 129).ok(422)
    assert answer.causes == [("FieldValueTooLong", "fieldManager")]
    target.post(paths.of("configmaps"), configmap(name), fieldManager="m" * 128).ok(201)


def test_a_status_write_is_noted_as_such(target, made):
    """reference: apiserver 7, SSA: per manager+operation+subresource"""
    path, _ = made("pods", pod())
    answer = target.patch(f"{path}/status", {"status": {"message": "m"}}, fieldManager="kubelet").ok(200)
    (entry,) = [each for each in answer.meta["managedFields"] if each["manager"] == "kubelet"]
    assert (entry["subresource"], entry["operation"]) == ("status", "Update")
    assert entry["fieldsV1"] == {"f:status": {"f:message": {}}}


# --- field validation


def body_with_unknown(name):
    return {"metadata": {"name": name}, "spec": {**autoscaler()["spec"], "colour": "red"}}


def test_an_unknown_field_is_warned_of_and_dropped(target, paths, name):
    """reference: apiserver 2, fieldValidation default Warn (header Warning: 299)"""
    answer = target.post(paths.of("horizontalpodautoscalers"), body_with_unknown(name)).ok(201)
    assert answer.headers["Warning"] == '299 - "unknown field \\"spec.colour\\""'
    assert "colour" not in target.get(paths.of("horizontalpodautoscalers", name)).json["spec"]


def test_an_unknown_field_is_ignored_on_request(target, paths, name):
    """reference: apiserver 2, fieldValidation Ignore"""
    body = body_with_unknown(name)
    answer = target.post(paths.of("horizontalpodautoscalers"), body, fieldValidation="Ignore").ok(201)
    assert answer.headers["Warning"] is None


def test_an_unknown_field_is_refused_when_strict(target, paths, name):
    """reference: apiserver 2, fieldValidation Strict → 400; 4, 400 BadRequest"""
    body = body_with_unknown(name)
    answer = target.post(paths.of("horizontalpodautoscalers"), body, fieldValidation="Strict").ok(400)
    assert answer.reason == "BadRequest"
    assert answer.message == (
        'HorizontalPodAutoscaler in version "v2" cannot be handled as a HorizontalPodAutoscaler: '
        'strict decoding error: unknown field "spec.colour"'
    )


def test_a_repeated_field_is_refused_when_strict(target, paths, name):
    """reference: apiserver 2, fieldValidation Strict: duplicate fields"""
    body = f'{{"metadata":{{"name":"{name}"}},"data":{{"a":"1"}},"data":{{"b":"2"}}}}'.encode()
    answer = target.post(paths.of("configmaps"), body, fieldValidation="Strict").ok(400)
    assert 'strict decoding error: duplicate field "data"' in answer.message


def test_a_repeated_field_is_warned_of(target, paths, name):
    """reference: apiserver 2, fieldValidation Warn: duplicate fields"""
    body = f'{{"metadata":{{"name":"{name}"}},"data":{{"a":"1"}},"data":{{"b":"2"}}}}'.encode()
    answer = target.post(paths.of("configmaps"), body).ok(201)
    assert answer.headers["Warning"] == '299 - "duplicate field \\"data\\""'


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (MERGE, {"spec": {"colour": "red"}}),
        (STRATEGIC, {"spec": {"colour": "red"}}),
        (OPERATIONS, [{"op": "add", "path": "/spec/colour", "value": "red"}]),
    ],
    ids=["merge", "strategic", "json"],
)
def test_an_unknown_field_in_a_patch_is_refused_when_strict(target, made, kind, change):
    """reference: apiserver 2, fieldValidation Strict in patches"""
    path, _ = made("horizontalpodautoscalers", autoscaler())
    answer = target.patch(path, change, kind, fieldValidation="Strict").ok(422)
    assert answer.causes == [("FieldValueInvalid", "patch")]
    assert 'unknown field "spec.colour"' in answer.message


def test_another_word_for_validation_is_refused(target, paths, name):
    """reference: apiserver 2, fieldValidation: Ignore, Warn, Strict and no other"""
    answer = target.post(paths.of("configmaps"), configmap(name), fieldValidation="Loose").ok(422)
    assert answer.causes == [("FieldValueNotSupported", "fieldValidation")]


def test_yaml_is_a_body_too(target, paths, name):
    """reference: apiserver 5 and issue: JSON and YAML bodies"""
    body = f"metadata:\n  name: {name}\ndata:\n  k: 'yes'\n".encode()
    answer = target.post(paths.of("configmaps"), body, kind="application/yaml").ok(201)
    assert answer.json["data"] == {"k": "yes"}


def test_a_body_without_a_content_type_is_json(target, paths, name):
    """reference: apiserver 1, Python client: POST/PUT without Content-Type (= JSON); 9, trap 4"""
    body = json.dumps(configmap(name)).encode()
    target.post(paths.of("configmaps"), body, headers={"Content-Type": None}).ok(201)


def test_a_kind_in_the_body_must_be_the_paths(target, paths, name):
    """reference: apiserver 4, 400 BadRequest"""
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
    answer = target.post(paths.of("configmaps"), body).ok(400)
    assert answer.message.startswith('Pod in version "v1" cannot be handled as a ConfigMap: ')


def test_a_version_in_the_body_must_be_the_paths(target, paths, name):
    """reference: apiserver 4, 400 BadRequest"""
    body = {"apiVersion": "apps/v1", "kind": "ConfigMap", **configmap(name)}
    answer = target.post(paths.of("configmaps"), body).ok(400)
    assert answer.message.startswith('ConfigMap in version "v1" cannot be handled as a ConfigMap: ')

"""reference: apiserver 2, rows RV, Create and generation: one counter, what creation sets, what counts up."""

import re

import pytest
from paths import autoscaler, configmap, event, everywhere, lease, pod, service, workload
from target import MERGE

SUFFIX = "[bcdfghjklmnpqrstvwxz2456789]{5}"


def number(answer):
    return int(answer.version)


# --- the counter


def test_versions_of_different_kinds_come_from_one_counter(target, paths, name):
    """reference: apiserver 2, RV: one global counter; 9, trap 15"""
    first = number(target.post(paths.of("configmaps"), configmap(name)).ok())
    second = number(target.post(paths.of("leases"), lease(name)).ok())
    third = number(target.post(paths.of("pods"), pod(name)).ok())
    assert first < second < third


def test_versions_are_decimal_and_have_no_leading_zero(target, paths, name):
    """reference: apiserver 9, trap 15: non-decimal versions"""
    assert re.fullmatch("[1-9][0-9]*", target.post(paths.of("secrets"), {"metadata": {"name": name}}).version)


def test_an_update_raises_the_version(target, made):
    """reference: apiserver 2, RV: every write takes the next"""
    path, before = made("configmaps", configmap())
    after = target.patch(path, {"data": {"k": "w"}}).ok(200)
    assert number(after) > number(before)


def test_a_delete_takes_a_version_too(target, paths, made):
    """reference: apiserver 2, RV: including delete"""
    path, before = made("configmaps", configmap())
    target.delete(path).ok(200)
    assert number(target.get(paths.of("configmaps"))) > number(before)


def test_a_list_has_the_present_global_version(target, paths, made):
    """reference: apiserver 2, RV: list RV = current global value"""
    _, last = made("leases", lease())
    assert number(target.get(paths.of("configmaps"))) >= number(last)


@pytest.mark.parametrize("kind", ["put", "merge", "strategic", "json", "status"])
def test_a_write_that_changes_nothing_keeps_the_version(target, made, kind):
    """reference: apiserver 2, RV: a write that changes nothing returns the same RV; 9, trap 9"""
    path, before = made("pods", pod())
    answer = {
        "put": lambda: target.put(path, before.json),
        "merge": lambda: target.patch(path, {"metadata": {"labels": before.meta["labels"]}}),
        "strategic": lambda: target.patch(
            path, {"metadata": {"labels": {}}}, "application/strategic-merge-patch+json"
        ),
        "json": lambda: target.patch(path, [], "application/json-patch+json"),
        "status": lambda: target.patch(f"{path}/status", {"status": {"phase": "Pending"}}),
    }[kind]()
    assert answer.ok(200).version == before.version


def test_a_write_that_changes_nothing_makes_no_event(target, paths, made):
    """reference: apiserver 2, RV: and no event; 9, trap 9 (hot loops)"""
    path, before = made("configmaps", configmap())
    with target.watch(paths.of("configmaps"), resourceVersion=before.version) as watch:
        target.patch(path, {"data": {"k": "v"}}).ok(200)
        target.patch(path, {"data": {"k": "w"}}).ok(200)
        assert watch.next()["object"]["data"] == {"k": "w"}


# --- creation


def test_creation_answers_201(target, paths, name):
    """reference: apiserver 9, trap 25: 200 for 201"""
    target.post(paths.of("configmaps"), configmap(name)).ok(201)


def test_creation_sets_uid_and_time(made):
    """reference: apiserver 2, Create: uid v4, creationTimestamp (seconds, Z)"""
    meta = made("configmaps", configmap())[1].meta
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", meta["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", meta["creationTimestamp"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uid", "00000000-0000-4000-8000-000000000000"),
        ("creationTimestamp", "2001-01-01T00:00:00Z"),
        ("selfLink", "/somewhere"),
        ("deletionTimestamp", "2001-01-01T00:00:00Z"),
        ("deletionGracePeriodSeconds", 5),
        ("generation", 77),
    ],
)
def test_system_metadata_in_the_body_is_wiped(made, field, value):
    """reference: apiserver 2, Create: system metadata in the body is wiped"""
    body = {**workload("ReplicaSet", replicas=0), "metadata": {field: value}}
    assert made("replicasets", body)[1].meta.get(field) != value


def test_a_version_in_the_body_of_a_creation_is_an_error(target, paths, name):
    """reference: apiserver 2, Create: RV in body → error (500)"""
    answer = target.post(paths.of("configmaps"), configmap(name, resourceVersion="5"))
    assert (answer.code, answer.message) == (
        500,
        "resourceVersion should not be set on objects to be created",
    )


def test_a_generated_name_is_base_and_five_letters(target, paths):
    """reference: apiserver 2, Create: generateName: + 5 of bcdfghjklmnpqrstvwxz2456789"""
    meta = target.post(paths.of("configmaps"), {"metadata": {"generateName": "gen-"}}).ok(201).meta
    assert re.fullmatch(f"gen-{SUFFIX}", meta["name"])
    assert meta["generateName"] == "gen-"


def test_a_long_base_is_cut_to_58(target, paths):
    """reference: apiserver 2, Create: base cut to 58"""
    meta = target.post(paths.of("configmaps"), {"metadata": {"generateName": "x" * 70}}).ok(201).meta
    assert re.fullmatch(f"x{{58}}{SUFFIX}", meta["name"])


def test_a_given_name_wins_over_a_base(target, paths, name):
    """reference: apiserver 2, Create: generateName"""
    body = {"metadata": {"name": name, "generateName": "gen-"}}
    assert target.post(paths.of("configmaps"), body).ok(201).meta["name"] == name


def test_an_object_without_a_name_is_refused(target, paths):
    """reference: apiserver 4, 422 Invalid"""
    answer = target.post(paths.of("configmaps"), {"metadata": {}}).ok(422)
    assert answer.message == (
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'
    )


def test_a_namespace_other_than_the_paths_is_refused(target, paths, name):
    """reference: apiserver 2, Create: body namespace ≠ path → 400"""
    answer = target.post(paths.of("configmaps"), configmap(name, namespace="other")).ok(400)
    assert answer.reason == "BadRequest"
    assert answer.message == (
        "the namespace of the provided object does not match the namespace sent on the request"
    )


def test_the_paths_namespace_is_put_into_the_object(made, paths):
    """reference: apiserver 2, Create"""
    assert made("configmaps")[1].meta["namespace"] == paths.namespace


def test_a_second_creation_of_the_name_is_a_conflict(target, paths, made, name):
    """reference: apiserver 4, 409 AlreadyExists"""
    made("configmaps")
    answer = target.post(paths.of("configmaps"), configmap(name)).ok(409)
    assert (answer.reason, answer.message) == ("AlreadyExists", f'configmaps "{name}" already exists')
    assert answer.json["details"] == {"name": name, "kind": "configmaps"}


def test_creation_over_a_terminating_object_says_so(target, paths, made, name):
    """reference: apiserver 2, Create: 409 while terminating: "object is being deleted: …\""""
    path, _ = made("configmaps", finalizers=["conformance.test/hold"])
    target.delete(path).ok(200)
    answer = target.post(paths.of("configmaps"), configmap(name)).ok(409)
    assert answer.message == f'object is being deleted: configmaps "{name}" already exists'
    target.patch(path, {"metadata": {"finalizers": None}}).ok(200)


# --- generation

COUNTED = {
    "deployments": workload("Deployment"),
    "replicasets": workload("ReplicaSet"),
    "daemonsets": {
        "spec": {key: value for key, value in workload()["spec"].items() if key != "replicas"},
    },
    "statefulsets": workload("StatefulSet", serviceName="none"),
    "jobs": {
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}},
        }
    },
    "pods": pod(),
}
UNCOUNTED = {
    "horizontalpodautoscalers": autoscaler(),
    "leases": lease(),
    "serviceaccounts": {},
    "configmaps": configmap(),
    "services": service(),
    "secrets": {},
}


@pytest.mark.parametrize("resource", COUNTED)
def test_generation_begins_at_1(made, resource):
    """reference: apiserver 2, generation: 1 on create for Deployment, RS, DS, STS, Job, Pod"""
    body = {**COUNTED[resource], "metadata": {"labels": {"app": "w"}}}
    assert made(resource, body)[1].meta["generation"] == 1


@pytest.mark.parametrize("resource", UNCOUNTED)
def test_generation_is_absent(made, resource):
    """reference: apiserver 2, generation: absent for HPA, Lease, SA, ConfigMap, Service"""
    body = {**UNCOUNTED[resource], "metadata": {}}
    assert "generation" not in made(resource, body)[1].meta


@pytest.mark.parametrize("resource", ["namespaces", "nodes"])
def test_generation_is_absent_cluster_wide(target, unique, resource):
    """reference: apiserver 2, generation: absent for Namespace, Node"""
    made = target.post(everywhere(resource), {"metadata": {"name": unique}}).ok(201)
    try:
        assert "generation" not in made.meta
    finally:
        target.delete(f"{everywhere(resource)}/{unique}").ok()


def test_generation_is_absent_of_events(target, paths, name):
    """reference: apiserver 2, generation: absent for Event"""
    assert "generation" not in target.post(paths.of("events"), event(paths.namespace, name)).ok(201).meta


RISES = {
    "deployment-spec": ("deployments", {"spec": {"minReadySeconds": 3}}, 1),
    "deployment-annotation": ("deployments", {"metadata": {"annotations": {"a": "b"}}}, 1),
    "deployment-label": ("deployments", {"metadata": {"labels": {"a": "b"}}}, 0),
    "replicaset-spec": ("replicasets", {"spec": {"minReadySeconds": 3}}, 1),
    "replicaset-annotation": ("replicasets", {"metadata": {"annotations": {"a": "b"}}}, 0),
    "pod-spec": ("pods", {"spec": {"activeDeadlineSeconds": 1000}}, 1),
    "pod-annotation": ("pods", {"metadata": {"annotations": {"a": "b"}}}, 0),
}


@pytest.mark.needs("quiet")
@pytest.mark.parametrize("case", RISES)
def test_generation_rises_by_the_kinds_rule(target, made, case):
    """reference: apiserver 2, generation: Deployment +1 on spec or annotations; 9, trap 17"""
    resource, change, rise = RISES[case]
    path, before = made(resource, {**COUNTED[resource], "metadata": {}})
    after = target.patch(path, change, MERGE).ok(200)
    assert after.meta["generation"] - before.meta["generation"] == rise


@pytest.mark.needs("quiet")
@pytest.mark.parametrize("resource", ["deployments", "replicasets", "pods"])
def test_a_status_write_never_raises_generation(target, made, resource):
    """reference: apiserver 2, generation: status writes never; 9, trap 16"""
    path, before = made(resource, {**COUNTED[resource], "metadata": {}})
    status = {"phase": "Running"} if resource == "pods" else {"observedGeneration": 1}
    after = target.patch(f"{path}/status", {"status": status}).ok(200)
    assert after.version != before.version
    assert after.meta["generation"] == 1


@pytest.mark.needs("quiet")
def test_being_marked_as_deleted_raises_generation(target, made):
    """reference: apiserver 2, generation: setting deletionTimestamp +1"""
    body = {**workload("ReplicaSet"), "metadata": {"finalizers": ["conformance.test/hold"]}}
    path, _ = made("replicasets", body)
    marked = target.delete(path).ok(200)
    assert marked.meta["generation"] == 2
    target.patch(path, {"metadata": {"finalizers": None}}).ok(200)

"""reference: apiserver 2, rows DELETE, Pod grace, deletecollection, GC, and namespaces that end."""

import pytest
from paths import configmap, nowhere, pod, service, workload

HOLD = "conformance.test/hold"


def release(target, path):
    target.patch(path, {"metadata": {"finalizers": None}}).ok(200)


def bound(**spec):
    """A pod on a node that is not there: no kubelet ends it."""
    return pod(nodeName=nowhere(), **spec)


# --- what comes back


def test_a_deletion_answers_with_a_status_of_success(target, made, name):
    """reference: apiserver 2, DELETE: 200 Status Success, details; 9, trap 25 (details.uid)"""
    path, before = made("configmaps")
    answer = target.delete(path).ok(200).json
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert answer["details"] == {"name": name, "kind": "configmaps", "uid": before.meta["uid"]}


def test_details_of_a_deletion_name_the_group(target, made, name):
    """reference: apiserver 2, DELETE: details {name, group, kind:<plural>, uid}"""
    path, before = made("leases")
    details = target.delete(path).ok(200).json["details"]
    assert details == {
        "name": name,
        "group": "coordination.k8s.io",
        "kind": "leases",
        "uid": before.meta["uid"],
    }


WHOLE = {"pods": pod(), "services": service(), "serviceaccounts": {}}


@pytest.mark.parametrize("resource", WHOLE)
def test_some_kinds_answer_with_the_object(target, made, resource):
    """reference: apiserver 2, DELETE: Pod, Namespace, Service, SA return the object"""
    path, before = made(resource, WHOLE[resource])
    answer = target.delete(path).ok(200).json
    assert answer["metadata"]["uid"] == before.meta["uid"]
    assert answer["kind"] != "Status"


def test_what_is_deleted_is_gone(target, made):
    """reference: apiserver 2, DELETE; 4, 404"""
    path, _ = made("configmaps")
    target.delete(path).ok(200)
    target.get(path).ok(404)
    target.delete(path).ok(404)


# --- preconditions


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
def test_a_precondition_that_fails_is_a_conflict(target, made, field):
    """reference: apiserver 2, DELETE: preconditions uid/RV → 409"""
    path, _ = made("configmaps")
    answer = target.delete(path, {"preconditions": {field: "1"}}).ok(409)
    assert answer.reason == "Conflict"
    target.get(path).ok(200)


def test_preconditions_that_hold_let_it_pass(target, made):
    """reference: apiserver 2, DELETE: preconditions"""
    path, before = made("configmaps")
    wanted = {"uid": before.meta["uid"], "resourceVersion": before.version}
    target.delete(path, {"preconditions": wanted}).ok(200)


def test_a_failed_uid_is_told(target, made, name):
    """reference: apiserver 4, 409 Conflict, of a DELETE"""
    path, before = made("configmaps")
    answer = target.delete(path, {"preconditions": {"uid": "other"}}).ok(409)
    assert answer.message == (
        f'Operation cannot be fulfilled on ConfigMap "{name}": the UID in the precondition (other) does '
        f"not match the UID in record ({before.meta['uid']}). "
        "The object might have been deleted and then recreated"
    )
    assert answer.json["details"] == {"name": name, "kind": "ConfigMap"}


def test_a_failed_version_is_told(target, made, name):
    """reference: apiserver 4, 409 Conflict, of a DELETE"""
    path, before = made("configmaps")
    answer = target.delete(path, {"preconditions": {"resourceVersion": "1"}}).ok(409)
    assert answer.message == (
        f'Operation cannot be fulfilled on ConfigMap "{name}": the ResourceVersion in the precondition (1) '
        f"does not match the ResourceVersion in record ({before.version}). "
        "The object might have been modified"
    )


# --- finalizers


def test_a_finalizer_keeps_the_object(target, made):
    """reference: apiserver 2, DELETE: Finalizers: deletionTimestamp, grace 0; 9, trap 19"""
    path, _ = made("configmaps", finalizers=[HOLD])
    marked = target.delete(path).ok(200)
    assert marked.json["kind"] == "ConfigMap"
    assert marked.meta["deletionTimestamp"]
    assert marked.meta["deletionGracePeriodSeconds"] == 0
    assert target.get(path).ok(200).meta["finalizers"] == [HOLD]
    release(target, path)


def test_a_finalizer_makes_the_deletion_a_modification(target, paths, made):
    """reference: apiserver 2, DELETE: Finalizers: MODIFIED; removed when an update empties them"""
    path, before = made("configmaps", finalizers=[HOLD])
    with target.watch(paths.of("configmaps"), resourceVersion=before.version) as watch:
        target.delete(path).ok(200)
        assert watch.next()["type"] == "MODIFIED"
        release(target, path)
        assert watch.next()["type"] == "DELETED"
    target.get(path).ok(404)


def test_a_second_deletion_changes_nothing(target, made):
    """reference: apiserver 2, DELETE of what is already marked"""
    path, _ = made("configmaps", finalizers=[HOLD])
    first = target.delete(path).ok(200)
    assert target.delete(path).ok(200).version == first.version
    release(target, path)


def test_finalizers_cannot_be_added_to_the_dying(target, made):
    """reference: apiserver 2, DELETE: adding new ones → 422"""
    path, _ = made("configmaps", finalizers=[HOLD])
    target.delete(path).ok(200)
    answer = target.patch(path, {"metadata": {"finalizers": [HOLD, "conformance.test/more"]}}).ok(422)
    assert set(answer.causes) == {("FieldValueForbidden", "metadata.finalizers")}
    release(target, path)


def test_the_dying_can_be_changed(target, made):
    """reference: apiserver 2, DELETE: Finalizers: it is an object until they are gone"""
    path, _ = made("configmaps", finalizers=[HOLD])
    target.delete(path).ok(200)
    assert target.patch(path, {"data": {"last": "word"}}).ok(200).json["data"]["last"] == "word"
    release(target, path)


def test_a_mark_of_deletion_cannot_be_taken_back(target, made):
    """reference: apiserver 2, DELETE: deletionTimestamp is final"""
    path, _ = made("configmaps", finalizers=[HOLD])
    target.delete(path).ok(200)
    target.patch(path, {"metadata": {"deletionTimestamp": None}})
    assert target.get(path).meta["deletionTimestamp"]
    release(target, path)


@pytest.mark.parametrize("bad", ["no-slash", "UPPER/x y"])
def test_a_finalizer_has_a_qualified_name(target, paths, name, bad):
    """reference: apiserver 5, Usual 422: finalizers' names"""
    answer = target.post(paths.of("configmaps"), configmap(name, finalizers=[bad])).ok(422)
    assert {field for _, field in answer.causes} <= {"metadata.finalizers", "metadata.finalizers[0]"}


# --- propagation


@pytest.mark.parametrize(
    ("policy", "finalizer"),
    [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")],
    ids=["Foreground", "Orphan"],
)
def test_a_policy_leaves_its_finalizer(target, paths, made, policy, finalizer):
    """reference: apiserver 2, DELETE: Foreground/Orphan add `foregroundDeletion`/`orphan`"""
    path, before = made("configmaps", finalizers=[HOLD])
    with target.watch(paths.of("configmaps"), resourceVersion=before.version) as watch:
        answer = target.delete(path, {"propagationPolicy": policy}).ok(200)
        assert finalizer in watch.next()["object"]["metadata"]["finalizers"]
    assert finalizer in answer.meta["finalizers"]
    release(target, path)


@pytest.mark.parametrize("where", ["body", "query"])
def test_options_are_taken_from_body_or_query(target, paths, made, where):
    """reference: apiserver 1, Python client: delete options in query *or* body"""
    path, _ = made("configmaps", finalizers=[HOLD])
    options = {"propagationPolicy": "Foreground"}
    answer = target.delete(path, options) if where == "body" else target.delete(path, **options)
    assert "foregroundDeletion" in answer.ok(200).meta["finalizers"]
    release(target, path)


def test_orphaning_by_the_old_name(target, made):
    """reference: apiserver 2, DELETE: orphanDependents is the older propagationPolicy"""
    path, _ = made("configmaps", finalizers=[HOLD])
    answer = target.delete(path, {"orphanDependents": True}).ok(200)
    assert "orphan" in answer.meta["finalizers"]
    release(target, path)


def test_an_unknown_policy_is_refused(target, made):
    """reference: apiserver 4, 422 Invalid, of DeleteOptions"""
    path, _ = made("configmaps")
    answer = target.delete(path, {"propagationPolicy": "Sideways"}).ok(422)
    assert ("FieldValueNotSupported", "propagationPolicy") in answer.causes


@pytest.fixture
def family(target, paths, made, name):
    """An owner and its dependent: (owner's path, dependent's path)."""
    path, owner = made("configmaps")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": owner.meta["uid"]}
    reference["blockOwnerDeletion"] = True
    child = {"metadata": {"name": f"{name}-child", "ownerReferences": [reference]}}
    target.post(paths.of("secrets"), child).ok(201)
    return path, paths.of("secrets", f"{name}-child")


def gone(answer):
    return answer.code == 404


@pytest.mark.needs("collector")
def test_the_dependents_of_a_deleted_owner_go(target, family):
    """reference: apiserver 2, GC: delete dependents of absent owner UIDs"""
    owner, child = family
    target.delete(owner, {"propagationPolicy": "Background"}).ok(200)
    target.get(owner).ok(404)
    target.eventually(child, gone)


@pytest.mark.needs("collector")
def test_a_foreground_deletion_waits_for_the_dependents(target, family):
    """reference: apiserver 2, GC: foreground waits for blockOwnerDeletion dependents"""
    owner, child = family
    target.patch(child, {"metadata": {"finalizers": [HOLD]}}).ok(200)
    target.delete(owner, {"propagationPolicy": "Foreground"}).ok(200)
    target.eventually(child, lambda answer: "deletionTimestamp" in answer.meta)
    assert target.get(owner).ok(200).meta["deletionTimestamp"]
    release(target, child)
    target.eventually(owner, gone)


@pytest.mark.needs("collector")
def test_an_orphan_stays_and_is_free(target, family):
    """reference: apiserver 2, GC: orphan strips references"""
    owner, child = family
    target.delete(owner, {"propagationPolicy": "Orphan"}).ok(200)
    target.eventually(owner, gone)
    assert "ownerReferences" not in target.get(child).ok(200).meta


# --- grace of pods


def test_a_pod_on_a_node_is_only_marked(target, paths, made):
    """reference: apiserver 2, Pod grace: → spec (30); 9, trap 19: pods vanish at DELETE"""
    path, before = made("pods", bound())
    with target.watch(paths.of("pods"), resourceVersion=before.version) as watch:
        marked = target.delete(path).ok(200)
        event = watch.next()
    assert marked.meta["deletionGracePeriodSeconds"] == 30
    assert marked.meta["generation"] == 2
    assert (event["type"], event["object"]["metadata"]["deletionGracePeriodSeconds"]) == ("MODIFIED", 30)


GRACE = {
    "body": (5, {}, 5),
    "spec": (None, {"terminationGracePeriodSeconds": 7}, 7),
    "both": (5, {"terminationGracePeriodSeconds": 7}, 5),
}


@pytest.mark.parametrize("case", GRACE)
def test_grace_is_of_the_body_then_of_the_spec(target, made, case):
    """reference: apiserver 2, Pod grace: body → spec (30) → 0"""
    asked, spec, granted = GRACE[case]
    path, _ = made("pods", bound(**spec))
    body = {} if asked is None else {"gracePeriodSeconds": asked}
    assert target.delete(path, body).ok(200).meta["deletionGracePeriodSeconds"] == granted


def test_the_time_of_deletion_is_when_grace_ends(target, made):
    """reference: apiserver 2, Pod grace: deletionTimestamp = now + grace"""
    path, before = made("pods", bound())
    marked = target.delete(path, {"gracePeriodSeconds": 3600}).ok(200).meta
    assert marked["deletionTimestamp"] > before.meta["creationTimestamp"][:13]
    created, ends = before.meta["creationTimestamp"], marked["deletionTimestamp"]
    hours = (int(ends[11:13]) - int(created[11:13])) % 24
    assert hours in (1, 2)


def test_a_pod_without_a_node_goes_at_once(target, made):
    """reference: apiserver 2, Pod grace: 0 if unscheduled"""
    path, _ = made("pods", pod())
    target.delete(path).ok(200)
    target.get(path).ok(404)


def test_a_pod_without_a_node_is_marked_before_it_goes(target, paths, made):
    """reference: apiserver 2, Pod grace: MODIFIED with grace 0, then DELETED; the answer is the marked pod"""
    path, before = made("pods", pod())
    with target.watch(paths.of("pods"), resourceVersion=before.version) as watch:
        answer = target.delete(path).ok(200)
        events = [watch.next(), watch.next()]
    assert [event["type"] for event in events] == ["MODIFIED", "DELETED"]
    assert events[0]["object"]["metadata"]["deletionGracePeriodSeconds"] == 0
    assert answer.meta["deletionGracePeriodSeconds"] == 0


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_finished_pod_goes_at_once(target, made, phase):
    """reference: apiserver 2, Pod grace: 0 if terminal"""
    path, _ = made("pods", bound())
    target.patch(f"{path}/status", {"status": {"phase": phase}}).ok(200)
    target.delete(path).ok(200)
    target.get(path).ok(404)


def test_grace_0_is_the_kubelets_word(target, made):
    """reference: apiserver 2, Pod grace: kubelet confirms with grace 0 + uid"""
    path, before = made("pods", bound())
    target.delete(path).ok(200)
    confirmation = {"gracePeriodSeconds": 0, "preconditions": {"uid": before.meta["uid"]}}
    target.delete(path, confirmation).ok(200)
    target.get(path).ok(404)


@pytest.mark.parametrize(("later", "left"), [(60, 20), (4, 4)], ids=["longer", "shorter"])
def test_a_later_deletion_only_shortens(target, made, later, left):
    """reference: apiserver 2, Pod grace: later deletes only shorten"""
    path, _ = made("pods", bound())
    target.delete(path, {"gracePeriodSeconds": 20}).ok(200)
    assert (
        target.delete(path, {"gracePeriodSeconds": later}).ok(200).meta["deletionGracePeriodSeconds"] == left
    )


def test_grace_does_not_count_for_other_kinds(target, made):
    """reference: apiserver 2, DELETE: only pods have grace"""
    path, _ = made("configmaps")
    target.delete(path, {"gracePeriodSeconds": 30}).ok(200)
    target.get(path).ok(404)


# --- collections


def test_a_collection_is_deleted_by_selector_and_returned(target, paths, name):
    """reference: apiserver 2, deletecollection = list + single deletes, returns the list"""
    for number in range(3):
        body = configmap(f"{name}-{number}", labels={"odd": str(number % 2), "of": name})
        target.post(paths.of("configmaps"), body).ok(201)
    answer = target.delete(paths.of("configmaps"), labelSelector=f"of={name},odd=0").ok(200)
    assert (answer.json["kind"], answer.names) == ("ConfigMapList", [f"{name}-0", f"{name}-2"])
    left = target.get(paths.of("configmaps"), labelSelector=f"of={name}")
    assert left.names == [f"{name}-1"]


def test_a_collection_of_pods_has_grace(target, paths, name):
    """reference: apiserver 1, e2e: deletecollection with grace"""
    body = {**bound(), "metadata": {"name": name, "labels": {"of": name}}}
    target.post(paths.of("pods"), body).ok(201)
    target.delete(paths.of("pods"), {"gracePeriodSeconds": 9}, labelSelector=f"of={name}").ok(200)
    assert target.get(paths.of("pods", name)).ok(200).meta["deletionGracePeriodSeconds"] == 9


def test_a_collection_is_deleted_by_field(target, paths, made, name):
    """reference: apiserver 2, deletecollection: field selectors"""
    path, _ = made("leases")
    target.delete(paths.of("leases"), fieldSelector=f"metadata.name={name}").ok(200)
    target.get(path).ok(404)


def test_a_collection_respects_finalizers(target, paths, made, name):
    """reference: apiserver 2, deletecollection: single deletes"""
    path, _ = made("leases", finalizers=[HOLD])
    target.delete(paths.of("leases"), fieldSelector=f"metadata.name={name}").ok(200)
    assert target.get(path).ok(200).meta["deletionTimestamp"]
    release(target, path)


# --- namespaces


@pytest.mark.needs("collector")
def test_a_deleted_namespace_is_emptied_and_goes(target, unique):
    """reference: apiserver 2, GC: Namespace: Terminating → emptied → finalize"""
    target.post("/api/v1/namespaces", {"metadata": {"name": unique}}).ok(201)
    inside = f"/api/v1/namespaces/{unique}/configmaps"
    target.post(inside, configmap(finalizers=[HOLD])).ok(201)
    marked = target.delete(f"/api/v1/namespaces/{unique}").ok(200)
    assert (marked.json["kind"], marked.json["status"]["phase"]) == ("Namespace", "Terminating")
    target.eventually(f"{inside}/m", lambda answer: "deletionTimestamp" in answer.meta)
    refused = target.post(inside, configmap("late")).ok(403)
    assert [cause["reason"] for cause in refused.json["details"]["causes"]] == ["NamespaceTerminating"]
    assert refused.message == (
        f'configmaps "late" is forbidden: unable to create new content in namespace {unique} '
        "because it is being terminated"
    )
    release(target, f"{inside}/m")
    target.eventually(f"/api/v1/namespaces/{unique}", gone)


@pytest.mark.parametrize("namespace", ["default", "kube-system", "kube-public"])
def test_the_systems_namespaces_stay(target, namespace):
    """reference: apiserver 2, Admission: default/kube-system/kube-public undeletable (403)"""
    answer = target.delete(f"/api/v1/namespaces/{namespace}", dryRun="All").ok(403)
    assert answer.message == f'namespaces "{namespace}" is forbidden: this namespace may not be deleted'


def test_a_namespace_is_finished_by_finalize(target, unique):
    """reference: apiserver 2, GC: PUT `/finalize` without `kubernetes`"""
    path = f"/api/v1/namespaces/{unique}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": unique}}
    made = target.post("/api/v1/namespaces", body).ok(201).json
    assert made["spec"]["finalizers"] == ["kubernetes"]
    made["spec"] = {"finalizers": ["conformance.test/hold"]}
    assert target.put(f"{path}/finalize", made).ok(200).json["spec"]["finalizers"] == [
        "conformance.test/hold"
    ]
    target.delete(path).ok(200)
    held = target.eventually(path, lambda answer: answer.json["spec"].get("finalizers") == [HOLD])
    target.put(f"{path}/finalize", {**held.json, "spec": {}}).ok(200)
    target.eventually(path, gone)


@pytest.mark.needs("quiet")
def test_a_deleted_workload_is_gone_with_its_status(target, made, name):
    """reference: apiserver 2, DELETE: nothing pending → Status with group and uid"""
    path, before = made("deployments", workload())
    details = target.delete(path).ok(200).json["details"]
    assert details == {"name": name, "group": "apps", "kind": "deployments", "uid": before.meta["uid"]}

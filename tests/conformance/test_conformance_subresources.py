"""reference: apiserver 2, rows scale, binding, eviction, token, Events, Lease, Admission."""

import base64
import json

import pytest
from paths import configmap, event, lease, nowhere, pod, workload

RFC_MICRO = "2026-01-01T00:00:00.100000Z"


def conditions(answer):
    return {each["type"]: each for each in answer.json["status"].get("conditions", ())}


# --- scale


@pytest.fixture
def scaled(target, made):
    """A workload without replicas and the path of its scale."""
    path, before = made("replicasets", workload("ReplicaSet"))
    return path, before, f"{path}/scale"


@pytest.mark.needs("quiet")
def test_a_scale_has_uid_version_and_selector_as_text(target, scaled, name):
    """reference: apiserver 2, scale: autoscaling/v1, with uid/RV, status.selector string; 9, trap 22"""
    _, before, scale = scaled
    found = target.get(scale).ok(200).json
    assert (found["kind"], found["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert found["metadata"]["uid"] == before.meta["uid"]
    assert found["metadata"]["resourceVersion"] == before.version
    assert found["status"] == {"replicas": 0, "selector": "app=w"}


@pytest.mark.needs("quiet")
def test_a_scale_is_patched(target, scaled):
    """reference: apiserver 1, kubectl scale: merge PATCH `/scale`"""
    path, _, scale = scaled
    assert target.patch(scale, {"spec": {"replicas": 3}}).ok(200).json["spec"]["replicas"] == 3
    found = target.get(path)
    assert (found.json["spec"]["replicas"], found.meta["generation"]) == (3, 2)


@pytest.mark.needs("quiet")
def test_a_scale_is_put_without_a_version(target, scaled, name):
    """reference: apiserver 2, scale: PUT"""
    _, _, scale = scaled
    body = {"metadata": {"name": name}, "spec": {"replicas": 2}}
    assert target.put(scale, body).ok(200).json["spec"]["replicas"] == 2


@pytest.mark.needs("quiet")
def test_a_scale_put_with_an_old_version_is_a_conflict_of_the_workload(target, scaled, name):
    """reference: apiserver 2, scale: with RV"""
    _, _, scale = scaled
    body = {"metadata": {"name": name, "resourceVersion": "1"}, "spec": {"replicas": 2}}
    assert target.put(scale, body).ok(409).json["details"]["kind"] == "replicasets"


def test_a_scale_below_zero_is_invalid(target, scaled, name):
    """reference: apiserver 2, scale: 422 of Scale.autoscaling"""
    _, _, scale = scaled
    answer = target.patch(scale, {"spec": {"replicas": -5}}).ok(422)
    assert answer.message == (
        f'Scale.autoscaling "{name}" is invalid: spec.replicas: Invalid value: -5: '
        "must be greater than or equal to 0"
    )


def test_a_scale_of_nothing_is_not_found(target, paths):
    """reference: apiserver 2, scale"""
    answer = target.get(paths.of("deployments", "none", "scale")).ok(404)
    assert answer.message == 'deployments.apps "none" not found'


@pytest.mark.needs("quiet")
def test_a_scale_may_be_tried(target, scaled):
    """reference: apiserver 2, scale: dryRun"""
    path, before, scale = scaled
    answer = target.patch(scale, {"spec": {"replicas": 9}}, dryRun="All").ok(200)
    assert answer.json["spec"]["replicas"] == 9
    assert target.get(path).version == before.version


def test_a_statefulset_scales_too(target, made):
    """reference: apiserver 2, scale: StatefulSet"""
    path, _ = made("statefulsets", {**workload(serviceName="s"), "kind": None})
    assert target.get(f"{path}/scale").ok(200).json["status"]["selector"] == "app=w"


# --- binding


@pytest.fixture
def pending(target, made, name):
    """A pod without a node, and the body that binds it."""
    path, _ = made("pods", pod())
    return path, {"metadata": {"name": name}, "target": {"kind": "Node", "name": nowhere()}}


def test_a_binding_answers_201_and_a_status(target, pending):
    """reference: apiserver 2, binding: 201 Status"""
    path, body = pending
    answer = target.post(f"{path}/binding", body).ok(201).json
    assert (answer["kind"], answer["status"]) == ("Status", "Success")


def test_a_binding_sets_node_and_condition(target, pending):
    """reference: apiserver 2, binding: sets nodeName and PodScheduled=True"""
    path, body = pending
    target.post(f"{path}/binding", body).ok(201)
    found = target.get(path)
    assert found.json["spec"]["nodeName"] == body["target"]["name"]
    assert conditions(found)["PodScheduled"]["status"] == "True"


def test_a_bound_pod_is_not_bound_again(target, pending, name):
    """reference: apiserver 2, binding: bound already → 409"""
    path, body = pending
    target.post(f"{path}/binding", body).ok(201)
    node = body["target"]["name"]
    answer = target.post(f"{path}/binding", body).ok(409)
    assert answer.message == (
        f'Operation cannot be fulfilled on pods/binding "{name}": '
        f'pod {name} is already assigned to node "{node}"'
    )


def test_a_gated_pod_is_not_bound(target, made, name):
    """reference: apiserver 2, binding: scheduling gates"""
    path, _ = made("pods", pod(schedulingGates=[{"name": "conformance.test/gate"}]))
    answer = target.post(
        f"{path}/binding", {"metadata": {"name": name}, "target": {"kind": "Node", "name": nowhere()}}
    ).ok(409)
    assert answer.message.endswith(f"pod {name} has non-empty .spec.schedulingGates")


def test_a_binding_by_the_old_path(target, paths, pending):
    """reference: apiserver 2, binding: POST …/bindings"""
    path, body = pending
    target.post(paths.of("bindings"), body).ok(201)
    assert target.get(path).json["spec"]["nodeName"] == body["target"]["name"]


def test_a_binding_of_nothing_is_not_found(target, paths):
    """reference: apiserver 2, binding"""
    body = {"metadata": {"name": "none"}, "target": {"kind": "Node", "name": nowhere()}}
    target.post(paths.of("pods", "none", "binding"), body).ok(404)


# --- eviction


def test_an_eviction_deletes_gracefully_and_says_why(target, made, name):
    """reference: apiserver 2, eviction: 201; DisruptionTarget"""
    path, _ = made("pods", pod(nodeName=nowhere()))
    answer = target.post(f"{path}/eviction", {"metadata": {"name": name}}).ok(201)
    assert (answer.json["kind"], answer.json["status"]) == ("Status", "Success")
    found = target.get(path).ok(200)
    assert found.meta["deletionGracePeriodSeconds"] == 30
    condition = conditions(found)["DisruptionTarget"]
    assert (condition["status"], condition["reason"]) == ("True", "EvictionByEvictionAPI")
    assert condition["message"] == "Eviction API: evicting"


def test_an_eviction_of_nothing_is_not_found(target, paths):
    """reference: apiserver 2, eviction"""
    target.post(paths.of("pods", "none", "eviction"), {"metadata": {"name": "none"}}).ok(404)


def test_an_eviction_takes_options(target, made, name):
    """reference: apiserver 1, kubectl drain: deleteOptions in the body"""
    path, _ = made("pods", pod(nodeName=nowhere()))
    body = {"metadata": {"name": name}, "deleteOptions": {"gracePeriodSeconds": 3}}
    target.post(f"{path}/eviction", body).ok(201)
    assert target.get(path).meta["deletionGracePeriodSeconds"] == 3


def test_a_dry_eviction_leaves_the_pod(target, made, name):
    """reference: apiserver 2, eviction: dryRun"""
    path, before = made("pods", pod(nodeName=nowhere()))
    body = {"metadata": {"name": name}, "deleteOptions": {"dryRun": ["All"]}}
    target.post(f"{path}/eviction", body).ok(201)
    assert target.get(path).version == before.version


def test_a_budget_refuses_evictions(target, paths, made, name):
    """reference: apiserver 2, eviction: PDB → 429 cause DisruptionBudget retry 10"""
    budget = {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"budget": name}}}}
    made("poddisruptionbudgets", budget)
    path, _ = made("pods", pod(nodeName=nowhere(), labels={"budget": name}))
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    target.patch(f"{path}/status", {"status": status}).ok(200)
    answer = target.post(f"{path}/eviction", {"metadata": {"name": name}}).ok(429)
    assert answer.message == "Cannot evict pod as it would violate the pod's disruption budget."
    assert answer.headers["Retry-After"] == "10"
    assert [cause["reason"] for cause in answer.json["details"]["causes"]] == ["DisruptionBudget"]


# --- tokens


def test_a_token_is_requested(target, paths):
    """reference: apiserver 2, token: 201 TokenRequest with status"""
    answer = target.post(paths.of("serviceaccounts", "default", "token"), {"spec": {}}).ok(201)
    assert answer.json["kind"] == "TokenRequest"
    assert answer.json["spec"]["expirationSeconds"] == 3600
    assert answer.json["status"]["token"]
    assert answer.json["status"]["expirationTimestamp"].endswith("Z")


def test_a_token_is_a_jwt_that_names_the_account(target, paths):
    """reference: apiserver 2, token: its claims"""
    answer = target.post(paths.of("serviceaccounts", "default", "token"), {"spec": {"audiences": ["a"]}})
    body = answer.ok(201).json["status"]["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert claims["sub"] == f"system:serviceaccount:{paths.namespace}:default"
    assert claims["aud"] == ["a"]


def test_a_token_lives_ten_minutes_at_least(target, paths):
    """reference: apiserver 2, token: expirationSeconds"""
    body = {"spec": {"expirationSeconds": 60}}
    answer = target.post(paths.of("serviceaccounts", "default", "token"), body).ok(422)
    assert "may not specify a duration less than 10 minutes" in answer.message


def test_a_token_of_nobody_is_not_found(target, paths):
    """reference: apiserver 2, token"""
    target.post(paths.of("serviceaccounts", "none", "token"), {"spec": {}}).ok(404)


# --- events and leases

MODERN = {
    "eventTime": "2026-01-01T00:00:00.123456Z",
    "action": "A",
    "reason": "R",
    "reportingController": "conformance.test/c",
    "reportingInstance": "i",
    "type": "Normal",
    "note": "n",
}


def modern(paths, name, **fields):
    about = {"kind": "Pod", "name": "p", "namespace": paths.namespace}
    return {"metadata": {"name": name}, "regarding": about, **MODERN, **fields}


def test_an_event_of_the_new_group_is_seen_in_the_old(target, paths, name):
    """reference: apiserver 2, Events: core and events.k8s.io are views of one store"""
    new = target.post(paths.of("events.k8s.io/v1/events"), modern(paths, name)).ok(201)
    old = target.get(paths.of("events", name)).ok(200).json
    assert old["metadata"]["uid"] == new.meta["uid"]
    assert (old["message"], old["involvedObject"]["name"]) == ("n", "p")
    assert (old["reportingComponent"], old["eventTime"]) == ("conformance.test/c", MODERN["eventTime"])


def test_an_event_of_the_old_group_is_seen_in_the_new(target, paths, name):
    """reference: apiserver 2, Events: core and events.k8s.io are views of one store"""
    more = {"count": 4, "source": {"component": "s"}, "firstTimestamp": "2026-01-01T00:00:00Z"}
    target.post(paths.of("events"), event(paths.namespace, name, **more)).ok(201)
    new = target.get(paths.of("events.k8s.io/v1/events", name)).ok(200).json
    assert (new["note"], new["regarding"]["name"]) == ("m", "p")
    assert (new["deprecatedCount"], new["deprecatedSource"]) == (4, {"component": "s"})
    assert new["deprecatedFirstTimestamp"] == "2026-01-01T00:00:00Z"


def test_an_event_belongs_to_its_objects_namespace(target, paths, name):
    """reference: apiserver 5, Usual 422: event namespace ≠ involvedObject's"""
    body = {"metadata": {"name": name}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "other"}}
    answer = target.post(paths.of("events"), body).ok(422)
    assert answer.message == (
        f'Event "{name}" is invalid: involvedObject.namespace: Invalid value: "other": '
        "does not match event.namespace"
    )


STRICTER = ("eventTime", "action", "reason", "reportingController", "reportingInstance", "type")


@pytest.mark.parametrize("field", STRICTER)
def test_the_new_group_is_stricter(target, paths, name, field):
    """reference: apiserver 5, Usual 422: events.k8s.io stricter: eventTime, action, reason, reporting…"""
    body = modern(paths, name)
    del body[field]
    answer = target.post(paths.of("events.k8s.io/v1/events"), body).ok(422)
    assert field in {each for _, each in answer.causes}


def test_a_note_has_at_most_1024_bytes(target, paths, name):
    """reference: apiserver 5, Usual 422: events.k8s.io: note"""
    target.post(paths.of("events.k8s.io/v1/events"), modern(paths, name, note="n" * 1025)).ok(422)
    target.post(paths.of("events.k8s.io/v1/events"), modern(paths, name, note="n" * 1024)).ok(201)


def test_a_new_event_may_only_gain_a_series(target, paths, name):
    """reference: apiserver 5, Immutable: events.k8s.io"""
    path = paths.of("events.k8s.io/v1/events")
    target.post(path, modern(paths, name)).ok(201)
    target.patch(f"{path}/{name}", {"note": "other"}).ok(422)
    series = {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}
    assert target.patch(f"{path}/{name}", {"series": series}).ok(200).json["series"]["count"] == 2


@pytest.mark.parametrize(
    "given", ["2026-01-01T00:00:00.100000Z", "2026-01-01T02:00:00.100000+02:00"], ids=["utc", "zone"]
)
def test_a_leases_times_have_microseconds(made, given):
    """reference: apiserver 2, Lease: microseconds"""
    assert made("leases", lease(renewTime=given))[1].json["spec"]["renewTime"] == RFC_MICRO


def test_a_leases_time_with_another_fraction_is_refused(target, paths, name):
    """reference: apiserver 2, Lease: microseconds, all six digits"""
    answer = target.post(paths.of("leases"), lease(name, renewTime="2026-01-01T00:00:00.1Z")).ok(400)
    assert 'parsing time "2026-01-01T00:00:00.1Z"' in answer.message


def test_a_time_is_a_time(target, paths, name):
    """reference: apiserver 4, 400: a time that cannot be read"""
    target.post(paths.of("leases"), lease(name, renewTime="yesterday")).ok(400)


# --- admission


def test_a_pod_gets_the_default_account(made):
    """reference: apiserver 2, Admission: Pod gets serviceAccountName"""
    spec = made("pods", pod())[1].json["spec"]
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")


def test_a_pod_gets_a_token_volume_mounted(made):
    """reference: apiserver 2, Admission: kube-api-access volume"""
    spec = made("pods", pod())[1].json["spec"]
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert [mount["name"] for mount in spec["containers"][0]["volumeMounts"]] == [volume["name"]]
    assert spec["containers"][0]["volumeMounts"][0]["mountPath"] == (
        "/var/run/secrets/kubernetes.io/serviceaccount"
    )


def test_a_pod_may_decline_the_token(made):
    """reference: apiserver 2, Admission: automountServiceAccountToken"""
    assert "volumes" not in made("pods", pod(automountServiceAccountToken=False))[1].json["spec"]


def test_a_pod_tolerates_lost_nodes_for_300_s(made):
    """reference: apiserver 2, Admission: two 300 s tolerations"""
    tolerations = made("pods", pod())[1].json["spec"]["tolerations"]
    assert [(each["key"], each["tolerationSeconds"]) for each in tolerations] == [
        ("node.kubernetes.io/not-ready", 300),
        ("node.kubernetes.io/unreachable", 300),
    ]
    assert {(each["operator"], each["effect"]) for each in tolerations} == {("Exists", "NoExecute")}


def test_a_pod_gets_a_priority(made):
    """reference: apiserver 2, Admission: priority 0, preemptionPolicy"""
    spec = made("pods", pod())[1].json["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")


def test_a_pod_of_an_unknown_account_is_refused(target, paths, name):
    """reference: apiserver 2, Admission: SA absent → 403"""
    body = {**pod(serviceAccountName="missing"), "metadata": {"name": name}}
    answer = target.post(paths.of("pods"), body).ok(403)
    assert f'pods "{name}" is forbidden: error looking up service account' in answer.message
    assert 'serviceaccount "missing" not found' in answer.message


def test_a_pod_of_an_unknown_priority_is_refused(target, paths, name):
    """reference: apiserver 2, Admission: priority classes"""
    body = {**pod(priorityClassName="missing"), "metadata": {"name": name}}
    answer = target.post(paths.of("pods"), body).ok(403)
    assert answer.message == (f'pods "{name}" is forbidden: no PriorityClass with name missing was found')


@pytest.mark.parametrize("resource", ["serviceaccounts/default", "configmaps/kube-root-ca.crt"])
def test_a_namespace_gets_its_things(target, other_paths, resource):
    """reference: apiserver 2, GC: plus `default` SA and `kube-root-ca.crt`; 9, trap 23"""
    kind, _, item = resource.partition("/")
    target.eventually(other_paths.of(kind, item), lambda answer: answer.code == 200)


def test_the_root_certificate_is_under_its_key(target, paths):
    """reference: apiserver 2, GC: `kube-root-ca.crt`"""
    found = target.eventually(paths.of("configmaps", "kube-root-ca.crt"), lambda answer: answer.code == 200)
    assert "ca.crt" in found.json["data"]


def test_the_service_of_the_api_is_there(target):
    """reference: apiserver 1, e2e.test: Service default/kubernetes (fatal if absent)"""
    ports = target.get("/api/v1/namespaces/default/services/kubernetes").ok(200).json["spec"]["ports"]
    assert (ports[0]["name"], ports[0]["port"]) == ("https", 443)


@pytest.mark.needs("quiet")
def test_a_configmap_made_immutable_stays(target, made):
    """reference: apiserver 5, Immutable: `immutable: true`"""
    path, _ = made("configmaps", {**configmap(), "immutable": True})
    answer = target.patch(path, {"data": {"k": "other"}}).ok(422)
    assert "field is immutable when `immutable` is set" in answer.message

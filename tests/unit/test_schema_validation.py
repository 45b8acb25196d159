"""What is refused, in the server's words; and what is not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcm.sandbox.schema.defaults import apply_defaults
from kcm.sandbox.schema.patches import merge_patch
from kcm.sandbox.schema.validation import type_errors, validate_create, validate_status, validate_update

Json = dict[str, Any]

TEMPLATE: Json = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
}
WORKLOAD: Json = {
    "metadata": {"name": "web"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE},
}
VALID: dict[str, Json] = {
    "Deployment": WORKLOAD,
    "ReplicaSet": WORKLOAD,
    "StatefulSet": WORKLOAD,
    "DaemonSet": WORKLOAD,
    "Job": {
        "metadata": {"name": "j"},
        "spec": {"template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}},
    },
    "Pod": {"metadata": {"name": "p"}, "spec": TEMPLATE["spec"]},
    "Service": {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}},
    "ConfigMap": {"metadata": {"name": "c"}, "data": {"a.b": "c"}},
    "Secret": {"metadata": {"name": "c"}, "data": {"a": "Yg=="}},
    "Lease": {"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 15}},
    "Namespace": {"metadata": {"name": "n"}},
    "Event": {"metadata": {"name": "e", "namespace": "n"}, "involvedObject": {"namespace": "n"}},
    "PodDisruptionBudget": {"metadata": {"name": "b"}, "spec": {"minAvailable": "50%"}},
    "HorizontalPodAutoscaler": {
        "metadata": {"name": "h"},
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "behavior": {},
        },
    },
}


def made(kind: str, change: Json) -> Json:
    obj = copy.deepcopy(merge_patch(VALID[kind], change))
    apply_defaults(kind, obj)
    return obj


@pytest.mark.parametrize("kind", VALID)
def test_a_valid_object_passes(kind: str) -> None:
    obj = made(kind, {})
    assert type_errors(kind, obj) == []
    assert validate_create(kind, obj) == []
    assert validate_update(kind, obj, obj) == []
    assert validate_status(kind, obj, obj) == []


OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True}

CREATES = [
    ("Pod", {"metadata": {"name": None}}, "metadata.name: Required value: name or generateName is required"),
    ("Pod", {"metadata": {"name": "A"}}, 'metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain'),
    (
        "Namespace",
        {"metadata": {"name": "a.b"}},
        'metadata.name: Invalid value: "a.b": must not contain dots',
    ),
    (
        "Service",
        {"metadata": {"name": "1_"}},
        'metadata.name: Invalid value: "1_": a lowercase RFC 1123 label',
    ),
    ("Pod", {"metadata": {"name": "a" * 254}}, "must be no more than 253 bytes"),
    (
        "Pod",
        {"metadata": {"labels": {"a b": "x"}}},
        'metadata.labels: Invalid value: "a b": name part must consist',
    ),
    (
        "Pod",
        {"metadata": {"labels": {"a": "-"}}},
        'metadata.labels: Invalid value: "-": a valid label must be',
    ),
    ("Pod", {"metadata": {"labels": {"/a": ""}}}, "prefix part must be non-empty"),
    (
        "Pod",
        {"metadata": {"annotations": {"a": "x" * 262145}}},
        "metadata.annotations: Too long: may not be more than 262144 bytes",
    ),
    (
        "Pod",
        {"metadata": {"ownerReferences": [{**OWNER, "uid": ""}]}},
        'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
    ),
    (
        "Pod",
        {"metadata": {"ownerReferences": [OWNER, {**OWNER, "name": "s"}]}},
        "Only one reference can have Controller set to true. "
        'Found "true" in references for ReplicaSet/r and ReplicaSet/s',
    ),
    (
        "Pod",
        {"metadata": {"finalizers": ["x"]}},
        'metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor',
    ),
    ("Pod", {"spec": {"containers": None}}, "spec.containers: Required value"),
    ("Pod", {"spec": {"containers": [{"name": "c"}]}}, "spec.containers[0].image: Required value"),
    (
        "Pod",
        {"spec": {"containers": [{"name": "c", "image": "x"}, {"name": "c", "image": "x"}]}},
        'spec.containers[1].name: Duplicate value: "c"',
    ),
    (
        "Pod",
        {
            "spec": {
                "containers": [{"name": "c", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/"}]}]
            }
        },
        'spec.containers[0].volumeMounts[0].name: Not found: "v"',
    ),
    (
        "Pod",
        {"spec": {"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 70000}]}]}},
        "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535",
    ),
    (
        "Pod",
        {
            "spec": {
                "containers": [
                    {
                        "name": "c",
                        "image": "x",
                        "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}},
                    }
                ]
            }
        },
        'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit',
    ),
    ("Pod", {"spec": {"restartPolicy": "Sometimes"}}, 'supported values: "Always", "Never", "OnFailure"'),
    (
        "Pod",
        {"spec": {"containers": [{"name": "c", "image": "x", "livenessProbe": {}}]}},
        "spec.containers[0].livenessProbe: Required value: must specify a handler type",
    ),
    ("Deployment", {"spec": {"selector": None}}, "spec.selector: Required value"),
    (
        "Deployment",
        {"spec": {"selector": {"matchLabels": None}}},
        "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
    ),
    (
        "ReplicaSet",
        {"spec": {"selector": {"matchLabels": {"app": "other"}}}},
        'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template',
    ),
    (
        "ReplicaSet",
        {"spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}},
        "spec.selector.matchExpressions[0].values: Required value: must be specified",
    ),
    (
        "ReplicaSet",
        {"spec": {"replicas": -1}},
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
    ),
    (
        "ReplicaSet",
        {"spec": {"template": {"spec": {"restartPolicy": "Never"}}}},
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ),
    (
        "Deployment",
        {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}},
        'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0',
    ),
    (
        "Deployment",
        {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": "101%"}}}},
        'Invalid value: "101%": must not be greater than 100%',
    ),
    (
        "Deployment",
        {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}}},
        "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
    ),
    (
        "Deployment",
        {"spec": {"minReadySeconds": 600}},
        "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
    ),
    ("Service", {"spec": {"ports": None}}, "spec.ports: Required value"),
    ("Service", {"spec": {"ports": [{"port": 1}, {"port": 2}]}}, "spec.ports[0].name: Required value"),
    ("ConfigMap", {"data": {"a b": ""}}, 'data[a b]: Invalid value: "a b": a valid config key must consist'),
    ("Lease", {"spec": {"leaseDurationSeconds": 0}}, "Invalid value: 0: must be greater than 0"),
    (
        "Event",
        {"involvedObject": {"namespace": "m"}},
        'involvedObject.namespace: Invalid value: "m": does not match',
    ),
    (
        "PodDisruptionBudget",
        {"spec": {"maxUnavailable": 1}},
        "minAvailable and maxUnavailable cannot be both set",
    ),
    ("HorizontalPodAutoscaler", {"spec": {"minReplicas": 0}}, "spec.minReplicas: Invalid value: 0"),
    (
        "HorizontalPodAutoscaler",
        {"spec": {"minReplicas": 4}},
        "must be greater than or equal to `minReplicas`",
    ),
    (
        "HorizontalPodAutoscaler",
        {"spec": {"scaleTargetRef": {"apiVersion": "apps"}}},
        'spec.scaleTargetRef.apiVersion: Invalid value: "apps": apiVersion must specify API group',
    ),
]


@pytest.mark.parametrize(("kind", "change", "complaint"), CREATES)
def test_a_create_is_refused(kind: str, change: Json, complaint: str) -> None:
    found = [str(error) for error in validate_create(kind, made(kind, change))]
    assert any(complaint in line for line in found), found


UPDATES = [
    ("Pod", {"metadata": {"name": "q"}}, 'metadata.name: Invalid value: "q": field is immutable'),
    ("Pod", {"spec": {"nodeName": "n"}}, "spec: Forbidden: pod updates may not change fields other than"),
    (
        "Pod",
        {"spec": {"containers": [{"name": "c", "image": ""}]}},
        "spec.containers[0].image: Required value",
    ),
    ("Deployment", {"spec": {"selector": {"matchLabels": {"b": "c"}}}}, "field is immutable"),
    ("ReplicaSet", {"spec": {"selector": {"matchLabels": {"b": "c"}}}}, "field is immutable"),
    (
        "StatefulSet",
        {"spec": {"serviceName": "x"}},
        "spec: Forbidden: updates to statefulset spec for fields",
    ),
    ("Secret", {"type": "x/y"}, 'type: Invalid value: "x/y": field is immutable'),
]


@pytest.mark.parametrize(("kind", "change", "complaint"), UPDATES)
def test_an_update_is_refused(kind: str, change: Json, complaint: str) -> None:
    old = made(kind, {})
    found = [str(error) for error in validate_update(kind, made(kind, change), old)]
    assert any(complaint in line for line in found), found


MAY_CHANGE = [
    {"spec": {"containers": [{"name": "c", "image": "nginx:2", "imagePullPolicy": "IfNotPresent"}]}},
    {"spec": {"activeDeadlineSeconds": 5}},
    {"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}},
    {"metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/x"]}},
]


@pytest.mark.parametrize("change", MAY_CHANGE)
def test_of_a_pod_image_deadline_tolerations_and_metadata_may_change(change: Json) -> None:
    assert validate_update("Pod", made("Pod", change), made("Pod", {})) == []


def test_an_object_that_is_being_deleted_gets_no_new_finalizer() -> None:
    old = made("Pod", {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}})
    new = merge_patch(old, {"metadata": {"finalizers": ["a/b", "a/c"]}})
    assert [str(error) for error in validate_update("Pod", new, old)] == [
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
        'found new finalizers []string{"a/c"}'
    ]
    assert validate_update("Pod", merge_patch(old, {"metadata": {"finalizers": None}}), old) == []


STATUSES = [
    (
        "ReplicaSet",
        {"replicas": 1, "readyReplicas": 2},
        "status.readyReplicas: Invalid value: 2: cannot be greater",
    ),
    ("ReplicaSet", {"replicas": -1}, "status.replicas: Invalid value: -1"),
    ("ReplicaSet", {"replicas": 2, "availableReplicas": 1}, "cannot be greater than readyReplicas"),
    ("Deployment", {"updatedReplicas": 2}, "cannot be greater than status.replicas"),
    (
        "Deployment",
        {"collisionCount": None},
        "status.collisionCount: Invalid value: null: cannot be decremented",
    ),
]


@pytest.mark.parametrize(("kind", "status", "complaint"), STATUSES)
def test_a_status_is_refused(kind: str, status: Json, complaint: str) -> None:
    old = made(kind, {"status": {"collisionCount": 1}} if kind == "Deployment" else {})
    new = merge_patch(old, {"status": status})
    found = [str(error) for error in validate_status(kind, new, old)]
    assert any(complaint in line for line in found), found


def test_events_of_the_new_group_must_say_who_saw_what_when() -> None:
    event = {
        "apiVersion": "events.k8s.io/v1",
        "metadata": {"name": "e", "namespace": "n"},
        "regarding": {"namespace": "n"},
    }
    fields = {error.field for error in validate_create("Event", event)}
    assert fields == {"eventTime", "reportingController", "reportingInstance", "action", "reason", "type"}


TYPES = [
    (
        {"spec": {"replicas": "3"}},
        "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
    ),
    (
        {"spec": {"replicas": 2**40}},
        "cannot unmarshal number 1099511627776 into Go struct field DeploymentSpec.spec.replicas",
    ),
    (
        {"spec": {"paused": 1}},
        "cannot unmarshal number into Go struct field DeploymentSpec.spec.paused of type bool",
    ),
    (
        {"spec": {"template": []}},
        "cannot unmarshal array into Go struct field DeploymentSpec.spec.template of type v1.",
    ),
    (
        {"metadata": {"labels": {"a": 1}}},
        "cannot unmarshal number into Go struct field ObjectMeta.metadata.labels",
    ),
    ({"metadata": {"finalizers": "x"}}, "ObjectMeta.metadata.finalizers of type []string"),
    ({"metadata": {"creationTimestamp": "noon"}}, 'parsing time "noon"'),
    (
        {"spec": {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "much"}}}]}}}},
        "quantities must match the regular expression",
    ),
]


@pytest.mark.parametrize(("obj", "complaint"), TYPES)
def test_a_wrong_type_is_found(obj: Json, complaint: str) -> None:
    assert any(complaint in line for line in type_errors("Deployment", obj))


def test_null_is_of_every_type() -> None:
    assert type_errors("Deployment", {"metadata": None, "spec": {"replicas": None, "template": None}}) == []


RUBBISH = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "B B"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["spec", "metadata", "template", "containers", "ports", "name", "labels", "metrics", "data"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(list(VALID)),
    st.dictionaries(st.sampled_from(["spec", "status", "metadata", "data"]), RUBBISH),
)
def test_rubbish_does_not_make_validation_fail(kind: str, obj: Json) -> None:
    type_errors(kind, obj)
    validate_create(kind, obj)
    validate_update(kind, obj, {})
    validate_status(kind, obj, {})

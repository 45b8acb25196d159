"""What the server fills in, and how it spells quantities and times."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcm.sandbox.schema.defaults import apply_defaults, qos_class
from kcm.sandbox.schema.quantities import canonical, parse

SPELLINGS = [
    ("1000m", "1"),
    ("0.5", "500m"),
    ("1.5Gi", "1536Mi"),
    ("1024Mi", "1Gi"),
    ("512", "512"),
    ("0.5Ki", "512"),
    ("2000", "2k"),
    ("1e3", "1e3"),
    ("0", "0"),
    ("0Mi", "0"),
    ("0.1n", "1n"),
    ("-1000m", "-1"),
    ("1E", "1E"),
    ("128974848", "128974848"),
    ("9999999999999999999999", "9223372036854775807"),
]


@pytest.mark.parametrize(("written", "stored"), SPELLINGS)
def test_a_quantity_is_stored_in_one_spelling(written: str, stored: str) -> None:
    assert canonical(written) == stored
    assert canonical(stored) == stored


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Gi", "--1", "1.2.3", "1KI", "e3", "9" * 65, "1e"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        canonical(text)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**50), st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "e2", "u"]))
def test_spelling_a_quantity_does_not_change_it(number: int, suffix: str) -> None:
    written = f"{number}{suffix}"
    if parse(written) < 2**62:
        assert parse(canonical(written)) == parse(written)


def template(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "x:1"}], **spec},
    }


def test_a_deployment_gets_its_defaults() -> None:
    deployment: dict[str, Any] = {"spec": {"template": template()}}
    apply_defaults("Deployment", deployment)
    spec = deployment["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)


def test_recreate_gets_no_rolling_update() -> None:
    deployment: dict[str, Any] = {"spec": {"strategy": {"type": "Recreate"}, "template": template()}}
    apply_defaults("Deployment", deployment)
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_zero_replicas_stay_zero() -> None:
    replica_set: dict[str, Any] = {"spec": {"replicas": 0, "template": template()}}
    apply_defaults("ReplicaSet", replica_set)
    assert replica_set["spec"]["replicas"] == 0


def test_a_template_gets_pod_defaults_but_not_those_of_pods_only() -> None:
    limits = {"limits": {"cpu": "1000m"}}
    pod: dict[str, Any] = template()
    pod["spec"]["containers"][0]["resources"] = limits
    replica_set: dict[str, Any] = {"spec": {"template": copy.deepcopy(pod)}}
    apply_defaults("ReplicaSet", replica_set)
    apply_defaults("Pod", pod)
    inner = replica_set["spec"]["template"]["spec"]
    assert inner["restartPolicy"] == "Always"
    assert inner["containers"][0]["resources"] == {"limits": {"cpu": "1"}}
    assert "enableServiceLinks" not in inner
    assert pod["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}
    assert pod["spec"]["enableServiceLinks"] is True


IMAGES = [
    ("nginx", "Always"),
    ("nginx:latest", "Always"),
    ("nginx:1.2", "IfNotPresent"),
    ("host:5000/nginx", "Always"),
    ("host:5000/nginx:1", "IfNotPresent"),
    ("nginx@sha256:abc", "IfNotPresent"),
]


@pytest.mark.parametrize(("image", "policy"), IMAGES)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    pod: dict[str, Any] = {"spec": {"containers": [{"name": "c", "image": image}]}}
    apply_defaults("Pod", pod)
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == policy


QUALITIES = [
    pytest.param({}, "BestEffort", id="nothing asked for"),
    pytest.param({"requests": {"cpu": "1"}}, "Burstable", id="a request"),
    pytest.param({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}, "Burstable", id="no memory"),
    pytest.param(
        {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
        "Guaranteed",
        id="all of it",
    ),
    pytest.param(
        {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
        "Burstable",
        id="less than the limit",
    ),
]


@pytest.mark.parametrize(("resources", "quality"), QUALITIES)
def test_quality_of_service(resources: dict[str, Any], quality: str) -> None:
    assert qos_class({"containers": [{"name": "c", "resources": resources}]}) == quality


def test_null_empty_lists_and_empty_maps_vanish_but_empty_objects_stay() -> None:
    pod: dict[str, Any] = {
        "metadata": {"creationTimestamp": None, "labels": {}, "finalizers": []},
        "spec": {"containers": [{"name": "c", "image": "x:1"}], "volumes": [{"name": "v", "emptyDir": {}}]},
    }
    apply_defaults("Pod", pod)
    assert pod["metadata"] == {}
    assert pod["spec"]["volumes"] == [{"name": "v", "emptyDir": {}}]


def test_times_are_spelled_as_the_server_spells_them() -> None:
    lease: dict[str, Any] = {"spec": {"renewTime": "2026-01-01T01:00:00.5+01:00"}}
    apply_defaults("Lease", lease)
    assert lease["spec"]["renewTime"] == "2026-01-01T00:00:00.500000Z"


def test_a_namespace_gets_its_name_as_a_label_and_a_finalizer_until_it_is_deleted() -> None:
    namespace: dict[str, Any] = {"metadata": {"name": "n"}}
    apply_defaults("Namespace", namespace)
    assert namespace["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}
    assert namespace["spec"] == {"finalizers": ["kubernetes"]}
    assert namespace["status"] == {"phase": "Active"}
    namespace["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    namespace["spec"] = {"finalizers": []}
    apply_defaults("Namespace", namespace)
    assert namespace["spec"] == {}


def test_a_secret_turns_its_texts_into_data() -> None:
    secret: dict[str, Any] = {"stringData": {"a": "b"}}
    apply_defaults("Secret", secret)
    assert secret == {"type": "Opaque", "data": {"a": "Yg=="}}


def test_an_autoscaler_without_metrics_gets_cpu_and_a_behavior_is_completed_only_if_given() -> None:
    plain: dict[str, Any] = {"spec": {"maxReplicas": 3}}
    apply_defaults("HorizontalPodAutoscaler", plain)
    assert plain["spec"]["minReplicas"] == 1
    assert plain["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 80
    assert "behavior" not in plain["spec"]
    given_one: dict[str, Any] = {
        "spec": {"maxReplicas": 3, "behavior": {"scaleDown": {"selectPolicy": "Disabled"}}}
    }
    apply_defaults("HorizontalPodAutoscaler", given_one)
    behavior = given_one["spec"]["behavior"]
    assert behavior["scaleDown"]["selectPolicy"] == "Disabled"
    assert [policy["value"] for policy in behavior["scaleUp"]["policies"]] == [4, 100]


KINDS = [
    "Pod",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "Service",
    "Namespace",
    "Node",
    "Secret",
    "Endpoints",
    "HorizontalPodAutoscaler",
    "Lease",
    "Unheard",
]


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_given_twice_are_as_once(kind: str) -> None:
    obj: dict[str, Any] = {
        "metadata": {"name": "x"},
        "spec": {
            "template": template(volumes=[{"name": "v", "projected": {"sources": [{"downwardAPI": {}}]}}]),
            "containers": [{"name": "c", "image": "x", "livenessProbe": {"httpGet": {"port": 1}}}],
            "ports": [{"port": 80}],
        },
        "status": {"capacity": {"cpu": "1000m"}},
    }
    apply_defaults(kind, obj)
    once = copy.deepcopy(obj)
    apply_defaults(kind, obj)
    assert obj == once


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "1Gi"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["spec", "status", "metadata", "template", "containers", "volumes", "ports", "resources"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(["spec", "status", "metadata"]), JSON))
def test_rubbish_does_not_make_defaults_fail(kind: str, obj: dict[str, Any]) -> None:
    apply_defaults(kind, obj)

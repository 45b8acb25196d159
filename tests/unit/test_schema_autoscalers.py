"""HorizontalPodAutoscalers as v1 and as v2: one object, two forms."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.sandbox.schema.autoscalers import V1, V2, to_v1, to_v2

PREFIX = "autoscaling.alpha.kubernetes.io/"
TARGET = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}


def metric(kind, **inside):
    return {"type": kind, kind[0].lower() + kind[1:]: inside}


def cpu(percent):
    return metric("Resource", name="cpu", target={"type": "Utilization", "averageUtilization": percent})


OTHERS = [
    metric("Resource", name="memory", target={"type": "AverageValue", "averageValue": "1Gi"}),
    metric(
        "ContainerResource",
        name="cpu",
        container="main",
        target={"type": "Utilization", "averageUtilization": 5},
    ),
    metric("Pods", metric={"name": "q"}, target={"type": "AverageValue", "averageValue": "500m"}),
    metric(
        "Object",
        describedObject={"kind": "Service", "name": "s", "apiVersion": "v1"},
        metric={"name": "q", "selector": {"matchLabels": {"a": "b"}}},
        target={"type": "Value", "value": "1500m"},
    ),
    metric(
        "Object",
        describedObject={"kind": "Service", "name": "s"},
        metric={"name": "q"},
        target={"type": "AverageValue", "averageValue": "2"},
    ),
    metric("External", metric={"name": "q"}, target={"type": "Value", "value": "3"}),
    metric("External", metric={"name": "q"}, target={"type": "AverageValue", "averageValue": "3"}),
]
RULES = {"stabilizationWindowSeconds": 5, "selectPolicy": "Max", "policies": [
    {"type": "Pods", "value": 4, "periodSeconds": 15}
]}  # fmt: skip
STATUS = {
    "currentReplicas": 2,
    "desiredReplicas": 3,
    "observedGeneration": 1,
    "currentMetrics": [
        metric("Resource", name="cpu", current={"averageUtilization": 40, "averageValue": "100m"}),
        metric("Pods", metric={"name": "q"}, current={"averageValue": "1"}),
    ],
    "conditions": [{"type": "AbleToScale", "status": "True", "reason": "r", "message": "m"}],
}


def autoscaler(metrics, **more):
    spec = {"scaleTargetRef": TARGET, "minReplicas": 1, "maxReplicas": 5, "metrics": metrics, **more}
    return {
        "kind": "HorizontalPodAutoscaler",
        "apiVersion": V2,
        "metadata": {"name": "web", "annotations": {"own": "text"}},
        "spec": spec,
        "status": STATUS,
    }


@given(
    st.lists(st.sampled_from(OTHERS), max_size=5),
    st.none() | st.integers(1, 100),
    st.sampled_from(({}, {"scaleDown": RULES}, {"scaleUp": RULES, "scaleDown": RULES})),
)
def test_nothing_is_lost_on_the_way_through_v1(others, percent, behavior):
    metrics = [*others, *([cpu(percent)] if percent else [])]
    before = autoscaler(metrics or [cpu(80)], **({"behavior": behavior} if behavior else {}))
    assert to_v2(to_v1(before)) == before


def test_v1_has_a_field_for_the_cpu_target_and_annotations_for_the_rest():
    shown = to_v1(autoscaler([OTHERS[2], cpu(70)], behavior={"scaleDown": RULES}))
    assert shown["apiVersion"] == V1
    assert shown["spec"] == {
        "scaleTargetRef": TARGET,
        "minReplicas": 1,
        "maxReplicas": 5,
        "targetCPUUtilizationPercentage": 70,
    }
    assert shown["status"] == {
        "currentReplicas": 2,
        "desiredReplicas": 3,
        "observedGeneration": 1,
        "currentCPUUtilizationPercentage": 40,
    }
    annotations = shown["metadata"]["annotations"]
    assert annotations.pop("own") == "text"
    assert {name.removeprefix(PREFIX): json.loads(text) for name, text in annotations.items()} == {
        "metrics": [{"type": "Pods", "pods": {"metricName": "q", "targetAverageValue": "500m"}}],
        "current-metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "currentAverageUtilization": 40,
                    "currentAverageValue": "100m",
                },
            },
            {"type": "Pods", "pods": {"metricName": "q", "currentAverageValue": "1"}},
        ],
        "conditions": STATUS["conditions"],
        "behavior": {
            "ScaleUp": None,
            "ScaleDown": {
                "StabilizationWindowSeconds": 5,
                "SelectPolicy": "Max",
                "Policies": [{"Type": "Pods", "Value": 4, "PeriodSeconds": 15}],
                "Tolerance": None,
            },
        },
    }


@pytest.mark.parametrize(("given_percent", "percent"), [(None, 80), (0, 0), (33, 33)])
def test_v1_without_a_target_means_eighty_percent(given_percent, percent):
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 2}
    if given_percent is not None:
        spec["targetCPUUtilizationPercentage"] = given_percent
    assert to_v2({"metadata": {"name": "x"}, "spec": spec})["spec"]["metrics"] == [cpu(percent)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("type", "resource", "target", "metrics", "name", "Policies")), inner, max_size=3
        )
    ),
    max_leaves=10,
)


@given(JSON, st.sampled_from(("metrics", "current-metrics", "conditions", "behavior")))
def test_no_annotation_makes_a_conversion_fail(value, name):
    for text in (json.dumps(value), "{", "[" * 2000):
        metadata = {"name": "x", "annotations": {PREFIX + name: text}}
        assert to_v1(to_v2({"metadata": metadata, "spec": {}}))["metadata"]["name"] == "x"


@given(JSON, JSON)
def test_no_json_makes_a_conversion_fail(spec, status):
    for obj in ({"spec": spec, "status": status}, {"metadata": spec}):
        to_v1(obj)
        to_v2(obj)

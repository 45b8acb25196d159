"""What is asked of the metrics APIs, and which of their answers are believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.hpa.grouping import Unmeasurable
from controllers.hpa.queries import (
    Query,
    decode,
    external_query,
    measured,
    object_query,
    pods_query,
    resource_query,
)
from controllers.hpa.status import RESCALES, remembered
from controllers.hpa.values import LARGEST, Sample
from kcm.objects import HorizontalPodAutoscaler, LabelSelector, ObjectMeta, ResourceType
from kcm.objects.autoscalers import (
    ExternalMetric,
    MetricIdentifier,
    MetricSpec,
    MetricTarget,
    ObjectMetric,
    PodsMetric,
    ResourceMetric,
)
from kcm.objects.selectors import SelectorRequirement

RESOURCE = resource_query("ns", "app=a")
CPU = MetricSpec("Resource", resource=ResourceMetric("cpu"))
SIDECAR = MetricSpec("ContainerResource", container_resource=ResourceMetric("cpu", "proxy"))
NAME = MetricIdentifier("m")
PODS = MetricSpec("Pods", pods=PodsMetric(NAME, MetricTarget()))
OBJECT = MetricSpec("Object", object=ObjectMetric(metric=NAME))
EXTERNAL = MetricSpec("External", external=ExternalMetric(NAME))
INGRESS = ResourceType("networking.k8s.io/v1", "Ingress", "ingresses")

NARROW = LabelSelector(
    {"b": "2"}, (SelectorRequirement("a", "NotIn", ("y", "x")), SelectorRequirement("c", "Exists"))
)


def test_every_source_is_asked_for_at_its_own_path() -> None:
    metric = MetricIdentifier("m", NARROW)
    text = "a notin (x,y),b=2,c"
    assert (
        Query(
            ("apis", "metrics.k8s.io", "v1beta1", "namespaces", "ns", "pods"), (("labelSelector", "app=a"),)
        )
        == RESOURCE
    )
    assert pods_query("v1beta2", "ns", "app=a", metric) == Query(
        ("apis", "custom.metrics.k8s.io", "v1beta2", "namespaces", "ns", "pods", "*", "m"),
        (("labelSelector", "app=a"), ("metricLabelSelector", text)),
    )
    assert object_query("v1beta1", "ns", INGRESS, "shop", metric) == Query(
        (
            "apis",
            "custom.metrics.k8s.io",
            "v1beta1",
            "namespaces",
            "ns",
            "ingresses.networking.k8s.io",
            "shop",
            "m",
        ),
        (("metricLabelSelector", text),),
    )
    assert external_query("ns", metric) == Query(
        ("apis", "external.metrics.k8s.io", "v1beta1", "namespaces", "ns", "m"), (("labelSelector", text),)
    )


def test_a_namespace_is_always_the_autoscalers_own() -> None:
    namespaces = ResourceType("v1", "Namespace", "namespaces", namespaced=False)
    assert object_query("v1beta2", "ns", namespaces, "other", NAME).segments[-3:] == ("ns", "metrics", "m")


@pytest.mark.parametrize("selector", [None, LabelSelector()])
def test_a_selector_that_asks_nothing_is_not_sent(selector: LabelSelector | None) -> None:
    assert external_query("ns", MetricIdentifier("m", selector)).parameters == ()


def usage(name: str, *containers: dict[str, str], window: str = "30s") -> dict[str, Any]:
    named = ("app", "proxy", "third")
    return {
        "metadata": {"name": name},
        "timestamp": "2026-01-01T00:00:00Z",
        "window": window,
        "containers": [{"name": named[index], "usage": each} for index, each in enumerate(containers)],
    }


def read(query: Query, spec: MetricSpec, *items: Any) -> Any:
    return measured(spec, decode(query, msgspec.json.encode({"items": items})))


AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_usage_is_summed_over_containers_each_rounded_up() -> None:
    items = (usage("a", {"cpu": "123456789n"}, {"cpu": "1u"}), usage("b", {"cpu": "2"}, window="1m0.5s"))
    assert read(RESOURCE, CPU, *items) == {
        "a": Sample(125, AT, timedelta(seconds=30)),
        "b": Sample(2000, AT, timedelta(seconds=60.5)),
    }


def test_a_pod_with_a_container_without_usage_is_missing() -> None:
    items = (usage("a", {"cpu": "1"}, {"memory": "1Gi"}), usage("b"), usage("c", {"cpu": "1"}))
    assert set(read(RESOURCE, CPU, *items)) == {"c"}
    assert read(RESOURCE, SIDECAR, usage("a", {"cpu": "1"}, {"cpu": "5m"}), usage("b", {"cpu": "1"})) == {
        "a": Sample(5, AT, timedelta(seconds=30))
    }


def custom(name: str, value: Any) -> dict[str, Any]:
    return {"describedObject": {"name": name}, "timestamp": "2026-01-01T00:00:00Z", "value": value}


CUSTOM = pods_query("v1beta2", "ns", "app=a", NAME)
OUTSIDE = external_query("ns", NAME)


def test_custom_and_external_values() -> None:
    assert read(CUSTOM, PODS, custom("a", "1500m"), custom("b", "2k")) == {
        "a": Sample(1500, AT),
        "b": Sample(2_000_000, AT),
    }
    assert read(CUSTOM, OBJECT, custom("shop", "7")) == 7000
    assert read(OUTSIDE, EXTERNAL, {"value": "1"}, {"value": "2500m"}) == 3500
    assert read(OUTSIDE, EXTERNAL, *({"value": "9223372036854775807m"} for _ in range(3))) == LARGEST


NO_AMOUNTS = (
    "NaN",
    "Inf",
    "-Inf",
    "-1",
    "1e1000000",
    "10^1000000",
    "9" * 60,
    "",
    "1 Gi",
    "0x10",
    "1e99",
    "1Q",
    "٣",
)


@pytest.mark.parametrize("value", [*NO_AMOUNTS, None, 7, 1.5, [], {}, True])
def test_one_value_that_is_no_amount_makes_its_metric_unavailable(value: Any) -> None:
    for query, spec, item in (
        (RESOURCE, CPU, usage("x", {"cpu": value})),
        (CUSTOM, PODS, custom("x", value)),
        (CUSTOM, OBJECT, custom("x", value)),
        (OUTSIDE, EXTERNAL, {"value": value}),
    ):
        with pytest.raises(Unmeasurable):
            read(query, spec, item)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"items":[]}',
        b'{"items":null}',
        b'{"items":[{}]}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_an_answer_that_is_none_makes_the_metric_unavailable(body: bytes) -> None:
    for query, spec in ((RESOURCE, CPU), (CUSTOM, PODS), (CUSTOM, OBJECT), (OUTSIDE, EXTERNAL)):
        with pytest.raises(Unmeasurable):
            measured(spec, decode(query, body))


def test_two_values_for_one_object_are_none() -> None:
    with pytest.raises(Unmeasurable, match="2 values for one object"):
        read(CUSTOM, OBJECT, custom("a", "1"), custom("b", "1"))


@pytest.mark.parametrize("window", ["", "x", "-30s", "30", "1e5s"])
def test_a_window_that_is_no_duration(window: str) -> None:
    items = usage("a", {"cpu": "1"}, window=window)
    if window == "":
        assert read(RESOURCE, CPU, items)["a"].window == timedelta(0)
        return
    with pytest.raises(Unmeasurable, match="window"):
        read(RESOURCE, CPU, items)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    (
                        "items",
                        "metadata",
                        "name",
                        "value",
                        "containers",
                        "usage",
                        "cpu",
                        "window",
                        "timestamp",
                        "describedObject",
                    )
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_no_answer_breaks_the_reader(document: Any) -> None:
    for query, spec in ((RESOURCE, CPU), (CUSTOM, PODS), (CUSTOM, OBJECT), (OUTSIDE, EXTERNAL)):
        try:
            measured(spec, decode(query, msgspec.json.encode({"items": [document]})))
        except Unmeasurable:
            pass


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{",
        '{"ups":[[1]]}',
        '{"ups":[[-1,"2026-01-01T00:00:00Z"]]}',
        '{"ups":[["1","z"]]}',
        "[" * 9000,
    ],
)
def test_a_predecessors_rescales_that_cannot_be_read_are_none(text: str) -> None:
    hpa = HorizontalPodAutoscaler(metadata=ObjectMeta(name="a", namespace="ns", annotations={RESCALES: text}))
    assert remembered(hpa).ups == ()

"""What is asked of the metrics APIs, and what their answers mean (reference: hpa 6).

A `Query` is a value: autoscalers that ask for the same share one answer. Guarantees: an answer
is checked whole before any of it is used; one value that is no sensible amount (NaN, negative,
out of range, of no known unit) makes the whole metric `Unmeasurable`, for what is left out of a
sum would shrink something. Pure.

Departure from the reference: negative custom and external values are refused too. An
autoscaler cannot tell a broken adapter from a meaningful negative load, and would shrink to
its minimum on either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from controllers.hpa.evaluate import Measured
from controllers.hpa.grouping import Unmeasurable
from controllers.hpa.values import BadValue, Sample, saturated, thousandths
from kcm.objects import LabelSelector, ResourceType, Spec
from kcm.objects.autoscalers import MetricIdentifier, MetricSpec, ResourceMetric

RESOURCES, CUSTOM, EXTERNAL = "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"
CUSTOM_VERSIONS = ("v1beta2", "v1beta1")

_DURATION = re.compile(r"(?:(?P<h>\d{1,4})h)?(?:(?P<m>\d{1,6})m)?(?:(?P<s>\d{1,9}(?:\.\d{0,9})?)s)?")
_OPERATORS = {"In": "in", "NotIn": "notin"}


class Query(NamedTuple):
    """One GET: the parts of its path, and its parameters."""

    segments: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def api(self) -> str:
        """Return the API group that answers."""
        return self.segments[1]


class _Named(Spec, frozen=True):
    name: str = ""


class _ContainerUsage(Spec, frozen=True):
    name: str = ""
    usage: Mapping[str, str] = {}


class _PodUsage(Spec, frozen=True):
    metadata: _Named = _Named()
    timestamp: datetime | None = None
    window: str = ""
    containers: tuple[_ContainerUsage, ...] = ()


class PodUsages(Spec, frozen=True):
    """An answer of metrics.k8s.io."""

    items: tuple[_PodUsage, ...] = ()


class _MetricValue(Spec, frozen=True):
    value: str
    described_object: _Named = _Named()
    timestamp: datetime | None = None


class MetricValues(Spec, frozen=True):
    """An answer of custom.metrics.k8s.io."""

    items: tuple[_MetricValue, ...] = ()


class _ExternalValue(Spec, frozen=True):
    value: str


class ExternalValues(Spec, frozen=True):
    """An answer of external.metrics.k8s.io."""

    items: tuple[_ExternalValue, ...] = ()


Answer = PodUsages | MetricValues | ExternalValues
_API = {PodUsages: "resource", MetricValues: "custom", ExternalValues: "external"}


def resource_query(namespace: str, selector: str) -> Query:
    """Return the query for the usage of the pods that a selector finds."""
    path = ("apis", RESOURCES, "v1beta1", "namespaces", namespace, "pods")
    return Query(path, (("labelSelector", selector),))


def pods_query(version: str, namespace: str, selector: str, metric: MetricIdentifier) -> Query:
    """Return the query for a metric of each of those pods."""
    path = ("apis", CUSTOM, version, "namespaces", namespace, "pods", "*", metric.name)
    return Query(path, (("labelSelector", selector), *_narrowed("metricLabelSelector", metric.selector)))


def object_query(
    version: str, namespace: str, resource: ResourceType, name: str, metric: MetricIdentifier
) -> Query:
    """Return the query for a metric of one object; a Namespace is always that of the autoscaler."""
    about = (str(resource), name) if str(resource) != "namespaces" else ("metrics",)
    path = ("apis", CUSTOM, version, "namespaces", namespace, *about, metric.name)
    return Query(path, _narrowed("metricLabelSelector", metric.selector))


def external_query(namespace: str, metric: MetricIdentifier) -> Query:
    """Return the query for a metric from outside."""
    path = ("apis", EXTERNAL, "v1beta1", "namespaces", namespace, metric.name)
    return Query(path, _narrowed("labelSelector", metric.selector))


def answer_type(query: Query) -> type[Answer]:
    """Return what the answer to a query is to be read as."""
    match query.api:
        case "metrics.k8s.io":
            return PodUsages
        case "custom.metrics.k8s.io":
            return MetricValues
        case _:
            return ExternalValues


def measured(spec: MetricSpec, answer: Answer) -> Measured:
    """Return what an answer says of a metric; Unmeasurable (raised) when it cannot be used."""
    if not answer.items:
        raise Unmeasurable(f"no metrics returned from {_API[type(answer)]} metrics API")
    match answer:
        case PodUsages():
            source = spec.resource if spec.type == "Resource" else spec.container_resource
            return _usage(answer, source or ResourceMetric())
        case MetricValues() if spec.type == "Pods":
            return {
                one.described_object.name: Sample(_amount(one.value), one.timestamp) for one in answer.items
            }
        case MetricValues():
            if len(answer.items) != 1:
                raise Unmeasurable(f"the metrics API has {len(answer.items)} values for one object")
            return _amount(answer.items[0].value)
        case ExternalValues():
            return saturated(sum(_amount(one.value) for one in answer.items))


def decode(query: Query, body: bytes) -> Answer:
    """Return an answer, read; Unmeasurable (raised) when it is not what such an API answers."""
    try:
        answer: Answer = _decoder(answer_type(query))(body)
    except (ValueError, RecursionError) as error:
        raise Unmeasurable(f"the answer of {query.api} cannot be read: {str(error)[:200]}") from None
    return answer


def _usage(answer: PodUsages, source: ResourceMetric) -> dict[str, Sample]:
    """Return the pods' usage: of all containers, or of one; a pod without it is missing."""
    samples = {}
    for pod in answer.items:
        wanted = [one for one in pod.containers if not source.container or one.name == source.container]
        texts = [one.usage.get(source.name) for one in wanted]
        if not texts or None in texts:
            continue
        total = sum(_amount(text) for text in texts if text is not None)
        samples[pod.metadata.name] = Sample(saturated(total), pod.timestamp, _window(pod.window))
    if not samples:
        raise Unmeasurable(f"no pod has usage of {source.name}")
    return samples


def _amount(text: str) -> int:
    try:
        value = thousandths(text)
    except BadValue as error:
        raise Unmeasurable(f"a value that is no amount: {error}") from None
    if value < 0:
        raise Unmeasurable(f"a value below zero: {text[:64]}")
    return value


def _window(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise Unmeasurable(f"a window that is no duration: {text[:64]!r}")
    parts = {unit: float(number) for unit, number in found.groupdict().items() if number}
    return timedelta(hours=parts.get("h", 0), minutes=parts.get("m", 0), seconds=parts.get("s", 0))


def _narrowed(parameter: str, selector: LabelSelector | None) -> tuple[tuple[str, str], ...]:
    """Return the parameter for a metric's own selector; none for one that asks nothing."""
    text = selector_text(selector) if selector is not None else ""
    return ((parameter, text),) if text else ()


def selector_text(selector: LabelSelector) -> str:
    """Return a label selector as query text, keys in order."""
    terms = [(key, f"{key}={value}") for key, value in selector.match_labels.items()]
    for each in selector.match_expressions:
        if each.operator in _OPERATORS:
            text = f"{each.key} {_OPERATORS[each.operator]} ({','.join(sorted(each.values))})"
        else:
            text = each.key if each.operator == "Exists" else f"!{each.key}"
        terms.append((each.key, text))
    return ",".join(text for _, text in sorted(terms))


_decoders: dict[type[Any], Callable[[bytes], Any]] = {}


def _decoder(type_: type[Answer]) -> Callable[[bytes], Any]:
    if type_ not in _decoders:
        _decoders[type_] = msgspec.json.Decoder(type_).decode
    return _decoders[type_]

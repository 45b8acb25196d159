"""custom.metrics.k8s.io: numbers about objects, in v1beta2 and v1beta1.

A value is, in this order: what was set for the object; what was set for every object of its
resource ("*"); its annotation `metric.sandbox.kcm.dev/<metric>`; a pod's share of its
workload's load of that name. Guarantees: one item an object: of several series those that
`metricLabelSelector` selects are added up, as adapters do; objects without a value are left out
of a list, and a list of none is 404. Owns no state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time
from kcm.objects.selectors import Selector
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import ApiFailure, Json, bad_request
from kcm.sandbox.api.metrics.book import Book, CustomKey
from kcm.sandbox.api.metrics.facts import Facts, ObjectFact
from kcm.sandbox.api.metrics.loads import LoadMeter
from kcm.sandbox.api.metrics.routes import CUSTOM
from kcm.sandbox.api.metrics.scrapes import Scrapes
from kcm.sandbox.api.metrics.shapes import quantity
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Collection, Store

ANNOTATION = "metric.sandbox.kcm.dev/"
_MARK = f'"{ANNOTATION}'.encode()


class _Identity(msgspec.Struct, frozen=True, rename="camel"):
    kind: str = ""
    api_version: str = ""


_identify = msgspec.json.Decoder(_Identity).decode


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a call is about: `resource` and `namespace` as the values are kept under."""

    resource: str
    namespace: str
    name: str
    metric: str
    labels: Selector
    series: Selector
    series_text: str


class CustomMetrics:
    """Answers about custom metrics."""

    def __init__(
        self, store: Store, book: Book, loads: LoadMeter, scrapes: Scrapes, clock: Clock, speed: float
    ) -> None:
        self._store = store
        self._book = book
        self._loads = loads
        self._scrapes = scrapes
        self._clock = clock
        self._speed = speed
        self._objects = Facts(ObjectFact)

    def answer(self, call: Call) -> Json:
        """Return the MetricValueList of a call; ApiFailure 404 when there is no value."""
        asked = _read(call)
        items = [
            self._item(call, asked, identity, name, value) for identity, name, value in self._values(asked)
        ]
        if not items:
            raise _no_metric(asked)
        return {
            "kind": "MetricValueList",
            "apiVersion": call.resource.api_version,
            "metadata": {},
            "items": items,
        }

    def known(self) -> Iterator[tuple[str, str]]:
        """Yield resource and metric of the values that are set or shared."""
        for key, _ in self._book.entries():
            if isinstance(key, CustomKey):
                yield key.resource, key.metric
        for metric in self._loads.metrics() - {"cpu", "memory"}:
            yield "pods", metric

    def _values(self, asked: _Asked) -> Iterator[tuple[_Identity, str, float]]:
        own = self._set(asked)
        for record in self._records(asked):
            value = own.get(record.name, own.get("*"))
            if value is None:
                value = self._annotated(record, asked)
            if value is None and asked.resource == "pods":
                value = self._loads.share(asked.metric, record.uid)
            if value is not None:
                yield _identify(record.raw), record.name, value
        if asked.name != "*" and asked.name in own and self._record(asked) is None:
            # A value for what this server does not store (an Ingress, say) is still a value.
            yield (
                _Identity(asked.resource.partition(".")[0].removesuffix("s").capitalize()),
                asked.name,
                own[asked.name],
            )

    def _set(self, asked: _Asked) -> Mapping[str, float]:
        found: defaultdict[str, float] = defaultdict(float)
        for key, entry in self._book.entries():
            if (
                isinstance(key, CustomKey)
                and (key.metric, key.resource, key.namespace)
                == (asked.metric, asked.resource, asked.namespace)
                and asked.series.matches(dict(key.labels))
            ):
                found[key.name] += self._book.value(entry)
        return dict(found)

    def _records(self, asked: _Asked) -> Iterator[Record]:
        collection = self._collection(asked)
        if collection is None:
            return
        if asked.name != "*":
            if record := self._record(asked):
                yield record
            return
        inside = collection.within(asked.namespace)
        for key in sorted(inside):
            if asked.labels.matches(inside[key].labels):
                yield inside[key]

    def _record(self, asked: _Asked) -> Record | None:
        collection = self._collection(asked)
        return collection.records.get(f"{asked.namespace}/{asked.name}") if collection else None

    def _collection(self, asked: _Asked) -> Collection | None:
        return next(
            (each for each in self._store.collections.values() if each.qualified == asked.resource), None
        )

    def _annotated(self, record: Record, asked: _Asked) -> float | None:
        if _MARK not in record.raw or not asked.series.matches({}):
            return None
        fact = self._objects.of(record)
        return fact.annotated(ANNOTATION + asked.metric, self._clock.wall(), self._speed) if fact else None

    def _item(self, call: Call, asked: _Asked, identity: _Identity, name: str, value: float) -> Json:
        described = {"kind": identity.kind, "name": name, "apiVersion": identity.api_version}
        if asked.namespace:
            described["namespace"] = asked.namespace
        selector = _label_selector(asked.series)
        stamp = {"timestamp": format_time(self._clock.wall())}
        seconds = self._scrapes.last().window_seconds
        if call.resource.version == "v1beta1":
            return {
                "describedObject": described,
                "metricName": asked.metric,
                **stamp,
                "window": seconds,
                "value": quantity(value),
                "selector": selector,
            }
        metric = {"name": asked.metric, "selector": selector}
        return {
            "describedObject": described,
            "metric": metric,
            **stamp,
            "windowSeconds": seconds,
            "value": quantity(value),
        }


def _read(call: Call) -> _Asked:
    series_text = call.options.get("metricLabelSelector", "")
    labels = parse_selector(call.options.get("labelSelector", ""))
    series = parse_selector(series_text)
    if call.resource.plural == "metrics":
        # /namespaces/x/metrics/m is about the Namespace itself, which belongs to no namespace.
        return _Asked("namespaces", "", call.namespace, call.subresource, labels, series, series_text)
    plural, namespace = call.resource.plural, call.namespace
    return _Asked(plural, namespace, call.name, call.subresource, labels, series, series_text)


def parse_selector(text: str) -> Selector:
    """Return a selector of the query; ApiFailure 400 when it cannot be understood."""
    try:
        return Selector.parse(text)
    except ValueError as error:
        raise bad_request(f"unable to parse requirement: {error}") from None


_OPERATORS = {"in": "In", "notin": "NotIn", "exists": "Exists", "absent": "DoesNotExist"}


def _label_selector(selector: Selector) -> Json | None:
    """Return a selector as the API's struct, None for an empty one."""
    if not selector.requirements:
        return None
    labels: dict[str, str] = {}
    expressions = []
    for each in selector.requirements:
        if each.operator == "in" and len(each.values) == 1 and each.key not in labels:
            labels[each.key] = next(iter(each.values))
        elif each.operator in _OPERATORS:
            expression: Json = {"key": each.key, "operator": _OPERATORS[each.operator]}
            expressions.append({**expression, "values": sorted(each.values)} if each.values else expression)
    written: Json = {"matchLabels": labels} if labels else {}
    return {**written, "matchExpressions": expressions} if expressions else written


def _no_metric(asked: _Asked) -> ApiFailure:
    text = f"the server could not find the metric {asked.metric} for {asked.resource}"
    if asked.name != "*":
        text += f" {asked.name}"
    if asked.series_text:
        text += f" with selector {asked.series_text[:200]}"
    return ApiFailure(
        404, "NotFound", text, details={"name": asked.name, "group": CUSTOM, "kind": asked.resource}
    )

"""external.metrics.k8s.io: numbers about nothing in the cluster.

A series is set over the admin path, by the file, or for one namespace by the annotation
`external.metric.sandbox.kcm.dev/<metric>` on its Namespace. Guarantees: a series for one
namespace hides one with the same labels for all; none gives an empty list. Owns no state.
"""

from __future__ import annotations

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import Json
from kcm.sandbox.api.metrics.book import Book, ExternalKey
from kcm.sandbox.api.metrics.custom import parse_selector
from kcm.sandbox.api.metrics.facts import Facts, ObjectFact
from kcm.sandbox.api.metrics.shapes import quantity
from kcm.sandbox.api.store import Store

ANNOTATION = "external.metric.sandbox.kcm.dev/"

Labels = tuple[tuple[str, str], ...]


class ExternalMetrics:
    """Answers about external metrics."""

    def __init__(self, store: Store, book: Book, clock: Clock, speed: float) -> None:
        self._store = store
        self._book = book
        self._clock = clock
        self._speed = speed
        self._namespaces = Facts(ObjectFact)

    def answer(self, call: Call) -> Json:
        """Return the ExternalMetricValueList of a call."""
        name = call.resource.plural
        selector = parse_selector(call.options.get("labelSelector", ""))
        stamp = format_time(self._clock.wall())
        items = [
            {"metricName": name, "metricLabels": dict(labels), "timestamp": stamp, "value": quantity(value)}
            for labels, value in sorted(self._series(name, call.namespace).items())
            if selector.matches(dict(labels))
        ]
        version = call.resource.api_version
        return {"kind": "ExternalMetricValueList", "apiVersion": version, "metadata": {}, "items": items}

    def known(self) -> set[str]:
        """Return the names of the series that are set."""
        return {key.name for key, _ in self._book.entries() if isinstance(key, ExternalKey)}

    def _series(self, name: str, namespace: str) -> dict[Labels, float]:
        everywhere: dict[Labels, float] = {}
        here: dict[Labels, float] = {}
        annotated = self._annotated(name, namespace)
        if annotated is not None:
            here[()] = annotated
        for key, entry in self._book.entries():
            if isinstance(key, ExternalKey) and key.name == name and key.namespace in ("", namespace):
                (here if key.namespace else everywhere)[key.labels] = self._book.value(entry)
        return everywhere | here

    def _annotated(self, name: str, namespace: str) -> float | None:
        record = self._store.collection("", "namespaces").records.get(f"/{namespace}")
        fact = self._namespaces.of(record) if record else None
        return fact.annotated(ANNOTATION + name, self._clock.wall(), self._speed) if fact else None

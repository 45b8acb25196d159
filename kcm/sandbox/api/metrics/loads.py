"""Loads: work that the ready pods of a workload share equally.

A load is a number that goes with time (`cpu=4`: four cores' worth of work) and a workload, named
by the annotation `sandbox.kcm.dev/load` on it or over the admin path. `LoadMeter` looks five times
a window who is ready and gives each its share; a pod's usage is the mean of its shares over the
window, so a pod that became ready half-way shows half of it, and an autoscaler's loop closes as
in life. A container's cpu limit caps its share, unless the workload is annotated
`sandbox.kcm.dev/load-limits: ignore`; what is capped is not given to others.

Guarantees: work is done only for pods of workloads that have a load. Does not know replicas:
who carries the load is read from the selector and the pods. Owns the published shares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from kcm.base.clock import Clock
from kcm.objects.selectors import compile_selector
from kcm.sandbox.api.history import DELETED, Event
from kcm.sandbox.api.metrics.book import Book, LoadKey
from kcm.sandbox.api.metrics.document import WORKLOADS
from kcm.sandbox.api.metrics.facts import Facts, PodFact, WorkloadFact
from kcm.sandbox.api.metrics.scrapes import Scrapes
from kcm.sandbox.api.metrics.shapes import Shape, read_shape, split_assignments
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.schema import quantities
from kcm.telemetry.logging import logger

log = logger("sandbox.loads")

ANNOTATION = "sandbox.kcm.dev/load"
LIMITS = "sandbox.kcm.dev/load-limits"
PARTS = 5
_MARK = f'"{ANNOTATION}"'.encode()

Shares = dict[str, dict[str, float]]


class LoadMeter:
    """Gives pods their shares. `pods` is shared with whoever else reads pods."""

    def __init__(
        self, store: Store, book: Book, scrapes: Scrapes, pods: Facts[PodFact], clock: Clock
    ) -> None:
        self._store = store
        self._book = book
        self._scrapes = scrapes
        self._pods = pods
        self._clock = clock
        self._workloads = Facts(WorkloadFact)
        self._sums: Shares = defaultdict(lambda: defaultdict(float))
        self._looks = 0
        self._shares: Mapping[str, Mapping[str, float]] = {}
        store.listeners.append(self._changed)

    def share(self, metric: str, uid: str) -> float | None:
        """Return a pod's mean share of a metric over the last window; None when it has none."""
        shares = self._shares.get(metric)
        return None if shares is None else shares.get(uid)

    def metrics(self) -> set[str]:
        """Return the names of all metrics that are shared now."""
        return set(self._shares)

    async def run(self) -> None:
        """Measure until cancelled."""
        # What a store was filled with from disk was not told to listeners.
        for plural in WORKLOADS:
            collection = self._store.collection("apps", plural)
            for record in list(collection.records.values()):
                self._note(collection, record, gone=False)
        part = self._scrapes.part(PARTS)
        window = part // PARTS
        while True:
            part = max(part, self._scrapes.part(PARTS)) + 1
            await self._clock.sleep(self._scrapes.until(part, PARTS))
            self.measure()
            # A busy machine may sleep past the end of a window.
            if part // PARTS > window:
                window = part // PARTS
                self.publish()

    def measure(self) -> None:
        """Look who is ready, and add each its share."""
        self._looks += 1
        for key, entry in self._book.entries():
            if isinstance(key, LoadKey):
                self._divide(key, self._book.value(entry))

    def publish(self) -> None:
        """End a window."""
        self._shares = {
            metric: {uid: total / self._looks for uid, total in totals.items()}
            for metric, totals in self._sums.items()
        }
        self._sums.clear()
        self._looks = 0

    def _divide(self, key: LoadKey, amount: float) -> None:
        workload = self._workload(key)
        if workload is None:
            return
        try:
            selector = compile_selector(workload.spec.selector)
        except ValueError:
            return
        carriers = [
            (record.uid, fact)
            for record in self._store.collection("", "pods").within(key.namespace).values()
            if selector.matches(record.labels) and (fact := self._pods.of(record)) and fact.ready
        ]
        if not carriers:
            return
        capped = key.metric == "cpu" and workload.metadata.annotations.get(LIMITS) != "ignore"
        share = amount / len(carriers)
        sums = self._sums[key.metric]
        for uid, fact in carriers:
            sums[uid] += min(share, _limit(fact)) if capped else share

    def _workload(self, key: LoadKey) -> WorkloadFact | None:
        record = self._store.collection("apps", key.resource).records.get(f"{key.namespace}/{key.name}")
        return self._workloads.of(record) if record else None

    def _changed(self, collection: Collection, event: Event) -> None:
        if _carries(collection):
            self._note(collection, event.new, gone=event.kind == DELETED)

    def _note(self, collection: Collection, record: Record, *, gone: bool) -> None:
        """Keep the loads that a workload's annotation orders."""
        known = {
            key
            for key in self._book.page("annotation")
            if isinstance(key, LoadKey)
            and (key.resource, key.namespace, key.name) == (collection.plural, record.namespace, record.name)
        }
        wanted: dict[LoadKey, Shape] = {}
        # A Deployment's annotations are copied to its ReplicaSets: the load must not count twice.
        if not gone and _MARK in record.raw and not record.owners:
            wanted = self._ordered(collection, record)
        for key in known - wanted.keys():
            self._book.drop("annotation", key)
        for key, shape in wanted.items():
            self._book.put("annotation", key, shape)

    def _ordered(self, collection: Collection, record: Record) -> dict[LoadKey, Shape]:
        fact = self._workloads.of(record)
        text = fact.metadata.annotations.get(ANNOTATION, "") if fact else ""
        try:
            return {
                LoadKey(collection.plural, record.namespace, record.name, metric): read_shape(value)
                for metric, value in split_assignments(text)
            }
        except ValueError as error:
            log.warning("load ignored", workload=f"{collection.plural} {record.key}", error=str(error))
            return {}


def _carries(collection: Collection) -> bool:
    return collection.group == "apps" and collection.plural in WORKLOADS


def _limit(fact: PodFact) -> float:
    """Return the cores that the first container, which does the work, may use."""
    if not fact.spec.containers:
        return float("inf")
    limit = fact.spec.containers[0].resources.limits.get("cpu")
    try:
        return float("inf") if limit is None else float(quantities.parse(str(limit)))
    except ValueError:
        return float("inf")

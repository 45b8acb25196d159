"""metrics.k8s.io: what pods and nodes use, as a metrics-server says it.

Guarantees: a pod is there only when each of its running containers ran for a whole window, and a
node only while it answers; a node's usage is that of its pods, unless it is annotated. A
long list gives others their turn. Owns no state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from kcm.base.clock import Clock
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import ApiFailure, Json, not_found
from kcm.sandbox.api.metrics.facts import Facts, NodeFact, PodFact
from kcm.sandbox.api.metrics.loads import LoadMeter
from kcm.sandbox.api.metrics.routes import NODES, PODS, RESOURCE
from kcm.sandbox.api.metrics.scrapes import Scrape, Scrapes
from kcm.sandbox.api.metrics.shapes import cpu_quantity, memory_quantity
from kcm.sandbox.api.metrics.usage import ContainerUsage, annotated_amount, usage_of
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.selection import Selection, parse_selection
from kcm.sandbox.api.store import Store

_VERSION = f"{RESOURCE}/v1beta1"
_TURN = 200


class ResourceMetrics:
    """Answers about pods and nodes."""

    def __init__(
        self,
        store: Store,
        loads: LoadMeter,
        scrapes: Scrapes,
        pods: Facts[PodFact],
        clock: Clock,
        speed: float,
    ) -> None:
        self._store = store
        self._loads = loads
        self._scrapes = scrapes
        self._pods = pods
        self._nodes = Facts(NodeFact)
        self._clock = clock
        self._speed = speed

    async def answer(self, call: Call) -> Json:
        """Return the object or list that a call asks for; ApiFailure when there is no sample."""
        scrape = self._scrapes.last()
        if call.resource is NODES:
            return await self._answer_nodes(call, scrape)
        return await self._answer_pods(call, scrape)

    async def _answer_pods(self, call: Call, scrape: Scrape) -> Json:
        collection = self._store.collection("", "pods")
        if call.name:
            record = collection.records.get(f"{call.namespace}/{call.name}")
            if record is None:
                raise not_found(PODS, call.name)
            shown = self._pod(record, scrape)
            if shown is None:
                raise _no_sample("podmetrics", f"{call.namespace}/{call.name}")
            return {"kind": "PodMetrics", "apiVersion": _VERSION, **shown}
        selection = self._selection(call, "pods")
        items = []
        for number, record in enumerate(sorted(collection.within(call.namespace).values(), key=_by_key)):
            if number % _TURN == _TURN - 1:
                await self._clock.sleep(0)
            if selection.matches(record) and (shown := self._pod(record, scrape)):
                items.append(shown)
        return {"kind": "PodMetricsList", "apiVersion": _VERSION, "metadata": {}, "items": items}

    async def _answer_nodes(self, call: Call, scrape: Scrape) -> Json:
        collection = self._store.collection("", "nodes")
        if call.name and f"/{call.name}" not in collection.records:
            raise not_found(NODES, call.name)
        selection = self._selection(call, "nodes")
        used = await self._used_by_node(scrape)
        items = []
        for record in sorted(collection.records.values(), key=_by_key):
            if call.name and record.name != call.name:
                continue
            if selection.matches(record) and (shown := self._node(record, used[record.name], scrape)):
                items.append(shown)
        if not call.name:
            return {"kind": "NodeMetricsList", "apiVersion": _VERSION, "metadata": {}, "items": items}
        if not items:
            raise _no_sample("nodemetrics", call.name)
        return {"kind": "NodeMetrics", "apiVersion": _VERSION, **items[0]}

    async def _used_by_node(self, scrape: Scrape) -> defaultdict[str, list[ContainerUsage]]:
        used: defaultdict[str, list[ContainerUsage]] = defaultdict(list)
        for number, record in enumerate(list(self._store.collection("", "pods").records.values())):
            if number % _TURN == _TURN - 1:
                await self._clock.sleep(0)
            fact = self._pods.of(record)
            if fact is not None and (usages := self._usages(record, fact, scrape)):
                used[fact.spec.node_name] += usages
        return used

    def _usages(self, record: Record, fact: PodFact, scrape: Scrape) -> list[ContainerUsage] | None:
        node = self._store.collection("", "nodes").records.get(f"/{fact.spec.node_name}")
        if node is not None and (host := self._nodes.of(node)) and not host.answers:
            return None
        return usage_of(fact, record.uid, self._loads.share, scrape, self._speed)

    def _pod(self, record: Record, scrape: Scrape) -> Json | None:
        fact = self._pods.of(record)
        usages = self._usages(record, fact, scrape) if fact else None
        if usages is None:
            return None
        return {
            "metadata": {**_metadata(record, scrape), "namespace": record.namespace},
            "timestamp": scrape.timestamp,
            "window": scrape.window_text,
            "containers": [{"name": each.name, "usage": _amounts(each.cpu, each.memory)} for each in usages],
        }

    def _node(self, record: Record, usages: Iterable[ContainerUsage], scrape: Scrape) -> Json | None:
        fact = self._nodes.of(record)
        if fact is None or not fact.answers:
            return None
        usages = list(usages)
        cpu = annotated_amount(fact.metadata.annotations, "cpu")
        memory = annotated_amount(fact.metadata.annotations, "memory")
        cpu = sum(each.cpu for each in usages) if cpu is None else cpu
        memory = sum(each.memory for each in usages) if memory is None else memory
        return {
            "metadata": _metadata(record, scrape),
            "timestamp": scrape.timestamp,
            "window": scrape.window_text,
            "usage": _amounts(cpu, memory),
        }

    def _selection(self, call: Call, plural: str) -> Selection:
        return parse_selection(
            call.resource,
            self._store.collection("", plural).field_names,
            call.namespace,
            call.options.get("labelSelector", ""),
            call.options.get("fieldSelector", ""),
        )


def _by_key(record: Record) -> str:
    return record.key


def _amounts(cpu: float, memory: float) -> Json:
    return {"cpu": cpu_quantity(cpu), "memory": memory_quantity(memory)}


def _metadata(record: Record, scrape: Scrape) -> Json:
    metadata: Json = {"name": record.name, "creationTimestamp": scrape.timestamp}
    if record.labels:
        metadata["labels"] = dict(record.labels)
    return metadata


def _no_sample(kind: str, name: str) -> ApiFailure:
    details = {"name": name, "group": RESOURCE, "kind": kind}
    return ApiFailure(404, "NotFound", f'{kind}.{RESOURCE} "{name}" not found', details=details)

"""What the metrics read of a stored pod, node or workload, decoded once per version of it.

Records never change, so a fact is kept as long as the record it was read from is the stored
one. Guarantees: an object that cannot be read is None, never an error; the memory is bounded by
the pods that are asked about. Owns that memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from kcm.objects import Spec
from kcm.objects.selectors import LabelSelector
from kcm.sandbox.api.metrics.shapes import read_shape
from kcm.sandbox.api.records import Record
from kcm.sandbox.cluster.views import ConditionView, Resources

_MOST = 100_000


class Started(Spec, frozen=True):
    """`v1.ContainerStateRunning`."""

    started_at: datetime | None = None


class State(Spec, frozen=True):
    """`v1.ContainerState`, as far as running goes."""

    running: Started | None = None


class StatusFact(Spec, frozen=True):
    """Whether a container runs, and since when."""

    name: str
    state: State = State()


class ContainerFact(Spec, frozen=True):
    """A container's limits."""

    name: str
    resources: Resources = Resources()


class PodSpecFact(Spec, frozen=True):
    """Where a pod runs and what it may use."""

    node_name: str = ""
    containers: tuple[ContainerFact, ...] = ()


class PodStatusFact(Spec, frozen=True):
    """Whether a pod is ready and what of it runs."""

    conditions: tuple[ConditionView, ...] = ()
    container_statuses: tuple[StatusFact, ...] = ()
    init_container_statuses: tuple[StatusFact, ...] = ()


class MetaFact(Spec, frozen=True):
    """Annotations of an object."""

    annotations: Mapping[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class PodFact(Spec, frozen=True):
    """A pod, as far as its usage goes."""

    metadata: MetaFact
    spec: PodSpecFact = PodSpecFact()
    status: PodStatusFact = PodStatusFact()

    @property
    def ready(self) -> bool:
        """Say whether the pod is sent its share of a load."""
        return self.metadata.deletion_timestamp is None and any(
            each.type == "Ready" and each.status == "True" for each in self.status.conditions
        )

    @property
    def running(self) -> list[tuple[str, datetime]]:
        """Return the running containers, sidecars included, and since when they run."""
        statuses = (*self.status.init_container_statuses, *self.status.container_statuses)
        return [
            (each.name, each.state.running.started_at)
            for each in statuses
            if each.state.running and each.state.running.started_at
        ]


class NodeStatusFact(Spec, frozen=True):
    """Whether a node answers."""

    conditions: tuple[ConditionView, ...] = ()


class NodeFact(Spec, frozen=True):
    """A node, as far as its usage goes."""

    metadata: MetaFact
    status: NodeStatusFact = NodeStatusFact()

    @property
    def answers(self) -> bool:
        """Say whether the node can be asked for its usage."""
        ready = next((each.status for each in self.status.conditions if each.type == "Ready"), "True")
        return ready == "True" and self.metadata.annotations.get("sandbox.kcm.dev/fault") != "lost"


class WorkloadSpecFact(Spec, frozen=True):
    """Which pods a workload means."""

    selector: LabelSelector = LabelSelector()


class WorkloadFact(Spec, frozen=True):
    """A Deployment, ReplicaSet or StatefulSet."""

    metadata: MetaFact
    spec: WorkloadSpecFact = WorkloadSpecFact()


class ObjectFact(Spec, frozen=True):
    """Any object: only its annotations and its age."""

    metadata: MetaFact

    def annotated(self, name: str, now: datetime, speed: float) -> float | None:
        """Return the value that an annotation gives, its shape counted from the object's creation."""
        text = self.metadata.annotations.get(name)
        if not text:
            return None
        created = self.metadata.creation_timestamp or now
        try:
            return read_shape(text).at((now - created).total_seconds() * speed)
        except ValueError:
            return None


F = TypeVar("F", bound=Spec)


class Facts(Generic[F]):
    """Facts of one type, by uid."""

    def __init__(self, type_: type[F]) -> None:
        self._read = msgspec.json.Decoder(type_).decode
        self._known: dict[str, tuple[Record, F | None]] = {}

    def of(self, record: Record) -> F | None:
        """Return what a record says; None when it cannot be read."""
        known = self._known.get(record.uid)
        if known is not None and known[0] is record:
            return known[1]
        fact: F | None
        try:
            fact = self._read(record.raw)
        except msgspec.MsgspecError:
            fact = None
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[record.uid] = (record, fact)
        return fact

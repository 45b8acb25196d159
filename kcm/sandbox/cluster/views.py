"""Pods and nodes as the simulated scheduler and kubelet see them.

Only the fields that decide something are declared; all else is dropped at decode, so 5,000
pods stay small and two views of one pod compare quickly. `PodView.intent` is what other
people want of a pod: the kubelet's own status writes do not change it, which is how its echo
on the watch is told from news.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from kcm.objects import Spec

NODE_FAULT = "sandbox.kcm.dev/fault"


class Resources(Spec, frozen=True):
    """`v1.ResourceRequirements`; quantities stay text until they are counted."""

    requests: Mapping[str, str | int | float] = {}
    limits: Mapping[str, str | int | float] = {}


class Probe(Spec, frozen=True):
    """When a probe first runs and how often it must succeed, in seconds; what it asks is not simulated."""

    initial_delay_seconds: int = 0
    period_seconds: int = 10
    success_threshold: int = 1
    failure_threshold: int = 3


class ContainerView(Spec, frozen=True):
    """One container of a pod's spec."""

    name: str
    image: str = ""
    restart_policy: str = ""
    resources: Resources = Resources()
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None


class Toleration(Spec, frozen=True):
    """`v1.Toleration`; `toleration_seconds` concerns eviction only."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class NodeRequirement(Spec, frozen=True):
    """`v1.NodeSelectorRequirement`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class NodeTerm(Spec, frozen=True):
    """`v1.NodeSelectorTerm`: all of it must hold; an empty one matches nothing."""

    match_expressions: tuple[NodeRequirement, ...] = ()
    match_fields: tuple[NodeRequirement, ...] = ()


class NodeTerms(Spec, frozen=True):
    """`v1.NodeSelector`: one term must hold."""

    node_selector_terms: tuple[NodeTerm, ...] = ()


class NodeAffinity(Spec, frozen=True):
    """The hard half of `v1.NodeAffinity`."""

    required: NodeTerms | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Spec, frozen=True):
    """`v1.Affinity`; only node affinity is simulated."""

    node_affinity: NodeAffinity | None = None


class SchedulingGate(Spec, frozen=True):
    """What holds a pod back from the scheduler."""

    name: str


class ReadinessGate(Spec, frozen=True):
    """A condition that somebody else must set before the pod counts as ready."""

    condition_type: str


class PodSpecView(Spec, frozen=True):
    """What a pod asks for."""

    node_name: str = ""
    scheduler_name: str = ""
    host_network: bool = False
    restart_policy: str = "Always"
    containers: tuple[ContainerView, ...] = ()
    init_containers: tuple[ContainerView, ...] = ()
    node_selector: Mapping[str, str] = {}
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    overhead: Mapping[str, str | int | float] = {}
    priority: int = 0
    scheduling_gates: tuple[SchedulingGate, ...] = ()
    readiness_gates: tuple[ReadinessGate, ...] = ()


class OwnerView(Spec, frozen=True):
    """Who made a pod, for people to read."""

    kind: str
    name: str
    controller: bool = False


class StageLabels(Spec, frozen=True):
    """The one label that orders something: a whole map of labels for each pod would be memory for nothing."""

    stage_failed: str = msgspec.field(default="", name="pod-container-running-failed.stage.kwok.x-k8s.io")


_NO_STAGE = StageLabels()


class PodMetaView(Spec, frozen=True):
    """Identity and life of a pod."""

    name: str
    namespace: str
    uid: str
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: datetime | None = None
    annotations: Mapping[str, str] = {}
    labels: StageLabels = _NO_STAGE
    owner_references: tuple[OwnerView, ...] = ()


class ConditionView(Spec, frozen=True):
    """A condition's verdict."""

    type: str
    status: str
    reason: str = ""
    last_transition_time: datetime | None = None


class PodStatusView(Spec, frozen=True):
    """What was last written about a pod."""

    phase: str = ""
    reason: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: tuple[ConditionView, ...] = ()

    def holds(self, type_: str) -> bool:
        """Say whether a condition is there and True."""
        return any(each.type == type_ and each.status == "True" for each in self.conditions)


class PodView(Spec, frozen=True):
    """A pod as the simulated cluster sees it."""

    metadata: PodMetaView
    spec: PodSpecView = PodSpecView()
    status: PodStatusView = PodStatusView()

    @property
    def intent(self) -> tuple[object, ...]:
        """Return what others decide about this pod: changes exactly when the kubelet must look again."""
        meta = self.metadata
        gates = tuple(self.status.holds(gate.condition_type) for gate in self.spec.readiness_gates)
        wishes = (meta.annotations, meta.labels)
        return (meta.generation, meta.deletion_timestamp, wishes, self.spec, gates, self.ended)

    @property
    def ended(self) -> bool:
        """Say whether the phase is final."""
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def label(self) -> str:
        """Return "namespace/name"."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


class Taint(Spec, frozen=True):
    """`v1.Taint`."""

    key: str
    effect: str
    value: str = ""
    time_added: str | None = None


class NodeMetaView(Spec, frozen=True):
    """Identity of a node."""

    name: str
    uid: str = ""
    resource_version: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class NodeSpecView(Spec, frozen=True):
    """Who may be placed on a node."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeStatusView(Spec, frozen=True):
    """What a node has to give."""

    allocatable: Mapping[str, str | int | float] = {}
    capacity: Mapping[str, str | int | float] = {}
    conditions: tuple[ConditionView, ...] = ()


class NodeView(Spec, frozen=True):
    """A node as the scheduler and the node lifecycle controller see it."""

    metadata: NodeMetaView
    spec: NodeSpecView = NodeSpecView()
    status: NodeStatusView = NodeStatusView()

    @property
    def fault(self) -> str:
        """Return what ails the node: "lost", "not-ready" or ""."""
        return self.metadata.annotations.get(NODE_FAULT, "")

    def verdict(self, type_: str) -> str:
        """Return a condition's status, "" when the node has no such condition."""
        return next((each.status for each in self.status.conditions if each.type == type_), "")

"""HorizontalPodAutoscalers (autoscaling/v2), and what their controller reads of pods.

Quantities stay text: they come from people and from metric servers, and are read with bounds
where they are used (`kcm.objects.quantities`). A `MeasuredPod` is as little of a pod as tells
whether its metrics count and how much its containers asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from kcm.objects.conditions import Condition
from kcm.objects.metadata import Metadata, ObjectMeta, Spec
from kcm.objects.resource import Resource
from kcm.objects.selectors import LabelSelector


class ScaleTargetRef(Spec, frozen=True):
    """Names an object whose scale, or whose metric, is meant."""

    kind: str = ""
    name: str = ""
    api_version: str = ""


class MetricIdentifier(Spec, frozen=True):
    """A metric by name, narrowed by a selector on the metric's own labels."""

    name: str = ""
    selector: LabelSelector | None = None


class MetricTarget(Spec, frozen=True):
    """What a metric should read: `type` is Utilization, Value or AverageValue."""

    type: str = ""
    value: str | None = None
    average_value: str | None = None
    average_utilization: int | None = None


class ResourceMetric(Spec, frozen=True):
    """CPU or memory of pods; with `container`, of that container only."""

    name: str = ""
    container: str = ""
    target: MetricTarget = MetricTarget()


class PodsMetric(Spec, frozen=True):
    """A custom metric that every pod has."""

    metric: MetricIdentifier = MetricIdentifier()
    target: MetricTarget = MetricTarget()


class ObjectMetric(Spec, frozen=True):
    """A custom metric of one other object."""

    described_object: ScaleTargetRef = ScaleTargetRef()
    metric: MetricIdentifier = MetricIdentifier()
    target: MetricTarget = MetricTarget()


class ExternalMetric(Spec, frozen=True):
    """A metric of something outside the cluster."""

    metric: MetricIdentifier = MetricIdentifier()
    target: MetricTarget = MetricTarget()


class MetricSpec(Spec, frozen=True):
    """One metric: `type` names which of the others is set."""

    type: str = ""
    resource: ResourceMetric | None = None
    container_resource: ResourceMetric | None = None
    pods: PodsMetric | None = None
    object: ObjectMetric | None = None
    external: ExternalMetric | None = None


class ScalingPolicy(Spec, frozen=True):
    """At most `value` pods, or percent of them, in `period_seconds`."""

    type: str = ""
    value: int = 0
    period_seconds: int = 0


class ScalingRules(Spec, frozen=True):
    """How fast one direction may go. `stabilization_window_seconds` None: the controller's default."""

    stabilization_window_seconds: int | None = None
    select_policy: str = "Max"
    policies: tuple[ScalingPolicy, ...] = ()
    tolerance: str | None = None


class Behavior(Spec, frozen=True):
    """Both directions."""

    scale_up: ScalingRules | None = None
    scale_down: ScalingRules | None = None


class AutoscalerSpec(Spec, frozen=True):
    """What is to be scaled, between which bounds, by what."""

    scale_target_ref: ScaleTargetRef = ScaleTargetRef()
    min_replicas: int | None = None
    max_replicas: int = 0
    metrics: tuple[MetricSpec, ...] = ()
    behavior: Behavior | None = None


class MetricValue(Spec, frozen=True):
    """What a metric reads now."""

    value: str | None = None
    average_value: str | None = None
    average_utilization: int | None = None


class CurrentResource(Spec, frozen=True):
    """Reading of a resource metric."""

    name: str = ""
    container: str = ""
    current: MetricValue = MetricValue()


class CurrentMetric(Spec, frozen=True):
    """Reading of a custom or external metric."""

    metric: MetricIdentifier = MetricIdentifier()
    current: MetricValue = MetricValue()
    described_object: ScaleTargetRef | None = None


class MetricStatus(Spec, frozen=True):
    """One reading, in the place of its spec; type "" where there is none."""

    type: str = ""
    resource: CurrentResource | None = None
    container_resource: CurrentResource | None = None
    pods: CurrentMetric | None = None
    object: CurrentMetric | None = None
    external: CurrentMetric | None = None


class AutoscalerStatus(Spec, frozen=True):
    """What the controller saw and decided last."""

    current_replicas: int = 0
    desired_replicas: int = 0
    last_scale_time: datetime | None = None
    current_metrics: tuple[MetricStatus, ...] | None = None
    conditions: tuple[Condition, ...] = ()


class HorizontalPodAutoscaler(Resource[AutoscalerSpec], frozen=True, kw_only=True):
    """An autoscaler as its controller sees it."""

    api, kind, plural = "autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"

    metadata: ObjectMeta
    spec: AutoscalerSpec = AutoscalerSpec()
    status: AutoscalerStatus = AutoscalerStatus()


class Requirements(Spec, frozen=True):
    """What was asked for."""

    requests: Mapping[str, str] = {}


class MeasuredContainer(Spec, frozen=True):
    """A container and what it asked for; an init container with restartPolicy Always is a sidecar."""

    name: str = ""
    restart_policy: str = ""
    resources: Requirements = Requirements()


class MeasuredPodSpec(Spec, frozen=True):
    """The containers; `resources` is what the pod asked for as a whole."""

    containers: tuple[MeasuredContainer, ...] = ()
    init_containers: tuple[MeasuredContainer, ...] = ()
    resources: Requirements = Requirements()
    overhead: Mapping[str, str] = {}


class MeasuredPodStatus(Spec, frozen=True):
    """How far along it is."""

    phase: str = ""
    start_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()


class MeasuredPod(Resource[MeasuredPodSpec], frozen=True, kw_only=True):
    """A pod as an autoscaler sees it."""

    api, kind, plural = "v1", "Pod", "pods"

    metadata: Metadata
    spec: MeasuredPodSpec = MeasuredPodSpec()
    status: MeasuredPodStatus = MeasuredPodStatus()

"""ReplicaSets."""

from __future__ import annotations

from kcm.objects.conditions import Condition
from kcm.objects.metadata import ObjectMeta, Spec
from kcm.objects.pods import PodTemplate
from kcm.objects.resource import Resource
from kcm.objects.selectors import LabelSelector


class ReplicaSetSpec(Spec, frozen=True):
    """What is wanted."""

    replicas: int = 1
    min_ready_seconds: int = 0
    selector: LabelSelector | None = None
    template: PodTemplate = PodTemplate()


class ReplicaSetStatus(Spec, frozen=True):
    """What was counted at `observed_generation`. `terminating_replicas` is None until first written."""

    replicas: int = 0
    fully_labeled_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    terminating_replicas: int | None = None
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()


class ReplicaSet(Resource[ReplicaSetSpec], frozen=True, kw_only=True):
    """A replica set as controllers see it."""

    api, kind, plural = "apps/v1", "ReplicaSet", "replicasets"

    metadata: ObjectMeta
    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()

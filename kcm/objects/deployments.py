"""Deployments, and what their controller reads of replica sets and pods.

Templates travel whole, as raw JSON: they are compared by meaning, hashed, and copied from a
Deployment into a replica set and back; nothing else is looked into. Only the reader of
`WholeReplicaSet` keeps them whole: `ReplicaSet` stays as small as its own controller needs it.
A `PodTrace` is as little of a pod as tells whose it is and whether it still runs.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from kcm.objects.conditions import Condition
from kcm.objects.metadata import Metadata, ObjectMeta, Spec
from kcm.objects.replicasets import ReplicaSetStatus
from kcm.objects.resource import Resource
from kcm.objects.selectors import LabelSelector


class DeploymentCondition(Condition, frozen=True, kw_only=True):
    """A condition that also says when it was last looked at; progress is measured from there."""

    last_update_time: datetime | None = None


class RollingUpdate(Spec, frozen=True):
    """How far a rolling update may go: a number of pods, or a percentage such as "25%"."""

    max_surge: int | str | None = None
    max_unavailable: int | str | None = None


class DeploymentStrategy(Spec, frozen=True):
    """How old pods are replaced: `RollingUpdate` or `Recreate`."""

    type: str = "RollingUpdate"
    rolling_update: RollingUpdate = RollingUpdate()


class DeploymentSpec(Spec, frozen=True):
    """What is wanted. `progress_deadline_seconds` and `revision_history_limit`: None is no limit."""

    replicas: int = 1
    selector: LabelSelector | None = None
    template: msgspec.Raw = msgspec.Raw(b"{}")
    strategy: DeploymentStrategy = DeploymentStrategy()
    min_ready_seconds: int = 0
    revision_history_limit: int | None = None
    progress_deadline_seconds: int | None = None
    paused: bool = False


class DeploymentStatus(Spec, frozen=True):
    """What was counted at `observed_generation`. `collision_count`: None differs from 0 in the hash."""

    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    unavailable_replicas: int = 0
    terminating_replicas: int | None = None
    collision_count: int | None = None
    observed_generation: int = 0
    conditions: tuple[DeploymentCondition, ...] = ()


class Deployment(Resource[DeploymentSpec], frozen=True, kw_only=True):
    """A deployment as its controller sees it."""

    api, kind, plural = "apps/v1", "Deployment", "deployments"

    metadata: ObjectMeta
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class WholeReplicaSetSpec(Spec, frozen=True):
    """What a replica set was made to want."""

    replicas: int = 1
    min_ready_seconds: int = 0
    selector: LabelSelector | None = None
    template: msgspec.Raw = msgspec.Raw(b"{}")


class WholeReplicaSet(Resource[WholeReplicaSetSpec], frozen=True, kw_only=True):
    """A replica set with its template whole."""

    api, kind, plural = "apps/v1", "ReplicaSet", "replicasets"

    metadata: ObjectMeta
    spec: WholeReplicaSetSpec = WholeReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()


class PodTraceSpec(Spec, frozen=True):
    """Nothing of what a pod is made of."""


class PodTraceStatus(Spec, frozen=True):
    """How far along a pod is."""

    phase: str = ""


class PodTrace(Resource[PodTraceSpec], frozen=True, kw_only=True):
    """Whose a pod is, and whether it still runs."""

    api, kind, plural = "v1", "Pod", "pods"

    metadata: Metadata
    spec: PodTraceSpec = PodTraceSpec()
    status: PodTraceStatus = PodTraceStatus()

"""Pods, as much of them as workload controllers read.

A pod of the API has some hundred fields; these few let 30,000 of them fit in tens of
megabytes. The template's spec is raw JSON: it is copied into pods, never looked into.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kcm.objects.conditions import Condition
from kcm.objects.metadata import Metadata, ObjectMeta, Spec
from kcm.objects.resource import Resource


class PodAnnotations(Spec, frozen=True):
    """The annotations that a controller reads from a pod."""

    deletion_cost: str = msgspec.field(default="", name="controller.kubernetes.io/pod-deletion-cost")


class PodMeta(Metadata, frozen=True, kw_only=True):
    """A pod's metadata with the annotations that matter."""

    annotations: PodAnnotations = PodAnnotations()


class Container(Spec, frozen=True):
    """A container's name, and for init containers whether it is a sidecar."""

    name: str = ""
    restart_policy: str = ""


class PodSpec(Spec, frozen=True):
    """Where a pod runs and which of its init containers are sidecars."""

    node_name: str = ""
    init_containers: tuple[Container, ...] = ()


class ContainerStatus(Spec, frozen=True):
    """How often a container was restarted."""

    name: str = ""
    restart_count: int = 0


class PodStatus(Spec, frozen=True):
    """What the kubelet reports."""

    phase: str = ""
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Resource[PodSpec], frozen=True, kw_only=True):
    """A pod as controllers see it."""

    api, kind, plural = "v1", "Pod", "pods"

    metadata: PodMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class TemplateMeta(Spec, frozen=True):
    """The part of a template's metadata that its pods get (reference: workloads 1.5)."""

    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    finalizers: tuple[str, ...] = ()


class PodTemplate(Spec, frozen=True):
    """`PodTemplateSpec`; the pod's spec travels whole."""

    metadata: TemplateMeta = TemplateMeta()
    spec: msgspec.Raw = msgspec.Raw(b"{}")


class NewPodMeta(ObjectMeta, frozen=True, kw_only=True):
    """Metadata of a pod to be created: its name is chosen, `generateName` only tells from what."""

    generate_name: str = ""


class NewPod(Resource[msgspec.Raw], frozen=True, kw_only=True):
    """A pod to be created from a template: the spec travels whole."""

    api, kind, plural = "v1", "Pod", "pods"

    metadata: NewPodMeta
    spec: msgspec.Raw

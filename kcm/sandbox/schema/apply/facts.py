"""Facts about built-in types that only field ownership needs, beside `schema.definitions`.

Data: names of types and fields of the Kubernetes API (1.36). `Type.field` names a field. What is
not here follows from the definitions: lists with keys merge by them, all other lists are atomic,
maps merge key by key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Objects that change owners as one value.
ATOMIC_TYPES = frozenset(
    (
        "ConfigMapKeySelector",
        "EndpointAddress",
        "EndpointPort",
        "FileKeySelector",
        "LabelSelector",
        "LocalObjectReference",
        "NodeSelector",
        "NodeSelectorTerm",
        "ObjectFieldSelector",
        "ObjectReference",
        "OwnerReference",
        "ResourceFieldSelector",
        "SecretKeySelector",
        "SecretReference",
        "ScopedResourceSelectorRequirement",
        "RoleRef",
        "Subject",
        "TypedLocalObjectReference",
        "v1.CrossVersionObjectReference",
    )
)
ATOMIC_MAPS = frozenset(("PodSpec.nodeSelector", "ServiceSpec.selector"))
ATOMIC_LISTS = frozenset(("PodStatus.hostIPs", "JobStatus.conditions"))
SETS = frozenset(
    (
        "ContainerRestartRuleOnExitCodes.values",
        "PodFailurePolicyOnExitCodesRequirement.values",
        "UncountedTerminatedPods.failed",
        "UncountedTerminatedPods.succeeded",
    )
)
LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "ContainerStatus.allocatedResourcesStatus": ("name",),
    "ResourceStatus.resources": ("resourceID",),
}
_TCP: Mapping[str, Any] = {"protocol": "TCP"}
# What a key of a list's element is when the element does not say.
KEY_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "Container.ports": _TCP,
    "EphemeralContainer.ports": _TCP,
    "ServiceSpec.ports": _TCP,
}
# Types of which an element without its key has none.
KEYS_UNSET = frozenset(("ObjectReference",))

# Fields that are in every value of their type, set or not, beside the required ones and metadata.
KEPT: Mapping[str, tuple[str, ...]] = {
    "ClusterRole": ("rules",),
    "Container": ("resources",),
    "ContainerImage": ("names",),
    "ContainerStateRunning": ("startedAt",),
    "ContainerStateTerminated": ("finishedAt", "startedAt"),
    "ContainerStatus": ("lastState", "state"),
    "CronJob": ("spec", "status"),
    "DaemonSet": ("status",),
    "DaemonSetCondition": ("lastTransitionTime", "status", "type"),
    "DaemonSetSpec": ("updateStrategy",),
    "Deployment": ("status",),
    "DeploymentCondition": ("lastTransitionTime", "lastUpdateTime", "status", "type"),
    "DeploymentSpec": ("strategy",),
    "EphemeralContainer": ("resources",),
    "Event": (
        "eventTime",
        "firstTimestamp",
        "lastTimestamp",
        "reportingComponent",
        "reportingInstance",
        "source",
    ),
    "EventSeries": ("lastObservedTime",),
    "GRPCAction": ("service",),
    "HorizontalPodAutoscaler": ("status",),
    "HorizontalPodAutoscalerCondition": ("lastTransitionTime",),
    "HorizontalPodAutoscalerStatus": ("currentMetrics",),
    "Ingress": ("spec", "status"),
    "Job": ("spec", "status"),
    "JobCondition": ("lastProbeTime", "lastTransitionTime"),
    "Lease": ("spec",),
    "Namespace": ("spec", "status"),
    "NamespaceCondition": ("lastTransitionTime",),
    "Node": ("spec", "status"),
    "NodeCondition": ("lastHeartbeatTime", "lastTransitionTime"),
    "NetworkPolicy": ("spec",),
    "NetworkPolicySpec": ("podSelector",),
    "NodeDaemonEndpoints": ("kubeletEndpoint",),
    "NodeRuntimeHandler": ("name",),
    "NodeStatus": ("daemonEndpoints", "nodeInfo"),
    "PersistentVolume": ("spec", "status"),
    "PersistentVolumeClaim": ("spec", "status"),
    "PersistentVolumeClaimCondition": ("lastProbeTime", "lastTransitionTime"),
    "PersistentVolumeClaimSpec": ("resources",),
    "Pod": ("spec", "status"),
    "PodCondition": ("lastProbeTime", "lastTransitionTime"),
    "PodDisruptionBudget": ("spec", "status"),
    "PodDisruptionBudgetStatus": (
        "currentHealthy",
        "desiredHealthy",
        "disruptionsAllowed",
        "expectedPods",
    ),
    "PodFailurePolicyOnPodConditionsPattern": ("status",),
    "PodTemplateSpec": ("spec",),
    "ProjectedVolumeSource": ("sources",),
    "ReplicaSet": ("status",),
    "ReplicaSetCondition": ("lastTransitionTime", "status", "type"),
    "ReplicaSetSpec": ("template",),
    "ResourceFieldSelector": ("divisor",),
    "Role": ("rules",),
    "Scale": ("spec", "status"),
    "Service": ("spec", "status"),
    "ServiceStatus": ("loadBalancer",),
    "StatefulSet": ("status",),
    "StatefulSetCondition": ("lastTransitionTime", "status", "type"),
    "StatefulSetOrdinals": ("start",),
    "StatefulSetSpec": ("serviceName", "updateStrategy"),
    "StatefulSetStatus": ("availableReplicas",),
    "TypedLocalObjectReference": ("apiGroup",),
    "TypedObjectReference": ("apiGroup",),
    "v1.HorizontalPodAutoscaler": ("spec", "status"),
    "events.Event": ("deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedSource", "regarding"),
}
# Required for a client, but left out of a value that does not set them.
OMITTED: Mapping[str, tuple[str, ...]] = {}

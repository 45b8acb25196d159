"""Kubernetes objects as frozen values: what a controller reads and writes.

Types declare only the fields that their readers need; everything else is dropped when an
object is decoded. Parts that must travel whole (a pod template's spec) are raw JSON.
"""

from kcm.objects.autoscalers import HorizontalPodAutoscaler, MeasuredPod
from kcm.objects.conditions import Condition, ObservedCondition, find_condition, with_condition
from kcm.objects.configmaps import ConfigMap
from kcm.objects.deployments import Deployment, DeploymentCondition, PodTrace, WholeReplicaSet
from kcm.objects.events import CoreEvent, Emitted, Event, EventSeries, EventSource, ObjectReference
from kcm.objects.metadata import Metadata, ObjectMeta, OwnerReference
from kcm.objects.namespaces import Namespace
from kcm.objects.owners import controller_of, owned_by, owner_reference
from kcm.objects.partials import ObjectKey, PartialMetadata, PartialObject, object_key, partial
from kcm.objects.pods import NewPod, NewPodMeta, Pod, PodTemplate
from kcm.objects.replicasets import ReplicaSet
from kcm.objects.resource import Column, Key, Resource, ResourceType, Scale, Spec
from kcm.objects.selectors import LabelSelector, Selector
from kcm.objects.untyped import Untyped, raw, untyped
from kcm.objects.versions import at_least, newer

__all__ = [
    "Column",
    "Condition",
    "ConfigMap",
    "CoreEvent",
    "Deployment",
    "DeploymentCondition",
    "Emitted",
    "Event",
    "EventSeries",
    "EventSource",
    "HorizontalPodAutoscaler",
    "Key",
    "LabelSelector",
    "MeasuredPod",
    "Metadata",
    "Namespace",
    "NewPod",
    "NewPodMeta",
    "ObjectKey",
    "ObjectMeta",
    "ObjectReference",
    "ObservedCondition",
    "OwnerReference",
    "PartialMetadata",
    "PartialObject",
    "Pod",
    "PodTemplate",
    "PodTrace",
    "ReplicaSet",
    "Resource",
    "ResourceType",
    "Scale",
    "Selector",
    "Spec",
    "Untyped",
    "WholeReplicaSet",
    "at_least",
    "controller_of",
    "find_condition",
    "newer",
    "object_key",
    "owned_by",
    "owner_reference",
    "partial",
    "raw",
    "untyped",
    "with_condition",
]

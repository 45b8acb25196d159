"""Kubernetes objects as frozen values: what a controller reads and writes.

Types declare only the fields that their readers need; everything else is dropped when an
object is decoded. Parts that must travel whole (a pod template's spec) are raw JSON.
"""

from kcm.objects.autoscalers import HorizontalPodAutoscaler, MeasuredPod
from kcm.objects.conditions import Condition
from kcm.objects.configmaps import ConfigMap
from kcm.objects.deployments import Deployment, DeploymentCondition, PodTrace, WholeReplicaSet
from kcm.objects.events import ObjectReference
from kcm.objects.metadata import Metadata, ObjectMeta, OwnerReference
from kcm.objects.namespaces import Namespace
from kcm.objects.owners import controller_of, owned_by, owner_reference
from kcm.objects.pods import NewPod, NewPodMeta, Pod, PodTemplate
from kcm.objects.replicasets import ReplicaSet
from kcm.objects.resource import Key, Resource, ResourceType, Spec
from kcm.objects.selectors import LabelSelector, Selector
from kcm.objects.versions import at_least, newer

__all__ = [
    "Condition",
    "ConfigMap",
    "Deployment",
    "DeploymentCondition",
    "HorizontalPodAutoscaler",
    "Key",
    "LabelSelector",
    "MeasuredPod",
    "Metadata",
    "Namespace",
    "NewPod",
    "NewPodMeta",
    "ObjectMeta",
    "ObjectReference",
    "OwnerReference",
    "Pod",
    "PodTemplate",
    "PodTrace",
    "ReplicaSet",
    "Resource",
    "ResourceType",
    "Selector",
    "Spec",
    "WholeReplicaSet",
    "at_least",
    "controller_of",
    "newer",
    "owned_by",
    "owner_reference",
]

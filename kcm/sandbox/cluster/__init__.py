"""Simulated nodes, scheduler and kubelet of the sandbox: what a pod can expect of a cluster."""

from kcm.sandbox.cluster.behaviour import Pace
from kcm.sandbox.cluster.cluster import Cluster, ClusterSettings
from kcm.sandbox.cluster.fleet import NodeShape
from kcm.sandbox.cluster.narrator import Narrator

__all__ = ["Cluster", "ClusterSettings", "Narrator", "NodeShape", "Pace"]

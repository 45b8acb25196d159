"""The names by which kube-controller-manager's users know its controllers.

Data (reference: workloads 3.2): the full name, and the short names that mean the same. The
first short name is the one that kube-controller-manager takes; further ones are kcm's.
"""

from __future__ import annotations

_SAME_WITHOUT_SUFFIX = (
    "clusterrole-aggregation",
    "cloud-node-lifecycle",
    "cronjob",
    "daemonset",
    "deployment",
    "disruption",
    "endpointslice",
    "ephemeral-volume",
    "job",
    "namespace",
    "persistentvolume-binder",
    "persistentvolume-expander",
    "replicaset",
    "replicationcontroller",
    "resourcequota",
    "serviceaccount",
    "serviceaccount-token",
    "statefulset",
    "ttl",
    "ttl-after-finished",
)
_OTHERS = {
    "bootstrap-signer": ("bootstrapsigner",),
    "certificatesigningrequest-approving": ("csrapproving",),
    "certificatesigningrequest-cleaner": ("csrcleaner",),
    "certificatesigningrequest-signing": ("csrsigning",),
    "endpoints": ("endpoint",),
    "endpointslice-mirroring": ("endpointslicemirroring",),
    "garbage-collector": ("garbagecollector",),
    "horizontal-pod-autoscaler": ("horizontalpodautoscaling", "hpa", "horizontalpodautoscaler"),
    "legacy-serviceaccount-token-cleaner": ("legacy-service-account-token-cleaner",),
    "node-ipam": ("nodeipam",),
    "node-lifecycle": ("nodelifecycle",),
    "node-route": ("route",),
    "persistentvolume-attach-detach": ("attachdetach",),
    "persistentvolume-protection": ("pv-protection",),
    "persistentvolumeclaim-protection": ("pvc-protection",),
    "pod-garbage-collector": ("podgc",),
    "resourceclaim": ("resource-claim-controller",),
    "root-ca-certificate-publisher": ("root-ca-cert-publisher",),
    "service-lb": ("service",),
    "storage-version-migrator": ("svm",),
    "storageversion-garbage-collector": ("storage-version-gc",),
    "token-cleaner": ("tokencleaner",),
}
_NO_ALIAS = (
    "device-taint-eviction",
    "kube-apiserver-serving-clustertrustbundle-publisher",
    "podcertificaterequest-cleaner",
    "podgroup-protection",
    "resourcepoolstatusrequest",
    "selinux-warning",
    "service-cidr",
    "taint-eviction",
    "validatingadmissionpolicy-status",
    "volumeattributesclass-protection",
)

WELL_KNOWN: dict[str, tuple[str, ...]] = {
    **{f"{name}-controller": (name,) for name in _SAME_WITHOUT_SUFFIX},
    **{f"{name}-controller": short for name, short in _OTHERS.items()},
    **{f"{name}-controller": () for name in _NO_ALIAS},
}


def well_known(name: str) -> frozenset[str]:
    """Return every name of the well-known controller that `name` names; empty when it names none."""
    for full, short in WELL_KNOWN.items():
        if name == full or name in short:
            return frozenset((full, *short))
    return frozenset()

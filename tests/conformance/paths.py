"""Where resources are: paths by plural name, and the smallest bodies the server takes."""

import itertools
import os
from dataclasses import dataclass

GROUPS = {
    "apps/v1": ("deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"),
    "autoscaling/v2": ("horizontalpodautoscalers",),
    "batch/v1": ("jobs", "cronjobs"),
    "coordination.k8s.io/v1": ("leases",),
    "policy/v1": ("poddisruptionbudgets",),
    "rbac.authorization.k8s.io/v1": ("roles", "rolebindings", "clusterroles", "clusterrolebindings"),
    "apiextensions.k8s.io/v1": ("customresourcedefinitions",),
    "authentication.k8s.io/v1": ("tokenreviews", "selfsubjectreviews"),
    "authorization.k8s.io/v1": (
        "selfsubjectaccessreviews",
        "subjectaccessreviews",
        "localsubjectaccessreviews",
        "selfsubjectrulesreviews",
    ),
}
CLUSTER_WIDE = {
    "namespaces",
    "nodes",
    "clusterroles",
    "clusterrolebindings",
    "customresourcedefinitions",
    "tokenreviews",
    "selfsubjectreviews",
    "selfsubjectaccessreviews",
    "subjectaccessreviews",
    "selfsubjectrulesreviews",
}
# Nothing on a real cluster acts upon a pod that asks for this scheduler.
NOBODY = "conformance-nobody"


_missing = itertools.count(1)


def nowhere():
    """The name of a node that is not there; another each time: what is on a lost node is soon collected."""
    return f"conformance-{os.getpid()}-{next(_missing)}"


def everywhere(resource):
    """The path of a resource over all namespaces."""
    group = next((version for version, names in GROUPS.items() if resource in names), None)
    return f"/apis/{group}/{resource}" if group else f"/api/v1/{resource}"


@dataclass(frozen=True)
class Paths:
    """Paths in one namespace."""

    namespace: str

    def of(self, resource, name="", subresource=""):
        """The path of a resource: `resource` is a plural, or a plural with its group ("g/v/plural")."""
        *group, plural = resource.rsplit("/", 1)
        base = f"/apis/{group[0]}" if group else everywhere(plural).rpartition("/")[0]
        inner = "" if plural in CLUSTER_WIDE else f"namespaces/{self.namespace}/"
        path = f"{base}/{inner}{plural}"
        return "/".join(part for part in (path, name, subresource) if part)


def configmap(name="m", data=None, **meta):
    return {"metadata": {"name": name, **meta}, "data": {"k": "v"} if data is None else data}


def pod_spec(**spec):
    return {"containers": [{"name": "c", "image": "example/c:1"}], **spec}


def pod(name="p", labels=None, **spec):
    """A pod that no scheduler takes."""
    meta = {"name": name, "labels": labels or {"app": name}}
    return {"metadata": meta, "spec": pod_spec(**{"schedulerName": NOBODY, **spec})}


def workload(kind="Deployment", name="w", replicas=0, **spec):
    """A Deployment or ReplicaSet; no replicas, so that nothing comes of it on a real cluster."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod_spec(schedulerName=NOBODY)}
    body = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": body}


def autoscaler(name="h", **spec):
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}
    return {"metadata": {"name": name}, "spec": {"scaleTargetRef": reference, "maxReplicas": 3, **spec}}


def lease(name="l", **spec):
    return {"metadata": {"name": name}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, **spec}}


def service(name="s", **spec):
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


def event(namespace, name="e", **fields):
    about = {"kind": "Pod", "name": "p", "namespace": namespace}
    return {"metadata": {"name": name}, "involvedObject": about, "reason": "R", "message": "m", **fields}

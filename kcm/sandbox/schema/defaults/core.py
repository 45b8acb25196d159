"""Defaults of Services, Namespaces, Nodes, Secrets and Endpoints (reference: apiserver §5)."""

from __future__ import annotations

import base64

from kcm.sandbox.schema.defaults.parts import Json, items, part, present

_NAME_LABEL = "kubernetes.io/metadata.name"
_AFFINITY_SECONDS = 10800


def default_service(service: Json) -> None:
    """Fill in a Service; its cluster IP is the caller's to choose."""
    spec = part(service, "spec")
    spec["type"] = spec.get("type") or "ClusterIP"
    spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    for port in items(spec, "ports"):
        port["protocol"] = port.get("protocol") or "TCP"
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")
    if spec["sessionAffinity"] == "ClientIP":
        client = part(part(spec, "sessionAffinityConfig"), "clientIP")
        client.setdefault("timeoutSeconds", _AFFINITY_SECONDS)
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    part(part(service, "status"), "loadBalancer")


def default_namespace(namespace: Json) -> None:
    """Fill in a Namespace: its name as a label, and the finalizer while it is not being deleted."""
    metadata = part(namespace, "metadata")
    if name := metadata.get("name"):
        part(metadata, "labels")[_NAME_LABEL] = name
    spec = part(namespace, "spec")
    # A Namespace that is being emptied loses this finalizer; giving it back would keep it forever.
    if "deletionTimestamp" not in metadata:
        spec.setdefault("finalizers", ["kubernetes"])
    part(namespace, "status").setdefault("phase", "Active")


def default_node(node: Json) -> None:
    """Fill in a Node: what it can allocate is what it has."""
    part(node, "spec")
    status = part(node, "status")
    if (capacity := present(status, "capacity")) is not None:
        status.setdefault("allocatable", dict(capacity))


def default_priority_class(priority: Json) -> None:
    """Fill in a PriorityClass: its pods may push others out."""
    priority["preemptionPolicy"] = priority.get("preemptionPolicy") or "PreemptLowerPriority"
    priority.setdefault("value", 0)


def default_secret(secret: Json) -> None:
    """Fill in a Secret's type, and turn `stringData` into `data` as the server does."""
    secret["type"] = secret.get("type") or "Opaque"
    texts = present(secret, "stringData")
    if texts is None:
        return
    data = part(secret, "data")
    for key, text in texts.items():
        if isinstance(text, str):
            data[key] = base64.b64encode(text.encode()).decode()
    del secret["stringData"]


def default_endpoints(endpoints: Json) -> None:
    """Fill in the protocol of each port."""
    for subset in items(endpoints, "subsets"):
        for port in items(subset, "ports"):
            port.setdefault("protocol", "TCP")

"""The tables of nodes, namespaces, services, leases and other small kinds."""

from __future__ import annotations

from datetime import datetime

from kcm.sandbox.schema.tables.columns import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    Json,
    Printer,
    age_of,
    column,
    count,
    items,
    joined,
    labels_text,
    name_of,
    part,
    text,
    texts,
    wide,
)

_ROLE_LABEL = "node-role.kubernetes.io/"
_ENDPOINTS_SHOWN = 3


def _node(obj: Json, now: datetime) -> list[object]:
    info, labels = part(obj, "status", "nodeInfo"), part(obj, "metadata", "labels")
    roles = sorted(key.removeprefix(_ROLE_LABEL) for key in labels if key.startswith(_ROLE_LABEL))
    addresses = {text(one, "type"): text(one, "address") for one in items(part(obj, "status"), "addresses")}
    return [
        name_of(obj),
        _node_status(obj),
        joined(roles),
        age_of(obj, now),
        text(info, "kubeletVersion"),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        text(info, "osImage") or UNKNOWN,
        text(info, "kernelVersion") or UNKNOWN,
        text(info, "containerRuntimeVersion") or UNKNOWN,
    ]


def _node_status(obj: Json) -> str:
    ready = [one for one in items(part(obj, "status"), "conditions") if text(one, "type") == "Ready"]
    shown = "Unknown" if not ready else "Ready" if text(ready[0], "status") == "True" else "NotReady"
    return f"{shown},SchedulingDisabled" if part(obj, "spec").get("unschedulable") is True else shown


def _namespace(obj: Json, now: datetime) -> list[object]:
    return [name_of(obj), text(part(obj, "status"), "phase"), age_of(obj, now)]


def _priority_class(obj: Json, now: datetime) -> list[object]:
    policy = text(obj, "preemptionPolicy")
    return [name_of(obj), obj.get("value", 0), bool(obj.get("globalDefault")), age_of(obj, now), policy]


def _lease(obj: Json, now: datetime) -> list[object]:
    return [name_of(obj), text(part(obj, "spec"), "holderIdentity"), age_of(obj, now)]


def _service_account(obj: Json, now: datetime) -> list[object]:
    return [name_of(obj), age_of(obj, now)]


def _config_map(obj: Json, now: datetime) -> list[object]:
    return [name_of(obj), len(part(obj, "data")) + len(part(obj, "binaryData")), age_of(obj, now)]


def _secret(obj: Json, now: datetime) -> list[object]:
    return [name_of(obj), text(obj, "type"), len(part(obj, "data")), age_of(obj, now)]


def _service(obj: Json, now: datetime) -> list[object]:
    spec = part(obj, "spec")
    return [
        name_of(obj),
        text(spec, "type"),
        text(spec, "clusterIP") or NONE,
        _external(obj),
        joined(_port(one) for one in items(spec, "ports")),
        age_of(obj, now),
        labels_text(part(spec, "selector")),
    ]


def _external(obj: Json) -> str:
    spec = part(obj, "spec")
    own = texts(spec, "externalIPs")
    match text(spec, "type"):
        case "ExternalName":
            return text(spec, "externalName")
        case "LoadBalancer":
            ingress = items(part(obj, "status", "loadBalancer"), "ingress")
            given = [text(one, "ip") or text(one, "hostname") for one in ingress]
            return ",".join(given + own) or "<pending>"
        case _:
            return joined(own)


def _port(port: Json) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{count(port, 'port')}{node}/{text(port, 'protocol')}"


def _endpoints(obj: Json, now: datetime) -> list[object]:
    found: list[str] = []
    for subset in items(obj, "subsets"):
        ports = [f":{count(port, 'port')}" for port in items(subset, "ports")] or [""]
        found += [text(one, "ip") + port for port in ports for one in items(subset, "addresses")]
    shown = joined(found[:_ENDPOINTS_SHOWN])
    more = f" + {len(found) - _ENDPOINTS_SHOWN} more..." if len(found) > _ENDPOINTS_SHOWN else ""
    return [name_of(obj), shown + more, age_of(obj, now)]


NODES = Printer(
    (
        NAME,
        column("Status"),
        column("Roles"),
        AGE,
        column("Version"),
        *map(wide, ("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime")),
    ),
    _node,
)
NAMESPACES = Printer((NAME, column("Status"), AGE), _namespace)
PRIORITY_CLASSES = Printer(
    (NAME, column("Value", "integer"), column("Global-Default", "boolean"), AGE, column("PreemptionPolicy")),
    _priority_class,
)
LEASES = Printer((NAME, column("Holder"), AGE), _lease)
SERVICE_ACCOUNTS = Printer((NAME, AGE), _service_account)
CONFIG_MAPS = Printer((NAME, column("Data"), AGE), _config_map)
SECRETS = Printer((NAME, column("Type"), column("Data"), AGE), _secret)
SERVICES = Printer(
    (
        NAME,
        column("Type"),
        column("Cluster-IP"),
        column("External-IP"),
        column("Port(s)"),
        AGE,
        wide("Selector"),
    ),
    _service,
)
ENDPOINTS = Printer((NAME, column("Endpoints"), AGE), _endpoints)

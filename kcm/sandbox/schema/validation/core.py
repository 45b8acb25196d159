"""Rules for Services, ConfigMaps, Secrets, Leases, budgets, bindings and scales."""

from __future__ import annotations

import base64
import binascii

from kcm.sandbox.schema.validation import names
from kcm.sandbox.schema.validation.failures import (
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)
from kcm.sandbox.schema.validation.metadata import check_labels, check_selector
from kcm.sandbox.schema.validation.parts import (
    AT_LEAST_ZERO,
    IMMUTABLE,
    Errors,
    Json,
    items,
    not_negative,
    number,
    one_of,
    part,
    port_number,
    text,
    values,
)
from kcm.sandbox.schema.validation.workloads import check_share

SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
MOST_PRIORITY = 1_000_000_000
_PREEMPTION = ("Never", "PreemptLowerPriority")
_DATA_BYTES = 1024 * 1024
_SERVICE_TYPES = frozenset(("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"))
_PROTOCOLS = frozenset(("TCP", "UDP", "SCTP"))


def check_service(service: Json) -> Errors:
    """The spec of a Service."""
    spec = part(service, "spec")
    ports, type_ = items(spec, "ports"), text(spec, "type")
    if not ports and type_ != "ExternalName" and text(spec, "clusterIP") != "None":
        yield required("spec.ports")
    yield from one_of(spec, "spec", "type", _SERVICE_TYPES, must=True)
    yield from one_of(spec, "spec", "sessionAffinity", ("ClientIP", "None"), must=True)
    if type_ == "ExternalName" and not text(spec, "externalName"):
        yield required("spec.externalName")
    yield from check_labels(part(spec, "selector"), "spec.selector")
    yield from _check_service_ports(ports)


def _check_service_ports(ports: list[Json]) -> Errors:
    seen_names: set[str] = set()
    seen_ports: set[tuple[int | None, str]] = set()
    for index, port in enumerate(ports):
        here, name, number_ = f"spec.ports[{index}]", text(port, "name"), number(port, "port")
        if not name and len(ports) > 1:
            yield required(f"{here}.name")
        for problem in names.label(name) if name else ():
            yield invalid(f"{here}.name", name, problem)
        if name and name in seen_names:
            yield duplicate(f"{here}.name", name)
        seen_names.add(name)
        yield from port_number(number_ or 0, f"{here}.port")
        yield from one_of(port, here, "protocol", _PROTOCOLS, must=True)
        target = port.get("targetPort")
        if isinstance(target, str):
            for problem in names.port_name(target):
                yield invalid(f"{here}.targetPort", target, problem)
        elif isinstance(target, int):
            yield from port_number(target, f"{here}.targetPort")
        key = (number_, text(port, "protocol"))
        if key in seen_ports:
            yield duplicate(here, {"port": number_, "protocol": key[1]})
        seen_ports.add(key)


def check_service_update(new: Json, old: Json) -> Errors:
    """A cluster IP, once chosen, stays; only ExternalName has none."""
    now, before = part(new, "spec"), part(old, "spec")
    if "ExternalName" in (text(now, "type"), text(before, "type")):
        return
    if text(before, "clusterIP") and text(now, "clusterIP") != text(before, "clusterIP"):
        chosen = values(now, "clusterIPs") or [text(now, "clusterIP")]
        yield invalid("spec.clusterIPs[0]", chosen, "may not change once set")


def check_priority_class(priority: Json) -> Errors:
    """A number that leaves room for the system's own classes, and a known policy."""
    name, value = text(part(priority, "metadata"), "name"), number(priority, "value") or 0
    if name.startswith("system-") and SYSTEM_PRIORITIES.get(name) != value:
        problem = "priority class names with 'system-' prefix are reserved for system use only"
        yield forbidden("metadata.name", problem)
    if value > MOST_PRIORITY and name not in SYSTEM_PRIORITIES:
        yield forbidden("value", f"maximum allowed value of a user defined priority is {MOST_PRIORITY}")
    if (policy := text(priority, "preemptionPolicy")) not in _PREEMPTION:
        yield not_supported("preemptionPolicy", policy, _PREEMPTION)


def check_priority_class_update(new: Json, old: Json) -> Errors:
    """Neither number nor policy of a class changes."""
    if new.get("value") != old.get("value"):
        yield forbidden("value", "may not be changed in an update.")
    if new.get("preemptionPolicy") != old.get("preemptionPolicy"):
        yield invalid("preemptionPolicy", new.get("preemptionPolicy"), IMMUTABLE)


def check_config_map(config_map: Json) -> Errors:
    """Keys and size."""
    data, binary = part(config_map, "data"), part(config_map, "binaryData")
    size = 0
    for field, entries in (("data", data), ("binaryData", binary)):
        for key, value in entries.items():
            for problem in names.config_key(key):
                yield invalid(f"{field}[{key}]", key, problem)
            size += len(value.encode()) if isinstance(value, str) else 0
    for key in binary:
        if key in data:
            yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    if size > _DATA_BYTES:
        yield too_long("[]", _DATA_BYTES)


def check_config_map_update(new: Json, old: Json) -> Errors:
    """An immutable ConfigMap stays as it is."""
    yield from _check_frozen(new, old, "data", "binaryData")


def check_secret(secret: Json) -> Errors:
    """Keys, size, and the keys that a type demands."""
    data, size = part(secret, "data"), 0
    for key, value in data.items():
        for problem in names.config_key(key):
            yield invalid(f"data[{key}]", key, problem)
        size += _decoded_size(value)
    if size > _DATA_BYTES:
        yield too_long("data", _DATA_BYTES)
    for key in _SECRET_KEYS.get(text(secret, "type"), ()):
        if key not in data:
            yield required(f"data[{key}]")


_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def _decoded_size(value: object) -> int:
    try:
        return len(base64.b64decode(value)) if isinstance(value, str) else 0
    except binascii.Error:
        return 0


def check_secret_update(new: Json, old: Json) -> Errors:
    """A Secret's type stays, and an immutable one as a whole."""
    if new.get("type") != old.get("type"):
        yield invalid("type", new.get("type"), IMMUTABLE)
    yield from _check_frozen(new, old, "data")


def _check_frozen(new: Json, old: Json, *names_: str) -> Errors:
    if old.get("immutable") is not True:
        return
    for name in ("immutable", *names_):
        if new.get(name) != old.get(name):
            yield forbidden(name, "field is immutable when `immutable` is set")


def check_lease(lease: Json) -> Errors:
    """The spec of a Lease."""
    spec = part(lease, "spec")
    duration = number(spec, "leaseDurationSeconds")
    if duration is not None and duration <= 0:
        yield invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    yield from not_negative(spec, "spec", "leaseTransitions")


def check_budget(budget: Json) -> Errors:
    """The spec of a PodDisruptionBudget."""
    spec = part(budget, "spec")
    if "minAvailable" in spec and "maxUnavailable" in spec:
        yield invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for name in ("minAvailable", "maxUnavailable"):
        if name in spec:
            yield from check_share(spec[name], f"spec.{name}", capped=True)
    yield from check_selector(part(spec, "selector"), "spec.selector")


def check_binding(binding: Json) -> Errors:
    """The target of a Binding must be a node."""
    target = part(binding, "target")
    yield from one_of(target, "target", "kind", ("Node", "<empty>"))
    if not text(target, "name"):
        yield required("target.name")


def check_scale(scale: Json) -> Errors:
    """The replicas of a Scale."""
    replicas = number(part(scale, "spec"), "replicas")
    if replicas is not None and replicas < 0:
        yield invalid("spec.replicas", replicas, AT_LEAST_ZERO)

"""Rules for containers: names, images, ports, environment, mounts, resources, probes."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

from kcm.sandbox.schema.quantities import parse
from kcm.sandbox.schema.validation import names
from kcm.sandbox.schema.validation.failures import duplicate, forbidden, invalid, not_found, required
from kcm.sandbox.schema.validation.parts import (
    AT_LEAST_ZERO,
    Errors,
    Json,
    items,
    not_negative,
    number,
    one_of,
    part,
    port_number,
    text,
)

_PULL_POLICIES = frozenset(("Always", "IfNotPresent", "Never"))
_MESSAGE_POLICIES = frozenset(("File", "FallbackToLogsOnError"))
_PROTOCOLS = frozenset(("TCP", "UDP", "SCTP"))
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_STANDARD_RESOURCES = frozenset(("cpu", "memory", "ephemeral-storage", "storage"))
_VARIABLE_NAME = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)
_VARIABLE_SOURCES = (
    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
)
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def check_containers(spec: Json, path: str, volumes: Collection[str]) -> Errors:
    """All containers of a pod spec; `volumes` are the names that may be mounted."""
    containers = items(spec, "containers")
    if not containers:
        yield required(f"{path}.containers")
    seen: set[str] = set()
    # In this order: of two containers of one name, the server names the one that starts first.
    for field, members in (("containers", containers), ("initContainers", items(spec, "initContainers"))):
        for index, container in enumerate(members):
            here = f"{path}.{field}[{index}]"
            name = text(container, "name")
            if name and name in seen:
                yield duplicate(f"{here}.name", name)
            seen.add(name)
            yield from _check_container(
                container, here, volumes, host_network=spec.get("hostNetwork") is True
            )
            if field == "initContainers":
                yield from _check_init_container(container, here)


def _check_container(container: Json, path: str, volumes: Collection[str], *, host_network: bool) -> Errors:
    name, image = text(container, "name"), text(container, "image")
    if not name:
        yield required(f"{path}.name")
    for problem in names.label(name) if name else ():
        yield invalid(f"{path}.name", name, problem)
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    yield from one_of(container, path, "imagePullPolicy", _PULL_POLICIES)
    yield from one_of(container, path, "terminationMessagePolicy", _MESSAGE_POLICIES)
    yield from _check_ports(items(container, "ports"), f"{path}.ports", host_network=host_network)
    yield from _check_environment(items(container, "env"), f"{path}.env")
    yield from _check_mounts(items(container, "volumeMounts"), f"{path}.volumeMounts", volumes)
    yield from check_resources(part(container, "resources"), f"{path}.resources")
    for probe in _PROBES:
        if probe in container:
            yield from _check_probe(
                part(container, probe), f"{path}.{probe}", ready=probe == "readinessProbe"
            )
    for hook in ("postStart", "preStop"):
        if hook in part(container, "lifecycle"):
            yield from _check_handler(part(part(container, "lifecycle"), hook), f"{path}.lifecycle.{hook}")


def _check_init_container(container: Json, path: str) -> Errors:
    """Only a sidecar (`restartPolicy: Always`) may have hooks and probes."""
    if text(container, "restartPolicy") == "Always":
        return
    for name in ("lifecycle", *_PROBES):
        if name in container:
            detail = "may not be set for init containers without restartPolicy=Always"
            yield forbidden(f"{path}.{name}", detail)


def _check_ports(ports: list[Json], path: str, *, host_network: bool) -> Errors:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        name = text(port, "name")
        for problem in names.port_name(name) if name else ():
            yield invalid(f"{here}.name", name, problem)
        if name and name in seen:
            yield duplicate(f"{here}.name", name)
        seen.add(name)
        container_port, host_port = number(port, "containerPort"), number(port, "hostPort")
        if not container_port:
            yield required(f"{here}.containerPort")
        else:
            yield from port_number(container_port, f"{here}.containerPort")
        if host_port:
            yield from port_number(host_port, f"{here}.hostPort")
        if host_network and host_port and host_port != container_port:
            detail = "must match `hostPort` when `hostNetwork` is true"
            yield invalid(f"{here}.containerPort", container_port, detail)
        yield from one_of(port, here, "protocol", _PROTOCOLS, must=True)


def _check_environment(variables: list[Json], path: str) -> Errors:
    for index, variable in enumerate(variables):
        here, name = f"{path}[{index}]", text(variable, "name")
        if not name:
            yield required(f"{here}.name")
        elif "=" in name or not name.isascii() or not name.isprintable():
            yield invalid(f"{here}.name", name, _VARIABLE_NAME)
        if "valueFrom" not in variable:
            continue
        source = part(variable, "valueFrom")
        if not source:
            yield invalid(f"{here}.valueFrom", "", _VARIABLE_SOURCES)
        elif text(variable, "value"):
            yield invalid(f"{here}.valueFrom", "", "may not be specified when `value` is not empty")
        elif len(source) > 1:
            yield invalid(f"{here}.valueFrom", "", "may not have more than one field specified at a time")


def _check_mounts(mounts: list[Json], path: str, volumes: Collection[str]) -> Errors:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        here, name, target = f"{path}[{index}]", text(mount, "name"), text(mount, "mountPath")
        if not name:
            yield required(f"{here}.name")
        elif name not in volumes:
            yield not_found(f"{here}.name", name)
        if not target:
            yield required(f"{here}.mountPath")
        elif target in seen:
            yield invalid(f"{here}.mountPath", target, "must be unique")
        seen.add(target)


def check_resources(resources: Json, path: str) -> Errors:
    """Limits and requests: known names, not negative, requests within limits."""
    limits, requests = part(resources, "limits"), part(resources, "requests")
    for field, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            if "/" not in name and name not in _STANDARD_RESOURCES and not name.startswith("hugepages-"):
                detail = "must be a standard resource type or fully qualified"
                yield invalid(f"{path}.{field}[{name}]", name, detail)
            elif (value := _amount(amount)) is not None and value < 0:
                yield invalid(f"{path}.{field}[{name}]", amount, AT_LEAST_ZERO)
    for name, amount in requests.items():
        limit, request = _amount(limits.get(name)), _amount(amount)
        if limit is not None and request is not None and request > limit:
            detail = f"must be less than or equal to {name} limit of {limits[name]}"
            yield invalid(f"{path}.requests", amount, detail)


def _amount(quantity: object) -> Fraction | None:
    try:
        return parse(quantity) if isinstance(quantity, str) else None
    except ValueError:
        return None


def _check_probe(probe: Json, path: str, *, ready: bool) -> Errors:
    yield from _check_handler(probe, path)
    counts = (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    )
    yield from not_negative(probe, path, *counts)
    successes = number(probe, "successThreshold")
    if not ready and successes is not None and successes != 1:
        yield invalid(f"{path}.successThreshold", successes, "must be 1")


def _check_handler(handler: Json, path: str) -> Errors:
    given = [name for name in _HANDLERS if name in handler]
    if not given:
        yield required(path, "must specify a handler type")
    for name in given[1:]:
        yield forbidden(f"{path}.{name}", "may not specify more than 1 handler type")
    if "httpGet" in handler or "tcpSocket" in handler:
        name = "httpGet" if "httpGet" in handler else "tcpSocket"
        port = part(handler, name).get("port")
        if isinstance(port, str):
            for problem in names.port_name(port):
                yield invalid(f"{path}.{name}.port", port, problem)
        else:
            yield from port_number(port or 0, f"{path}.{name}.port")
    if "exec" in handler and not part(handler, "exec").get("command"):
        yield required(f"{path}.exec.command")

"""Defaults of pods and pod templates (reference: apiserver §5).

A template gets fewer than a pod: requests from limits, service links and host ports are
filled in only when a pod is made, or the template's hash would change under its owner.
"""

from __future__ import annotations

from kcm.sandbox.schema.defaults.parts import Json, items, part, present

_DEFAULT_MODE = 0o644
_TOKEN_SECONDS = 3600


def default_pod(pod: Json) -> None:
    """Fill in a pod, with its initial phase and quality of service."""
    spec = part(pod, "spec")
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    grace = spec["terminationGracePeriodSeconds"]
    if isinstance(grace, int) and grace < 0:
        # Old pods had such; the server takes it for the shortest grace there is.
        spec["terminationGracePeriodSeconds"] = 1
    for container in _containers(spec):
        _request_limits(container)
        if spec.get("hostNetwork") is True:
            for port in items(container, "ports"):
                port.setdefault("hostPort", port.get("containerPort"))
    status = part(pod, "status")
    status.setdefault("phase", "Pending")
    status.setdefault("qosClass", qos_class(spec))


def default_template(owner_spec: Json) -> None:
    """Fill in `spec.template` of a workload, if it has one."""
    template = present(owner_spec, "template")
    if template is None:
        return
    part(template, "metadata")
    default_pod_spec(part(template, "spec"))


def default_pod_spec(spec: Json) -> None:
    """Fill in what pods and templates have in common."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("securityContext", {})
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in _containers(spec):
        _default_container(container)
    for container in items(spec, "ephemeralContainers"):
        _default_container(container)
    for volume in items(spec, "volumes"):
        _default_volume(volume)
    for constraint in items(spec, "topologySpreadConstraints"):
        constraint.setdefault("whenUnsatisfiable", "DoNotSchedule")


def qos_class(spec: Json) -> str:
    """Return Guaranteed, Burstable or BestEffort for a pod spec with its defaults."""
    guaranteed, any_set = True, False
    for container in _containers(spec):
        resources = present(container, "resources") or {}
        limits, requests = present(resources, "limits") or {}, present(resources, "requests") or {}
        any_set = any_set or any(name in limits or name in requests for name in ("cpu", "memory"))
        if any(name not in limits or requests.get(name, limits[name]) != limits[name] for name in _COUNTED):
            guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


_COUNTED = ("cpu", "memory")


def _containers(spec: Json) -> list[Json]:
    return items(spec, "initContainers") + items(spec, "containers")


def _default_container(container: Json) -> None:
    image = container.get("image")
    container.setdefault("imagePullPolicy", _pull_policy(image if isinstance(image, str) else ""))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    for port in items(container, "ports"):
        port.setdefault("protocol", "TCP")
    for variable in items(container, "env"):
        if (source := present(variable, "valueFrom")) is not None:
            _default_field_reference(source)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := present(container, name)) is not None:
            _default_probe(probe)
    lifecycle = present(container, "lifecycle") or {}
    for hook in ("postStart", "preStop"):
        _default_http_get(present(lifecycle, hook) or {})


def _pull_policy(image: str) -> str:
    if "@" in image:
        return "IfNotPresent"
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return "Always" if not colon or tag == "latest" else "IfNotPresent"


def _default_field_reference(source: Json) -> None:
    if (reference := present(source, "fieldRef")) is not None:
        reference.setdefault("apiVersion", "v1")
    if (reference := present(source, "resourceFieldRef")) is not None:
        reference.setdefault("divisor", "0")


def _default_probe(probe: Json) -> None:
    for name, seconds in (("timeoutSeconds", 1), ("periodSeconds", 10)):
        probe[name] = probe.get(name) or seconds
    for name, count in (("successThreshold", 1), ("failureThreshold", 3)):
        probe[name] = probe.get(name) or count
    _default_http_get(probe)
    if (grpc := present(probe, "grpc")) is not None:
        grpc.setdefault("service", "")


def _default_http_get(handler: Json) -> None:
    if (get := present(handler, "httpGet")) is not None:
        get["path"] = get.get("path") or "/"
        get["scheme"] = get.get("scheme") or "HTTP"


def _request_limits(container: Json) -> None:
    resources = present(container, "resources") or {}
    limits = present(resources, "limits")
    if not limits:
        return
    requests = part(resources, "requests")
    for name, amount in limits.items():
        requests.setdefault(name, amount)


def _default_volume(volume: Json) -> None:
    sources = [name for name in volume if name != "name"]
    if not sources:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        if (source := present(volume, name)) is not None:
            source.setdefault("defaultMode", _DEFAULT_MODE)
    if (source := present(volume, "hostPath")) is not None:
        source.setdefault("type", "")
    if (source := present(volume, "image")) is not None:
        reference = source.get("reference")
        source.setdefault("pullPolicy", _pull_policy(reference if isinstance(reference, str) else ""))
    for file in items(present(volume, "downwardAPI") or {}, "items"):
        _default_field_reference(file)
    for projection in items(present(volume, "projected") or {}, "sources"):
        if (token := present(projection, "serviceAccountToken")) is not None:
            token.setdefault("expirationSeconds", _TOKEN_SECONDS)
        for file in items(present(projection, "downwardAPI") or {}, "items"):
            _default_field_reference(file)

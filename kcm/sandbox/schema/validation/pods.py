"""Rules for pod specs, pods and what of a pod may change (reference: apiserver §5)."""

from __future__ import annotations

from typing import Any

from kcm.sandbox.schema.validation import names
from kcm.sandbox.schema.validation.containers import check_containers, check_resources
from kcm.sandbox.schema.validation.failures import duplicate, forbidden, invalid, required
from kcm.sandbox.schema.validation.metadata import check_labels
from kcm.sandbox.schema.validation.parts import (
    AT_LEAST_ZERO,
    Errors,
    Json,
    items,
    number,
    one_of,
    part,
    text,
    values,
)

_RESTART_POLICIES = frozenset(("Always", "OnFailure", "Never"))
_DNS_POLICIES = frozenset(("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"))
_EFFECTS = frozenset(("NoSchedule", "PreferNoSchedule", "NoExecute"))
_SPREADS = frozenset(("DoNotSchedule", "ScheduleAnyway"))
_LONGEST_DEADLINE = 2**31 - 1


def check_pod(pod: Json) -> Errors:
    """A whole pod, when it is made."""
    spec = part(pod, "spec")
    if items(spec, "ephemeralContainers"):
        yield forbidden("spec.ephemeralContainers", "cannot be set on create")
    yield from check_pod_spec(spec, "spec")


def check_pod_spec(spec: Json, path: str) -> Errors:
    """A pod spec, of a pod or of a template."""
    volumes: set[str] = set()
    yield from _check_volumes(items(spec, "volumes"), f"{path}.volumes", volumes)
    yield from check_containers(spec, path, volumes)
    yield from one_of(spec, path, "restartPolicy", _RESTART_POLICIES, must=True)
    yield from one_of(spec, path, "dnsPolicy", _DNS_POLICIES, must=True)
    grace, deadline = number(spec, "terminationGracePeriodSeconds"), number(spec, "activeDeadlineSeconds")
    if grace is not None and grace < 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, AT_LEAST_ZERO)
    if deadline is not None and not 1 <= deadline <= _LONGEST_DEADLINE:
        detail = f"must be between 1 and {_LONGEST_DEADLINE}, inclusive"
        yield invalid(f"{path}.activeDeadlineSeconds", deadline, detail)
    yield from check_labels(part(spec, "nodeSelector"), f"{path}.nodeSelector")
    yield from check_resources(part(spec, "resources"), f"{path}.resources")
    for name in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        value = text(spec, name)
        for problem in names.subdomain(value) if value else ():
            yield invalid(f"{path}.{name}", value, problem)
    for name in ("hostname", "subdomain"):
        value = text(spec, name)
        for problem in names.label(value) if value else ():
            yield invalid(f"{path}.{name}", value, problem)
    yield from _check_tolerations(items(spec, "tolerations"), f"{path}.tolerations")
    yield from _check_placement(spec, path)


def _check_volumes(volumes: list[Json], path: str, found: set[str]) -> Errors:
    """Check volumes; put their names into `found`."""
    for index, volume in enumerate(volumes):
        here, name = f"{path}[{index}]", text(volume, "name")
        if not name:
            yield required(f"{here}.name")
        for problem in names.label(name) if name else ():
            yield invalid(f"{here}.name", name, problem)
        if name and name in found:
            yield duplicate(f"{here}.name", name)
        found.add(name)
        sources = [source for source in volume if source != "name"]
        if not sources:
            yield required(here, "must specify a volume type")
        for source in sources[1:]:
            yield forbidden(f"{here}.{source}", "may not specify more than 1 volume type")
        for source, must in (("hostPath", "path"), ("secret", "secretName"), ("configMap", "name")):
            if source in volume and not text(part(volume, source), must):
                yield required(f"{here}.{source}.{must}")
        if "persistentVolumeClaim" in volume and not text(part(volume, "persistentVolumeClaim"), "claimName"):
            yield required(f"{here}.persistentVolumeClaim.claimName")


def _check_tolerations(tolerations: list[Json], path: str) -> Errors:
    for index, toleration in enumerate(tolerations):
        here = f"{path}[{index}]"
        key, operator = text(toleration, "key"), text(toleration, "operator") or "Equal"
        for problem in names.qualified(key) if key else ():
            yield invalid(f"{here}.key", key, problem)
        if not key and operator != "Exists":
            detail = (
                'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            )
            yield invalid(f"{here}.operator", operator, detail)
        yield from one_of(toleration, here, "operator", ("Equal", "Exists", "Gt", "Lt"))
        if operator == "Exists" and text(toleration, "value"):
            detail = "value must be empty when `operator` is 'Exists'"
            yield invalid(f"{here}.operator", toleration, detail)
        yield from one_of(toleration, here, "effect", _EFFECTS)
        if "tolerationSeconds" in toleration and text(toleration, "effect") != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            yield invalid(f"{here}.effect", text(toleration, "effect"), detail)


def _check_placement(spec: Json, path: str) -> Errors:
    for index, constraint in enumerate(items(spec, "topologySpreadConstraints")):
        here = f"{path}.topologySpreadConstraints[{index}]"
        skew = number(constraint, "maxSkew")
        if skew is None or skew <= 0:
            yield invalid(f"{here}.maxSkew", skew or 0, "must be greater than zero")
        if not text(constraint, "topologyKey"):
            yield required(f"{here}.topologyKey", "can not be empty")
        yield from one_of(constraint, here, "whenUnsatisfiable", _SPREADS, must=True)
    seen: set[str] = set()
    for index, gate in enumerate(items(spec, "schedulingGates")):
        here, name = f"{path}.schedulingGates[{index}]", text(gate, "name")
        for problem in names.qualified(name):
            yield invalid(here, name, problem)
        if name in seen:
            yield duplicate(here, name)
        seen.add(name)


_ONLY_THESE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def check_pod_update(new: Json, old: Json) -> Errors:
    """What may change of a pod's spec: images, deadline, added tolerations, removed gates."""
    now, before = part(new, "spec"), part(old, "spec")
    if now == before:
        return
    yield from check_pod_spec(now, "spec")
    if len(items(now, "containers")) != len(items(before, "containers")):
        yield forbidden("spec.containers", "pod updates may not add or remove containers")
        return
    yield from _check_deadline(now, before)
    if any(toleration not in values(now, "tolerations") for toleration in values(before, "tolerations")):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        yield forbidden("spec.tolerations", detail)
    gates = {text(gate, "name") for gate in items(before, "schedulingGates")}
    if any(text(gate, "name") not in gates for gate in items(now, "schedulingGates")):
        detail = "only deletion is allowed, but found new scheduling gate"
        yield forbidden("spec.schedulingGates", detail)
    gated = bool(gates)
    if _fixed(now, gated=gated) != _fixed(before, gated=gated):
        yield forbidden("spec", _ONLY_THESE)


def _check_deadline(now: Json, before: Json) -> Errors:
    new, old = number(now, "activeDeadlineSeconds"), number(before, "activeDeadlineSeconds")
    if old is not None and (new is None or new > old):
        detail = (
            f"must be less than or equal to previous value {old}" if new is not None else "cannot be removed"
        )
        yield invalid("spec.activeDeadlineSeconds", new, detail)


_MUTABLE = ("activeDeadlineSeconds", "tolerations", "schedulingGates", "ephemeralContainers")
_MUTABLE_WHILE_GATED = ("nodeSelector", "affinity")


def _fixed(spec: Json, *, gated: bool) -> dict[str, Any]:
    """Return the part of a spec that may not change; a gated pod's placement still may."""
    left = {name: value for name, value in spec.items() if name not in _MUTABLE}
    for name in _MUTABLE_WHILE_GATED if gated else ():
        left.pop(name, None)
    for name in ("containers", "initContainers"):
        if name in left:
            left[name] = [{**container, "image": ""} for container in items(spec, name)]
    return left

"""Objects that are never stored: Binding, Eviction and Scale, as a request brings them.

`read_posted` holds them to their kind as any other object is. Owns no state.
"""

from __future__ import annotations

from typing import Any

from kcm.sandbox.api import rules
from kcm.sandbox.api.errors import ApiFailure, Json, bad_request
from kcm.sandbox.api.knowledge import check_types
from kcm.sandbox.schema.resources import ResourceInfo

BINDING = ResourceInfo("", "v1", "Binding", "bindings", "binding")
EVICTION = ResourceInfo("policy", "v1", "Eviction", "evictions", "eviction")
SCALE = ResourceInfo("autoscaling", "v1", "Scale", "scales", "scale")


def read_posted(resource: ResourceInfo, body: Any) -> Json:
    """Return a body as an object of its kind; ApiFailure 400 when it is another thing."""
    obj = rules.check_shape(resource, body)
    check_types(resource, obj)
    return obj


def check_name(resource: ResourceInfo, obj: Json, name: str) -> None:
    """Raise 400 when an object is not about the one that the URL names."""
    if obj["metadata"].get("name") != name:
        raise bad_request(f"name in URL does not match name in {resource.kind} object")


def flawed(*problems: str) -> ApiFailure:
    """Refuse a Binding for its fields: the server passes these complaints on as they are."""
    return ApiFailure(500, "", problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")


def success(code: int) -> Json:
    """Return the Status of a post that was heeded."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code}


def with_condition(pod: Json, condition: Json, now: str) -> Json:
    """Set one condition of a pod, in the place of the one of its type; return the pod."""
    status = pod.setdefault("status", {})
    others = [one for one in status.get("conditions") or () if one.get("type") != condition["type"]]
    status["conditions"] = [*others, {**condition, "lastProbeTime": None, "lastTransitionTime": now}]
    return pod

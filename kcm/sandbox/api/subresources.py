"""scale, binding, eviction, finalize and token: small objects posted to a large one.

Each turns its own kind into one change of the parent, through `Writer`, so that versions,
generations and events follow the same rules (reference: apiserver §2); a token changes nothing.
Owns no state.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time
from kcm.objects.selectors import Selector
from kcm.sandbox.api.calls import Call, read_delete_options
from kcm.sandbox.api.deletion import Deleter
from kcm.sandbox.api.errors import ApiFailure, Json, bad_request, conflict, invalid, named
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Store
from kcm.sandbox.api.views import from_stored
from kcm.sandbox.api.writes import Writer
from kcm.sandbox.schema.apply import Managed
from kcm.sandbox.schema.custom import scale as custom_scale
from kcm.sandbox.schema.resources import ResourceInfo

_TOKEN_SECONDS = 3600
_SHORTEST_TOKEN = 600
_LONGEST_TOKEN = 2**32
_OPERATORS = {"In": "in", "NotIn": "notin"}


def scale_of(resource: ResourceInfo, record: Record) -> Json:
    """Return the autoscaling/v1 Scale of a workload, or of a custom resource that has one."""
    obj = from_stored(resource, record.copy())
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    if resource.custom is not None:
        paths = resource.custom.scale
        assert paths is not None, "only served where there are paths"
        spec = {"replicas": custom_scale.read_number(obj, paths.spec)}
        status = {"replicas": custom_scale.read_number(obj, paths.status) or 0}
        selector = custom_scale.read_text(obj, paths.selector)
    else:
        selector = selector_text(spec.get("selector") or {})
    shown: Json = {
        name: metadata[name]
        for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if name in metadata
    }
    found: Json = {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": shown,
        "spec": {},
        "status": {"replicas": status.get("replicas", 0)},
    }
    if spec.get("replicas"):
        found["spec"]["replicas"] = spec["replicas"]
    if selector:
        found["status"]["selector"] = selector
    return found


def selector_text(selector: Json) -> str:
    """Return a label selector in query syntax, keys in order."""
    terms = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        key, operator = expression["key"], expression["operator"]
        if operator in _OPERATORS:
            values = ",".join(sorted(expression.get("values") or ()))
            terms.append((key, f"{key} {_OPERATORS[operator]} ({values})"))
        else:
            terms.append((key, key if operator == "Exists" else f"!{key}"))
    return ",".join(text for _, text in sorted(terms))


class Subresources:
    """Writes to subresources other than status."""

    def __init__(self, store: Store, writer: Writer, deleter: Deleter, clock: Clock) -> None:
        self._store = store
        self._writer = writer
        self._deleter = deleter
        self._clock = clock

    def apply_scale(self, call: Call, config: Json, *, force: bool) -> Json:
        """Apply a Scale (server-side); 409 when another owns the replicas."""
        present = scale_of(call.resource, self._writer.find(call))
        scale, owners = self._writer.apply_scale(call, present, config, force=force)
        return self.put_scale(call, scale, owners)

    def put_scale(self, call: Call, scale: Any, owners: Managed | None = None) -> Json:
        """Set the replicas of the parent; uid and resourceVersion in the Scale are preconditions.

        `owners` are the parent's managedFields where they are known already.
        """
        if not isinstance(scale, dict) or scale.get("kind", "Scale") != "Scale":
            raise bad_request("the body must be a Scale of autoscaling/v1")
        metadata = scale.get("metadata") or {}
        if metadata.get("name", call.name) != call.name:
            raise bad_request("the name of the object does not match the name on the URL")
        replicas = (scale.get("spec") or {}).get("replicas", 0)
        custom = call.resource.custom
        is_number = isinstance(replicas, int) and not isinstance(replicas, bool)
        # The schema of a custom resource judges its replicas.
        if not is_number or (replicas < 0 and custom is None):
            cause = {
                "reason": "FieldValueInvalid",
                "message": f"Invalid value: {replicas}: must be greater than or equal to 0",
                "field": "spec.replicas",
            }
            raise invalid(call.resource, call.name, (cause,))

        def change(parent: Json) -> Json:
            if custom is not None and custom.scale is not None:
                custom_scale.write_number(parent, custom.scale.spec, replicas)
            else:
                parent["spec"]["replicas"] = replicas
            for name in ("uid", "resourceVersion"):
                if metadata.get(name):
                    parent["metadata"][name] = metadata[name]
            return parent

        return scale_of(call.resource, self._writer.replace(call, change, owners=owners))

    def bind(self, call: Call, binding: Any) -> Json:
        """Put a pod on a node; 409 when it is on one already."""
        target = (binding.get("target") or {}) if isinstance(binding, dict) else {}
        node = target.get("name")
        if not isinstance(node, str) or not node:
            raise bad_request("a Binding must name a target node")
        record = self._writer.find(call)
        if record.deleting:
            raise conflict(
                call.resource, call.name, f"pod {call.name} is being deleted, cannot be assigned to a host"
            )
        names = self._writer.collection(call.resource).field_names
        if present := record.fields[names.index("spec.nodeName")]:
            why = f'pod {call.name} is already assigned to node "{present}"'
            raise conflict(call.resource, call.name, why)
        uid = (binding.get("metadata") or {}).get("uid")
        if uid and uid != record.uid:
            raise conflict(call.resource, call.name, f"Precondition failed: UID in precondition: {uid}")

        def change(pod: Json) -> Json:
            pod["spec"]["nodeName"] = node
            for key, value in ((binding.get("metadata") or {}).get("annotations") or {}).items():
                pod["metadata"].setdefault("annotations", {})[key] = value
            self._set_condition(pod, {"type": "PodScheduled", "status": "True"})
            return pod

        self._writer.replace(call, change)
        return _success(201)

    def evict(self, call: Call, eviction: Any) -> Json:
        """Delete a pod unless a disruption budget forbids it (429)."""
        if not isinstance(eviction, dict):
            raise bad_request("the body must be an Eviction of policy/v1")
        record = self._writer.find(call)
        options = read_delete_options(call, eviction.get("deleteOptions"))
        self._check_budgets(call, record)

        def change(pod: Json) -> Json:
            condition = {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting",
            }
            self._set_condition(pod, condition)
            return pod

        self._writer.replace(call, change)
        self._deleter.delete(call, options)
        return _success(201)

    def finalize(self, call: Call, namespace: Any) -> Record:
        """Set the finalizers of a namespace's spec; the last one gone, it goes too."""
        finalizers = (namespace.get("spec") or {}).get("finalizers") if isinstance(namespace, dict) else None

        def change(stored: Json) -> Json:
            spec = {name: value for name, value in (stored.get("spec") or {}).items() if name != "finalizers"}
            stored["spec"] = {**spec, "finalizers": finalizers} if finalizers else spec
            return stored

        return self._writer.replace(call, change)

    def token(self, call: Call, request: Any) -> Json:
        """Return a token for a service account, in seconds from now. It opens nothing: nobody is asked."""
        record = self._writer.find(call)
        if not isinstance(request, dict) or not isinstance(request.get("spec") or {}, dict):
            raise bad_request("the body must be a TokenRequest of authentication.k8s.io/v1")
        spec = request.get("spec") or {}
        seconds = spec.get("expirationSeconds", _TOKEN_SECONDS)
        if not isinstance(seconds, int) or not _SHORTEST_TOKEN <= seconds <= _LONGEST_TOKEN:
            cause = {
                "reason": "FieldValueInvalid",
                "message": f"Invalid value: {seconds}: may not specify a duration less than 10 minutes "
                "or larger than 2^32 seconds",
                "field": "spec.expirationSeconds",
            }
            raise invalid(call.resource, call.name, (cause,))
        now = self._clock.wall()
        user = f"system:serviceaccount:{record.namespace}:{record.name}"
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": record.name, "namespace": record.namespace},
            "spec": {**spec, "expirationSeconds": seconds},
            "status": {
                "token": f"sandbox.{user}.{int(now.timestamp())}",
                "expirationTimestamp": format_time(now + timedelta(seconds=seconds)),
            },
        }

    def _set_condition(self, pod: Json, condition: Json) -> None:
        status = pod.setdefault("status", {})
        others = [one for one in status.get("conditions") or () if one.get("type") != condition["type"]]
        now = format_time(self._clock.wall())
        status["conditions"] = [*others, {**condition, "lastProbeTime": None, "lastTransitionTime": now}]

    def _check_budgets(self, call: Call, record: Record) -> None:
        budgets = self._store.collection("policy", "poddisruptionbudgets").within(record.namespace)
        for budget in budgets.values():
            obj = budget.copy()
            selector = selector_text((obj.get("spec") or {}).get("selector") or {})
            if not Selector.parse(selector).matches(record.labels):
                continue
            if (obj.get("status") or {}).get("disruptionsAllowed", 0) > 0:
                continue
            message = "Cannot evict pod as it would violate the pod's disruption budget."
            cause = {
                "reason": "DisruptionBudget",
                "message": f"The disruption budget {budget.name} does not allow another disruption now",
            }
            raise ApiFailure(
                429,
                "TooManyRequests",
                message,
                details={**named(call.resource, record.name), "causes": [cause]},
                retry_after=10,
            )


def _success(code: int) -> Json:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code}

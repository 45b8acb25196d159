"""scale, binding and finalize: small objects posted to a large one.

Each turns its own kind into one change of the parent, through `Writer`, so that versions,
generations and events follow the same rules (reference: apiserver §2).
Owns no state.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time
from kcm.sandbox.api.calls import Call
from kcm.sandbox.api.errors import ApiFailure, Json, bad_request, cause, go_quote, invalid
from kcm.sandbox.api.posted import BINDING, SCALE, check_name, flawed, read_posted, success, with_condition
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.views import from_stored
from kcm.sandbox.api.writes import Writer, another_uid, wrong_name
from kcm.sandbox.schema.apply import Managed
from kcm.sandbox.schema.custom import scale as custom_scale
from kcm.sandbox.schema.resources import ResourceInfo, find
from kcm.sandbox.schema.selectors import selector_text


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


class Subresources:
    """Writes to subresources other than status."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
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
        scale = read_posted(SCALE, scale)
        metadata = scale["metadata"]
        if metadata.get("name") != call.name:
            raise wrong_name(call, scale)
        replicas = int((scale.get("spec") or {}).get("replicas") or 0)
        custom = call.resource.custom
        # The schema of a custom resource judges its replicas.
        if replicas < 0 and custom is None:
            message = f"Invalid value: {replicas}: must be greater than or equal to 0"
            raise invalid(SCALE, call.name, (cause("spec.replicas", message, "FieldValueInvalid"),))

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

    def bind_named(self, call: Call, body: Any) -> Json:
        """Do as `bind` for the pod that the Binding names: the old way, without the pod's path."""
        binding = read_posted(BINDING, body)
        name = binding["metadata"].get("name")
        if not name:
            raise bad_request("name must be provided")
        pods = find("", "v1", "pods")
        assert pods is not None, "every server has pods"
        return self.bind(replace(call, resource=pods, name=name, subresource="binding"), binding)

    def bind(self, call: Call, body: Any) -> Json:
        """Put a pod on a node; 409 when it is on one already."""
        binding = read_posted(BINDING, body)
        check_name(BINDING, binding, call.name)
        node = _target(binding)
        record = self._writer.find(call)
        metadata = binding["metadata"]
        names = self._writer.collection(call.resource).field_names

        def change(pod: Json) -> Json:
            for field in ("uid", "resourceVersion"):
                if metadata.get(field):
                    pod["metadata"][field] = metadata[field]
            pod["spec"]["nodeName"] = node
            for field in ("annotations", "labels"):
                if metadata.get(field):
                    pod["metadata"][field] = {**(pod["metadata"].get(field) or {}), **metadata[field]}
            now = format_time(self._clock.wall())
            return with_condition(pod, {"type": "PodScheduled", "status": "True"}, now)

        if (uid := metadata.get("uid")) and uid != record.uid:
            raise another_uid(call, uid, record.uid)
        if record.deleting:
            raise _not_bound(call, f"pod {call.name} is being deleted, cannot be assigned to a host")
        if present := record.fields[names.index("spec.nodeName")]:
            raise _not_bound(call, f'pod {call.name} is already assigned to node "{present}"')
        if (record.copy().get("spec") or {}).get("schedulingGates"):
            raise _not_bound(call, f"pod {call.name} has non-empty .spec.schedulingGates")
        self._writer.replace(call, change)
        return success(201)

    def finalize(self, call: Call, namespace: Any) -> Record:
        """Set the finalizers of a namespace's spec; the last one gone, it goes too."""
        sent = read_posted(call.resource, namespace)
        if sent["metadata"].get("name") != call.name:
            raise wrong_name(call, sent)
        finalizers = (sent.get("spec") or {}).get("finalizers")

        def change(stored: Json) -> Json:
            spec = {name: value for name, value in (stored.get("spec") or {}).items() if name != "finalizers"}
            stored["spec"] = {**spec, "finalizers": finalizers} if finalizers else spec
            return stored

        return self._writer.replace(call, change)


def _target(binding: Json) -> str:
    """Return the node that a Binding names; ApiFailure when it names none."""
    target = binding.get("target") or {}
    kind, node = target.get("kind") or "Node", target.get("name") or ""
    problems = []
    if kind != "Node":
        known = 'supported values: "Node", "<empty>"'
        problems.append(f"target.kind: Unsupported value: {go_quote(kind)}: {known}")
    if not node:
        problems.append("target.name: Required value")
    if problems:
        raise flawed(*problems)
    return str(node)


def _not_bound(call: Call, why: str) -> ApiFailure:
    """Return the conflict of a Binding: here the server names the subresource too."""
    message = f'Operation cannot be fulfilled on pods/binding "{call.name}": {why}'
    return ApiFailure(409, "Conflict", message, details={"name": call.name, "kind": "pods/binding"})

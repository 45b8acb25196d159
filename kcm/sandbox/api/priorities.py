"""Priority classes: the two that every cluster has, and what a pod's class makes of it.

Guarantees (reference: apiserver §2, Admission): a pod gets the number of its class, or of the one that
is everybody's default, or 0; what it says itself must agree. Owns no state: classes are in the store.
"""

from __future__ import annotations

from kcm.sandbox.api.errors import Json, forbidden
from kcm.sandbox.api.store import Collection, Store
from kcm.sandbox.schema.resources import ResourceInfo
from kcm.sandbox.schema.validation.core import SYSTEM_PRIORITIES as SYSTEM

__all__ = ["GROUP", "SYSTEM", "Priorities"]

GROUP = "scheduling.k8s.io"
_PREEMPTING = "PreemptLowerPriority"


class Priorities:
    """Gives pods their priority."""

    def __init__(self, store: Store) -> None:
        self._classes: Collection = store.collection(GROUP, "priorityclasses")

    def check_class(self, resource: ResourceInfo, new: Json) -> None:
        """Raise 403 for a second default."""
        present = self._default()
        name = new["metadata"].get("name", "")
        if new.get("globalDefault") and present is not None and present["metadata"]["name"] != name:
            marked = present["metadata"]["name"]
            why = f"PriorityClass {marked} is already marked as default. Only one default can exist"
            raise forbidden(resource, name, why)

    def assign(self, resource: ResourceInfo, name: str, spec: Json) -> None:
        """Set a new pod's priority; 403 when its class is absent or it says another number."""
        wanted = spec.get("priorityClassName") or ""
        record = self._classes.records.get(f"/{wanted}")
        if wanted and record is None:
            raise forbidden(resource, name, f"no PriorityClass with name {wanted} was found")
        found = record.copy() if record is not None else self._default()
        number, preemption = 0, _PREEMPTING
        if found is not None:
            spec["priorityClassName"] = found["metadata"]["name"]
            number, preemption = found["value"], found.get("preemptionPolicy") or _PREEMPTING
        if spec.get("priority", number) != number:
            why = f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
            why += f"priority admission controller computed {number} from the given PriorityClass name"
            raise forbidden(resource, name, why)
        given = spec.get("preemptionPolicy") or preemption
        if given != preemption:
            why = f"the string value of PreemptionPolicy ({given}) must not be provided in pod spec; "
            why += f"priority admission controller computed {preemption} from the given PriorityClass name"
            raise forbidden(resource, name, why)
        spec["priority"], spec["preemptionPolicy"] = number, preemption

    def _default(self) -> Json | None:
        """Return the class of pods that name none."""
        # Few classes, and no need to decode those that are no default: this is asked for every pod.
        for record in self._classes.records.values():
            if b'"globalDefault":true' in record.raw:
                return record.copy()
        return None

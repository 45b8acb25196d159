"""Evictions: a pod is deleted if its disruption budget can bear it.

Guarantees (reference: apiserver §2): a pod that does not run, or is ending already, needs no
budget; an unhealthy one goes where the budget is met without it; each eviction is taken off the
budget before the pod is deleted. Owns no state.
"""

from __future__ import annotations

from typing import Any

from kcm.base.clock import Clock
from kcm.base.timestamps import format_time
from kcm.objects.selectors import Selector
from kcm.sandbox.api.calls import Call, read_delete_options
from kcm.sandbox.api.deletion import Deleter
from kcm.sandbox.api.errors import ApiFailure, Json
from kcm.sandbox.api.posted import EVICTION, check_name, read_posted, success, with_condition
from kcm.sandbox.api.records import Record
from kcm.sandbox.api.store import Store
from kcm.sandbox.api.writes import Writer
from kcm.sandbox.schema.resources import find
from kcm.sandbox.schema.selectors import selector_text

_AGENT = "kcm-sandbox/eviction"
_UNBOUND = frozenset(("Failed", "Pending", "Succeeded"))
_RETRY_SECONDS = 10
_CONDITION = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


class Evictions:
    """Serves pods/eviction."""

    def __init__(self, store: Store, writer: Writer, deleter: Deleter, clock: Clock) -> None:
        self._store = store
        self._writer = writer
        self._deleter = deleter
        self._clock = clock

    def evict(self, call: Call, body: Any) -> Json:
        """Delete a pod unless a disruption budget forbids it (429)."""
        eviction = read_posted(EVICTION, body)
        check_name(EVICTION, eviction, call.name)
        record = self._writer.find(call)
        options = read_delete_options(call, eviction.get("deleteOptions"))
        pod = record.copy()
        if not record.deleting:
            if (pod.get("status") or {}).get("phase", "Pending") not in _UNBOUND:
                self._charge(call, record, pod)
            now = format_time(self._clock.wall())
            self._writer.replace(call, lambda present: with_condition(present, _CONDITION, now))
        self._deleter.delete(call, options)
        return success(201)

    def _charge(self, call: Call, record: Record, pod: Json) -> None:
        """Take the pod off its budget; ApiFailure 429 when that has nothing left."""
        budgets = self._budgets(record)
        if len(budgets) > 1:
            why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not"
            raise ApiFailure(500, "", f"{why} support.")
        for budget in budgets:
            obj = budget.copy()
            if not _is_ready(pod) and _spares_unhealthy(obj):
                continue
            _check(budget.name, obj)
            if not call.dry_run:
                self._write_off(budget, record.name)

    def _budgets(self, record: Record) -> list[Record]:
        found = []
        stored = self._store.collection("policy", "poddisruptionbudgets").within(record.namespace)
        for budget in stored.values():
            selector = (budget.copy().get("spec") or {}).get("selector")
            if selector is not None and Selector.parse(selector_text(selector)).matches(record.labels):
                found.append(budget)
        return found

    def _write_off(self, budget: Record, pod: str) -> None:
        resource = find("policy", "v1", "poddisruptionbudgets")
        assert resource is not None, "budgets are built in"
        now = format_time(self._clock.wall())

        def change(obj: Json) -> Json:
            status = {**(obj.get("status") or {})}
            status["disruptionsAllowed"] = status.get("disruptionsAllowed", 0) - 1
            status["disruptedPods"] = {**(status.get("disruptedPods") or {}), pod: now}
            if not status["disruptionsAllowed"]:
                others = [one for one in status.get("conditions") or () if one["type"] != "DisruptionAllowed"]
                status["conditions"] = [*others, _insufficient(obj, now)]
            # The object that is given is the stored one: a status write shares its other parts.
            return {**obj, "status": status}

        call = Call(resource, "update", budget.namespace, budget.name, "status", _AGENT, validation="Ignore")
        self._writer.replace(call, change)


def _insufficient(budget: Json, now: str) -> Json:
    return {
        "type": "DisruptionAllowed",
        "status": "False",
        "reason": "InsufficientPods",
        "message": "",
        "observedGeneration": (budget.get("status") or {}).get("observedGeneration", 0),
        "lastTransitionTime": now,
    }


def _check(name: str, budget: Json) -> None:
    """Raise 429 unless the budget allows one more disruption now."""
    status = budget.get("status") or {}
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        why = f"The disruption budget {name} is still being processed by the server."
        raise _too_many(why, _RETRY_SECONDS)
    if status.get("disruptionsAllowed", 0) > 0:
        return
    needed, present = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
    raise _too_many(f"The disruption budget {name} needs {needed} healthy pods and has {present} currently")


def _too_many(why: str, retry_after: int | None = None) -> ApiFailure:
    details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return ApiFailure(429, "TooManyRequests", message, details=details, retry_after=retry_after)


def _is_ready(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _spares_unhealthy(budget: Json) -> bool:
    """Say whether a pod that is not ready may go without being counted."""
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    needed: int = status.get("desiredHealthy", 0)
    return bool(0 < needed <= status.get("currentHealthy", 0))

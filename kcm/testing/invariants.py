"""Invariants of workloads, checked on every revision that the sandbox commits.

Subscribe one to `ApiServer.audit`; ask it at the end. Guarantees that no state between two
writes escapes it, which looking at the API from time to time could not. Each invariant owns
only what it has seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kcm.sandbox.api.audit import Mutation
from kcm.sandbox.api.server import ApiServer

Json = dict[str, Any]


def is_active(pod: Json) -> bool:
    """Say whether a pod counts: neither finished nor being deleted (reference: workloads 1.2)."""
    return "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") not in (
        "Succeeded",
        "Failed",
    )


def controller_uid(present: Json) -> str:
    """Return the uid of an object's controller, "" when it has none."""
    owners = present["metadata"].get("ownerReferences", ())
    return next((owner["uid"] for owner in owners if owner.get("controller")), "")


@dataclass
class _Owner:
    name: str = ""
    wanted: int = 0
    active: set[str] = field(default_factory=set)


class NoSurplus:
    """No replica set ever has more active pods than it ever asked for (reliability S1, one leader).

    Holds for scenarios that only scale up or fix a number; `surplus` lists what broke it.
    """

    def __init__(self, api: ApiServer) -> None:
        self.surplus: list[str] = []
        self._owners: dict[str, _Owner] = {}
        api.audit.subscribe(self._see)

    def _see(self, mutation: Mutation) -> None:
        if mutation.resource.startswith("replicasets") and mutation.after is not None:
            owner = self._owners.setdefault(mutation.after["metadata"]["uid"], _Owner())
            owner.name = mutation.name
            owner.wanted = max(owner.wanted, mutation.after["spec"]["replicas"])
        elif mutation.resource == "pods":
            self._count(mutation)

    def _count(self, mutation: Mutation) -> None:
        present = mutation.after or mutation.before
        assert present is not None
        uid = present["metadata"]["uid"]
        for owner in self._owners.values():
            owner.active.discard(uid)
        if mutation.after is None or not is_active(mutation.after) or not controller_uid(mutation.after):
            return
        owner = self._owners.setdefault(controller_uid(mutation.after), _Owner())
        owner.active.add(uid)
        if len(owner.active) > owner.wanted:
            self.surplus.append(
                f"revision {mutation.revision}: {owner.name} has {len(owner.active)} active pods, "
                f"never wanted more than {owner.wanted} "
                f"({mutation.verb} of {mutation.name} by {mutation.user_agent})"
            )


@dataclass(frozen=True)
class _Wish:
    """What a Deployment asked for from some moment on."""

    at: datetime
    most: int
    least_available: int


class RolloutBounds:
    """No write of ours takes a Deployment out of its bounds (reliability S4), at any revision.

    Growing writes keep the sum of sizes within replicas + maxSurge; shrinking ones keep what is
    available at replicas - maxUnavailable or take nothing from it; without minReadySeconds a pod
    that is ready is deleted only where enough others are. What was asked for within the last
    second counts too: a decision may have been on its way. `broken` lists what broke it. Judges one
    Deployment.
    """

    def __init__(self, api: ApiServer, name: str = "web") -> None:
        self.broken: list[str] = []
        self.checked = 0
        self._name = name
        self._uid = ""
        self._wishes: list[_Wish] = []
        self._ready_is_available = True
        self._sets: dict[str, Json] = {}
        self._pods: dict[str, Json] = {}
        api.audit.subscribe(self._see)

    def _see(self, mutation: Mutation) -> None:
        match mutation.resource.partition(".")[0]:
            case "deployments" if mutation.name == self._name and mutation.after is not None:
                self._uid = mutation.after["metadata"]["uid"]
                self._wish(mutation.at, mutation.after["spec"])
            case "replicasets":
                self._see_replica_set(mutation)
            case "pods":
                self._see_pod(mutation)

    def _wish(self, at: datetime, spec: Json) -> None:
        replicas, strategy = spec["replicas"], spec["strategy"]
        self._ready_is_available = not spec.get("minReadySeconds")
        rolling = strategy.get("rollingUpdate", {})
        surge = _share(rolling.get("maxSurge", 0), replicas, up=True)
        unavailable = _share(rolling.get("maxUnavailable", 0), replicas, up=False)
        if strategy["type"] == "Recreate":
            surge, unavailable = 0, replicas
        elif surge == unavailable == 0:
            unavailable = 1
        recent = [wish for wish in self._wishes[:-1] if (at - wish.at).total_seconds() <= 1.0]
        self._wishes = [*recent, *self._wishes[-1:], _Wish(at, replicas + surge, replicas - unavailable)]

    def _current(self, at: datetime) -> list[_Wish]:
        """Return the wishes that a decision being written now may follow."""
        latest = self._wishes[-1]
        if (at - latest.at).total_seconds() > 1.0:
            return [latest]
        return self._wishes

    def _see_replica_set(self, mutation: Mutation) -> None:
        present = mutation.after or mutation.before
        assert present is not None
        uid = present["metadata"]["uid"]
        size, available = self._total(), self._available()
        if mutation.after is None or controller_uid(mutation.after) != self._uid:
            self._sets.pop(uid, None)
            return
        known = uid in self._sets
        self._sets[uid] = mutation.after
        if mutation.subresource or not mutation.user_agent.endswith("/deployment"):
            return
        if not known and mutation.verb != "create":
            return
        self.checked += 1
        wishes = self._current(mutation.at)
        if size < self._total() > max(wish.most for wish in wishes):
            self._break(mutation, f"{size} replicas became {self._total()}")
        if available > self._available() < min(wish.least_available for wish in wishes):
            self._break(mutation, f"{available} available became {self._available()}")

    def _see_pod(self, mutation: Mutation) -> None:
        present = mutation.after or mutation.before
        assert present is not None
        uid = present["metadata"]["uid"]
        ready = self._ready()
        if mutation.after is None or controller_uid(mutation.after) not in self._sets:
            self._pods.pop(uid, None)
        else:
            self._pods[uid] = mutation.after
        if not (self._wishes and mutation.user_agent.endswith("/replicaset") and mutation.verb == "delete"):
            return
        if not self._ready_is_available:
            return
        least = min(wish.least_available for wish in self._current(mutation.at))
        if ready > self._ready() < least:
            self._break(mutation, f"{ready} ready pods became {self._ready()}")

    def _total(self) -> int:
        return sum(each["spec"]["replicas"] for each in self._sets.values())

    def _available(self) -> int:
        return sum(
            min(each["status"].get("availableReplicas", 0), each["spec"]["replicas"])
            for each in self._sets.values()
        )

    def _ready(self) -> int:
        return sum(is_active(pod) and _is_ready(pod) for pod in self._pods.values())

    def _break(self, mutation: Mutation, what: str) -> None:
        self.broken.append(
            f"revision {mutation.revision}: {what} ({mutation.verb} of {mutation.name}), "
            f"wished {self._current(mutation.at)}"
        )


class OneSetPerTemplate:
    """A Deployment never has two replica sets of one template, and deletes only idle ones (S5)."""

    def __init__(self, api: ApiServer) -> None:
        self.broken: list[str] = []
        self._sets: dict[str, Json] = {}
        api.audit.subscribe(self._see)

    def _see(self, mutation: Mutation) -> None:
        if not mutation.resource.startswith("replicasets"):
            return
        present = mutation.after or mutation.before
        assert present is not None
        uid = present["metadata"]["uid"]
        ours = mutation.user_agent.endswith("/deployment")
        if mutation.after is None:
            gone = self._sets.pop(uid, present)
            if ours and (gone["spec"]["replicas"] or gone["status"]["replicas"]):
                self.broken.append(f"revision {mutation.revision}: {mutation.name} was deleted in use")
            return
        if ours and uid not in self._sets and mutation.verb == "create":
            twins = [
                each["metadata"]["name"]
                for each in self._sets.values()
                if controller_uid(each) == controller_uid(present) and _template(each) == _template(present)
            ]
            if twins:
                self.broken.append(f"revision {mutation.revision}: {mutation.name} is like {twins}")
        self._sets[uid] = mutation.after


def _share(value: Any, replicas: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    hundredths = int(str(value).removesuffix("%")) * replicas
    return -(-hundredths // 100) if up else hundredths // 100


def _is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _template(replica_set: Json) -> Json:
    template: Json = replica_set["spec"]["template"]
    metadata = template["metadata"]
    labels = {name: text for name, text in metadata["labels"].items() if name != "pod-template-hash"}
    return {**template, "metadata": {**metadata, "labels": labels}}

"""Invariants of workloads, checked on every revision that the sandbox commits.

Subscribe one to `ApiServer.audit`; ask it at the end. Guarantees that no state between two
writes escapes it, which looking at the API from time to time could not. A write is judged by
what its author could know: by any state within the last `LAG` seconds. In virtual time a
controller takes no time to think, so that the lag only covers what is on its way. Each
invariant owns only what it has seen. How far rollouts may go: `kcm.testing.rollout_bounds`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from kcm.sandbox.api.audit import Mutation
from kcm.sandbox.api.server import ApiServer

Json = dict[str, Any]
T = TypeVar("T")

LAG = timedelta(milliseconds=100)
_HASH_LABEL = "pod-template-hash"


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


class Lately(Generic[T]):
    """A value that changes, and what it was within the last `LAG`."""

    def __init__(self) -> None:
        self._held: list[tuple[datetime, T]] = []

    def note(self, at: datetime, value: T) -> None:
        """Take the value that holds from now on."""
        self._held.append((at, value))

    def values(self, at: datetime) -> list[T]:
        """Return what held at some time within the lag, the present value last."""
        while self._held[1:] and at - self._held[1][0] > LAG:
            del self._held[0]
        return [value for _, value in self._held]


@dataclass
class _Owner:
    name: str = ""
    wanted: int = 0
    wishes: Lately[int] = field(default_factory=Lately)
    active: set[str] = field(default_factory=set)


class NoSurplus:
    """No replica set creates a pod beyond what it asks for (reliability S1, one leader).

    `exact`: beyond what it asked for just now. Else beyond what it ever asked for, which holds
    through faults and delays of any length too. `surplus` lists what broke it.
    """

    def __init__(self, api: ApiServer, *, exact: bool = False) -> None:
        self.surplus: list[str] = []
        self._exact = exact
        self._owners: dict[str, _Owner] = {}
        api.audit.subscribe(self._see)

    def _see(self, mutation: Mutation) -> None:
        if mutation.resource.startswith("replicasets") and mutation.after is not None:
            owner = self._owners.setdefault(mutation.after["metadata"]["uid"], _Owner())
            owner.name = mutation.name
            wish = mutation.after["spec"]["replicas"]
            owner.wanted = max(owner.wanted, wish)
            owner.wishes.note(mutation.at, wish)
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
        if self._exact and mutation.event != "ADDED":
            return
        wanted = max(owner.wishes.values(mutation.at), default=0) if self._exact else owner.wanted
        if len(owner.active) > wanted:
            self.surplus.append(
                f"revision {mutation.revision}: {owner.name} has {len(owner.active)} active pods, "
                f"wanted no more than {wanted} "
                f"({mutation.verb} of {mutation.name} by {mutation.user_agent})"
            )


class OneSetPerTemplate:
    """A Deployment never makes a second replica set of one template, and deletes only idle ones (S5).

    Idle: it wants and has no pods, by a status that describes its present spec, and there are
    more old ones than revisionHistoryLimit. `broken` lists what broke it.
    """

    def __init__(self, api: ApiServer) -> None:
        self.broken: list[str] = []
        self._sets: dict[str, Json] = {}
        self._owners: dict[str, Lately[Json]] = {}
        api.audit.subscribe(self._see)

    def _see(self, mutation: Mutation) -> None:
        if mutation.resource.startswith("deployments") and mutation.after is not None:
            owner = self._owners.setdefault(mutation.after["metadata"]["uid"], Lately())
            owner.note(mutation.at, mutation.after["spec"])
        if not mutation.resource.startswith("replicasets"):
            return
        present = mutation.after or mutation.before
        assert present is not None
        uid = present["metadata"]["uid"]
        ours = mutation.user_agent.endswith("/deployment")
        if ours and mutation.verb == "delete" and uid in self._sets:
            self._judge_delete(mutation, self._sets[uid])
        if mutation.after is None:
            self._sets.pop(uid, None)
            return
        if ours and uid not in self._sets and mutation.verb == "create":
            twins = [
                each["metadata"]["name"]
                for each in self._siblings(present)
                if _template(each) == _template(present)
            ]
            if twins:
                self.broken.append(f"revision {mutation.revision}: {mutation.name} is like {twins}")
        self._sets[uid] = mutation.after

    def _judge_delete(self, mutation: Mutation, gone: Json) -> None:
        observed = gone["status"].get("observedGeneration", 0) >= gone["metadata"].get("generation", 0)
        if gone["spec"]["replicas"] or gone["status"].get("replicas") or not observed:
            self.broken.append(f"revision {mutation.revision}: {mutation.name} was deleted in use")
        siblings = [each for each in self._siblings(gone) if "deletionTimestamp" not in each["metadata"]]
        specs = self._owners.get(controller_uid(gone), Lately[Json]()).values(mutation.at)
        if not any(_exceeds(siblings, spec) for spec in specs):
            self.broken.append(
                f"revision {mutation.revision}: {mutation.name} was deleted of {len(siblings)} in all"
            )

    def _siblings(self, one: Json) -> list[Json]:
        """Return the replica sets of one's owner, it included where it is known already."""
        owner = controller_uid(one)
        return [each for each in self._sets.values() if controller_uid(each) == owner]


def _exceeds(siblings: list[Json], spec: Json) -> bool:
    """Say whether there are more old replica sets than a Deployment's spec wants to keep."""
    new = any(_template(each) == _template({"spec": spec}) for each in siblings)
    limit: int = spec.get("revisionHistoryLimit", 2**31)
    return len(siblings) - new > limit


def _template(replica_set: Json) -> Json:
    template: Json = replica_set["spec"]["template"]
    metadata = template["metadata"]
    labels = {name: text for name, text in metadata["labels"].items() if name != _HASH_LABEL}
    return {**template, "metadata": {**metadata, "labels": labels}}

"""How far a rollout may go, checked on every revision that the sandbox commits (reliability S4).

The sizes: no write of the Deployment controller raises their sum above replicas + maxSurge, nor
takes what its replica sets say is available below replicas - maxUnavailable; what is below it
already is not lowered further. Of the available pods of a replica set those above its size are
on their way out and do not count.

The pods: no deletion by the ReplicaSet controller takes the pods that are available (ready for
minReadySeconds) below what the Deployment had to keep when it last shrank that replica set, or
has to keep now. Pods that others have taken since (a kubelet, a user) still count, since nobody
could know that they would go. With minReadySeconds, a pod that is ready may be deleted where one
that is available is to stay: which one goes is the ranking of workloads 1.6, not the rollout's.

As everywhere, a write is judged by any state within the last `LAG` (reliability S1, S4: W).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kcm.sandbox.api.audit import Mutation
from kcm.sandbox.api.server import ApiServer
from kcm.testing.invariants import LAG, Json, Lately, controller_uid, is_active


@dataclass
class _Set:
    """One replica set: as it is, what it said lately, and what it was last shrunk under."""

    present: Json
    said: Lately[int] = field(default_factory=Lately)
    shrunk_at: datetime | None = None
    shrunk_least: int = 0

    @property
    def size(self) -> int:
        size: int = self.present["spec"]["replicas"]
        return size

    @property
    def min_ready(self) -> timedelta:
        return timedelta(seconds=self.present["spec"].get("minReadySeconds", 0))

    def promised(self, size: int, at: datetime, *, at_best: bool) -> int:
        """Return how many available pods it would keep at a size, by what it says, or said lately."""
        said = self.said.values(at)
        return min(max(said) if at_best else said[-1], size)


class RolloutBounds:
    """Judges one Deployment. `broken` lists what broke the bounds."""

    def __init__(self, api: ApiServer, name: str = "web") -> None:
        self.broken: list[str] = []
        self._name = name
        self._uid = ""
        self._wishes: Lately[tuple[int, int]] = Lately()
        self._sets: dict[str, _Set] = {}
        self._pods: dict[str, Json] = {}
        self._lost: list[datetime] = []
        api.audit.subscribe(self._see)

    def _see(self, mutation: Mutation) -> None:
        match mutation.resource.partition(".")[0]:
            case "deployments" if mutation.name == self._name and mutation.after is not None:
                self._uid = mutation.after["metadata"]["uid"]
                self._wishes.note(mutation.at, bounds_of(mutation.after["spec"]))
            case "replicasets":
                self._see_replica_set(mutation)
            case "pods":
                self._see_pod(mutation)

    def _most(self, at: datetime) -> int:
        return max(most for most, _ in self._wishes.values(at))

    def _least(self, at: datetime) -> int:
        return min(least for _, least in self._wishes.values(at))

    def _see_replica_set(self, mutation: Mutation) -> None:
        present = mutation.after or mutation.before
        assert present is not None
        uid = present["metadata"]["uid"]
        if mutation.after is None or controller_uid(mutation.after) != self._uid:
            if self._sets.get(uid) is not None:
                self._lost += [mutation.at] * self._available_of(uid, mutation.at)
            self._sets.pop(uid, None)
            return
        known = uid in self._sets
        one = self._sets.setdefault(uid, _Set(mutation.after))
        before = one.size if known else 0
        available = self._available_of(uid, mutation.at)
        one.present = mutation.after
        # Another minReadySeconds makes pods unavailable that nobody touches.
        self._lost += [mutation.at] * max(0, available - self._available_of(uid, mutation.at))
        one.said.note(mutation.at, one.present["status"].get("availableReplicas", 0))
        judged = mutation.user_agent.endswith("/deployment") and not mutation.subresource
        if judged and (known or mutation.verb == "create"):
            self._judge_size(mutation, one, before)
        elif one.size < before:
            one.shrunk_at, one.shrunk_least = mutation.at, 0

    def _judge_size(self, mutation: Mutation, one: _Set, before: int) -> None:
        at = mutation.at
        total = sum(each.size for each in self._sets.values())
        most = self._most(at)
        if one.size > before and total > most:
            self._break(
                mutation, f"{total - one.size + before} replicas became {total}, at most {most} may be"
            )
        if one.size >= before:
            return
        one.shrunk_at, one.shrunk_least = at, self._least(at)
        views = [self._loss(one, before, at, at_best=at_best) for at_best in (False, True)]
        if all(lost > 0 and left < one.shrunk_least for lost, left in views):
            lost, left = views[0]
            self._break(mutation, f"{left + lost} available became {left}, {one.shrunk_least} have to stay")

    def _loss(self, one: _Set, before: int, at: datetime, *, at_best: bool) -> tuple[int, int]:
        """Return how many available pods a shrinking write takes, and how many are left of all."""
        lost = one.promised(before, at, at_best=at_best) - one.promised(one.size, at, at_best=at_best)
        return lost, sum(each.promised(each.size, at, at_best=at_best) for each in self._sets.values())

    def _see_pod(self, mutation: Mutation) -> None:
        present = mutation.after or mutation.before
        assert present is not None
        uid = present["metadata"]["uid"]
        owner = self._sets.get(controller_uid(present))
        before = self._is_available(self._pods.get(uid), mutation.at)
        if mutation.after is None:
            self._pods.pop(uid, None)
        else:
            self._pods[uid] = mutation.after
        if not before or self._is_available(self._pods.get(uid), mutation.at):
            return
        if owner is None or not (mutation.user_agent.endswith("/replicaset") and mutation.verb == "delete"):
            self._lost.append(mutation.at)
        elif not self._another_was_ranked_after(owner, mutation.at):
            self._judge_delete(mutation, owner)

    def _judge_delete(self, mutation: Mutation, owner: _Set) -> None:
        since, least = mutation.at, self._least(mutation.at)
        if owner.shrunk_at is not None and len(self._active_of(owner)) >= owner.size:
            # It still carries out what it was shrunk to, which was right at that time.
            since, least = owner.shrunk_at, min(least, owner.shrunk_least)
        lost = sum(at >= since - LAG for at in self._lost)
        left = sum(self._is_available(pod, mutation.at) for pod in self._pods.values())
        if left + lost < least:
            self._break(mutation, f"{left} available pods are left, {least} have to stay, {lost} others went")

    def _available_of(self, uid: str, at: datetime) -> int:
        return sum(controller_uid(pod) == uid and self._is_available(pod, at) for pod in self._pods.values())

    def _active_of(self, owner: _Set) -> list[Json]:
        uid = owner.present["metadata"]["uid"]
        return [pod for pod in self._pods.values() if controller_uid(pod) == uid and is_active(pod)]

    def _another_was_ranked_after(self, owner: _Set, at: datetime) -> bool:
        """Say whether a pod that is ready but not yet available stays in place of the deleted one."""
        if not owner.min_ready:
            return False
        ready = (pod for pod in self._active_of(owner) if ready_since(pod) is not None)
        return any(not self._is_available(pod, at) for pod in ready)

    def _is_available(self, pod: Json | None, at: datetime) -> bool:
        if pod is None or not is_active(pod):
            return False
        owner, since = self._sets.get(controller_uid(pod)), ready_since(pod)
        return owner is not None and since is not None and at - since >= owner.min_ready

    def _break(self, mutation: Mutation, what: str) -> None:
        self.broken.append(f"revision {mutation.revision}: {what} ({mutation.verb} of {mutation.name})")


def bounds_of(spec: Json) -> tuple[int, int]:
    """Return how many replicas there may be in all and how many have to stay available."""
    replicas, strategy = spec["replicas"], spec["strategy"]
    if strategy["type"] == "Recreate":
        return replicas, 0
    rolling = strategy.get("rollingUpdate", {})
    surge = _share(rolling.get("maxSurge", 0), replicas, up=True)
    unavailable = _share(rolling.get("maxUnavailable", 0), replicas, up=False)
    if surge == unavailable == 0:
        unavailable = 1
    return replicas + surge, replicas - min(unavailable, replicas)


def ready_since(pod: Json) -> datetime | None:
    """Return when a pod became ready, None when it is not."""
    for each in pod["status"].get("conditions", ()):
        if each["type"] == "Ready" and each["status"] == "True":
            return datetime.fromisoformat(each["lastTransitionTime"])
    return None


def _share(value: Any, replicas: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    hundredths = int(str(value).removesuffix("%")) * replicas
    return -(-hundredths // 100) if up else hundredths // 100

"""Invariants of workloads, checked on every revision that the sandbox commits.

Subscribe one to `ApiServer.audit`; ask it at the end. Guarantees that no state between two
writes escapes it, which looking at the API from time to time could not. Each invariant owns
only what it has seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
                f"never wanted more than {owner.wanted} ({mutation.verb} of {mutation.name} by {mutation.user_agent})"
            )

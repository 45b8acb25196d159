"""Assertions about owned objects, checked on every revision that the sandbox commits.

    twins = AtMost(world.api, "configmaps", 1)
    ...
    assert not twins.broken

Looking at the API now and then misses what was there in between; an invariant that is subscribed to
the audit sees every state. Owns what it has seen.
"""

from __future__ import annotations

from collections import defaultdict

from kcm.sandbox.api.audit import Mutation
from kcm.sandbox.api.server import ApiServer
from kcm.testing.invariants import controller_uid


class AtMost:
    """No controlling owner ever has more than `most` objects of a resource; `broken` lists what broke it.

    `resource` is written as in `Mutation.resource`: "configmaps", "deployments.apps". Objects
    that are being deleted do not count.
    """

    def __init__(self, api: ApiServer, resource: str, most: int) -> None:
        self.broken: list[str] = []
        self._resource = resource
        self._most = most
        self._owned: defaultdict[str, set[str]] = defaultdict(set)
        api.audit.subscribe(self._see)

    def _see(self, mutation: Mutation) -> None:
        present = mutation.after or mutation.before
        if mutation.resource != self._resource or present is None:
            return
        for owned in self._owned.values():
            owned.discard(present["metadata"]["uid"])
        owner = controller_uid(present)
        if mutation.after is None or not owner or "deletionTimestamp" in present["metadata"]:
            return
        self._owned[owner].add(present["metadata"]["uid"])
        if len(self._owned[owner]) > self._most:
            self.broken.append(
                f"revision {mutation.revision}: {len(self._owned[owner])} {self._resource} of one owner, "
                f"{mutation.name} by {mutation.verb} of {mutation.user_agent}"
            )

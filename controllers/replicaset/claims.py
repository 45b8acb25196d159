"""Which pods to take and which to let go.

An active orphan that the selector matches is adopted; an active pod that is ours and is no
longer matched is released; a replica set that is being deleted does neither (reference:
workloads 1.4). How it is done is `kcm.claim`. Pure.
"""

from __future__ import annotations

from controllers.replicaset.census import is_active
from controllers.replicaset.observe import Seen
from kcm.objects import Pod


def strays(seen: Seen) -> list[Pod]:
    """Return the active pods to release: ours, and no longer selected."""
    return [] if seen.deleting else seen.census.strays


def adoptable(seen: Seen) -> list[Pod]:
    """Return the active pods to adopt: nobody's, and selected."""
    if seen.deleting:
        return []
    return [pod for pod in seen.orphans if is_active(pod) and seen.selector.matches(pod.metadata.labels)]

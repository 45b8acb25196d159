"""How a rolling update moves: the new replica set up, the old ones down, within bounds.

Guarantees for every answer: the sum of sizes does not rise above replicas + surge, and what is
available does not fall below replicas - unavailable (reliability S4); a pass either grows the
new replica set or shrinks old ones, never both, since room is counted before it is used; old
ones shrink only by statuses that describe the present specs, so that what is available is
never spent twice. Pure; re-entrant, as each answer follows from present sizes alone.

Worked example, 10 replicas, surge 3, unavailable 2, all 10 old ones available: the new one is
made with 3 (13 in all). None of these being available yet, maxDown = 13 - 8 - 3 = 2: the old
go to 8. Then the new grows to 5; as its pods become available, the old shrink further.
"""

from __future__ import annotations

from collections.abc import Mapping

from controllers.deployment.bounds import Bounds
from controllers.deployment.fleet import Fleet, available, wanted

Sizes = Mapping[str, int]
"""New sizes by uid of the replica set, in the order in which they are to be written."""


def rolling_sizes(fleet: Fleet, bounds: Bounds) -> Sizes:
    """Return the next step; nothing when there is none to make now."""
    new = fleet.new
    if new is not None:
        size = new_size(fleet, bounds)
        if size != new.spec.replicas:
            return {new.metadata.uid: size}
    return old_sizes(fleet, bounds) if fleet.is_settled else {}


def new_size(fleet: Fleet, bounds: Bounds) -> int:
    """Return how large the new replica set may be, or may be made (reference: workloads 2.4)."""
    size = fleet.new.spec.replicas if fleet.new is not None else 0
    if size >= bounds.replicas:
        return bounds.replicas
    room = bounds.most - wanted(fleet.all)
    return size if room <= 0 else size + min(room, bounds.replicas - size)


def old_sizes(fleet: Fleet, bounds: Bounds) -> Sizes:
    """Return the old replica sets that shrink: first what does not run anyway, then what can be spared."""
    new = fleet.new
    missing = new.spec.replicas - available(new) if new is not None else 0
    room = wanted(fleet.all) - bounds.min_available - missing
    if room <= 0:
        return {}
    before = {each.metadata.uid: each.spec.replicas for each in fleet.active_old}
    after = dict(before)
    for each in fleet.active_old:
        ailing = min(room, each.spec.replicas - available(each))
        after[each.metadata.uid] -= ailing
        room -= ailing
    spare = sum(map(available, fleet.all)) - bounds.min_available
    for uid, size in after.items():
        taken = min(size, max(0, spare))
        after[uid] -= taken
        spare -= taken
    return {uid: size for uid, size in after.items() if size != before[uid]}

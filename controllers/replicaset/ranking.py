"""Which pods go first when there are too many.

The eight rules of reference workloads 1.6, in order: without a node; least far along; not
ready; cheapest by annotation; most crowded node; youngest readiness by powers of two; most
restarts; youngest. Guarantees that two pods are ordered as the rules say and that the same pods
give the same answer in whatever order they come. Pure: the time is an argument.

The rules compare pairs, and not transitively: ready pods whose readiness falls in one power of
two are settled by uid, except those that became ready at the same instant, which are settled by
restarts and age. So pods are sorted into groups that the rules do order, and only the group in
which the line is drawn is looked at more closely.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice

from kcm.objects import Pod

# Anything else, and text that is no int32, costs nothing; a plus sign or leading zeros are not read.
_COST = re.compile(r"0|[1-9][0-9]{0,9}|-0*[0-9]{1,10}", re.ASCII)
_LONGEST_COST = 64
_INT32 = range(-(2**31), 2**31)

_PHASES = {"Unknown": 1, "Running": 2}
_MICROSECOND = timedelta(microseconds=1)
_NEVER = -2  # a moment that is not set goes before every age

_Group = tuple[bool, int, bool, int, int, int, int, int]


def victims(pods: Iterable[Pod], count: int, crowding: Mapping[str, int], now: datetime) -> list[Pod]:
    """Return `count` of the pods, those to delete first; all of them if there are not more.

    `crowding` says how many related pods each node runs; empty for a replica set without a
    controller of its own (rule 5).
    """
    ranked = sorted(
        (_group(pod, crowding, now), pod.metadata.uid, number, pod) for number, pod in enumerate(pods)
    )
    if not 0 < count < len(ranked):
        return [pod for *_, pod in ranked[:count]]
    edge = ranked[count - 1][0]
    before = [pod for group, *_, pod in ranked[:count] if group != edge]
    at_edge = (pod for group, *_, pod in ranked if group == edge)
    return before + list(islice(_settled(at_edge, now), count - len(before)))


def deletion_cost(text: str) -> int:
    """Return the cost that the pod-deletion-cost annotation names; 0 if it is missing or no int32."""
    if not text or len(text) > _LONGEST_COST or not _COST.fullmatch(text):
        return 0
    cost = int(text)
    return cost if cost in _INT32 else 0


def age_bucket(moment: datetime | None, now: datetime) -> int:
    """Return trunc(log2(age in ns)), -1 for no age or the future; before all of them a missing moment."""
    if moment is None:
        return _NEVER
    nanoseconds = (now - moment) // _MICROSECOND * 1000
    return nanoseconds.bit_length() - 1 if nanoseconds > 0 else -1


def _group(pod: Pod, crowding: Mapping[str, int], now: datetime) -> _Group:
    """Return rules 1 to 5 and what follows: rule 6 if the pod is ready, else rules 7 and 8."""
    node = pod.spec.node_name
    ready, since = _readiness(pod)
    placed = bool(node)
    phase = _PHASES.get(pod.status.phase, 0)
    cost = deletion_cost(pod.metadata.annotations.deletion_cost)
    crowd = -crowding.get(node, 0)
    if ready:
        return (placed, phase, True, cost, crowd, age_bucket(since, now), 0, 0)
    return (placed, phase, False, cost, crowd, *_wear(pod, now))


def _readiness(pod: Pod) -> tuple[bool, datetime | None]:
    for condition in pod.status.conditions:
        if condition.type == "Ready":
            return condition.status == "True", condition.last_transition_time
    return False, None


def _wear(pod: Pod, now: datetime) -> tuple[int, int, int]:
    """Return rules 7 and 8: most restarts of a container, then of a sidecar, negated; age."""
    containers = max((each.restart_count for each in pod.status.container_statuses), default=0)
    in_sidecars = _sidecar_restarts(pod) if pod.spec.init_containers else 0
    return -containers, -in_sidecars, age_bucket(pod.metadata.creation_timestamp, now)


def _sidecar_restarts(pod: Pod) -> int:
    sidecars = {each.name for each in pod.spec.init_containers if each.restart_policy == "Always"}
    counts = (each.restart_count for each in pod.status.init_container_statuses if each.name in sidecars)
    return max(counts, default=0)


def _settled(group: Iterable[Pod], now: datetime) -> Iterator[Pod]:
    """Order the pods of one group: by uid, but those ready since one instant by wear first."""
    instants: dict[datetime | None, list[Pod]] = {}
    for pod in group:
        instants.setdefault(_readiness(pod)[1], []).append(pod)
    for pods in instants.values():
        pods.sort(key=lambda pod: (_wear(pod, now), pod.metadata.uid))
    return merge(*instants.values(), key=lambda pod: pod.metadata.uid)

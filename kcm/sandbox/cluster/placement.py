"""Where a pod goes: the scheduler's decision, pure.

`choose_node` filters nodes by readiness to take pods, node selector and affinity, taints and
room, and prefers the emptiest. Guarantees: the same input gives the same node; a refusal says
why, per reason and with counts, in the words that `kubectl describe` readers know. Does not
simulate pod affinity, topology spread, ports, volumes or preemption.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kcm.sandbox.cluster.quantities import Amount
from kcm.sandbox.cluster.taints import UNSCHEDULABLE, tolerated
from kcm.sandbox.cluster.views import NodeRequirement, NodeTerm, NodeView, PodSpecView, Toleration

_CORDONED = "node(s) were unschedulable"
_TAINTED = "node(s) had untolerated taint(s)"
_UNSELECTED = "node(s) didn't match Pod's node affinity/selector"
_UNMENDABLE = frozenset((_CORDONED, _TAINTED, _UNSELECTED))
_NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class Room:
    """A node and how much of it is taken."""

    node: NodeView
    capacity: Amount
    used: Amount = _NOTHING

    def with_pod(self, wanted: Amount) -> Room:
        return replace(self, used=self.used + wanted)

    def without_pod(self, wanted: Amount) -> Room:
        return replace(self, used=self.used - wanted)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The pod goes to this node."""

    node: str


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """No node takes the pod; `message` says why."""

    message: str


def choose_node(spec: PodSpecView, wanted: Amount, rooms: Iterable[Room]) -> Chosen | Unschedulable:
    """Return the emptiest node that takes the pod (reference: apiserver 6)."""
    best: tuple[int, float, str] | None = None
    refusals: Counter[str] = Counter()
    nodes = hopeless = 0
    for room in rooms:
        reasons = tuple(_refusals(spec, wanted, room))
        if reasons:
            refusals.update(reasons)
            nodes += 1
            hopeless += bool(_UNMENDABLE.intersection(reasons)) or not _could_fit(wanted, room)
            continue
        rank = (_avoided(spec, room), _fullness(room), room.node.metadata.name)
        best = min(best, rank) if best else rank
    if best is not None:
        return Chosen(best[2])
    if not nodes:
        return Unschedulable("no nodes available to schedule pods")
    preemption = {
        "No preemption victims found for incoming pod": nodes - hopeless,
        "Preemption is not helpful for scheduling": hopeless,
    }
    none = f"0/{nodes} nodes are available:"
    return Unschedulable(f"{none} {_counted(refusals)}. preemption: {none} {_counted(preemption)}.")


def _counted(reasons: Mapping[str, int]) -> str:
    """Return reasons as the scheduler lists them: sorted as text, the count in front."""
    return ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items() if count))


def _could_fit(wanted: Amount, room: Room) -> bool:
    """Say whether the pod would fit an empty node: no eviction helps one that is too large."""
    return not any(_shortages(wanted, replace(room, used=_NOTHING)))


def _refusals(spec: PodSpecView, wanted: Amount, room: Room) -> Iterable[str]:
    node = room.node
    if node.spec.unschedulable and not tolerated(UNSCHEDULABLE, spec.tolerations):
        return (_CORDONED,)
    if _untolerated(spec.tolerations, node):
        return (_TAINTED,)
    if not _selected(spec, node):
        return (_UNSELECTED,)
    return _shortages(wanted, room)


def _shortages(wanted: Amount, room: Room) -> Iterable[str]:
    left = room.capacity - room.used
    if wanted.pods > left.pods:
        yield "Too many pods"
    if wanted.cpu > left.cpu and wanted.cpu:
        yield "Insufficient cpu"
    if wanted.memory > left.memory and wanted.memory:
        yield "Insufficient memory"


def _untolerated(tolerations: tuple[Toleration, ...], node: NodeView) -> bool:
    return any(
        taint.effect in ("NoSchedule", "NoExecute") and not tolerated(taint, tolerations)
        for taint in node.spec.taints
    )


def _selected(spec: PodSpecView, node: NodeView) -> bool:
    labels = node.metadata.labels
    if any(labels.get(key) != value for key, value in spec.node_selector.items()):
        return False
    affinity = spec.affinity.node_affinity if spec.affinity else None
    if affinity is None or affinity.required is None:
        return True
    return any(_matches(term, node) for term in affinity.required.node_selector_terms)


def _matches(term: NodeTerm, node: NodeView) -> bool:
    if not term.match_expressions and not term.match_fields:
        return False
    fields = {"metadata.name": node.metadata.name}
    return all(_holds(each, node.metadata.labels) for each in term.match_expressions) and all(
        _holds(each, fields) for each in term.match_fields
    )


def _holds(requirement: NodeRequirement, values: Mapping[str, str]) -> bool:
    value = values.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" if value is not None and len(requirement.values) == 1:
            return _ordered(requirement.operator, value, requirement.values[0])
    return False


def _ordered(operator: str, value: str, bound: str) -> bool:
    if len(value) > 19 or len(bound) > 19:
        return False
    try:
        return int(value) > int(bound) if operator == "Gt" else int(value) < int(bound)
    except ValueError:
        return False


def _avoided(spec: PodSpecView, room: Room) -> int:
    """Count the taints that would rather not have this pod."""
    return sum(
        taint.effect == "PreferNoSchedule" and not tolerated(taint, spec.tolerations)
        for taint in room.node.spec.taints
    )


def _fullness(room: Room) -> float:
    """Return the fullest resource's share, 0 to 1."""
    pairs = (
        (room.used.cpu, room.capacity.cpu),
        (room.used.memory, room.capacity.memory),
        (room.used.pods, room.capacity.pods),
    )
    return max(used / most for used, most in pairs if most) if any(most for _, most in pairs) else 1.0

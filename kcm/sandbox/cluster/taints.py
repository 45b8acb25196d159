"""Taints and tolerations: what nodes put up with, pure (reference: apiserver 6).

Shared by the scheduler, which keeps pods away, and by the eviction of those that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kcm.sandbox.cluster.views import NodeView, Taint, Toleration

UNSCHEDULABLE = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"

_PRESSURES: Mapping[str, str] = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_OWNED = frozenset((UNSCHEDULABLE.key, NOT_READY, UNREACHABLE, *_PRESSURES.values()))


def wanted_taints(node: NodeView, now: str) -> tuple[Taint, ...]:
    """Return the taints that a node should have: its own, and those that follow from its state.

    A taint that is there already keeps its `timeAdded`.
    """
    due = [UNSCHEDULABLE] if node.spec.unschedulable else []
    due += [Taint(key, "NoSchedule") for type_, key in _PRESSURES.items() if node.verdict(type_) == "True"]
    unwell = {"False": NOT_READY, "Unknown": UNREACHABLE}.get(node.verdict("Ready"))
    if unwell:
        due += [Taint(unwell, "NoSchedule"), Taint(unwell, "NoExecute")]
    missing: dict[tuple[str, str], Taint | None] = {(each.key, each.effect): each for each in due}
    kept = []
    for taint in node.spec.taints:
        if missing.pop((taint.key, taint.effect), None) or taint.key not in _OWNED:
            kept.append(taint)
    added = [Taint(key, effect, time_added=now) for key, effect in missing]
    return (*kept, *added)


def evict_after(tolerations: tuple[Toleration, ...], taints: Iterable[Taint]) -> float | None:
    """Return seconds that a pod may stay under NoExecute taints: 0 none, None for ever."""
    patience: list[float] = []
    for taint in taints:
        if taint.effect != "NoExecute":
            continue
        matching = [each for each in tolerations if tolerates(each, taint)]
        if not matching:
            return 0.0
        patience += [
            max(0, each.toleration_seconds) for each in matching if each.toleration_seconds is not None
        ]
    return min(patience, default=None)


def tolerated(taint: Taint, tolerations: tuple[Toleration, ...]) -> bool:
    """Say whether any of the tolerations is for the taint."""
    return any(tolerates(each, taint) for each in tolerations)


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Say whether a toleration is for a taint."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return bool(toleration.key) and toleration.value == taint.value


def written(taint: Taint) -> dict[str, str]:
    """Return a taint as the API writes it."""
    shown = {"key": taint.key, "value": taint.value, "effect": taint.effect, "timeAdded": taint.time_added}
    return {name: value for name, value in shown.items() if value}

"""What happens in the cluster, told to a person.

`Narrator` collects happenings and gives lines to print: each by itself while there are few,
one summary per kind and namespace when there are many, so that a thousand pods are a handful
of lines. Guarantees: bounded memory between two tellings however much happens; text from the
API is stripped of control characters. Pure but for what it collects; whoever prints chooses
when.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from kcm.objects import Spec
from kcm.sandbox.cluster.follow import Change
from kcm.sandbox.cluster.views import NodeView, PodView

Tone = Literal["good", "plain", "bad", "gone"]

_ALONE = 12
_ORDER = ("created", "scheduled", "unschedulable", "ready", "not ready", "terminating", "deleted")
_LONGEST = 120
_COLOURS: Mapping[Tone, str] = {"good": "32", "plain": "36", "bad": "31", "gone": "33"}


class WorkloadMeta(Spec, frozen=True):
    """Identity of a workload."""

    name: str
    namespace: str
    uid: str
    resource_version: str = ""


class WorkloadSpec(Spec, frozen=True):
    """What a workload wants."""

    replicas: int = 1


class WorkloadStatus(Spec, frozen=True):
    """What a workload has."""

    replicas: int = 0
    ready_replicas: int = 0


class WorkloadView(Spec, frozen=True):
    """A ReplicaSet or a Deployment, for people to read."""

    metadata: WorkloadMeta
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()

    @property
    def label(self) -> str:
        """Return "namespace/name"."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that happened: `what` is counted with its like when there are many."""

    tone: Tone
    kind: str
    namespace: str
    name: str
    what: str
    detail: str = ""


@dataclass(slots=True)
class Narrator:
    """Collects remarks until they are told. `crowded`: the last telling was a summary."""

    colour: bool = False
    crowded: bool = False
    _single: list[Remark] = field(default_factory=list)
    _counted: Counter[tuple[str, str, str, Tone]] = field(default_factory=Counter)

    def pod_changed(self, change: Change[PodView]) -> None:
        """Note what became of a pod."""
        pod, old = change.new, change.old
        if change.initial:
            return
        if change.kind == "deleted":
            self._pod("gone", pod, "deleted")
            return
        if old is None:
            self._pod("plain", pod, "created", _maker(pod))
        if pod.spec.node_name and not (old and old.spec.node_name):
            self._pod("plain", pod, "scheduled", f"to {pod.spec.node_name}")
        if pod.metadata.deletion_timestamp and not (old and old.metadata.deletion_timestamp):
            self._pod("gone", pod, "terminating")
        if old is not None:
            self._status_changed(pod, old)

    def workload_changed(self, kind: str, change: Change[WorkloadView]) -> None:
        """Note how a ReplicaSet or Deployment was scaled, and when it got there."""
        now, old = change.new, change.old
        if change.initial:
            return
        if change.kind == "deleted":
            self._workload("gone", kind, now, "deleted")
        elif old is None:
            self._workload("plain", kind, now, "created", f"with {now.spec.replicas} replicas")
        elif now.spec.replicas != old.spec.replicas:
            self._workload("plain", kind, now, "scaled", f"{old.spec.replicas} → {now.spec.replicas}")
        elif old is not None and _complete(now) and not _complete(old):
            self._workload("good", kind, now, "complete", f"{now.status.ready_replicas} ready")

    def node_changed(self, change: Change[NodeView]) -> None:
        """Note nodes that come, go, or are cordoned."""
        node, old = change.new, change.old
        name = node.metadata.name
        if change.kind == "deleted":
            self._note(Remark("gone", "node", "", name, "deleted"))
        elif old is None and not change.initial:
            self._note(Remark("good", "node", "", name, "joined"))
        elif old is not None and node.spec.unschedulable != old.spec.unschedulable:
            verb = "cordoned" if node.spec.unschedulable else "uncordoned"
            self._note(Remark("plain", "node", "", name, verb))

    def tell(self, now: datetime) -> list[str]:
        """Return the lines for what happened since the last telling, and forget it."""
        lines = [
            self._line(now, each.tone, _label(each), each.what, each.detail) for each in self._single
        ] + [
            self._line(now, tone, f"{count} {kind}s", what, f"in {namespace}" if namespace else "")
            for (kind, namespace, what, tone), count in sorted(self._counted.items(), key=_in_order)
        ]
        self.crowded = bool(self._counted)
        self._single = []
        self._counted = Counter()
        return lines

    def _status_changed(self, pod: PodView, old: PodView) -> None:
        phase = pod.status.phase
        if phase != old.status.phase and phase in ("Succeeded", "Failed"):
            if pod.metadata.deletion_timestamp is None:
                self._pod("bad" if phase == "Failed" else "good", pod, phase.lower(), pod.status.reason)
            return
        if pod.status.holds("Ready") and not old.status.holds("Ready"):
            self._pod("good", pod, "ready")
        elif old.status.holds("Ready") and not pod.status.holds("Ready") and not pod.ended:
            self._pod("bad", pod, "not ready")
        if _unschedulable(pod) and not _unschedulable(old):
            self._pod("bad", pod, "unschedulable")

    def _pod(self, tone: Tone, pod: PodView, what: str, detail: str = "") -> None:
        self._note(Remark(tone, "pod", pod.metadata.namespace, pod.metadata.name, what, detail))

    def _workload(self, tone: Tone, kind: str, view: WorkloadView, what: str, detail: str = "") -> None:
        self._note(Remark(tone, kind, view.metadata.namespace, view.metadata.name, what, detail))

    def _note(self, remark: Remark) -> None:
        if not self._counted and len(self._single) < _ALONE:
            self._single.append(remark)
            return
        # Too many to tell singly. Those noted before are counted too; workloads stay single while
        # they are few, because "scaled 3 → 1000" is what the reader needs to understand the rest.
        pods = [each for each in self._single if each.kind == "pod"]
        self._single = [each for each in self._single if each.kind != "pod"]
        for each in (*pods, remark):
            if each.kind != "pod" and len(self._single) < _ALONE:
                self._single.append(each)
            else:
                self._counted[(each.kind, each.namespace, each.what, each.tone)] += 1

    def _line(self, now: datetime, tone: Tone, label: str, what: str, detail: str) -> str:
        # A verb in colour and a column of its own: the eye finds what went wrong.
        verb = f"{what:<13}"
        if self.colour:
            verb = f"\x1b[{_COLOURS[tone]}m{verb}\x1b[0m"
        text = f"{_clean(label)} {_clean(detail)}".rstrip()
        return f"{now:%H:%M:%S}  {verb} {text}"


def _in_order(item: tuple[tuple[str, str, str, Tone], int]) -> tuple[str, int, str]:
    """Sort a summary by namespace and then in the order in which things happen to a pod."""
    (_, namespace, what, _), _ = item
    return namespace, _ORDER.index(what) if what in _ORDER else len(_ORDER), what


def _label(remark: Remark) -> str:
    where = f"{remark.namespace}/" if remark.namespace else ""
    return f"{remark.kind} {where}{remark.name}"


def _maker(pod: PodView) -> str:
    for owner in pod.metadata.owner_references:
        if owner.controller:
            return f"by {owner.kind} {owner.name}"
    return ""


def _complete(view: WorkloadView) -> bool:
    wanted = view.spec.replicas
    return wanted == view.status.replicas == view.status.ready_replicas


def _unschedulable(pod: PodView) -> bool:
    return any(
        each.type == "PodScheduled" and each.status == "False" and each.reason == "Unschedulable"
        for each in pod.status.conditions
    )


def _clean(text: str) -> str:
    return "".join(letter for letter in text[:_LONGEST] if letter.isprintable())

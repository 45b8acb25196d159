"""Who the pods of a replica set are: one pass over them, no time involved.

Active is a pod that is neither finished nor being deleted: only these count, are adopted or
released; the others are replaced at once (reference: workloads 1.2). A pod that is controlled
but not selected is a stray. What depends on the time (availability) is asked of the census
later, so that one census serves decision and status. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcm.objects import Pod, Selector

FINISHED = frozenset(("Succeeded", "Failed"))


@dataclass(frozen=True, slots=True)
class Census:
    """The controlled pods, sorted. `ready_since` holds one moment (or None) per active ready pod."""

    active: list[Pod]
    strays: list[Pod]
    finished: list[Pod]
    fully_labeled: int
    terminating: int
    ready_since: list[datetime | None]

    @property
    def ready(self) -> int:
        """Return how many active pods are ready."""
        return len(self.ready_since)

    def available(self, min_ready_seconds: int, now: datetime) -> int:
        """Return how many active pods have been ready for `min_ready_seconds` (reference: workloads 1.2)."""
        if min_ready_seconds <= 0:
            return len(self.ready_since)
        needed = timedelta(seconds=min_ready_seconds)
        return sum(since is not None and now - since >= needed for since in self.ready_since)

    def next_available_in(self, min_ready_seconds: int, now: datetime) -> float | None:
        """Return the seconds until the next ready pod becomes available; None if none will by itself.

        Never more than `min_ready_seconds`: a clock that was set back, and right again, is seen soon.
        """
        if min_ready_seconds <= 0:
            return None
        needed = timedelta(seconds=min_ready_seconds)
        rests = [needed - (now - since) for since in self.ready_since if since is not None]
        return min((min(rest, needed).total_seconds() for rest in rests if rest > timedelta()), default=None)


def take_census(owned: Iterable[Pod], selector: Selector, template_labels: Mapping[str, str]) -> Census:
    """Sort the pods that a replica set controls."""
    active: list[Pod] = []
    strays: list[Pod] = []
    finished: list[Pod] = []
    ready_since: list[datetime | None] = []
    fully_labeled = terminating = 0
    wanted = template_labels.items()
    # Pods of one template carry equal labels: to compare them costs a tenth of matching them.
    known: Mapping[str, str] | None = None
    selected = labeled = False
    for pod in owned:
        metadata = pod.metadata
        status = pod.status
        if status.phase in FINISHED:
            finished.append(pod)
            continue
        if metadata.labels != known:
            known = metadata.labels
            selected = selector.matches(known)
            labeled = wanted <= known.items()
        if metadata.deletion_timestamp is not None:
            terminating += selected
            continue
        if not selected:
            strays.append(pod)
            continue
        active.append(pod)
        fully_labeled += labeled
        for condition in status.conditions:
            if condition.type == "Ready":
                if condition.status == "True":
                    ready_since.append(condition.last_transition_time)
                break
    return Census(active, strays, finished, fully_labeled, terminating, ready_since)


def is_active(pod: Pod) -> bool:
    """Say whether the pod counts: neither finished nor being deleted."""
    return pod.metadata.deletion_timestamp is None and pod.status.phase not in FINISHED

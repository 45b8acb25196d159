"""What there is to know about one Deployment, from the replica only.

`look` reads; nothing here writes, waits or asks for the time. A Deployment that no server
should have accepted ends in `TerminalError`: it is that key's problem until somebody changes
it, and no replica set is touched on its word (DESIGN §2.8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controllers.deployment.bounds import LARGEST, Bounds, bounds_of
from controllers.deployment.fleet import Fleet, sort_fleet
from kcm import Key, TerminalError, owned
from kcm.objects import Deployment, PodTrace, Selector, WholeReplicaSet
from kcm.objects.selectors import compile_selector

if TYPE_CHECKING:
    from kcm import Cache

FINISHED = frozenset(("Succeeded", "Failed"))


@dataclass(frozen=True, slots=True)
class Seen:
    """One Deployment and its replica sets. `old_pods_run` is looked at for Recreate only.

    `strays` are its replica sets that its selector does not match any more, `orphans` nobody's
    that it does. `selects_all`: an empty selector, on whose word nothing may be done.
    """

    deployment: Deployment
    selects_all: bool
    bounds: Bounds
    fleet: Fleet
    strays: tuple[WholeReplicaSet, ...]
    orphans: tuple[WholeReplicaSet, ...]
    old_pods_run: bool

    @property
    def deleting(self) -> bool:
        """Say whether the Deployment is being deleted."""
        return self.deployment.metadata.deletion_timestamp is not None


def look(cache: Cache, key: Key) -> Seen | None:
    """Return what there is to see of `key`; None if it is gone. TerminalError: it makes no sense."""
    deployment = cache.get(Deployment, key)
    return None if deployment is None else look_for(cache, deployment)


def look_for(cache: Cache, deployment: Deployment) -> Seen:
    """Return what there is to see for a Deployment as it was read before, own writes included."""
    selector = _checked_selector(deployment)
    if selector is None:
        return Seen(deployment, True, bounds_of(deployment), Fleet(None, ()), (), (), False)
    metadata = deployment.metadata
    mine = owned(cache, WholeReplicaSet, deployment)
    kept = [each for each in mine if selector.matches(each.metadata.labels)]
    strays = [each for each in mine if not selector.matches(each.metadata.labels)]
    fleet = sort_fleet(deployment.spec.template, kept)
    dying = metadata.deletion_timestamp is not None
    recreates = deployment.spec.strategy.type == "Recreate"
    return Seen(
        deployment=deployment,
        selects_all=False,
        bounds=bounds_of(deployment),
        fleet=fleet,
        strays=() if dying else tuple(strays),
        orphans=() if dying else _adoptable(cache, metadata.namespace, selector),
        old_pods_run=recreates and _any_pod_runs(cache, fleet.old),
    )


def selector_of(deployment: Deployment) -> Selector | None:
    """Return what the Deployment selects; None where that is everything or nonsense."""
    given = deployment.spec.selector
    if given is None or not (given.match_labels or given.match_expressions):
        return None
    try:
        return compile_selector(given)
    except ValueError:
        return None


def _adoptable(cache: Cache, namespace: str, selector: Selector) -> tuple[WholeReplicaSet, ...]:
    return tuple(
        each
        for each in cache.orphans(WholeReplicaSet, namespace)
        if each.metadata.deletion_timestamp is None and selector.matches(each.metadata.labels)
    )


def _any_pod_runs(cache: Cache, old: tuple[WholeReplicaSet, ...]) -> bool:
    """Say whether old pods are left, terminating ones included (reference: workloads 2.5)."""
    if any(each.status.replicas for each in old):
        return True
    pods = (pod for each in old for pod in cache.controlled_by(PodTrace, each.metadata.uid))
    return any(pod.status.phase not in FINISHED for pod in pods)


def _checked_selector(deployment: Deployment) -> Selector | None:
    """Return the selector of a Deployment that can be acted on, None for an empty one."""
    spec = deployment.spec
    for name, number in (
        ("replicas", spec.replicas),
        ("minReadySeconds", spec.min_ready_seconds),
        ("revisionHistoryLimit", spec.revision_history_limit or 0),
        ("progressDeadlineSeconds", spec.progress_deadline_seconds or 0),
    ):
        if not 0 <= number <= LARGEST:
            raise TerminalError(
                f"deployment {deployment.key}: spec.{name} is not in 0..{LARGEST}: correct it"
            )
    given = spec.selector
    selector = selector_of(deployment)
    is_empty = given is not None and not (given.match_labels or given.match_expressions)
    if selector is None and not is_empty:
        raise TerminalError(f"deployment {deployment.key}: spec.selector selects nothing valid: correct it")
    return selector

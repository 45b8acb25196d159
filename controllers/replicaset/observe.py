"""What there is to know about one replica set, from the replica only.

`look` reads; nothing here writes, waits or asks for the time. A replica set that no server
should have accepted (an absurd number, a selector that selects nothing or everything) ends in
`TerminalError`: it is that key's problem until somebody changes it, and no pod is created or
deleted on its word (DESIGN §2.8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controllers.replicaset.census import Census, is_active, take_census
from kcm import Key, TerminalError, owned
from kcm.objects import Pod, ReplicaSet, Selector, controller_of
from kcm.objects.selectors import compile_selector

if TYPE_CHECKING:
    from kcm import Cache

LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Seen:
    """One replica set and its pods, finished and terminating ones included.

    `taken` says whether any pod of the namespace has a name; `crowding` how many related pods
    each node runs, filled only where a choice between pods has to be made.
    """

    replica_set: ReplicaSet
    selector: Selector
    owned: tuple[Pod, ...]
    orphans: tuple[Pod, ...]
    census: Census
    taken: Callable[[str], bool]
    crowding: Mapping[str, int]

    @property
    def deleting(self) -> bool:
        """Say whether the replica set is being deleted."""
        return self.replica_set.metadata.deletion_timestamp is not None

    @property
    def surplus(self) -> int:
        """Return how many active pods there are too many; negative: too few."""
        return len(self.census.active) - self.replica_set.spec.replicas


def look(cache: Cache, key: Key) -> Seen | None:
    """Return what there is to see of `key`; None if it is gone. TerminalError: it makes no sense."""
    replica_set = cache.get(ReplicaSet, key)
    if replica_set is None:
        return None
    selector = checked_selector(replica_set)
    pods = owned(cache, Pod, replica_set)
    census = take_census(pods, selector, replica_set.spec.template.metadata.labels)
    too_many = 0 <= replica_set.spec.replicas < len(census.active)
    return Seen(
        replica_set=replica_set,
        selector=selector,
        owned=pods,
        orphans=cache.orphans(Pod, key.namespace),
        census=census,
        taken=lambda name: cache.get(Pod, Key(key.namespace, name)) is not None,
        crowding=_crowding(cache, replica_set) if too_many and replica_set.spec.replicas else {},
    )


def count(cache: Cache, seen: Seen) -> Census:
    """Return the census after own writes, by the spec that they followed."""
    replica_set = seen.replica_set
    labels = replica_set.spec.template.metadata.labels
    return take_census(owned(cache, Pod, replica_set), seen.selector, labels)


def selector_of(replica_set: ReplicaSet) -> Selector | None:
    """Return what the replica set selects; None where that is nothing, everything or nonsense."""
    given = replica_set.spec.selector
    if given is None or not (given.match_labels or given.match_expressions):
        return None
    try:
        return compile_selector(given)
    except ValueError:
        return None


def checked_selector(replica_set: ReplicaSet) -> Selector:
    """Return the selector of a replica set that can be acted on; TerminalError says what is wrong."""
    spec = replica_set.spec
    for name, number in (("replicas", spec.replicas), ("minReadySeconds", spec.min_ready_seconds)):
        if not 0 <= number <= LARGEST:
            raise TerminalError(
                f"replicaset {replica_set.key}: spec.{name} is not in 0..{LARGEST}: correct it"
            )
    if not spec.template.metadata.labels:
        raise TerminalError(
            f"replicaset {replica_set.key}: unable to create pods, no labels: label the template"
        )
    selector = selector_of(replica_set)
    if selector is None:
        raise TerminalError(f"replicaset {replica_set.key}: spec.selector selects nothing valid: correct it")
    return selector


def _crowding(cache: Cache, replica_set: ReplicaSet) -> Mapping[str, int]:
    """Return the number of active related pods per node (reference: workloads 1.6 rule 5).

    Related are the pods that any replica set of the same controller selects, each counted once;
    without a controller none are.
    """
    controller = controller_of(replica_set.metadata)
    if controller is None:
        return {}
    namespace = replica_set.metadata.namespace
    siblings = (
        sibling
        for sibling in cache.controlled_by(ReplicaSet, controller.uid)
        if sibling.metadata.namespace == namespace
    )
    related: dict[str, Pod] = {}
    for selector in filter(None, map(selector_of, siblings)):
        related.update(_active(cache.list(Pod, namespace=namespace, selector=selector)))
    return Counter(pod.spec.node_name for pod in related.values())


def _active(pods: Iterable[Pod]) -> Iterable[tuple[str, Pod]]:
    return ((pod.metadata.uid, pod) for pod in pods if is_active(pod))

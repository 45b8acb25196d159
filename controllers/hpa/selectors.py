"""Which pods an autoscaler scales by, and which other autoscalers look at the same ones.

The registry knows the selector that each autoscaler last read from its target (reference: hpa
5). Both questions are answered by label pairs, not by trying every selector on every pod: a
thousand autoscalers over ten thousand pods ask every few seconds. The registry owns its
entries; an autoscaler that was never evaluated has none and is nobody's rival.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from kcm.objects import Key, ReplicaSet, Selector, controller_of
from kcm.objects.autoscalers import MeasuredPod

if TYPE_CHECKING:
    from kcm import Cache

BY_LABEL = "label"

Pair = tuple[str, str]


def label_pairs(pod: MeasuredPod) -> Iterator[str]:
    """Return what a pod is found by: its namespace with each of its labels."""
    for key, value in pod.metadata.labels.items():
        yield f"{pod.metadata.namespace}/{key}={value}"


def pods_of(cache: Cache, namespace: str, selector: Selector) -> tuple[MeasuredPod, ...]:
    """Return the pods of a namespace that a selector matches, by name."""
    pairs = [f"{namespace}/{key}={value}" for key, value in _pairs(selector)]
    if pairs:
        found = min((cache.by_index(MeasuredPod, BY_LABEL, pair) for pair in pairs), key=len)
        matching = [pod for pod in found if selector.matches(pod.metadata.labels)]
    else:
        matching = list(cache.list(MeasuredPod, namespace, selector))
    return tuple(sorted(matching, key=lambda pod: pod.metadata.name))


def owned_by(cache: Cache, pods: Iterable[MeasuredPod], uid: str) -> tuple[MeasuredPod, ...]:
    """Return the pods that an object owns, itself or through a replica set."""
    return tuple(pod for pod in pods if _owner(cache, pod) == uid)


def _owner(cache: Cache, pod: MeasuredPod) -> str:
    """Return the uid of the workload that a pod belongs to, "" for none."""
    controller = controller_of(pod.metadata)
    if controller is None:
        return ""
    replica_set = cache.get(ReplicaSet, Key(pod.metadata.namespace, controller.name))
    if replica_set is None or replica_set.metadata.uid != controller.uid:
        return controller.uid
    above = controller_of(replica_set.metadata)
    return controller.uid if above is None else above.uid


class Selectors:
    """The selectors in use, by autoscaler."""

    def __init__(self) -> None:
        self._selectors: dict[Key, Selector] = {}
        self._by_pair: defaultdict[tuple[str, Pair], set[Key]] = defaultdict(set)
        self._without: defaultdict[str, set[Key]] = defaultdict(set)

    def register(self, key: Key, selector: Selector) -> None:
        """Remember what an autoscaler selects by."""
        if self._selectors.get(key) == selector:
            return
        self.forget(key)
        self._selectors[key] = selector
        self._bucket(key, selector).add(key)

    def forget(self, key: Key) -> None:
        """Forget an autoscaler."""
        if (selector := self._selectors.pop(key, None)) is not None:
            self._bucket(key, selector).discard(key)

    def sharing(self, namespace: str, pods: Iterable[MeasuredPod]) -> frozenset[Key]:
        """Return the autoscalers of a namespace that select any of these pods."""
        found: set[Key] = set()
        seen: set[frozenset[Pair]] = set()
        for pod in pods:
            labels = pod.metadata.labels
            alike = frozenset(labels.items())
            if alike in seen:
                continue
            seen.add(alike)
            found.update(
                key
                for key in self._candidates(namespace, labels)
                if key not in found and self._selectors[key].matches(labels)
            )
        return frozenset(found)

    def _candidates(self, namespace: str, labels: Mapping[str, str]) -> Iterator[Key]:
        for pair in labels.items():
            yield from self._by_pair.get((namespace, pair), ())
        yield from self._without.get(namespace, ())

    def _bucket(self, key: Key, selector: Selector) -> set[Key]:
        pair = next(_pairs(selector), None)
        return self._without[key.namespace] if pair is None else self._by_pair[key.namespace, pair]


def _pairs(selector: Selector) -> Iterator[Pair]:
    """Return the labels that a selector demands with just one value."""
    for requirement in selector.requirements:
        if requirement.operator == "in" and len(requirement.values) == 1:
            yield requirement.key, next(iter(requirement.values))

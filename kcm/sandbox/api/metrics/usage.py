"""What containers use: annotations, defaults, and shares of loads.

    sandbox.kcm.dev/usage-cpu, usage-memory      "250m": each container of the pod uses that;
    kwok.x-k8s.io/usage-cpu, usage-memory        "main=250m,log=5m": by name; shapes are allowed

Without an annotation a container uses 1m and 1Mi. The pod's first container carries the pod's
share of a load when that is more. What cannot be read counts as absent. Owns no state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcm.sandbox.api.metrics.facts import PodFact
from kcm.sandbox.api.metrics.scrapes import Scrape
from kcm.sandbox.api.metrics.shapes import read_shape, split_assignments

_PREFIXES = ("sandbox.kcm.dev/usage-", "kwok.x-k8s.io/usage-")
_DEFAULTS: Mapping[str, float] = {"cpu": 0.001, "memory": float(2**20)}
_SECOND = timedelta(seconds=1)

Share = Callable[[str, str], float | None]


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """Cores and bytes that one container used."""

    name: str
    cpu: float
    memory: float


def usage_of(
    pod: PodFact, uid: str, share: Share, scrape: Scrape, speed: float
) -> list[ContainerUsage] | None:
    """Return each running container's usage in a scrape's window; None when there is no sample yet."""
    running = pod.running
    # Starts are written in whole seconds, cut off: a container may have begun up to a second later.
    if not running or any(since + _SECOND > scrape.before for _, since in running):
        return None
    worker = pod.spec.containers[0].name if pod.spec.containers else ""
    found = []
    for name, since in running:
        amounts = []
        for resource in ("cpu", "memory"):
            own = _annotated(pod.metadata.annotations, resource, name, _age(scrape, since) * speed)
            carried = (share(resource, uid) or 0.0) if name == worker else 0.0
            amounts.append(max(own, carried))
        found.append(ContainerUsage(name, *amounts))
    return found


def annotated_amount(notes: Mapping[str, str], resource: str) -> float | None:
    """Return what a node's annotation says that it uses; None without one that can be read."""
    for prefix in _PREFIXES:
        if text := notes.get(prefix + resource):
            try:
                return read_shape(text).low
            except ValueError:
                continue
    return None


def _annotated(notes: Mapping[str, str], resource: str, container: str, seconds: float) -> float:
    for prefix in _PREFIXES:
        text = notes.get(prefix + resource)
        if text is None:
            continue
        try:
            if "=" in text:
                text = dict(split_assignments(text)).get(container, "")
            return read_shape(text).at(seconds) if text else _DEFAULTS[resource]
        except ValueError:
            continue
    return _DEFAULTS[resource]


def _age(scrape: Scrape, since: datetime) -> float:
    return (scrape.at - since).total_seconds()

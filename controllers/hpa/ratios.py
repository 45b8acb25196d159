"""From one metric to a number of replicas (reference: hpa 7).

Doubles, in the stated order: decimal arithmetic would decide otherwise at the edges (hpa 16,
trap 2). Utilization is cut to a whole percent before it is divided by its target. What a pod
without a usable sample may use is filled in so that it speaks against the change that the
others ask for. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from controllers.hpa.grouping import Groups, Unmeasurable
from controllers.hpa.values import Sample, replicas_from, saturated, truncated


class Tolerance(NamedTuple):
    """How far below and above 1 a ratio counts as 1."""

    down: float
    up: float

    def covers(self, ratio: float) -> bool:
        """Say whether nothing needs to be done at this ratio; both ends included."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class Reading(NamedTuple):
    """A proposal, and what the status shows for it, in thousandths (utilization: percent)."""

    replicas: int
    value: int | None = None
    average: int | None = None
    utilization: int | None = None


class _Ratio(NamedTuple):
    ratio: float
    utilization: int | None
    average: int


def by_utilization(
    samples: Mapping[str, Sample],
    requests: Mapping[str, int],
    groups: Groups,
    target: int,
    current: int,
    tolerance: Tolerance,
) -> Reading:
    """Propose replicas for a target in percent of the requests."""
    amounts = _counted(samples, groups)
    first = _utilization(amounts, requests, target)
    fallback = max(100, target)
    fill = {name: truncated(requests[name] * fallback, 100) for name in groups.missing}
    proposal = _propose(
        amounts,
        fill,
        groups,
        first.ratio,
        current,
        tolerance,
        lambda: _utilization(amounts, requests, target),
    )
    return Reading(proposal, None, first.average, first.utilization)


def by_average(
    samples: Mapping[str, Sample], groups: Groups, target: int, current: int, tolerance: Tolerance
) -> Reading:
    """Propose replicas for a target as an amount per pod."""
    amounts = _counted(samples, groups)
    first = _average(amounts, target)
    fill = dict.fromkeys(groups.missing, target)
    proposal = _propose(
        amounts, fill, groups, first.ratio, current, tolerance, lambda: _average(amounts, target)
    )
    return Reading(proposal, None, first.average)


def by_value(value: int, target: int, current: int, ready: int | None, tolerance: Tolerance) -> Reading:
    """Propose replicas for a target of one amount for all; `ready` None: there are no pods."""
    ratio = value / target
    if current == 0:
        return Reading(replicas_from(ratio), value)
    if tolerance.covers(ratio):
        return Reading(current, value)
    if ready is None:
        raise Unmeasurable("no pods returned by selector while calculating replica count")
    return Reading(replicas_from(ratio * ready), value)


def by_share(total: int, target: int, status_replicas: int, tolerance: Tolerance) -> Reading:
    """Propose replicas for a target as an amount per replica of one total.

    Nothing to divide by: the total itself is shown (reference: hpa 7, Object/External AverageValue).
    """
    if status_replicas == 0:
        return Reading(replicas_from(total / target), None, total)
    shown = replicas_from_amount(total / status_replicas)
    if tolerance.covers(total / (target * status_replicas)):
        return Reading(status_replicas, None, shown)
    return Reading(replicas_from(total / target), None, shown)


def replicas_from_amount(amount: float) -> int:
    """Return an amount rounded up to a whole thousandth."""
    whole = int(amount)
    return saturated(whole + (1 if amount > whole else 0))


def _counted(samples: Mapping[str, Sample], groups: Groups) -> dict[str, int]:
    """Return the samples that count; Unmeasurable when there are none."""
    out = groups.ignored | groups.unready
    amounts = {name: sample.value for name, sample in samples.items() if name not in out}
    if not amounts:
        raise Unmeasurable("did not receive metrics for targeted pods (pods might be unready)")
    return amounts


def _utilization(amounts: Mapping[str, int], requests: Mapping[str, int], target: int) -> _Ratio:
    both = [name for name in amounts if name in requests]
    asked = sum(requests[name] for name in both)
    if not asked:
        raise Unmeasurable("no metrics returned matched known pods")
    used = sum(amounts[name] for name in both)
    utilization = truncated(used * 100, asked)
    return _Ratio(utilization / target, utilization, truncated(used, len(both)))


def _average(amounts: Mapping[str, int], target: int) -> _Ratio:
    average = truncated(sum(amounts.values()), len(amounts))
    return _Ratio(average / target, None, average)


def _propose(
    amounts: dict[str, int],
    fill: Mapping[str, int],
    groups: Groups,
    ratio: float,
    current: int,
    tolerance: Tolerance,
    again: Callable[[], _Ratio],
) -> int:
    """Apply the rule in its four steps; `amounts` is filled in, and `again` reads it."""
    late = bool(groups.unready) and ratio > 1
    if not groups.missing and not late:
        return current if tolerance.covers(ratio) else replicas_from(ratio * len(groups.ready))
    if ratio < 1:
        amounts.update(fill)
    elif ratio > 1:
        amounts.update(dict.fromkeys(groups.missing, 0))
    if late:
        amounts.update(dict.fromkeys(groups.unready, 0))
    filled = again().ratio
    if tolerance.covers(filled) or (ratio < 1 < filled) or (ratio > 1 > filled):
        return current
    proposal = replicas_from(filled * len(amounts))
    if (filled < 1 and proposal > current) or (filled > 1 and proposal < current):
        return current
    return proposal

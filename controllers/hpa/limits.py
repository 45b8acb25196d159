"""From a raw proposal to what may be done now: windows, rates, bounds (reference: hpa 9, 10).

An autoscaler with `behavior` and one without follow different rules, not the same with other
numbers: `without_behavior` may raise a size that a user cut, `with_behavior` never leaves the
present size against the proposal. Raw proposals are remembered, unbounded and unlimited. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from controllers.hpa.memory import Memory, changed_since
from controllers.hpa.values import MOST_REPLICAS
from kcm.objects.autoscalers import Behavior, ScalingPolicy, ScalingRules

READY = "ReadyForNewScale"
UP_STABILIZED, DOWN_STABILIZED = "ScaleUpStabilized", "ScaleDownStabilized"
UP_LIMIT, DOWN_LIMIT = "ScaleUpLimit", "ScaleDownLimit"
TOO_MANY, TOO_FEW = "TooManyReplicas", "TooFewReplicas"
IN_RANGE = "DesiredWithinRange"


Choice = Callable[[list[int]], int]


class Bounds(NamedTuple):
    """The least and the most replicas that the autoscaler may ask for."""

    least: int
    most: int


class Limited(NamedTuple):
    """What may be done: `able` is AbleToScale's reason, `range` ScalingLimited's."""

    desired: int
    able: str
    range: str
    limited: bool


def without_behavior(
    raw: int, current: int, bounds: Bounds, memory: Memory, now: datetime, window: timedelta
) -> tuple[Limited, Memory]:
    """Hold the highest proposal of the window, and at most double (reference: hpa 9)."""
    since = now - window
    recent = [each.replicas for each in memory.recommendations or () if each.at >= since]
    stabilized = max([raw, *recent])
    memory = memory.recommended(raw, now, since)
    able = READY if stabilized == raw else DOWN_STABILIZED

    fastest = min(MOST_REPLICAS, max(2 * current, 4))
    cap, reason = (fastest, UP_LIMIT) if bounds.most > fastest else (bounds.most, TOO_MANY)
    if stabilized < bounds.least:
        return Limited(bounds.least, able, TOO_FEW, True), memory
    if stabilized > cap:
        return Limited(cap, able, reason, True), memory
    return Limited(stabilized, able, IN_RANGE, False), memory


def with_behavior(
    raw: int,
    current: int,
    bounds: Bounds,
    behavior: Behavior,
    memory: Memory,
    now: datetime,
    down_window: timedelta,
) -> tuple[Limited, Memory]:
    """Hold within both windows, then go as fast as the policies let (reference: hpa 10)."""
    stabilized, memory = _stabilize(raw, current, behavior, memory, now, down_window)
    able = READY
    if stabilized != raw:
        able = UP_STABILIZED if raw >= current else DOWN_STABILIZED
    if stabilized > current:
        up = behavior.scale_up or ScalingRules()
        limit = max(_up_limit(up, current, memory, now), current)
        cap, reason = (limit, UP_LIMIT) if bounds.most > limit else (bounds.most, TOO_MANY)
        if stabilized > cap:
            return Limited(cap, able, reason, True), memory
    elif stabilized < current:
        down = behavior.scale_down or ScalingRules()
        limit = min(_down_limit(down, current, memory, now), current)
        floor, reason = (limit, DOWN_LIMIT) if bounds.least < limit else (bounds.least, TOO_FEW)
        if stabilized < floor:
            return Limited(floor, able, reason, True), memory
    return Limited(stabilized, able, IN_RANGE, False), memory


def longest_period(rules: ScalingRules | None) -> timedelta:
    """Return how far back the policies of one direction look."""
    periods = (policy.period_seconds for policy in (rules.policies if rules else ()))
    return timedelta(seconds=max(periods, default=0))


def _stabilize(
    raw: int, current: int, behavior: Behavior, memory: Memory, now: datetime, down_window: timedelta
) -> tuple[int, Memory]:
    up_since = now - _window(behavior.scale_up, timedelta(0))
    down_since = now - _window(behavior.scale_down, down_window)
    recent = memory.recommendations or ()
    lowest = min([raw, *(each.replicas for each in recent if each.at > up_since)])
    highest = max([raw, *(each.replicas for each in recent if each.at > down_since)])
    memory = memory.recommended(raw, now, min(up_since, down_since))
    return min(max(current, lowest), highest), memory


def _window(rules: ScalingRules | None, default: timedelta) -> timedelta:
    seconds = rules.stabilization_window_seconds if rules else None
    return default if seconds is None else timedelta(seconds=seconds)


def _up_limit(rules: ScalingRules, current: int, memory: Memory, now: datetime) -> int:
    def reach(policy: ScalingPolicy, start: int) -> int:
        if policy.type == "Percent":
            return ceil(start * (1.0 + policy.value / 100.0))
        return start + policy.value

    choose = min if rules.select_policy == "Min" else max
    return _limit(
        rules, current, [reach(one, _start(one, current, memory, now)) for one in rules.policies], choose
    )


def _down_limit(rules: ScalingRules, current: int, memory: Memory, now: datetime) -> int:
    def reach(policy: ScalingPolicy, start: int) -> int:
        if policy.type == "Percent":
            return int(start * (1.0 - policy.value / 100.0))
        return start - policy.value

    choose = max if rules.select_policy == "Min" else min
    return _limit(
        rules, current, [reach(one, _start(one, current, memory, now)) for one in rules.policies], choose
    )


def _limit(rules: ScalingRules, current: int, reached: list[int], choose: Choice) -> int:
    if rules.select_policy == "Disabled" or not reached:
        return current
    return max(-MOST_REPLICAS, min(MOST_REPLICAS, choose(reached)))


def _start(policy: ScalingPolicy, current: int, memory: Memory, now: datetime) -> int:
    """Return the size that the policy's period began with, as far as this controller changed it."""
    since = now - timedelta(seconds=policy.period_seconds)
    return current - changed_since(memory.ups, since) + changed_since(memory.downs, since)

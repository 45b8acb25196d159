"""The conditions of an autoscaler, in the order in which they were first set (reference: hpa 12).

The last one written in an evaluation counts; a time moves only when a status flips; conditions
that an evaluation does not come to keep what they said. Pure.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from kcm.objects import Condition

Conditions = tuple[Condition, ...]

ABLE, ACTIVE, LIMITED, AT_ZERO = "AbleToScale", "ScalingActive", "ScalingLimited", "ScaledToZero"


def put(
    conditions: Conditions, type_: str, holds: bool, reason: str, message: str, now: datetime
) -> Conditions:
    """Return the conditions with this one changed in its place, or added at the end."""
    status = "True" if holds else "False"
    new = Condition(type_, status, now.replace(microsecond=0), reason, message)
    for index, present in enumerate(conditions):
        if present.type != type_:
            continue
        if present.status == status:
            new = msgspec.structs.replace(new, last_transition_time=present.last_transition_time)
        return (*conditions[:index], new, *conditions[index + 1 :])
    return (*conditions, new)


def drop(conditions: Conditions, type_: str) -> Conditions:
    """Return the others."""
    return tuple(each for each in conditions if each.type != type_)


def holds(conditions: Conditions, type_: str) -> bool:
    """Say whether the condition is there and true."""
    return any(each.type == type_ and each.status == "True" for each in conditions)

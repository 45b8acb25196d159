"""Status conditions, as built-in workloads write them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kcm.objects.metadata import Spec


class Condition(Spec, frozen=True):
    """One observed truth: `status` is "True", "False" or "Unknown"."""

    type: str
    status: str
    last_transition_time: datetime | None = None
    reason: str = ""
    message: str = ""


def find_condition(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """Return the condition of that type, if there is one."""
    for condition in conditions:
        if condition.type == type_:
            return condition
    return None

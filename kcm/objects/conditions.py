"""Status conditions, as built-in workloads and custom resources write them."""

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


class ObservedCondition(Condition, frozen=True, kw_only=True):
    """`metav1.Condition`, which custom resources use: also says which generation it is about."""

    observed_generation: int = 0


def with_condition(
    conditions: Iterable[ObservedCondition],
    type_: str,
    holds: bool | None,
    *,
    reason: str,
    message: str = "",
    now: datetime,
    generation: int = 0,
) -> tuple[ObservedCondition, ...]:
    """Return the conditions with one of them set: `holds` None is "Unknown". Others keep their places.

    `last_transition_time` moves only when the status does, so that setting what is set already gives
    equal conditions, and a plan that compares writes nothing. `reason` is one CamelCase word; the API
    asks for it. `generation`: that of the spec that was looked at.
    """
    present = tuple(conditions)
    status = "Unknown" if holds is None else str(holds)
    before = next((each for each in present if each.type == type_), None)
    same = before is not None and before.status == status
    wanted = ObservedCondition(
        type=type_,
        status=status,
        # To the second, as the API's own times.
        last_transition_time=before.last_transition_time
        if before is not None and same
        else now.replace(microsecond=0),
        reason=reason,
        message=message,
        observed_generation=generation,
    )
    if before is None:
        return (*present, wanted)
    return tuple(wanted if each.type == type_ else each for each in present)

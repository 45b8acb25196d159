"""The status of an autoscaler: what it is to say, and the write that makes it so.

Guarantees: nothing is written that says what is there already (reference: hpa 12), and nothing
over what came in between: a condition may be another's, or say whose zero it is. Rescales
under `behavior` ride along in an annotation, since the rate limits of a successor count from
them; it is read back with the same suspicion as anything from outside. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import msgspec

from controllers.hpa.conditions import ABLE, ACTIVE, LIMITED, Conditions
from controllers.hpa.memory import Memory, Rescale
from kcm import Plan
from kcm.objects import HorizontalPodAutoscaler, Spec
from kcm.objects.autoscalers import AutoscalerStatus, MetricStatus

RESCALES = "autoscaling.kcm.dev/rescales"
_MOST_KEPT = 64
_LONGEST_TEXT = 8192

_Kept = tuple[Annotated[int, msgspec.Meta(ge=0, le=2**31)], datetime]


class _Rescales(Spec, frozen=True):
    ups: tuple[_Kept, ...] = ()
    downs: tuple[_Kept, ...] = ()


def status_plan(hpa: HorizontalPodAutoscaler, new: AutoscalerStatus, memory: Memory) -> Plan:
    """Plan the status, and what is remembered with it, if they say anything new."""
    notes = _notes(hpa, memory)
    if not notes and _plain(new) == _plain(hpa.status):
        return Plan.nothing()
    changes: dict[str, Any] = {
        "currentReplicas": new.current_replicas,
        "desiredReplicas": new.desired_replicas,
        "lastScaleTime": new.last_scale_time,
        "currentMetrics": None
        if new.current_metrics is None
        else [_shown(each) for each in new.current_metrics],
        "conditions": [*new.conditions],
    }
    return Plan.patch_status(
        hpa,
        changes,
        because="the evaluation came to something new",
        annotations=notes,
        routine=not notes and _decided(new) == _decided(hpa.status),
    )


def new_status(
    hpa: HorizontalPodAutoscaler,
    conditions: Conditions,
    *,
    current: int,
    desired: int,
    metrics: tuple[MetricStatus, ...] | None,
    rescaled_at: datetime | None = None,
) -> AutoscalerStatus:
    """Return the status after an evaluation; the time of the last rescale stays unless there was one."""
    return AutoscalerStatus(
        current_replicas=current,
        desired_replicas=desired,
        last_scale_time=hpa.status.last_scale_time
        if rescaled_at is None
        else rescaled_at.replace(microsecond=0),
        current_metrics=metrics,
        conditions=conditions,
    )


def remembered(hpa: HorizontalPodAutoscaler) -> Memory:
    """Return what a predecessor left behind: its rescales, or nothing when they cannot be read."""
    text = hpa.metadata.annotations.get(RESCALES, "")
    if not text or len(text) > _LONGEST_TEXT:
        return Memory()
    try:
        kept = msgspec.json.decode(text, type=_Rescales)
    except (ValueError, RecursionError):
        return Memory()
    return Memory(None, _rescales(kept.ups), _rescales(kept.downs))


def _rescales(kept: Iterable[_Kept]) -> tuple[Rescale, ...]:
    return tuple(Rescale(change, at) for change, at in list(kept)[-_MOST_KEPT:] if at.tzinfo is not None)


def _notes(hpa: HorizontalPodAutoscaler, memory: Memory) -> dict[str, str | None]:
    """Return the annotation, if it has to change."""
    present = hpa.metadata.annotations.get(RESCALES)
    if hpa.spec.behavior is None or not (memory.ups or memory.downs):
        # Left alone without behavior: it says nothing then, and costs no write of its own.
        return {}
    kept = _Rescales(
        tuple((each.change, each.at) for each in memory.ups[-_MOST_KEPT:]),
        tuple((each.change, each.at) for each in memory.downs[-_MOST_KEPT:]),
    )
    text = msgspec.json.encode(kept).decode()
    return {} if text == present else {RESCALES: text}


def _plain(status: AutoscalerStatus) -> AutoscalerStatus:
    """Return a status in which nothing and an empty list are the same."""
    return msgspec.structs.replace(status, current_metrics=status.current_metrics or None)


def says_so_already(status: AutoscalerStatus) -> bool:
    """Say whether a status tells that the target or a metric cannot be read: its events repeat then."""
    failing = any(each.status == "False" and each.type in (ABLE, ACTIVE) for each in status.conditions)
    return failing or any(not metric.type for metric in status.current_metrics or ())


def _decided(status: AutoscalerStatus) -> tuple[object, ...]:
    """Return what of a status follows from a decision.

    Readings, words and times are of the moment; which window or bound holds a size that stays as it is
    depends on what each manager remembers.
    """
    says = {each.type: each.reason if each.type == ACTIVE else each.status for each in status.conditions}
    says.pop(LIMITED, None)
    return status.current_replicas, status.desired_replicas, status.last_scale_time, says


def _shown(metric: MetricStatus) -> dict[str, Any]:
    """Return one reading as the API wants it: a failed one has an empty type (reference: hpa 7)."""
    found: dict[str, Any] = msgspec.to_builtins(metric)
    return {"type": "", **found}

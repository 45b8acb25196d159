"""What an evaluation does about its verdict: rescale, or only tell, and write the status.

Guarantees: the rescale carries the uid of the scale that was read; one that fails leaves what
was desired before, with a condition and an event; a status that cannot be written is left to
the next evaluation. Decides nothing: see `decide`.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from controllers.hpa.conditions import ABLE, Conditions, put
from controllers.hpa.decide import Verdict, at_zero
from controllers.hpa.evaluate import Failure
from controllers.hpa.limits import Bounds, longest_period
from controllers.hpa.memory import Memory
from controllers.hpa.settings import Settings
from controllers.hpa.status import new_status, says_so_already, status_plan
from controllers.hpa.targets import Found, told
from kcm import Plan, Target
from kcm.objects import HorizontalPodAutoscaler, Key
from kcm.objects.autoscalers import AutoscalerStatus

if TYPE_CHECKING:
    from kcm import Context


class Computation(NamedTuple):
    """One metric that was computed, for the metrics: type, where it points, failure, seconds."""

    metric_type: str
    action: str
    error: str
    seconds: float


class Evaluation(NamedTuple):
    """What came of it; `desired` None: nothing could be decided. The rest is for the metrics."""

    memory: Memory
    desired: int | None = None
    action: str = "none"
    error: str = "none"
    computations: tuple[Computation, ...] = ()


def direction(before: int, after: int) -> str:
    """Return what the metrics call a change: scale_up, scale_down or none."""
    if after == before:
        return "none"
    return "scale_up" if after > before else "scale_down"


async def tell(ctx: Context, hpa: HorizontalPodAutoscaler, scale: Found, found: Verdict) -> Evaluation:
    """Say what would be done, in status and, when it is another thing than before, by an event."""
    now, current, conditions = ctx.now(), scale.replicas, found.conditions
    if found.desired is not None and found.desired != current:
        text = f"would scale {current} → {found.desired}"
        told_before = any(each.type == ABLE and each.message == text for each in hpa.status.conditions)
        conditions = put(conditions, ABLE, True, "DryRun", text, now)
        if not told_before:
            await ctx.apply(Plan.emit(hpa, "Normal", "DryRun", f"{text}; reason: {found.cause}"))
    new = new_status(hpa, conditions, current=current, desired=current, metrics=found.metrics)
    await write_status(ctx, hpa, new, found.memory)
    return Evaluation(found.memory, None, "none", "internal" if found.warnings else "none")


async def carry_out(
    ctx: Context,
    hpa: HorizontalPodAutoscaler,
    bounds: Bounds,
    scale: Found,
    found: Verdict,
    settings: Settings,
) -> Evaluation:
    """Rescale if that was decided, then write the status."""
    now, current, memory = ctx.now(), scale.replicas, found.memory
    conditions, desired = found.conditions, found.desired
    rescaled = False
    error = "internal" if found.failed or found.warnings else "none"
    if desired is not None and desired != current:
        target = Target(scale.resource, Key(ctx.key.namespace, hpa.spec.scale_target_ref.name), scale.uid)
        outcome = await ctx.apply(Plan.scale(target, desired, because=found.cause or "windows or bounds"))
        if outcome.failed:
            error_text = told(outcome.failed[0].error)
            note = f"New size: {desired}; reason: {found.cause}; error: {error_text}"
            text = f"the HPA controller was unable to update the target scale: {error_text}"
            conditions = put(conditions, ABLE, False, "FailedUpdateScale", text, now)
            await warn(ctx, hpa, (Failure("FailedRescale", note),))
            desired, error = None, "internal"
        else:
            rescaled = True
            conditions, memory = _after_rescale(
                hpa, bounds, current, desired, conditions, memory, settings, now
            )
            note = f"New size: {desired}; reason: {found.cause}"
            await ctx.apply(Plan.emit(hpa, "Normal", "SuccessfulRescale", note))
    new = new_status(
        hpa,
        conditions,
        current=current,
        desired=hpa.status.desired_replicas if desired is None else desired,
        metrics=found.metrics,
        rescaled_at=now if rescaled else None,
    )
    await write_status(ctx, hpa, new, memory)
    if found.failed is not None and found.desired is None:
        await warn(ctx, hpa, (found.failed,))
    action = direction(current, desired) if rescaled and desired is not None else "none"
    return Evaluation(memory, desired, action, error)


def _after_rescale(
    hpa: HorizontalPodAutoscaler,
    bounds: Bounds,
    before: int,
    after: int,
    conditions: Conditions,
    memory: Memory,
    settings: Settings,
    now: datetime,
) -> tuple[Conditions, Memory]:
    text = f"the HPA controller was able to update the target scale to {after}"
    conditions = put(conditions, ABLE, True, "SucceededRescale", text, now)
    conditions = at_zero(hpa.spec, bounds, conditions, before, after, settings, now)
    behavior = hpa.spec.behavior
    if behavior is not None:
        rules = behavior.scale_up if after > before else behavior.scale_down
        memory = memory.rescaled(before, after, now, longest_period(rules))
    return conditions, memory


async def write_status(
    ctx: Context, hpa: HorizontalPodAutoscaler, new: AutoscalerStatus, memory: Memory
) -> None:
    """Write the status; if it fails, the next evaluation writes it (reference: hpa 12)."""
    outcome = await ctx.apply(status_plan(hpa, new, memory))
    for failed in outcome.failed:
        await warn(ctx, hpa, (Failure("FailedUpdateStatus", told(failed.error)),))


async def warn(ctx: Context, hpa: HorizontalPodAutoscaler, failures: tuple[Failure, ...]) -> None:
    """Tell people what went wrong."""
    routine = says_so_already(hpa.status)
    for failure in failures:
        await ctx.apply(Plan.emit(hpa, "Warning", failure.reason, failure.note, routine=routine))

"""One evaluation of one autoscaler, from reading the scale to writing the status.

The order of the reference (hpa 8): target, selector, metrics, decision, rescale, status, and
the event about metrics that failed last of all. Guarantees: each step that fails leaves a
condition and an event, and what was desired before stays desired. Decides nothing itself (see
`decide`), and writes through `actuation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from controllers.hpa.actuation import (
    Computation,
    Evaluation,
    carry_out,
    direction,
    tell,
    warn,
    write_status,
)
from controllers.hpa.conditions import ABLE, ACTIVE, Conditions, put
from controllers.hpa.decide import (
    NOTHING_COMPUTED,
    Outlook,
    Verdict,
    bounds_of,
    fall_back,
    outlook,
    paused,
    tolerance_of,
    unmeasured,
    verdict,
)
from controllers.hpa.evaluate import INVALID_SOURCE, Failure, Measured, Situation
from controllers.hpa.fetching import Fetcher
from controllers.hpa.limits import Bounds
from controllers.hpa.measure import measure
from controllers.hpa.memory import Memory
from controllers.hpa.schedules import scheduled
from controllers.hpa.selectors import Selectors, owned_by, pods_of
from controllers.hpa.settings import Settings
from controllers.hpa.targets import Found, Targets, Unreachable
from controllers.hpa.values import BadValue
from controllers.hpa.wishes import Wishes
from kcm.objects import HorizontalPodAutoscaler, Selector
from kcm.objects.autoscalers import AutoscalerStatus, MeasuredPod

if TYPE_CHECKING:
    from kcm import Context

# An answer this much younger than a period serves another autoscaler that asks the same.
SHARED_FOR = 1 / 3


class Services(NamedTuple):
    """What all evaluations share."""

    settings: Settings
    fetcher: Fetcher
    targets: Targets
    selectors: Selectors


class BadSelector(Exception):
    """The target's selector cannot be used: `reason` is the event's, `condition` the condition's.

    `told`: what the condition says, where it is not the text of the event.
    """

    def __init__(self, reason: str, condition: str, text: str, told: str = "") -> None:
        super().__init__(text)
        self.reason = reason
        self.condition = condition
        self.told = told or text


async def evaluation_of(
    ctx: Context, hpa: HorizontalPodAutoscaler, wishes: Wishes, memory: Memory, services: Services
) -> Evaluation:
    """Evaluate one autoscaler now."""
    now = ctx.now()
    if wishes.problems != memory.told:
        await warn(ctx, hpa, tuple(Failure("InvalidAnnotation", text) for text in wishes.problems))
        memory = memory._replace(told=wishes.problems)
    try:
        scale = await services.targets.scale(ctx, ctx.key, hpa.spec.scale_target_ref)
    except Unreachable as error:
        return await _without_scale(ctx, hpa, memory, error)
    text = "the HPA controller was able to get the target's current scale"
    conditions = put(hpa.status.conditions, ABLE, True, "SucceededGetScale", text, now)
    memory = memory.seeded(scale.replicas, now)
    bounds = scheduled(wishes.schedule, bounds_of(hpa.spec), now)
    computations: tuple[Computation, ...] = ()
    view = outlook(hpa.spec, bounds, conditions, scale.replicas, services.settings)
    if wishes.paused:
        found = paused(conditions, memory, now)
    elif view is Outlook.MEASURE:
        found, seconds = await _measured(ctx, hpa, wishes, bounds, scale, conditions, memory, services)
        computations = _computations(hpa, found, seconds)
        found = fall_back(found, wishes.fallback, bounds, scale.replicas, now)
    else:
        found = unmeasured(view, bounds, conditions, memory, services.settings, now)
    await warn(ctx, hpa, found.warnings)
    if wishes.dry_run:
        done = await tell(ctx, hpa, scale, found)
    else:
        done = await carry_out(ctx, hpa, bounds, scale, found, services.settings)
    return done._replace(computations=computations)


def _computations(
    hpa: HorizontalPodAutoscaler, found: Verdict, seconds: list[float]
) -> tuple[Computation, ...]:
    """Return what is counted of each metric; its direction is from what the status said before (hpa 13)."""
    before = hpa.status.current_replicas
    counted = []
    for spec, result, took in zip(hpa.spec.metrics, found.results, seconds, strict=False):
        if isinstance(result, Failure):
            error = "spec" if result.reason == INVALID_SOURCE else "internal"
            counted.append(Computation(spec.type, "none", error, took))
        else:
            counted.append(Computation(spec.type, direction(before, result.replicas), "none", took))
    return tuple(counted)


async def _without_scale(
    ctx: Context, hpa: HorizontalPodAutoscaler, memory: Memory, error: Unreachable
) -> Evaluation:
    """Say that the target cannot be read, and nothing else (reference: hpa 16, trap 16)."""
    failure = Failure("FailedGetScale", str(error))
    text = f"the HPA controller was unable to get the target's current scale: {error}"
    conditions = put(hpa.status.conditions, ABLE, False, failure.reason, text, ctx.now())
    await warn(ctx, hpa, (failure,))
    status = hpa.status
    new = AutoscalerStatus(
        status.current_replicas,
        status.desired_replicas,
        status.last_scale_time,
        status.current_metrics,
        conditions,
    )
    await write_status(ctx, hpa, new, memory)
    return Evaluation(memory, None, "none", "internal")


async def _measured(
    ctx: Context,
    hpa: HorizontalPodAutoscaler,
    wishes: Wishes,
    bounds: Bounds,
    scale: Found,
    conditions: Conditions,
    memory: Memory,
    services: Services,
) -> tuple[Verdict, list[float]]:
    """Return the verdict of the metrics, and how long each took to read."""
    now, settings = ctx.now(), services.settings
    try:
        pods = _pods(ctx, scale, services.selectors)
        tolerance = tolerance_of(hpa.spec, settings)
    except BadSelector as error:
        conditions = put(conditions, ACTIVE, False, error.condition, error.told, now)
        return _unmeasurable(conditions, memory, Failure(error.reason, str(error))), []
    except BadValue as error:
        warning = Failure(INVALID_SOURCE, f"tolerance: {error}")
        conditions = put(conditions, ACTIVE, False, INVALID_SOURCE, warning.note, now)
        return _unmeasurable(conditions, memory, warning), []
    timed = await measure(
        ctx,
        services.fetcher,
        services.targets,
        hpa.spec.metrics,
        scale.selector,
        settings.sync_period * SHARED_FOR,
    )
    found, reported = [each for each, _ in timed], scale.reported
    if wishes.owned_only:
        pods = owned_by(ctx.cache, pods, scale.uid)
        found = [_only(samples, pods) for samples in found]
        # What a rolling update adds is not to count here either.
        reported = scale.replicas
    situation = Situation(pods, scale.replicas, reported, tolerance, now, settings, wishes.smoothing)
    decided = verdict(hpa.spec, bounds, conditions, found, situation, memory)
    return decided, [seconds for _, seconds in timed]


def _unmeasurable(conditions: Conditions, memory: Memory, why: Failure) -> Verdict:
    """Return the verdict where no metric could even be asked for."""
    failed = Failure(NOTHING_COMPUTED, why.note)
    return Verdict(None, conditions, memory, warnings=(why,), failed=failed)


def _pods(ctx: Context, scale: Found, selectors: Selectors) -> tuple[MeasuredPod, ...]:
    """Return the target's pods; BadSelector when they cannot be told from another's."""
    if not scale.selector:
        told = "the HPA target's scale is missing a selector"
        raise BadSelector("SelectorRequired", "InvalidSelector", "selector is required", told)
    try:
        selector = Selector.parse(scale.selector)
    except ValueError as error:
        text = f"couldn't convert selector into a corresponding internal selector object: {error}"
        raise BadSelector("InvalidSelector", "InvalidSelector", text) from None
    selectors.register(ctx.key, selector)
    pods = pods_of(ctx.cache, ctx.key.namespace, selector)
    sharing = selectors.sharing(ctx.key.namespace, pods)
    if len(sharing) > 1:
        names = " ".join(sorted(str(key) for key in sharing)[:10])
        text = f"pods by selector {scale.selector} are controlled by multiple HPAs: [{names}]"
        raise BadSelector("AmbiguousSelector", "AmbiguousSelector", text[:1000])
    return pods


def _only(found: Measured, pods: tuple[MeasuredPod, ...]) -> Measured:
    """Return the samples of these pods, and what is no samples as it is."""
    if not isinstance(found, Mapping):
        return found
    names = {pod.metadata.name for pod in pods}
    return {name: sample for name, sample in found.items() if name in names}

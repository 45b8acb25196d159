"""The HorizontalPodAutoscaler controller.

Once per period and autoscaler: read the target's scale, measure, decide, rescale, and say in
status and events what was done and why. Guarantees: nothing is written on a metric that cannot
be trusted; a slow metrics API holds up only the autoscalers that ask it (many workers, few
requests at once per API); what is remembered lives here and is gone with the process, so a new
leader begins by holding every size for a whole window (reference: hpa 16, trap 7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from controllers.hpa.actuation import Evaluation
from controllers.hpa.evaluation import Services, evaluation_of
from controllers.hpa.fetching import Fetcher
from controllers.hpa.instruments import Instruments
from controllers.hpa.memory import Memory
from controllers.hpa.pacing import Pacing
from controllers.hpa.selectors import BY_LABEL, Selectors, label_pairs
from controllers.hpa.settings import Settings
from controllers.hpa.status import remembered
from controllers.hpa.targets import Targets
from controllers.hpa.wishes import default_wishes, wishes_of
from kcm import Controller, Done, Rate, RequeueAfter, anything, primary, watches, writes
from kcm.objects import HorizontalPodAutoscaler, MeasuredPod, ReplicaSet

if TYPE_CHECKING:
    from kcm import Cache, Context, Key, Result


class Seen(NamedTuple):
    """An autoscaler; None when it is gone and only what is remembered of it has to go."""

    hpa: HorizontalPodAutoscaler | None


def _nobody(other: MeasuredPod | ReplicaSet) -> Iterable[Key]:
    """Pods and who owns them are looked at once per period, not listened to."""
    return ()


class HorizontalPodAutoscalerController(Controller[HorizontalPodAutoscaler, Seen]):
    """Scales workloads by metrics."""

    name = "hpa"
    component = "horizontal-pod-autoscaler"
    aliases: ClassVar[tuple[str, ...]] = (
        "horizontalpodautoscaler",
        "horizontal-pod-autoscaler-controller",
        "horizontalpodautoscaling",
    )
    watches = (
        primary(HorizontalPodAutoscaler),
        watches(MeasuredPod, to=_nobody, indexes={BY_LABEL: label_pairs}),
        watches(ReplicaSet, to=_nobody),
    )
    # Its targets are of any type that has a scale.
    writes = writes(HorizontalPodAutoscaler, "status"), anything("scale")
    settings_type = Settings
    # Each waits for its target's scale and its metrics most of the time.
    workers = 500
    rate = Rate(400.0, 800)

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        own = settings or Settings()
        default_wishes(own)
        fetcher = Fetcher(own.metrics_timeout)
        self._services = Services(own, fetcher, Targets(fetcher, own.metrics_timeout), Selectors())
        self._pacing = Pacing(own.sync_period)
        self._memories: dict[Key, Memory] = {}
        self._instruments: Instruments | None = None

    def observe(self, cache: Cache, key: Key) -> Seen | None:
        return Seen(cache.get(HorizontalPodAutoscaler, key))

    async def reconcile(self, ctx: Context, seen: Seen) -> Result:
        instruments = self._instruments = self._instruments or Instruments(ctx)
        hpa = seen.hpa
        if hpa is None:
            self._forget(ctx.key, instruments)
            return Done()
        clock = asyncio.get_running_loop().time
        wishes = wishes_of(hpa.metadata.annotations, self._services.settings)
        if (wait := self._pacing.wait(hpa, clock(), at_once=wishes.react_at_once)) > 0:
            return RequeueAfter(wait)
        begun = clock()
        instruments.began(self._pacing.taken(hpa, begun))
        memory = self._memories.get(ctx.key) or remembered(hpa)
        evaluation = await evaluation_of(ctx, hpa, wishes, memory, self._services)
        self._memories[ctx.key] = evaluation.memory
        self._count(ctx.key, evaluation, instruments, clock() - begun)
        return RequeueAfter(max(0.001, self._pacing.wait(hpa, clock())))

    def _count(self, key: Key, done: Evaluation, instruments: Instruments, seconds: float) -> None:
        instruments.known(len(self._pacing))
        instruments.evaluated(done.action, done.error, seconds)
        for each in done.computations:
            instruments.computed(*each)
        if done.desired is not None:
            instruments.wants(key, done.desired)

    def _forget(self, key: Key, instruments: Instruments) -> None:
        self._services.selectors.forget(key)
        self._pacing.forget(key)
        self._memories.pop(key, None)
        instruments.forget(key)
        instruments.known(len(self._pacing))

"""Fetches what the metrics of one autoscaler need, all at once.

One that fails does not hold up or spoil the others: it comes back as `Unmeasurable`, in its
place. Owns nothing; the fetcher shares answers between autoscalers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from controllers.hpa.evaluate import Measured
from controllers.hpa.fetching import Fetcher
from controllers.hpa.grouping import Unmeasurable
from controllers.hpa.queries import (
    Query,
    decode,
    external_query,
    measured,
    object_query,
    pods_query,
    resource_query,
)
from controllers.hpa.targets import READ_FAILURES, Targets, Unreachable, told
from kcm.objects.autoscalers import MetricSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kcm import Context


async def measure(
    ctx: Context,
    fetcher: Fetcher,
    targets: Targets,
    metrics: Sequence[MetricSpec],
    selector: str,
    fresh_for: float,
) -> list[tuple[Measured, float]]:
    """Return what was measured for each metric, in order, and how many seconds it took."""
    clock = asyncio.get_running_loop().time

    async def timed(spec: MetricSpec) -> tuple[Measured, float]:
        began = clock()
        return await one(spec), clock() - began

    async def one(spec: MetricSpec) -> Measured:
        try:
            query = await _query(ctx, targets, spec, selector)
            answer = await fetcher.fetch(ctx, query, decode, fresh_for=fresh_for)
            return measured(spec, answer)
        except Unmeasurable as failure:
            return failure
        except Unreachable as error:
            return Unmeasurable(str(error))
        except TimeoutError:
            return Unmeasurable("the metrics API did not answer in time")
        except READ_FAILURES as error:
            return Unmeasurable(f"the metrics API cannot be asked: {told(error)}")

    return list(await asyncio.gather(*(timed(spec) for spec in metrics)))


async def _query(ctx: Context, targets: Targets, spec: MetricSpec, selector: str) -> Query:
    namespace = ctx.key.namespace
    match spec.type:
        case "Resource" | "ContainerResource":
            return resource_query(namespace, selector)
        case "Pods" if spec.pods is not None:
            version = await targets.custom_version(ctx)
            return pods_query(version, namespace, selector, spec.pods.metric)
        case "Object" if spec.object is not None:
            about = spec.object.described_object
            resource = (await targets.resources(ctx, about))[0]
            version = await targets.custom_version(ctx)
            return object_query(version, namespace, resource, about.name, spec.object.metric)
        case "External" if spec.external is not None:
            return external_query(namespace, spec.external.metric)
        case _:
            raise Unmeasurable(f"unknown metric source type {spec.type[:64]!r}")

"""What a reconcile is handed: the time, the cache, and the way to write.

A `Context` lives for one reconcile of one key. It remembers which resources an unanswered
write touched, so that the dispatcher can hold the key until the replica has caught up
(DESIGN §2.3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from kcm.base.clock import Clock
from kcm.cache.replica import Cache
from kcm.client.api import ApiClient
from kcm.client.errors import ApiError, NotFound
from kcm.client.transport import Unanswered
from kcm.objects.resource import Key, Resource, ResourceType
from kcm.runtime.applier import Applier
from kcm.runtime.plan import Action, Create, Delete, Failed, Outcome, Patch, Plan, Scale
from kcm.runtime.rehearsal import Rehearsed, RehearsedReconcile
from kcm.telemetry.logging import Logger
from kcm.telemetry.metrics import Metrics

R = TypeVar("R", bound=Resource[Any])


class Context:
    """One reconcile's view of time, cache and API server."""

    def __init__(
        self,
        key: Key,
        clock: Clock,
        cache: Cache,
        applier: Applier | RehearsedReconcile,
        client: ApiClient,
        metrics: Metrics,
        log: Logger,
    ) -> None:
        self.key = key
        self.cache = cache
        self.metrics = metrics
        self.log = log
        self.unsettled: set[ResourceType] = set()
        self.rehearsed = False
        self._clock = clock
        self._applier = applier
        self._client = client

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return self._clock.wall()

    async def apply(self, plan: Plan) -> Outcome:
        """Carry out a plan; what failed is in the outcome, nothing is raised for it."""
        if not plan:
            return Outcome()
        try:
            outcome = await self._applier.apply(plan)
        except Rehearsed:
            self.rehearsed = True
            raise
        except BaseException:
            # Cut off in the middle: any of the writes may have been on its way.
            self.unsettled.update(filter(None, map(_resource_of, plan.actions)))
            raise
        for failure in outcome.failed:
            in_doubt = _may_have_acted(failure.error) or _proves_stale(failure)
            if in_doubt and (resource := _resource_of(failure.action)):
                self.unsettled.add(resource)
        self._log_outcome(plan, outcome)
        return outcome

    def _log_outcome(self, plan: Plan, outcome: Outcome) -> None:
        """Say why, once per plan: thousands of creates for one reason are one record."""
        if self.log.enabled("debug"):
            reasons = {because for action in plan.actions if (because := getattr(action, "because", ""))}
            self.log.debug(
                "plan applied",
                because="; ".join(sorted(reasons)),
                done=len(outcome.done),
                failed=len(outcome.failed),
                skipped=len(outcome.skipped),
            )

    async def live(self, type_: type[R], key: Key) -> R | None:
        """Read one object from the API server itself, past every cache; None when it does not exist."""
        try:
            answer = await self._client.get(type_.resource_type(), key)
        except NotFound:
            return None
        found: R = msgspec.json.decode(answer, type=type_)
        return found

    async def read(
        self,
        *segments: str,
        query: Mapping[str, str] | None = None,
        seconds: float = 10.0,
        max_bytes: int = 4 * 1024 * 1024,
    ) -> bytes:
        """GET any path of the API server and return the body: discovery, /scale, an aggregated API.

        `segments` are the parts between the slashes, each a name: none can lead elsewhere. TimeoutError
        after `seconds`; ApiError and TransportError as `live`. The body is at most `max_bytes`.
        """
        async with asyncio.timeout(seconds):
            return await self._client.read(segments, query or {}, max_bytes)


def _may_have_acted(error: Exception) -> bool:
    """Say whether the server may have done what it was asked, although it did not say so.

    An error `from` an `Unanswered` is that of a repeat: the first try is still in doubt.
    """
    if isinstance(error, Unanswered) or isinstance(error.__cause__, Unanswered):
        return True
    return isinstance(error, ApiError) and error.may_have_acted


def _resource_of(action: Action) -> ResourceType | None:
    match action:
        case Create(object):
            return object.resource_type()
        case Patch(target) | Scale(target) | Delete(target):
            return target.resource
        case _:
            return None


def _proves_stale(failure: Failed) -> bool:
    """Say whether the server does not have what was seen: deciding on it again would do harm again."""
    return isinstance(failure.error, NotFound) and not isinstance(failure.action, Create)

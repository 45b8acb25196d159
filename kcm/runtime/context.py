"""What a reconcile is handed: the time, the cache, and the way to write.

A `Context` lives for one reconcile of one key. It remembers which resources an unanswered
write touched, so that the dispatcher can hold the key until the replica has caught up
(DESIGN §2.3).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from kcm.base.clock import Clock
from kcm.base.errors import DeadlineExceeded
from kcm.cache.replica import Cache
from kcm.client.api import ApiClient
from kcm.client.errors import ApiError, NotFound
from kcm.client.transport import Unanswered
from kcm.objects.events import Emitted, reference_to
from kcm.objects.resource import Key, Resource, ResourceType
from kcm.runtime.applier import Applier, EventSink
from kcm.runtime.decisions import Journal
from kcm.runtime.grants import Allowance
from kcm.runtime.inbox import Inbox
from kcm.runtime.plan import Action, Apply, Create, Delete, Emit, Failed, Outcome, Patch, Plan, Scale
from kcm.runtime.rehearsal import Rehearsed, RehearsedReconcile
from kcm.telemetry.logging import Logger
from kcm.telemetry.metrics import Metrics
from kcm.telemetry.tracing import traceparent

R = TypeVar("R", bound=Resource[Any])


class Context:
    """One reconcile's view of time, cache and API server.

    `key`: the object's; `cache`: what `observe` reads; `log`: records of a message and keys,
    `ctx.log.info("made", size=3)`; `metrics`: makes instruments of the controller's own, for /metrics.
    The runtime's: `unsettled`, what unanswered writes touched; `rehearsed`, whether a dry run stopped here.
    """

    def __init__(
        self,
        key: Key,
        clock: Clock,
        cache: Cache,
        applier: Applier | RehearsedReconcile,
        client: ApiClient,
        metrics: Metrics,
        log: Logger,
        events: EventSink | None = None,
        inbox: Inbox | None = None,
        allowance: Allowance | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.key = key
        self.cache = cache
        self.metrics = metrics
        self.log = log
        self.unsettled: set[ResourceType] = set()
        # After how many seconds a key whose plan was not sent is due again; 0: nothing was held back.
        self.rehearsed = 0.0
        self._clock = clock
        self._applier = applier
        self._client = client
        self._events = events
        self._inbox = inbox
        self._allowance = allowance
        self._journal = journal
        self._outcomes: list[Outcome] = []

    @property
    def dry_run(self) -> bool:
        """Say whether nothing may be changed: plans are told only, and so must be what is outside."""
        return isinstance(self._applier, RehearsedReconcile)

    @property
    def traceparent(self) -> str:
        """Return the `traceparent` header for a request to something outside; "" if nobody traces this.

        Requests to the API server carry it by themselves.
        """
        return traceparent()

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return self._clock.wall()

    async def apply(self, plan: Plan) -> Outcome:
        """Carry out a plan; what failed is in the outcome, nothing is raised for it.

        Except `Undeclared`, for a plan with a write that the controller does not declare (`kcm.writes`).
        """
        _check_is_plan(plan)
        if not plan:
            return Outcome()
        if self._allowance is not None:
            self._allowance.check(plan)
        try:
            outcome = await self._applier.apply(plan)
        except Rehearsed as held_back:
            self.rehearsed = held_back.recheck
            raise
        except BaseException:
            # Cut off in the middle: any of the writes may have been on its way.
            self.unsettled.update(filter(None, map(_resource_of, plan.actions)))
            raise
        for failure in outcome.failed:
            in_doubt = _may_have_acted(failure.error) or _proves_stale(failure)
            if in_doubt and (resource := _resource_of(failure.action)):
                self.unsettled.add(resource)
        self._outcomes.append(outcome)
        self._log_outcome(plan, outcome)
        if self._journal is not None:
            self._journal.applied(self.key, plan, outcome)
        return outcome

    def newest(self, seen: R) -> R:
        """Return `seen` as this reconcile's own writes left it; itself, if there were none.

        A second write that depends on the resourceVersion (a status, a finalizer) starts from it.
        """
        for outcome in reversed(self._outcomes):
            for applied in reversed(outcome.done):
                left = applied.object
                if isinstance(left, type(seen)) and left.metadata.uid == seen.metadata.uid:
                    return left
        return seen

    @asynccontextmanager
    async def within(self, seconds: float, what: str) -> AsyncIterator[None]:
        """Bound calls to something outside: `async with ctx.within(5, "the network service"):`.

        `DeadlineExceeded`, which names `what`, when the block takes longer; it is tried again later.
        """
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                yield
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise DeadlineExceeded(what, seconds) from error

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

    def emit(
        self,
        about: Resource[Any],
        type_: Literal["Normal", "Warning"],
        reason: str,
        note: str,
        *,
        action: str = "",
    ) -> None:
        """Tell people what happened to an object, as an Event; never waits, never fails.

        `reason`: why, one CamelCase word; `note`: for people, at most 1024 characters; `action`: what
        the controller did about it, "" for the reason itself (reference: runtime §6).
        """
        if self._events is not None:
            self._events.emit(Emit(reference_to(about), type_, reason, note, action))

    def heard(self) -> tuple[Emitted, ...]:
        """Return the events about this key's object that wait for this controller, oldest first."""
        return self._inbox.waiting(self.key) if self._inbox is not None else ()

    def handled(self, event: Emitted) -> None:
        """Forget an event that was `heard`; until then a reconcile of the key sees it again."""
        if self._inbox is not None:
            self._inbox.handled(event)

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
        metadata_only: bool = False,
    ) -> bytes:
        """GET any path of the API server and return the body: discovery, /scale, an aggregated API.

        `segments` are the parts between the slashes, each a name: none can lead elsewhere. TimeoutError
        after `seconds`; ApiError and TransportError as `live`. The body is at most `max_bytes`; of a
        collection's items `metadata_only` leaves out the rest, if the server can.
        """
        async with asyncio.timeout(seconds):
            return await self._client.read(segments, query or {}, max_bytes, metadata_only=metadata_only)


def _check_is_plan(given: object) -> None:
    # None is no plan that has nothing to do: somebody's `decide` has forgotten a return.
    if not isinstance(given, Plan):
        found = f"{given!r:.100}"
        raise TypeError(f"ctx.apply takes a Plan, not {found}: does `decide` return one on every way?")


def _may_have_acted(error: Exception) -> bool:
    """Say whether the server may have done what it was asked, although it did not say so.

    An error `from` an `Unanswered` is that of a repeat: the first try is still in doubt.
    """
    if isinstance(error, Unanswered) or isinstance(error.__cause__, Unanswered):
        return True
    return isinstance(error, ApiError) and error.may_have_acted


def _resource_of(action: Action) -> ResourceType | None:
    match action:
        case Create(object) | Apply(object):
            return object.resource_type()
        case Patch(target) | Scale(target) | Delete(target):
            return target.resource
        case _:
            return None


def _proves_stale(failure: Failed) -> bool:
    """Say whether the server does not have what was seen: deciding on it again would do harm again."""
    return isinstance(failure.error, NotFound) and not isinstance(failure.action, Create)

"""Carries out plans: the only part that writes.

Guarantees: an answer goes into the replica before the next reconcile of any key can look
(write-through, DESIGN §2.2); a create whose answer was lost is sent again under the same name,
and AlreadyExists with our owner's uid is success (§2.4); deletes and patches carry the
preconditions of what was seen (§2.5). A failed write is reported in the outcome, never raised:
whoever planned decides what it means. Programming errors are raised. Owns no state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import msgspec

from kcm.base.errors import TerminalError
from kcm.cache.typed import Unreadable
from kcm.client.api import ApiClient
from kcm.client.errors import AlreadyExists, ApiError, NotFound
from kcm.client.transport import TransportError, Unanswered
from kcm.objects.metadata import Metadata, Spec
from kcm.objects.owners import controller_of
from kcm.objects.resource import Key, Resource, ResourceType
from kcm.runtime.fence import Fenced
from kcm.runtime.plan import (
    Action,
    Applied,
    Apply,
    Create,
    Delete,
    Emit,
    Failed,
    Outcome,
    Pace,
    Patch,
    Plan,
    Propagation,
    Scale,
    Target,
)

WRITE_FAILURES = (ApiError, TransportError, Fenced, TerminalError)

_encoder = msgspec.json.Encoder()


class _Life(Metadata, frozen=True, kw_only=True):
    """What says whether an object is still there after its DELETE."""

    deletion_grace_period_seconds: int | None = None
    finalizers: tuple[str, ...] = ()

    @property
    def gone(self) -> bool:
        """Say whether nothing keeps the object: no grace (a pod without a node has none), no finalizer."""
        if self.deletion_timestamp is None:
            return True
        return self.deletion_grace_period_seconds == 0 and not self.finalizers


class _Header(Spec, frozen=True):
    """As much of an answer as tells an object from a Status."""

    kind: str = ""
    metadata: _Life = _Life()


_header = msgspec.json.Decoder(_Header)


class WriteThrough(Protocol):
    """Where answers to writes go: the replicas of this process."""

    def wrote(self, resource: ResourceType, answer: bytes) -> Resource[Any] | None:
        """Take the server's answer to a write; return it typed, or None if the type is not watched.

        `Unreadable` when it is watched and cannot be shown.
        """
        ...

    def deleted(self, resource: ResourceType, key: Key, uid: str, version: str = "") -> None:
        """Take the server's word that the object with this uid is gone, since `version` if that is known."""
        ...


class EventSink(Protocol):
    """Where Events go; never waits."""

    def emit(self, event: Emit) -> None:
        """Take one Event, or drop and count it."""
        ...


@dataclass(slots=True)
class _Run:
    """One plan under way: what is left, shared by all who work on it, and what came of the rest."""

    queue: Iterator[Action]
    done: list[Applied] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)


class Applier:
    """Runs the actions of plans against one API server. `width` bounds the writes under way of a plan."""

    def __init__(self, client: ApiClient, replicas: WriteThrough, events: EventSink, width: int = 32) -> None:
        self._client = client
        self._replicas = replicas
        self._events = events
        self._width = width

    async def apply(self, plan: Plan) -> Outcome:
        """Carry out a plan at its pace."""
        run = _Run(iter(plan.actions))
        match plan.pace:
            case Pace.IN_ORDER:
                await self._until_failure(run)
            case Pace.TOGETHER:
                await self._side_by_side(run, self._each, len(plan.actions))
            case Pace.SLOW_START:
                await self._slowly(run)
        return Outcome(tuple(run.done), tuple(run.failed), tuple(run.queue))

    async def _slowly(self, run: _Run) -> None:
        """Batches of 1, 2, 4… each complete before the next; from `width` on a stream that a failure ends."""
        size = 1
        while size < self._width and not run.failed:
            batch = _Run(islice(run.queue, size), run.done, run.failed)
            await self._side_by_side(batch, self._each, size)
            size *= 2
        if not run.failed:
            await self._side_by_side(run, self._until_failure, self._width)

    async def _side_by_side(
        self, run: _Run, work: Callable[[_Run], Coroutine[Any, Any, None]], most: int
    ) -> None:
        if most == 1:
            await work(run)
            return
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(self._width, most)):
                tasks.create_task(work(run))

    async def _each(self, run: _Run) -> None:
        for action in run.queue:
            await self._attempt(action, run)

    async def _until_failure(self, run: _Run) -> None:
        for action in run.queue:
            await self._attempt(action, run)
            if run.failed:
                return

    async def _attempt(self, action: Action, run: _Run) -> None:
        try:
            run.done.append(Applied(action, await self._write(action)))
        except WRITE_FAILURES as error:
            run.failed.append(Failed(action, error))

    async def _write(self, action: Action) -> Resource[Any] | None:
        match action:
            case Create():
                return await self._create(action.object)
            case Patch(target, changes, _, kind, subresource, exact):
                body = _encoder.encode(_guarded(target, changes, exact))
                answer = await self._client.patch(
                    target.resource, target.key, body, kind, subresource=subresource
                )
                return self._show(target.resource, answer)
            case Apply(wanted, manager, _, force):
                resource = wanted.resource_type()
                answer = await self._client.patch(
                    resource, wanted.key, _applied(wanted), "apply", manager=manager, force=force
                )
                return self._show(resource, answer)
            case Scale(target, replicas):
                body = _encoder.encode(_guarded(target, {"spec": {"replicas": replicas}}, exact=False))
                await self._client.patch(target.resource, target.key, body, "merge", subresource="scale")
                return None
            case Delete(target, _, propagation):
                return await self._delete(target, propagation)
            case Emit():
                self._events.emit(action)
                return None

    async def _create(self, new: Resource[Any]) -> Resource[Any] | None:
        resource = new.resource_type()
        body = encode_object(new)
        try:
            answer = await self._client.create(resource, new.metadata.namespace, body)
        except AlreadyExists as refusal:
            answer = await self._recognise(new, resource, refusal)
        except Unanswered as lost:
            # The name makes the repeat safe: if the first one arrived, this one meets AlreadyExists.
            try:
                answer = await self._client.create(resource, new.metadata.namespace, body)
            except AlreadyExists as refusal:
                answer = await self._recognise(new, resource, refusal)
            except WRITE_FAILURES as error:
                # However the repeat ended: what became of the first one is still unknown.
                raise error from lost
        return self._show(resource, answer)

    async def _recognise(self, new: Resource[Any], resource: ResourceType, refusal: AlreadyExists) -> bytes:
        """Return the object that has the name if it is ours and alive; else raise the refusal.

        `Unanswered` when it cannot be looked at: it may well be ours.
        """
        owner = controller_of(new.metadata)
        try:
            answer = await self._client.get(resource, new.key)
        except NotFound:
            raise refusal from None
        except (ApiError, TransportError) as error:
            raise Unanswered(f"{refusal}; whose it is cannot be seen: {error}") from error
        found = _head_of(answer).metadata
        theirs = controller_of(found)
        if owner is None or theirs is None or theirs.uid != owner.uid or found.deletion_timestamp is not None:
            # Show it to the next look, so that another name is chosen.
            self._show(resource, answer)
            raise refusal
        return answer

    def _show(self, resource: ResourceType, answer: bytes) -> Resource[Any] | None:
        try:
            return self._replicas.wrote(resource, answer)
        except Unreadable as error:
            # Done or not, the replica does not show it: nothing may be decided before the feed does.
            raise Unanswered(f"the answer cannot be read: {error}") from error

    async def _delete(self, target: Target, propagation: Propagation) -> Resource[Any] | None:
        try:
            answer = await self._client.delete(
                target.resource,
                target.key,
                uid=target.uid,
                resource_version=target.resource_version,
                propagation=propagation,
            )
        except NotFound:
            self._replicas.deleted(target.resource, target.key, target.uid)
            return None
        left = _head_of(answer)
        if left.kind != target.resource.kind:
            # A Status: it is gone, and nobody says since when.
            self._replicas.deleted(target.resource, target.key, target.uid)
            return None
        if not left.metadata.gone:
            return self._show(target.resource, answer)
        # The object in the answer carries the resourceVersion of its deletion.
        self._replicas.deleted(target.resource, target.key, target.uid, left.metadata.resource_version)
        return None


def _head_of(answer: bytes) -> _Header:
    """Return the kind and metadata of an answer; `Unanswered` when it is no object at all."""
    try:
        return _header.decode(answer)
    except (ValueError, RecursionError) as error:
        raise Unanswered(f"the answer is no object: {error}") from error


def encode_object(new: Resource[Any]) -> bytes:
    """Return the JSON body of `new`, with its apiVersion and kind."""
    head = b'{"apiVersion":"%s","kind":"%s",' % (new.api.encode(), new.kind.encode())
    return head + _encoder.encode(new)[1:]


def _applied(wanted: Resource[Any]) -> bytes:
    """Return what a server-side apply sends: nothing that the server keeps itself."""
    content = msgspec.json.decode(encode_object(wanted), type=dict[str, msgspec.Raw])
    content.pop("status", None)
    metadata = msgspec.json.decode(content["metadata"], type=dict[str, msgspec.Raw])
    for name in ("resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields"):
        metadata.pop(name, None)
    return _encoder.encode({**content, "metadata": metadata})


def _guarded(target: Target, changes: Any, exact: bool) -> Any:
    """Return the patch with the uid that was seen, and with `exact` its resourceVersion, as preconditions."""
    if isinstance(changes, tuple):
        test = [{"op": "test", "path": "/metadata/uid", "value": target.uid}]
        return [*test, *changes] if target.uid else list(changes)
    metadata = dict(changes.get("metadata", {}))
    if target.uid:
        metadata["uid"] = target.uid
    if exact and target.resource_version:
        metadata["resourceVersion"] = target.resource_version
    return {**changes, "metadata": metadata} if metadata else changes

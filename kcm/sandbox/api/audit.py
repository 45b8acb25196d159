"""Every mutation, told to whoever checks invariants.

Subscribers are called in the writer's own step, after the commit and before the answer, so a
checker sees each revision exactly once and in order. A subscriber must not write and must not
fail: its exception would reach the client that wrote. `Audit` owns the list of subscribers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from kcm.base.clock import Clock
from kcm.sandbox.api.history import DELETED, Event
from kcm.sandbox.api.records import Json, Record
from kcm.sandbox.api.store import Collection, Store


@dataclass(frozen=True)
class Mutation:
    """One committed write. `verb` and `user` are the request's; `event` is ADDED, MODIFIED or DELETED."""

    revision: int
    at: datetime
    event: str
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    user_agent: str
    old: Record | None
    new: Record
    user: str = ""

    @cached_property
    def before(self) -> Json | None:
        """Return the object before, None when it was created."""
        return None if self.old is None else self.old.copy()

    @cached_property
    def after(self) -> Json | None:
        """Return the object after, None when it is gone."""
        return None if self.event == DELETED else self.new.copy()


Subscriber = Callable[[Mutation], None]


class Audit:
    """Offers each mutation to its subscribers."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._clock = clock
        self._subscribers: list[Subscriber] = []
        self._store = store

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with every mutation from now on; the returned function ends that."""
        if not self._subscribers:
            self._store.listeners.append(self._heard)
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            self._subscribers.remove(subscriber)
            if not self._subscribers:
                self._store.listeners.remove(self._heard)

        return unsubscribe

    def _heard(self, collection: Collection, event: Event) -> None:
        mutation = Mutation(
            revision=event.version,
            at=self._clock.wall(),
            event=event.kind,
            verb=event.cause.verb,
            resource=collection.qualified,
            subresource=event.cause.subresource,
            namespace=event.new.namespace,
            name=event.new.name,
            user_agent=event.cause.agent,
            old=event.old,
            new=event.new,
            user=event.cause.user,
        )
        for subscriber in tuple(self._subscribers):
            subscriber(mutation)

"""Who hears of changes in a replica.

Handlers are called at once and in order, after the state has changed; they are expected to
note a key and return. Guarantees: a handler hears of every object that is there when it
subscribes (`initial`), then of each change; one that raises is reported with the object's key
and neither stops the others nor loses them the change. Owned by one replica.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeAlias, TypeVar

from kcm.base.faults import told
from kcm.cache.indexer import OnFault
from kcm.objects.resource import Key, Resource

R = TypeVar("R", bound=Resource[Any])

Handler: TypeAlias = Callable[[R | None, R | None, bool], None]


class Subscription(Generic[R]):
    """One handler's place among the others. `synced`: it has heard of everything that was listed first."""

    def __init__(self, handler: Handler[R], cancel: Callable[[Subscription[R]], None]) -> None:
        self.handler = handler
        self.synced = False
        self._cancel = cancel

    def cancel(self) -> None:
        """Hear no more. Harmless when repeated."""
        self._cancel(self)


class Handlers(Generic[R]):
    """All handlers of one replica."""

    def __init__(self, on_fault: OnFault) -> None:
        self._on_fault = on_fault
        self._subscriptions: tuple[Subscription[R], ...] = ()

    def subscribe(self, handler: Handler[R], present: Iterable[R], synced: bool) -> Subscription[R]:
        """Add a handler and tell it what is there."""
        subscription = Subscription(handler, self._remove)
        for new in present:
            self._call(subscription, None, new, True)
        subscription.synced = synced
        self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def changed(self, old: R | None, new: R | None, initial: bool = False) -> None:
        """Tell everyone; another object under the same key is told as its end and the new one's begin."""
        if old is not None and new is not None and old.metadata.uid != new.metadata.uid:
            self.changed(old, None)
            self.changed(None, new)
            return
        for subscription in self._subscriptions:
            self._call(subscription, old, new, initial)

    def synced(self) -> None:
        """Note that what was listed first has been told."""
        for subscription in self._subscriptions:
            subscription.synced = True

    def _call(self, subscription: Subscription[R], old: R | None, new: R | None, initial: bool) -> None:
        try:
            subscription.handler(old, new, initial)
        except Exception as error:  # noqa: BLE001 - a controller's own mapping: its fault is this object's only
            self._on_fault(_key(old, new), told(error))

    def _remove(self, subscription: Subscription[R]) -> None:
        self._subscriptions = tuple(other for other in self._subscriptions if other is not subscription)


def _key(old: Resource[Any] | None, new: Resource[Any] | None) -> Key:
    present = new if new is not None else old
    return present.key if present is not None else Key("", "")

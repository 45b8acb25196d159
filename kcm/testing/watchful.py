"""A cache that notices when a controller changes what it was handed.

What a cache hands out is shared by all reconciles and was never copied. Structs are frozen, but the
mappings in them (labels, annotations, data) are Python's own, and who writes into one has changed what
everybody sees until the object's next event. Guarantees: the state in which an object was first handed
out is compared with that at the end; the newest `MOST_OBJECTS` are remembered. A `World` and a
`Bench` do so by themselves. Owns what it remembers.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, TypeVar

import msgspec

from kcm.cache.replica import Cache
from kcm.objects.resource import Key, Resource
from kcm.objects.selectors import Selector

MOST_OBJECTS = 20_000

R = TypeVar("R", bound=Resource[Any])

_encode = msgspec.json.Encoder(order="deterministic").encode


class Ledger:
    """What was handed out, by any number of caches, and how it looked."""

    def __init__(self) -> None:
        self._noted: OrderedDict[int, tuple[Resource[Any], bytes]] = OrderedDict()
        self._changed: list[str] = []

    def note(self, handed_out: Resource[Any]) -> None:
        """Remember how an object looks now, if it is new here."""
        if id(handed_out) in self._noted:
            return
        # Held, so that no later object gets its id.
        self._noted[id(handed_out)] = (handed_out, _encode(handed_out))
        if len(self._noted) > MOST_OBJECTS:
            self._compare(*self._noted.popitem(last=False)[1])

    def check(self) -> None:
        """Raise AssertionError if one of the objects looks different now."""
        for seen, before in self._noted.values():
            self._compare(seen, before)
        self._noted.clear()
        changed, self._changed = self._changed, []
        assert not changed, "a controller changed what its cache had handed out: " + "; ".join(changed[:3])

    def _compare(self, seen: Resource[Any], before: bytes) -> None:
        now = _encode(seen)
        if now != before:
            what = f"{type(seen).__name__} {seen.key} from {before[:300].decode()} to {now[:300].decode()}"
            self._changed.append(what)


class WatchfulCache(Cache):
    """A `Cache` that notes in a ledger what it hands out."""

    def __init__(self, ledger: Ledger, *parts: Any) -> None:
        super().__init__(*parts)
        self._ledger = ledger

    def get(self, type_: type[R], key: Key) -> R | None:
        found = super().get(type_, key)
        return found if found is None else self._noted((found,))[0]

    def list(self, type_: type[R], namespace: str = "", selector: Selector | None = None) -> tuple[R, ...]:
        return self._noted(super().list(type_, namespace, selector))

    def controlled_by(self, type_: type[R], uid: str) -> tuple[R, ...]:
        return self._noted(super().controlled_by(type_, uid))

    def orphans(self, type_: type[R], namespace: str) -> tuple[R, ...]:
        return self._noted(super().orphans(type_, namespace))

    def by_index(self, type_: type[R], index: str, value: str) -> tuple[R, ...]:
        return self._noted(super().by_index(type_, index, value))

    def _noted(self, found: tuple[R, ...]) -> tuple[R, ...]:
        for each in found:
            self._ledger.note(each)
        return found

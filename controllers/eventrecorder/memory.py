"""A dictionary that forgets what was not used for longest.

Guarantees: never more than `most` entries; `touch` costs the same whatever the size. Iteration is
from the least to the most recently used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keeps the `most` recently used values; `make` makes the one of a key that is not there."""

    def __init__(self, most: int, make: Callable[[], V]) -> None:
        self._most = most
        self._make = make
        self._values: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def touch(self, key: K) -> V:
        """Return the value of a key, made if need be; it is now the most recent one."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
            return value
        value = self._values[key] = self._make()
        if len(self._values) > self._most:
            self._values.popitem(last=False)
        return value

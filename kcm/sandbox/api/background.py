"""Keys to look at, in the order in which they came: what the built-in controllers run on.

A `Pending` is a set that remembers order, filled by the store's listeners and emptied by one
task. Guarantees that a key added while it is looked at is looked at again. Owns its keys only.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

K = TypeVar("K")


class Pending(Generic[K]):
    """An ordered set that can be waited for."""

    def __init__(self) -> None:
        self._keys: dict[K, None] = {}
        self._waiting: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: K) -> None:
        """Put a key at the end, unless it is there."""
        self._keys[key] = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def take(self) -> K:
        """Wait for a key and remove it."""
        while not self._keys:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        key = next(iter(self._keys))
        del self._keys[key]
        return key

"""Chance as an argument.

`Rng` is the only source of randomness, so that a seed repeats a run. Guarantees nothing about
secrecy: tokens and keys come from the standard library's `secrets` where they are needed.
"""

from __future__ import annotations

import random
from typing import Protocol
from uuid import UUID


class Rng(Protocol):
    """Where chance comes from."""

    def uniform(self, low: float, high: float) -> float:
        """Return a float in [low, high)."""
        ...

    def text(self, alphabet: str, length: int) -> str:
        """Return `length` characters drawn from `alphabet`."""
        ...

    def uuid(self) -> str:
        """Return a version 4 UUID as text."""
        ...


class SeededRng:
    """Repeatable with a seed; seeded by the system without one."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def text(self, alphabet: str, length: int) -> str:
        return "".join(self._random.choices(alphabet, k=length))

    def uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

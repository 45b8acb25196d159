"""Loops of virtual time, and work that is done outside of them.

A loop that jumps ahead whenever nothing is ready would run out every deadline while a thread
computes. Who hands work to a thread holds the loop's time until the thread is back; a real loop has
nothing to hold. States what such a loop offers; owns nothing.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class HoldsTime(Protocol):
    """A loop whose time can be held. Both calls are made on the loop, in pairs, and may be nested."""

    def hold_time(self) -> None:
        """Do not jump: a thread is at work and will be heard of."""
        ...

    def release_time(self) -> None:
        """One thread less."""
        ...

"""Waiting for a condition, with a good last word.

`Waiter` asks a condition again whenever something has changed, and at least every 50 ms.
Guarantees: a condition that holds is noticed within milliseconds of the write that made it so;
one that raises because what it looks at is not there yet counts as not holding; when time is up
the error says what was waited for, what the condition last said, and what there was instead.
Does not hide mistakes: other exceptions come through at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from kcm.base.clock import SystemClock

T = TypeVar("T")

PATIENCE = 30.0
_LOOK_EVERY = 0.05
# What is not there yet: a missing field, a failed assertion, a None where a status will be.
_NOT_YET = (AssertionError, AttributeError, LookupError, TypeError)


class TimedOut(AssertionError):
    """A condition did not hold in time."""


class Waiter:
    """Looks at conditions when told that something changed. `changed` may be called from any thread."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._changed = threading.Event()

    def changed(self) -> None:
        """Something may be different now."""
        self._changed.set()

    def until(
        self, holds: Callable[[], T], within: float, what: str = "", scene: Callable[[], str] = str
    ) -> T:
        """Return the first true value of `holds`; TimedOut, which shows `scene`, after `within` seconds."""
        # A test that waited in vain wants to see its own line, not this one.
        __tracebackhide__ = True
        end = self._clock.monotonic() + within
        while True:
            self._changed.clear()
            try:
                found, said = holds(), ""
            except Exception as error:
                if not _is_not_yet(error):
                    raise
                found, said = None, f"raised {type(error).__name__}: {error}"
            if found:
                return found
            left = end - self._clock.monotonic()
            if left <= 0:
                last = said or f"returned {found!r}"
                raise TimedOut(_last_word(what or _name(holds), within, last, scene()))
            self._changed.wait(min(left, _LOOK_EVERY))


def _is_not_yet(error: Exception) -> bool:
    """Say whether an exception means "not there yet": also 404 of ours and of the official client."""
    status = getattr(error, "status", None) or getattr(error, "code", None)
    return isinstance(error, _NOT_YET) or status == 404


def _name(function: Callable[[], object]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _last_word(what: str, within: float, last: str, scene: str) -> str:
    head = f"not within {within:g} s: {what}\nthe condition last {last[:400]}"
    return f"{head}\n{scene}" if scene else head

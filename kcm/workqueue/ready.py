"""Which key is next: two lanes and the rule between them.

FRESH is work that a change asked for; BACKLOG is what a start or a resync found. The rule, exactly:

    `take` hands out the oldest FRESH key, unless there is none, or the last `fresh_run` takes each
    handed out a FRESH key while a BACKLOG key waited: then it hands out the oldest BACKLOG key.

So fresh work passes any backlog, however long (at most one BACKLOG key comes before it), and the
backlog never starves: a BACKLOG key with n before it is handed out within (n + 1) * (fresh_run + 1)
takes. Ageing is counted in takes and not in seconds, because with seconds a backlog of 30,000 keys
would all come of age at once and then stand before the fresh work that it must not delay.

`Ready` owns the lanes. A key is in at most one of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from enum import IntEnum
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FRESH_RUN = 4


class Priority(IntEnum):
    """How urgent a key is; the greater goes first."""

    BACKLOG = 0
    FRESH = 1


class Ready(Generic[K]):
    """Keys that wait for a worker, each with the time of its first add."""

    def __init__(self, fresh_run: int = FRESH_RUN) -> None:
        if fresh_run < 1:
            raise ValueError(f"fresh_run is {fresh_run}: at least 1 is needed")
        self._fresh_run = fresh_run
        self._streak = 0
        self.fresh: OrderedDict[K, float] = OrderedDict()
        self.backlog: OrderedDict[K, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self.fresh) + len(self.backlog)

    def put(self, key: K, priority: Priority, added: float) -> bool:
        """Append a key and say whether it is new here.

        A key that waits already keeps its time and its place; a raise to FRESH moves it to the
        end of that lane (reference: runtime 4). A lower priority changes nothing.
        """
        if key in self.fresh:
            return False
        if priority is Priority.BACKLOG:
            if key in self.backlog:
                return False
            self.backlog[key] = added
            return True
        first = self.backlog.pop(key, None)
        self.fresh[key] = added if first is None else first
        return first is None

    def take(self) -> tuple[K, Priority, float]:
        """Remove and return the next key, its priority and the time of its first add.

        KeyError when nothing waits.
        """
        if not self.backlog:
            self._streak = 0
        elif not self.fresh or self._streak >= self._fresh_run:
            self._streak = 0
            key, added = self.backlog.popitem(last=False)
            return key, Priority.BACKLOG, added
        else:
            self._streak += 1
        key, added = self.fresh.popitem(last=False)
        return key, Priority.FRESH, added

    def clear(self) -> None:
        """Drop everything."""
        self.fresh.clear()
        self.backlog.clear()

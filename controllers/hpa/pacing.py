"""When each autoscaler is due (reference: hpa 3).

One evaluation per period, whatever happens to the object in between: its own status writes must
not make a loop, an error must not make it faster or slower. The first one is put somewhere into
the first period, by the uid, so that a thousand autoscalers of one start do not all ask at
once. Owns the times, which follow the loop's clock.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from kcm.objects import HorizontalPodAutoscaler, Key
from kcm.objects.autoscalers import AutoscalerSpec


class _Turn(NamedTuple):
    uid: str
    spec: AutoscalerSpec
    due: float


class Pacing:
    """The turns of all autoscalers of this process."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._turns: dict[Key, _Turn] = {}

    def wait(self, hpa: HorizontalPodAutoscaler, now: float, *, at_once: bool = False) -> float:
        """Return in how many seconds an autoscaler is due; not above 0: now.

        `at_once`: as soon as it is new or was edited.
        """
        turn = self._turns.get(hpa.key)
        if turn is None or turn.uid != hpa.metadata.uid:
            due = now if at_once else now + self._period * _share(hpa.metadata.uid)
            turn = self._turns[hpa.key] = _Turn(hpa.metadata.uid, hpa.spec, due)
        elif at_once and turn.spec != hpa.spec:
            turn = self._turns[hpa.key] = turn._replace(spec=hpa.spec, due=now)
        return turn.due - now

    def taken(self, hpa: HorizontalPodAutoscaler, now: float) -> float:
        """Note that an evaluation begins; return how late. The next is a period after this one was due."""
        turn = self._turns[hpa.key]
        late = now - turn.due
        due = turn.due + self._period if late < self._period else now + self._period
        self._turns[hpa.key] = _Turn(turn.uid, hpa.spec, due)
        return max(0.0, late)

    def forget(self, key: Key) -> None:
        """Forget an autoscaler."""
        self._turns.pop(key, None)

    def __len__(self) -> int:
        return len(self._turns)


def _share(uid: str) -> float:
    """Return a number from 0 to 1 that is always the same for a uid."""
    return crc32(uid.encode()) / 2**32

"""How long to wait before replacing pods that keep failing.

A pod that a node rejects ends as Failed within a second, and is to be replaced at once: left
alone, that makes thousands of dead pods an hour (k/k#72593; reference: reliability §2, 42).
A first round of failures is replaced at once; each further round within ten minutes doubles
the wait. The failed pods themselves are the memory, so that neither a restart nor a change of
leader forgets it, and deleting them ends the wait. Pure.

Worked example, 1 replica: failures 1 to 3 are replaced at once; from the 4th on 1 s after the
last was created, from the 8th on 2 s, from the 12th on 4 s, in the end 60 s.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from kcm.objects import Pod

WINDOW = timedelta(minutes=10)
SMALLEST_ROUND = 4
LONGEST_SECONDS = 60.0


def hold_off(finished: Iterable[Pod], replicas: int, now: datetime) -> float:
    """Return the seconds until the next pod may be created, 0.0 for at once."""
    moments = (pod.metadata.creation_timestamp for pod in finished)
    recent = [moment for moment in moments if moment is not None and now - moment < WINDOW]
    rounds = len(recent) // max(replicas, SMALLEST_ROUND)
    if rounds == 0:
        return 0.0
    wait = min(LONGEST_SECONDS, 2.0 ** min(rounds - 1, 16))
    return min(wait, max(0.0, wait - (now - max(recent)).total_seconds()))

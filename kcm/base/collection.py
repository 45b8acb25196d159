"""How often Python looks for reference cycles.

A cache of a hundred thousand objects has no cycles, but filling it makes the collector walk
through all of it again and again: with 30,000 pods that was more than a third of a host's CPU.
`calm_collector` makes it look seldom and never again at what was imported. Guarantees that
cycles are still found and freed, later; memory without cycles is freed at once as ever. To be
called once by a process, before it starts its work.
"""

from __future__ import annotations

import gc

# Containers made, less those freed, between two looks at the youngest; and how many such looks
# before older ones are walked through.
YOUNG = 50_000
MIDDLE = 20
OLD = 50


def calm_collector() -> None:
    """Let the collector rest: what exists now is left alone, the rest is looked at seldom."""
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)

"""How a process deals with memory while a cache fills and ever after.

Two defaults cost a cold start with 30,000 pods a third of its CPU. The collector of reference
cycles walks through a cache that has none again and again while it is filled; `calm_collector`
makes it look seldom, and never again at what was imported. And the C library gives every large
read buffer back to the kernel at once, which then clears the pages anew for the next one;
`keep_buffers` makes it keep a few MiB. Guarantees that cycles are still found and freed, later;
that memory without cycles is freed at once as ever; and no error where the C library has no
such knobs. Both are to be called once by a process, before it starts its work.
"""

from __future__ import annotations

import ctypes
import gc

# Containers made, less those freed, between two looks at the youngest; and how many such looks
# before older ones are walked through.
YOUNG = 50_000
MIDDLE = 20
OLD = 50

# Larger than any piece of a watch stream that is read at once, so that those are reused.
KEPT_BYTES = 4 * 1024 * 1024
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def calm_collector() -> None:
    """Let the collector rest: what exists now is left alone, the rest is looked at seldom."""
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)


def keep_buffers() -> None:
    """Keep up to `KEPT_BYTES` of freed memory for the next buffer."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return
    set_option(_M_MMAP_THRESHOLD, KEPT_BYTES)
    set_option(_M_TRIM_THRESHOLD, KEPT_BYTES)

"""Which names the pods that are missing will get.

A name follows from the replica set, the set of pods that it has, and the pod's place in the
pass. Whoever decides again from the same view (after a crash, on a stale replica, in a second
leader, after a lost answer) decides on the same names, and its creates meet AlreadyExists
instead of making duplicates (DESIGN §2.4; reference: reliability §2, lever c). Guarantees that
a pod that still terminates is never replaced under its own name. Does not guarantee that a name
is free on the server, only that the replica knows no pod by it; nor that no name ever comes
again: the same view, such as that of no pods at all, gives the same names. Pure; hashes once
for all names of a pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from kcm.objects.names import generated_base, safe_suffix

_BYTES_PER_NAME = 4
# Far more draws than names: with 27^5 suffixes even 100,000 pods of one base leave nearly all free.
_SPARE_DRAWS = 256


def pod_names(
    owner_name: str, owner_uid: str, seen_uids: Iterable[str], count: int, taken: Callable[[str], bool]
) -> list[str]:
    """Return `count` names for new pods, passing over those that are `taken`.

    Fewer only if the draws run out, which takes a namespace that is full of this base.
    """
    view = "\n".join((owner_uid, *sorted(seen_uids))).encode(errors="replace")
    draws = count + _SPARE_DRAWS
    stream = hashlib.shake_128(view).digest(draws * _BYTES_PER_NAME)
    base = generated_base(f"{owner_name}-")
    chosen: dict[str, None] = {}
    for start in range(0, len(stream), _BYTES_PER_NAME):
        if len(chosen) == count:
            break
        name = base + safe_suffix(int.from_bytes(stream[start : start + _BYTES_PER_NAME], "big"))
        if name not in chosen and not taken(name):
            chosen[name] = None
    return list(chosen)

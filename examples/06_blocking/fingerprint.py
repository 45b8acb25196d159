"""Blocking code: every ConfigMap that asks for it has a fingerprint that takes a while to compute.

`reconcile_blocking` is an ordinary function that runs in a thread, so that a computation, or a client
that knows no asyncio, keeps nothing else waiting. What it applies goes through the host's loop, behind
the same fence as everything.
"""

from __future__ import annotations

import hashlib
import json

from kcm import BlockingContext, BlockingController, Cache, Done, Key, Plan, Result, primary, writes
from kcm.objects import ConfigMap

ASKS = "example.kcm.dev/fingerprint"
ANSWER = "example.kcm.dev/scrypt"


def fingerprint(config_map: ConfigMap) -> str:
    """Return a text that is slow to compute on purpose (some 50 ms)."""
    content = json.dumps(dict(config_map.data), sort_keys=True).encode()
    salt = config_map.metadata.uid.encode()
    return hashlib.scrypt(content, salt=salt, n=2**14, r=8, p=1, dklen=16).hex()


class FingerprintController(BlockingController[ConfigMap, ConfigMap]):
    """Writes the fingerprint into an annotation."""

    name = "fingerprint"
    watches = (primary(ConfigMap, label_selector=f"{ASKS}=true"),)
    writes = (writes(ConfigMap, "patch"),)
    reconcile_timeout = 30.0

    def observe(self, cache: Cache, key: Key) -> ConfigMap | None:
        return cache.get(ConfigMap, key)

    def reconcile_blocking(self, ctx: BlockingContext, seen: ConfigMap) -> Result:
        wanted = fingerprint(seen)
        if seen.metadata.annotations.get(ANSWER) != wanted:
            changes = {"metadata": {"annotations": {ANSWER: wanted}}}
            ctx.apply(Plan.patch(seen, changes, because="the content changed")).raise_failure()
        return Done()

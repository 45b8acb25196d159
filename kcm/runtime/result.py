"""What a reconcile answers. Closed on purpose: failure is an exception, never a result."""

from __future__ import annotations

import msgspec


class Done(msgspec.Struct, frozen=True):
    """Nothing more to do until something changes; the key's back-off is forgotten."""


class RequeueAfter(msgspec.Struct, frozen=True):
    """Look again after `seconds` (0 is at once); the key's back-off is forgotten."""

    seconds: float


class Waiting(msgspec.Struct, frozen=True):
    """Something outside has to happen first; looked at again with growing back-off, not an error.

    `reason` is for logs and /statusz.
    """

    reason: str


Result = Done | RequeueAfter | Waiting

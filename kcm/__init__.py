"""kcm: a Kubernetes controller manager in Python.

This package is the public face for people who write controllers: everything in `__all__`
is stable, documented and all that a controller needs, together with `kcm.objects`.
Names are loaded on first use, so that `import kcm.base` in a small process stays small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kcm.base.errors import KcmError, TerminalError
    from kcm.cache.replica import Cache
    from kcm.client.errors import (
        AlreadyExists,
        ApiError,
        Conflict,
        Invalid,
        NamespaceTerminating,
        NotFound,
        TooManyRequests,
    )
    from kcm.objects.resource import Key
    from kcm.runtime.claims import (
        adoptions,
        claim,
        claim_error,
        owned,
        reason_not_to_adopt,
        releases,
    )
    from kcm.runtime.context import Context
    from kcm.runtime.controller import Controller, Rate
    from kcm.runtime.plan import Action, Create, Delete, Outcome, Pace, Plan, Target
    from kcm.runtime.result import Done, RequeueAfter, Result, Waiting
    from kcm.runtime.watches import owns, primary, watches

__all__ = [
    "Action",
    "AlreadyExists",
    "ApiError",
    "Cache",
    "Conflict",
    "Context",
    "Controller",
    "Create",
    "Delete",
    "Done",
    "Invalid",
    "KcmError",
    "Key",
    "NamespaceTerminating",
    "NotFound",
    "Outcome",
    "Pace",
    "Plan",
    "Rate",
    "RequeueAfter",
    "Result",
    "Target",
    "TerminalError",
    "TooManyRequests",
    "Waiting",
    "adoptions",
    "claim",
    "claim_error",
    "owned",
    "owns",
    "primary",
    "reason_not_to_adopt",
    "releases",
    "watches",
]

__version__ = "0.1.0"

_HOMES = {
    "Action": "kcm.runtime.plan",
    "AlreadyExists": "kcm.client.errors",
    "ApiError": "kcm.client.errors",
    "Cache": "kcm.cache.replica",
    "Conflict": "kcm.client.errors",
    "Context": "kcm.runtime.context",
    "Controller": "kcm.runtime.controller",
    "Create": "kcm.runtime.plan",
    "Delete": "kcm.runtime.plan",
    "Done": "kcm.runtime.result",
    "Invalid": "kcm.client.errors",
    "KcmError": "kcm.base.errors",
    "Key": "kcm.objects.resource",
    "NamespaceTerminating": "kcm.client.errors",
    "NotFound": "kcm.client.errors",
    "Outcome": "kcm.runtime.plan",
    "Pace": "kcm.runtime.plan",
    "Plan": "kcm.runtime.plan",
    "Rate": "kcm.runtime.controller",
    "RequeueAfter": "kcm.runtime.result",
    "Result": "kcm.runtime.result",
    "Target": "kcm.runtime.plan",
    "TerminalError": "kcm.base.errors",
    "TooManyRequests": "kcm.client.errors",
    "Waiting": "kcm.runtime.result",
    "adoptions": "kcm.runtime.claims",
    "claim": "kcm.runtime.claims",
    "claim_error": "kcm.runtime.claims",
    "owned": "kcm.runtime.claims",
    "owns": "kcm.runtime.watches",
    "primary": "kcm.runtime.watches",
    "reason_not_to_adopt": "kcm.runtime.claims",
    "releases": "kcm.runtime.claims",
    "watches": "kcm.runtime.watches",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its home module when it is first asked for."""
    from importlib import import_module  # noqa: PLC0415 - the point is to load nothing early

    if name not in _HOMES:
        raise AttributeError(f"module 'kcm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

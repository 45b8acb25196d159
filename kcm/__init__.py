"""kcm: a Kubernetes controller manager in Python.

This package is the public face for people who write controllers: everything in `__all__`
is stable, documented and all that a controller needs, together with `kcm.objects`.
Names are loaded on first use, so that `import kcm.base` in a small process stays small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kcm.base.errors import DeadlineExceeded, KcmError, RetryAfter, TerminalError
    from kcm.cache.graph import ObjectGraph
    from kcm.cache.replica import Cache
    from kcm.client.errors import (
        AlreadyExists,
        ApiError,
        Conflict,
        FieldsTaken,
        Invalid,
        NamespaceTerminating,
        NotFound,
        TooManyRequests,
    )
    from kcm.client.transport import TransportError
    from kcm.objects.resource import Key
    from kcm.runtime.blocking import BlockingContext, BlockingController, ReconcileEnded
    from kcm.runtime.claims import adoptions, claim, claim_error, owned, reason_not_to_adopt, releases
    from kcm.runtime.context import Context
    from kcm.runtime.controller import Controller, Rate
    from kcm.runtime.finalizers import add_finalizer, remove_finalizer, with_finalizer
    from kcm.runtime.grants import Undeclared, anything, writes
    from kcm.runtime.inbox import emitted
    from kcm.runtime.plan import Action, Apply, Create, Delete, Outcome, Pace, Plan, Target
    from kcm.runtime.predicates import (
        Predicate,
        all_of,
        annotations_changed,
        any_of,
        generation_changed,
        labels_changed,
        not_,
        resource_version_changed,
    )
    from kcm.runtime.result import Done, RequeueAfter, Result, Waiting
    from kcm.runtime.watches import discovers, owns, primary, watches

__all__ = [
    "Action",
    "AlreadyExists",
    "ApiError",
    "Apply",
    "BlockingContext",
    "BlockingController",
    "Cache",
    "Conflict",
    "Context",
    "Controller",
    "Create",
    "DeadlineExceeded",
    "Delete",
    "Done",
    "FieldsTaken",
    "Invalid",
    "KcmError",
    "Key",
    "NamespaceTerminating",
    "NotFound",
    "ObjectGraph",
    "Outcome",
    "Pace",
    "Plan",
    "Predicate",
    "Rate",
    "ReconcileEnded",
    "RequeueAfter",
    "Result",
    "RetryAfter",
    "Target",
    "TerminalError",
    "TooManyRequests",
    "TransportError",
    "Undeclared",
    "Waiting",
    "add_finalizer",
    "adoptions",
    "all_of",
    "annotations_changed",
    "any_of",
    "anything",
    "claim",
    "claim_error",
    "discovers",
    "emitted",
    "generation_changed",
    "labels_changed",
    "not_",
    "owned",
    "owns",
    "primary",
    "reason_not_to_adopt",
    "releases",
    "remove_finalizer",
    "resource_version_changed",
    "watches",
    "with_finalizer",
    "writes",
]

__version__ = "0.1.0"

_HOMES = {
    "Action": "kcm.runtime.plan",
    "AlreadyExists": "kcm.client.errors",
    "ApiError": "kcm.client.errors",
    "Apply": "kcm.runtime.plan",
    "BlockingContext": "kcm.runtime.blocking",
    "BlockingController": "kcm.runtime.blocking",
    "Cache": "kcm.cache.replica",
    "Conflict": "kcm.client.errors",
    "Context": "kcm.runtime.context",
    "Controller": "kcm.runtime.controller",
    "Create": "kcm.runtime.plan",
    "DeadlineExceeded": "kcm.base.errors",
    "Delete": "kcm.runtime.plan",
    "Done": "kcm.runtime.result",
    "FieldsTaken": "kcm.client.errors",
    "Invalid": "kcm.client.errors",
    "KcmError": "kcm.base.errors",
    "Key": "kcm.objects.resource",
    "NamespaceTerminating": "kcm.client.errors",
    "NotFound": "kcm.client.errors",
    "ObjectGraph": "kcm.cache.graph",
    "Outcome": "kcm.runtime.plan",
    "Pace": "kcm.runtime.plan",
    "Plan": "kcm.runtime.plan",
    "Predicate": "kcm.runtime.predicates",
    "Rate": "kcm.runtime.controller",
    "ReconcileEnded": "kcm.runtime.blocking",
    "RequeueAfter": "kcm.runtime.result",
    "Result": "kcm.runtime.result",
    "RetryAfter": "kcm.base.errors",
    "Target": "kcm.runtime.plan",
    "TerminalError": "kcm.base.errors",
    "TooManyRequests": "kcm.client.errors",
    "TransportError": "kcm.client.transport",
    "Undeclared": "kcm.runtime.grants",
    "Waiting": "kcm.runtime.result",
    "add_finalizer": "kcm.runtime.finalizers",
    "adoptions": "kcm.runtime.claims",
    "all_of": "kcm.runtime.predicates",
    "annotations_changed": "kcm.runtime.predicates",
    "any_of": "kcm.runtime.predicates",
    "anything": "kcm.runtime.grants",
    "claim": "kcm.runtime.claims",
    "claim_error": "kcm.runtime.claims",
    "discovers": "kcm.runtime.watches",
    "emitted": "kcm.runtime.inbox",
    "generation_changed": "kcm.runtime.predicates",
    "labels_changed": "kcm.runtime.predicates",
    "not_": "kcm.runtime.predicates",
    "owned": "kcm.runtime.claims",
    "owns": "kcm.runtime.watches",
    "primary": "kcm.runtime.watches",
    "reason_not_to_adopt": "kcm.runtime.claims",
    "releases": "kcm.runtime.claims",
    "remove_finalizer": "kcm.runtime.finalizers",
    "resource_version_changed": "kcm.runtime.predicates",
    "watches": "kcm.runtime.watches",
    "with_finalizer": "kcm.runtime.finalizers",
    "writes": "kcm.runtime.grants",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its home module when it is first asked for."""
    from importlib import import_module  # noqa: PLC0415 - the point is to load nothing early

    if name not in _HOMES:
        raise AttributeError(f"module 'kcm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

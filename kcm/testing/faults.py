"""Faults to order from tests: `control_plane.fault(Refuse(503), verb="create", resource="pods")`.

The names that tests need, in one place; what each does is said in `kcm.sandbox.api.faults` and in
docs/testing.md.
"""

from __future__ import annotations

from kcm.sandbox.api.faults import (
    Compact,
    CutWatch,
    Delay,
    DelayEvents,
    DropAfter,
    DropBefore,
    FailWatch,
    Fault,
    GarbleWatch,
    HangAfter,
    HangBefore,
    Refuse,
    RepeatEvents,
    SilenceWatch,
    StaleList,
    StepClock,
)

__all__ = [
    "Compact",
    "CutWatch",
    "Delay",
    "DelayEvents",
    "DropAfter",
    "DropBefore",
    "FailWatch",
    "Fault",
    "GarbleWatch",
    "HangAfter",
    "HangBefore",
    "Refuse",
    "RepeatEvents",
    "SilenceWatch",
    "StaleList",
    "StepClock",
]

"""The controller's section of the configuration file (reference: hpa 1)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from kcm.objects import Spec

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Period = Annotated[float, Meta(ge=1, le=3_600)]
Share = Annotated[float, Meta(ge=0, le=100)]


class Settings(Spec, frozen=True, forbid_unknown_fields=True):
    """What an administrator may set for all autoscalers; times in seconds."""

    sync_period: Period = 15.0
    """Time between two evaluations of one autoscaler."""

    downscale_stabilization: Seconds = 300.0
    """Window for scaling down where the autoscaler names none."""

    tolerance: Share = 0.1
    """How far a ratio may be from 1 without anything being done."""

    cpu_initialization_period: Seconds = 300.0
    """Time after a pod's start in which its CPU counts only once it is ready."""

    initial_readiness_delay: Seconds = 30.0
    """A pod that was never ready later than this after its start is not counted as ready."""

    scale_to_zero: bool = False
    """Let autoscalers with object or external metrics go down to no replicas, and come back."""

    react_at_once: bool = False
    """Evaluate an autoscaler as soon as it is created or edited, not one period later."""

    metrics_timeout: Annotated[float, Meta(ge=0.5, le=60)] = 10.0
    """Longest time to wait for one answer of a metrics API."""

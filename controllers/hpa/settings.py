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

    metrics_timeout: Annotated[float, Meta(ge=0.5, le=60)] = 10.0
    """Longest time to wait for one answer of a metrics API."""

    # What follows holds for every autoscaler that has no annotation of its own (autoscaling.kcm.dev/…).

    paused: bool = False
    """Measure and rescale nothing."""

    dry_run: bool = False
    """Decide and tell, but rescale nothing."""

    fallback: Annotated[str, Meta(max_length=64)] = ""
    """At least so many replicas once a metric could not be read for so long: "6 after 3m"."""

    schedule: Annotated[str, Meta(max_length=4096)] = ""
    """Bounds by time of day: "0 8 * * 1-5 for 12h in Europe/Berlin: min=5 max=50"; several with ";"."""

    smoothing: Annotated[str, Meta(max_length=16)] = ""
    """Take the mean of the recommendations of so long: "60s"."""

    owned_only: bool = False
    """Count only pods that the target owns, not all that its selector finds."""

    react_at_once: bool = False
    """Evaluate an autoscaler as soon as it is created or edited, not up to a period later."""

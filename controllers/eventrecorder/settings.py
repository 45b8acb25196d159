"""The controller's section of the configuration file."""

from __future__ import annotations

from typing import Literal

from kcm.objects import Spec


class Settings(Spec, frozen=True, forbid_unknown_fields=True):
    """What an administrator may set."""

    api: Literal["events.k8s.io/v1", "v1"] = "events.k8s.io/v1"
    """How events are written: with a series (events.k8s.io/v1), or with a count (v1), for older tools."""

"""Which controllers are installed: found by entry point, never imported here.

Built-in controllers are found exactly like a user's. Reads only package metadata, so that no
controller code runs in the manager (DESIGN §1). Owns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

GROUP = "kcm.controllers"


def installed_controllers() -> Mapping[str, str]:
    """Return "module:Class" by controller name, sorted by name."""
    return {
        point.name: point.value for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)
    }

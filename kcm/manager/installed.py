"""Which controllers are installed: found by entry point, never imported here.

Built-in controllers are found exactly like a user's: those of the group `kcm.controllers` run
unless they are turned off, those of `kcm.controllers.optional` only when they are turned on. Reads
only package metadata, so that no controller code runs in the manager (DESIGN §1). Owns nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import entry_points

from kcm.config.schema import NAME
from kcm.host.loading import TWICE

GROUP = "kcm.controllers"
OPTIONAL = "kcm.controllers.optional"


def installed_controllers() -> Mapping[str, str]:
    """Return "module:Class" by controller name, sorted by name, of all that are installed.

    A name that two packages claim has both, with `TWICE` between them: its host will refuse it and
    say so, and the other controllers go on. One that is no name is not here: see `misnamed_controllers`.
    """
    return {name: each for name, each in _found().items() if re.fullmatch(NAME, name)}


def misnamed_controllers() -> Mapping[str, str]:
    """Return "module:Class" of what is installed under a name that no controller can have."""
    return {name: each for name, each in _found().items() if not re.fullmatch(NAME, name)}


def optional_controllers() -> frozenset[str]:
    """Return the names of those that are off by default."""
    usual = {point.name for point in entry_points(group=GROUP)}
    return frozenset(point.name for point in entry_points(group=OPTIONAL)) - usual


def _found() -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for point in (*entry_points(group=OPTIONAL), *entry_points(group=GROUP)):
        found.setdefault(point.name, set()).add(point.value)
    return {name: TWICE.join(sorted(found[name])) for name in sorted(found)}

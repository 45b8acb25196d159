"""Server-side apply: field sets, the typed walks over objects, and who owns what.

Pure. `kinds` says how a type merges (built-in types here, custom ones by `structural`),
`fieldsets` is the arithmetic of FieldsV1, `compare` and `merging` walk objects, `managers` are the
entries of managedFields, `workflow` the two operations (reference: apiserver §7).
"""

from __future__ import annotations

from kcm.sandbox.schema.apply.fieldsets import FieldSetError
from kcm.sandbox.schema.apply.fieldsets import show as paths_shown
from kcm.sandbox.schema.apply.kinds import Kind, builtin
from kcm.sandbox.schema.apply.managers import NOBODY, Entry, Managed, managed, resets
from kcm.sandbox.schema.apply.managers import read as read_managed
from kcm.sandbox.schema.apply.structural import custom
from kcm.sandbox.schema.apply.workflow import (
    ApplyConflict,
    ConfigurationUnfit,
    Conflict,
    Version,
    Writing,
    apply,
    track_update,
)

__all__ = [
    "NOBODY",
    "ApplyConflict",
    "ConfigurationUnfit",
    "Conflict",
    "Entry",
    "FieldSetError",
    "Kind",
    "Managed",
    "Version",
    "Writing",
    "apply",
    "builtin",
    "custom",
    "managed",
    "paths_shown",
    "read_managed",
    "resets",
    "track_update",
]

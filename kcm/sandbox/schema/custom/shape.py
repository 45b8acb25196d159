"""What a CustomResourceDefinition says about one version of its resource.

A `CustomShape` hangs on the `ResourceInfo` of that version and lives as long as it is served:
whoever has the one has the other. Never changed; compared by identity, so that a new definition
is a new resource to every memory that is keyed by it. Owns no state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kcm.sandbox.schema.custom.scale import ScalePaths
from kcm.sandbox.schema.custom.structural import Schema
from kcm.sandbox.schema.tables.columns import Printer


@dataclass(frozen=True, slots=True, eq=False)
class CustomShape:
    """One version of a custom resource.

    `source` is its OpenAPI v3 schema as it was given, `stored` the schema of the storage version and
    `stored_version` its apiVersion. `verbatim`: stored bytes are this version's own form. `ending`:
    the definition is being deleted, and nothing may be created.
    """

    definition: str
    source: Mapping[str, Any]
    schema: Schema
    stored: Schema
    stored_version: str
    printer: Printer
    has_status: bool
    scale: ScalePaths | None
    selectable: tuple[str, ...]
    warnings: tuple[str, ...]
    verbatim: bool
    ending: bool

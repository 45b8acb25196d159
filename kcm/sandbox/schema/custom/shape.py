"""What a CustomResourceDefinition says about one version of its resource.

A `CustomShape` hangs on the `ResourceInfo` of that version and lives as long as it is served:
whoever has the one has the other. Never changed; compared by identity, so that a new definition
is a new resource to every memory that is keyed by it. Owns no state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class CustomShape:
    """One version of a custom resource. `schema` is its OpenAPI v3 schema as it was given."""

    definition: str
    schema: Mapping[str, Any]

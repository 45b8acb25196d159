"""ConfigMaps: text by name."""

from __future__ import annotations

from collections.abc import Mapping

from kcm.objects.metadata import ObjectMeta
from kcm.objects.resource import Resource


class ConfigMap(Resource[None], frozen=True, kw_only=True):
    """A config map with its text; `binaryData` is not read. A ConfigMap has no spec."""

    api, kind, plural = "v1", "ConfigMap", "configmaps"

    metadata: ObjectMeta
    spec: None = None
    data: Mapping[str, str] = {}

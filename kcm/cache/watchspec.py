"""What is listed and watched: one `WatchSpec` is one watch, however many readers it has.

A hashable value that travels in messages; selectors are the API's query texts, unparsed.
"""

from __future__ import annotations

import msgspec

from kcm.objects.resource import ResourceType


class WatchSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A resource, restricted by namespace ("" for all) and selectors ("" for none).

    `metadata_only`: the server is asked to leave out what is in the objects.
    """

    resource: ResourceType
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    metadata_only: bool = False

    def __str__(self) -> str:
        parts = "metadata" if self.metadata_only else ""
        limits = (self.namespace, self.label_selector, self.field_selector, parts)
        return "?".join((str(self.resource), *(limit for limit in limits if limit)))

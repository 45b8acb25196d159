"""Whether an object that we wrote ourselves belongs to a watch.

The server decides this for events; an answer to a write has to be judged here. Guarantees:
namespace and label selector are judged exactly, of field selectors those on metadata. Another
field selector cannot be judged: then an object that the watch already has is taken to stay in
it, and one that it has not is left to the feed.
"""

from __future__ import annotations

import re
from enum import Enum

from kcm.cache.watchspec import WatchSpec
from kcm.objects.metadata import Metadata
from kcm.objects.selectors import Selector

_TERM = re.compile(r"(metadata\.name|metadata\.namespace)(=|==|!=)([^=!,]*)")


class Belongs(Enum):
    """What is known about an object and a watch."""

    YES = "yes"
    NO = "no"
    IF_KNOWN = "if it was known before"


class Scope:
    """Judges for one watch."""

    def __init__(self, spec: WatchSpec) -> None:
        """ValueError for a label selector that the API would refuse."""
        self._namespace = spec.namespace
        self._selector = Selector.parse(spec.label_selector) if spec.label_selector else None
        terms = [term.strip() for term in spec.field_selector.split(",") if term.strip()]
        matches = [_TERM.fullmatch(term) for term in terms]
        self._fields = [match for match in matches if match is not None]
        self._judgeable = len(self._fields) == len(terms)

    def judge(self, metadata: Metadata) -> Belongs:
        """Say whether an object with this metadata is one of the watch's."""
        if self._namespace and metadata.namespace != self._namespace:
            return Belongs.NO
        if self._selector is not None and not self._selector.matches(metadata.labels):
            return Belongs.NO
        for term in self._fields:
            value = metadata.name if term[1] == "metadata.name" else metadata.namespace
            if (value == term[3]) == (term[2] == "!="):
                return Belongs.NO
        return Belongs.YES if self._judgeable else Belongs.IF_KNOWN

"""What was done lately, bounded: the oldest is forgotten first. Forgetting costs a repetition."""

from __future__ import annotations

from collections import OrderedDict

MOST = 4096


class Recent:
    """The last `MOST` texts that were added."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, text: str) -> bool:
        return text in self._texts

    def add(self, text: str) -> None:
        """Remember a text."""
        self._texts[text] = None
        if len(self._texts) > MOST:
            self._texts.popitem(last=False)

"""A watch as its reader sees it: complete lines, one watch event each.

Guarantees: what is yielded is a whole line; a stream that ends in the middle of one, or in
silence, raises `Unanswered`; a clean end is the end of iteration. Does not decode events: the
reader knows what it wants of them. Owns the splitter; the transport owns the stream.
"""

from __future__ import annotations

from collections import deque

from kcm.client.lines import LineSplitter, LineTooLong
from kcm.client.transport import Stream, Unanswered

MAX_LINE = 16 * 1024 * 1024


class WatchStream:
    """Iterate over it for lines, or call `batch` for all lines of each read."""

    def __init__(self, stream: Stream, asked: str, max_line: int = MAX_LINE) -> None:
        self._stream = stream
        self._pieces = aiter(stream)
        self._asked = asked
        self._splitter = LineSplitter(max_line)
        self._lines: deque[bytes] = deque()

    def expect_within(self, seconds: float) -> None:
        """Change the longest accepted silence (seconds): bookmarks were seen, so they will go on."""
        self._stream.expect_within(seconds)

    async def batch(self) -> list[bytes]:
        """Return the complete lines that have come since the last call; empty at the end."""
        try:
            async for piece in self._pieces:
                if lines := self._splitter.feed(piece):
                    return lines
        except LineTooLong as error:
            raise Unanswered(f"{self._asked}: {error}") from None
        if self._splitter.unfinished:
            raise Unanswered(f"{self._asked}: ended in the middle of an event")
        return []

    def __aiter__(self) -> WatchStream:
        return self

    async def __anext__(self) -> bytes:
        if not self._lines:
            self._lines.extend(await self.batch())
            if not self._lines:
                raise StopAsyncIteration
        return self._lines.popleft()

"""Frames on a socket: four bytes of length, then that many bytes, in both directions.

Used between a manager and its hosts. Guarantees: frames arrive whole and in order; an
oversized, empty or torn frame ends the channel with a reason and is never handed on; `send`
never waits: what the peer does not read is buffered, `congested` tells a sender that can hold
back, a peer that reads nothing for `stuck_after` seconds is reported to the owner, and one that
leaves more than `MOST_BUFFERED` bytes unread is given up. `on_lost` is called once. The channel
owns the socket.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

from kcm.base.errors import KcmError

LARGEST_FRAME = 8 * 1024 * 1024
MOST_BUFFERED = 256 * 1024 * 1024
CONGESTED = 4 * 1024 * 1024
CLEAR = 1024 * 1024
STUCK_AFTER = 30.0

_LENGTH = struct.Struct("!I")

OnMessage = Callable[[bytes], None]
OnLost = Callable[[str], None]
OnStuck = Callable[[float], None]


class FeedError(KcmError):
    """The peer sent what cannot be a frame, or does not read."""


def pack(payload: bytes) -> bytes:
    """Return the frame that carries `payload`; FeedError when it is empty or too large."""
    size = len(payload)
    if not 0 < size <= LARGEST_FRAME:
        raise FeedError(f"frame of {size} bytes; 1 to {LARGEST_FRAME} are allowed")
    return _LENGTH.pack(size) + payload


class Unpacker:
    """Cuts a byte stream into payloads."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def take(self, data: bytes) -> list[bytes]:
        """Return the payloads that are complete now; FeedError for a length that is not allowed."""
        rest = self._rest
        rest += data
        payloads: list[bytes] = []
        begin = 0
        while len(rest) - begin >= 4:
            (size,) = _LENGTH.unpack_from(rest, begin)
            if not 0 < size <= LARGEST_FRAME:
                raise FeedError(f"frame of {size} bytes; 1 to {LARGEST_FRAME} are allowed")
            if len(rest) - begin - 4 < size:
                break
            payloads.append(bytes(memoryview(rest)[begin + 4 : begin + 4 + size]))
            begin += 4 + size
        if begin:
            del rest[:begin]
        return payloads

    @property
    def torn(self) -> bool:
        """Say whether the stream, if it ended now, would end inside a frame."""
        return bool(self._rest)


class FrameChannel(asyncio.Protocol):
    """One end of a channel."""

    def __init__(
        self,
        on_message: OnMessage,
        on_lost: OnLost,
        on_stuck: OnStuck | None = None,
        stuck_after: float = STUCK_AFTER,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_lost: OnLost | None = on_lost
        self._on_stuck = on_stuck
        self._stuck_after = stuck_after
        self._unpacker = Unpacker()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._watchdog: asyncio.TimerHandle | None = None
        self._unread = 0
        self._when_clear: list[Callable[[], None]] = []
        self._ended = asyncio.Event()

    @classmethod
    async def open(
        cls,
        sock: socket.socket,
        on_message: OnMessage,
        on_lost: OnLost,
        on_stuck: OnStuck | None = None,
        stuck_after: float = STUCK_AFTER,
    ) -> FrameChannel:
        """Take over a connected stream socket.

        `on_message` is given each payload; `on_lost` the reason, once, when the channel has ended
        for any reason but `close`; `on_stuck` the seconds for which the peer has read nothing.
        """
        channel = cls(on_message, on_lost, on_stuck, stuck_after)
        await asyncio.get_running_loop().create_connection(lambda: channel, sock=sock)
        return channel

    @property
    def congested(self) -> bool:
        """Say whether the peer is behind: whoever can hold back should."""
        return self._paused

    @property
    def buffered(self) -> int:
        """Return how many bytes wait for the peer."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def when_clear(self, callback: Callable[[], None]) -> None:
        """Call back once when the peer has caught up; soon, if it has not fallen behind."""
        if self._paused:
            self._when_clear.append(callback)
        else:
            self._loop.call_soon(callback)

    def send(self, payload: bytes) -> None:
        """Queue one frame; never waits. Sending on a lost channel does nothing.

        FeedError for an empty or oversized payload: the sender's fault, the channel goes on.
        """
        frame = pack(payload)
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(frame)
        if self.buffered > MOST_BUFFERED:
            self._end(f"the peer left {MOST_BUFFERED} bytes unread")

    async def finish(self, seconds: float) -> None:
        """Close, and wait at most so long until all that was sent has left this process."""
        self.close()
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            pass

    async def drained(self, seconds: float) -> None:
        """Wait at most so long until all that the peer has sent, and its end, was handed on; then close."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            pass
        self.close()

    def close(self) -> None:
        """End the channel from this side: what is buffered is still sent, `on_lost` is not called."""
        self._on_lost = None
        self._calm()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports do not inherit
        assert self._transport is not None
        self._transport.set_write_buffer_limits(high=CONGESTED, low=CLEAR)

    def data_received(self, data: bytes) -> None:
        try:
            payloads = self._unpacker.take(data)
        except FeedError as error:
            self._end(str(error))
            return
        for payload in payloads:
            self._on_message(payload)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()
        self._calm()
        if exc is not None:
            self._lose(f"{type(exc).__name__}: {exc}")
        elif self._unpacker.torn:
            self._lose("the peer ended inside a frame")
        else:
            self._lose("the peer ended")

    def pause_writing(self) -> None:
        self._paused = True
        self._unread = self.buffered
        self._watchdog = self._loop.call_later(self._stuck_after, self._check_stuck)

    def resume_writing(self) -> None:
        self._calm()

    def _calm(self) -> None:
        self._paused = False
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        waiting, self._when_clear = self._when_clear, []
        for callback in waiting:
            self._loop.call_soon(callback)

    def _check_stuck(self) -> None:
        buffered = self.buffered
        if buffered >= self._unread and self._on_stuck is not None:
            self._on_stuck(self._stuck_after)
        self._unread = buffered
        self._watchdog = self._loop.call_later(self._stuck_after, self._check_stuck)

    def _end(self, reason: str) -> None:
        self._lose(reason)
        if self._transport is not None:
            self._transport.abort()

    def _lose(self, reason: str) -> None:
        if self._on_lost is not None:
            on_lost, self._on_lost = self._on_lost, None
            on_lost(reason)

"""Puts finished log lines on a stream without ever making the caller wait.

`LineWriter.put` only appends to a queue; a thread writes. Guarantees: `put` does not block on
the stream, however stuck its reader is; memory is bounded (lines over the bound are dropped
and counted, and the count is written as soon as there is room; so are lines that the stream refused,
a full disk's for instance, behind the next one that it takes); lines keep their order; a
chunk of whole lines is written with one call, up to the size that a pipe takes in one piece,
so that lines of several processes on one stderr do not mix. Does not promise that lines are
out when the process is killed; `close` waits a bounded time. The writer owns its thread.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

MOST_PENDING = 4 * 1024 * 1024
PIPE_PIECE = 4096


class LineWriter:
    """A bounded queue of lines in front of a stream. `dropped` counts lines given up."""

    def __init__(self, stream: TextIO, note: Callable[[int], str], most_pending: int = MOST_PENDING) -> None:
        """`note(n)` makes the line that says n lines were dropped; `most_pending` is in bytes."""
        self.dropped = 0
        self._stream = stream
        self._note = note
        self._most_pending = most_pending
        self._lines: deque[bytes] = deque()
        self._pending = 0
        self._unsaid = 0
        self._refused = False
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="kcm-log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Queue one line (without its newline); drop and count it when the queue is full."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._changed:
            if self._closing or self._pending + len(data) > self._most_pending:
                self.dropped += 1
                self._unsaid += 1
                return
            self._lines.append(data)
            self._pending += len(data)
            self._changed.notify()

    def close(self, timeout: float) -> None:
        """Refuse new lines and wait up to `timeout` seconds until the queued ones are out."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        write = _writer_of(self._stream)
        while True:
            with self._changed:
                while not (self._lines or self._closing or (self._unsaid and not self._refused)):
                    self._changed.wait()
                piece = self._take()
            if not piece:
                return
            try:
                # Of what was refused a part may have been taken: that must not run into the next line.
                write(b"\n" + piece if self._refused else piece)
                refused = 0
            except (OSError, ValueError):
                # Gone or full: whether it takes the next one shows when there is one.
                refused = piece.count(b"\n")
            with self._changed:
                self._refused = refused > 0
                self.dropped += refused
                self._unsaid += refused
                self._pending -= len(piece)

    def _take(self) -> bytes:
        """Return whole lines that fit one piece, oldest first; nothing means: closing and empty."""
        if not self._lines and self._unsaid and not self._refused:
            data = self._note(self._unsaid).encode() + b"\n"
            self._unsaid = 0
            self._pending += len(data)
            return data
        taken: list[bytes] = []
        size = 0
        while self._lines and (not taken or size + len(self._lines[0]) <= PIPE_PIECE):
            size += len(self._lines[0])
            taken.append(self._lines.popleft())
        return b"".join(taken)


def _writer_of(stream: TextIO) -> Callable[[bytes], None]:
    """Return what writes bytes to the stream: straight to its descriptor where it has one.

    A Python stream has a lock; a daemon thread that holds it at exit aborts the interpreter.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return lambda data: _write_text(stream, data)
    return lambda data: _write_all(descriptor, data)


def _write_text(stream: TextIO, data: bytes) -> None:
    stream.write(data.decode())
    stream.flush()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            # Another program may have made the shared terminal non-blocking.
            select.select((), (descriptor,), ())

"""TLS as a filter of bytes, without a transport of its own.

The event loop's TLS holds written bytes back until the end of a loop turn. Between the fence's
check and the send a process can be stopped for minutes, so kcm encrypts itself and sends at
once. Guarantees: what `feed` returns was authenticated; a body that TLS did not close properly
is reported as cut. Owns one TLS session; knows no sockets.
"""

from __future__ import annotations

import ssl

_READ = 256 * 1024


class TlsFilter:
    """The client's half of one TLS connection."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self.established = False
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the socket; return what they hold. `ssl.SSLError` when they are not right."""
        self._incoming.write(data)
        if not self.established and not self._shake_hands():
            return b""
        pieces = []
        try:
            while piece := self._session.read(_READ):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def encrypt(self, data: bytes) -> bytes:
        """Return the records that carry `data`."""
        view = memoryview(data)
        while view:
            view = view[self._session.write(view) :]
        return self._outgoing.read()

    def to_send(self) -> bytes:
        """Return what the protocol itself wants to say: handshake, key updates."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def start(self) -> bytes:
        """Return the first bytes of the handshake."""
        self._shake_hands()
        return self._outgoing.read()

    def _shake_hands(self) -> bool:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.established = True
        return True

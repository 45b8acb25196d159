"""Pod and node addresses.

`AddressPool` gives every living pod of the cluster an address of its own in 10.128.0.0/9
(some eight million) and does not hand an address out again until it has gone round. The pool
owns its state; nodes have fixed addresses in 172.18.0.0/16.
"""

from __future__ import annotations

from ipaddress import IPv4Address

_FIRST = int(IPv4Address("10.128.0.1"))
_SIZE = 2**23 - 2
_FIRST_NODE = int(IPv4Address("172.18.0.2"))


class AddressPool:
    """Addresses in use."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._next = 0

    def take(self) -> str:
        """Return an address that no living pod has."""
        while self._next in self._taken:
            self._next = (self._next + 1) % _SIZE
        taken = self._next
        self._taken.add(taken)
        self._next = (taken + 1) % _SIZE
        return str(IPv4Address(_FIRST + taken))

    def claim(self, address: str) -> None:
        """Mark an address as taken by a pod that has it already."""
        try:
            self._taken.add(int(IPv4Address(address)) - _FIRST)
        except ValueError:
            return

    def give_back(self, address: str) -> None:
        """Let an address be used again."""
        try:
            self._taken.discard(int(IPv4Address(address)) - _FIRST)
        except ValueError:
            return


def node_address(index: int) -> str:
    """Return the address of the node with that number, from 0."""
    return str(IPv4Address(_FIRST_NODE + index))

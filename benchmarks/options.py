"""What the user of the benchmarks can choose."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`size` multiplies every amount; `repeat` is how often the large ones are repeated.

    `peers_python`: a Python with kopf and the official client, "" for none.
    """

    kubeconfig: str = ""
    size: float = 1.0
    repeat: int = 3
    peers_python: str = ""

    def scaled(self, amount: int, least: int = 1) -> int:
        """Return an amount at the chosen size."""
        return max(least, round(amount * self.size))

    @property
    def pause(self) -> float:
        """Return the seconds for which a process must have rested to count as idle."""
        return 1.0 if self.size >= 0.1 else 0.2

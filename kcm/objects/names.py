"""Names that controllers make for the objects they create.

The characters hold no vowels and no look-alikes, so that no generated name spells a word or is
misread (reference: workloads 2.6). Guarantees: a pod's generated name is at most 63 characters,
the suffix whole.
"""

from __future__ import annotations

SAFE_CHARACTERS = "bcdfghjklmnpqrstvwxz2456789"
LONGEST_LABEL = 63

_SINGLES = tuple(SAFE_CHARACTERS)
_PAIRS = tuple(high + low for high in _SINGLES for low in _SINGLES)


def safe_suffix(number: int) -> str:
    """Return five safe characters for a non-negative number (27**5 texts; larger numbers wrap)."""
    number, low = divmod(number, 729)
    number, middle = divmod(number, 729)
    return _SINGLES[number % 27] + _PAIRS[middle] + _PAIRS[low]


def safe_text(text: str) -> str:
    """Return as many safe characters as `text` has; digits stay distinct (reference: workloads 2.6)."""
    return "".join(SAFE_CHARACTERS[ord(character) % len(SAFE_CHARACTERS)] for character in text)


def generated_base(base: str, suffix_length: int = 5) -> str:
    """Return `base` cut as the API server cuts `generateName` (reference: workloads 1.5)."""
    return base[: LONGEST_LABEL - suffix_length]

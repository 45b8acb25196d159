"""resourceVersions in order.

They are decimal text without leading zeros, compared by length and then by text, and only
within one resource (reference: runtime, Staleness). Never converted to numbers: a hostile one
may have thousands of digits.
"""

from __future__ import annotations


def newer(version: str, than: str) -> bool:
    """Say whether `version` comes after `than`; "" comes before everything."""
    return (len(version), version) > (len(than), than)


def at_least(version: str, other: str) -> bool:
    """Say whether `version` is `other` or comes after it."""
    return (len(version), version) >= (len(other), other)


def well_formed(version: str) -> bool:
    """Say whether the server could have written it: ASCII digits, no leading zero, bounded."""
    return 0 < len(version) <= 32 and version.isascii() and version.isdigit() and version[0] != "0"

"""Durations as people write them: "15s", "1m30s", "250ms", or a number of seconds.

`parse_duration` takes the units h, m, s, ms in falling order, each at most once, fractions
allowed on the last. Guarantees: a finite, non-negative float of seconds, and bounded effort on
any input. There is no unit for days: they are not always 24 hours long. Owns no state.
"""

from __future__ import annotations

import math
import re

LONGEST = 32

_PATTERN = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?", re.ASCII)
_UNITS = (3600.0, 60.0, 1.0, 0.001)


def parse_duration(value: object) -> float:
    """Return seconds; ValueError with a one-line reason when `value` is no duration."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f'expected a duration such as "15s" or a number of seconds, found {_named(value)}')
    if not isinstance(value, str):
        return _checked(float(value) if abs(value) < 1e12 else math.inf)
    text = value.strip()
    found = _PATTERN.fullmatch(text) if 0 < len(text) <= LONGEST else None
    if found is None:
        raise ValueError(f'{text[:LONGEST]!r} is no duration; write for instance "15s", "1m30s" or "250ms"')
    return _checked(
        sum(float(part) * unit for part, unit in zip(found.groups(), _UNITS, strict=True) if part)
    )


def format_duration(seconds: float) -> str:
    """Return the shortest text that `parse_duration` reads as `seconds` (to a millisecond)."""
    rest = round(seconds * 1000)
    if rest == 0:
        return "0s"
    parts: list[str] = []
    for size, unit in ((3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _checked(seconds: float) -> float:
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError("a duration is a finite number of seconds, zero or more")
    return seconds


def _named(value: object) -> str:
    return "nothing" if value is None else type(value).__name__

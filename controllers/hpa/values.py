"""Metric values: bounded whole numbers of thousandths, and back to text.

Every amount is compared in thousandths, rounded up (reference: hpa, head). Guarantees: what is
no number, or does not fit into 64 bits, is `BadValue` before any arithmetic sees it; no text
costs more than its bounded length. Pure.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from kcm.objects.quantities import parse_quantity

LARGEST = 2**63 - 1
SMALLEST = -(2**63)
MOST_REPLICAS = 2**31 - 1

_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = ("", "k", "M", "G", "T", "P", "E")


class BadValue(ValueError):
    """An amount that cannot be used; its text says why."""


class Sample(NamedTuple):
    """What one pod's metric read, in thousandths, and over which time."""

    value: int
    at: datetime | None = None
    window: timedelta = timedelta(0)


@lru_cache(maxsize=8192)
def thousandths(text: str) -> int:
    """Return an amount in thousandths, rounded up; BadValue when it is none or too large.

    Remembered, for a thousand autoscalers read the same requests and usages in each period.
    """
    try:
        value = ceil(parse_quantity(text) * 1000)
    except ValueError as error:
        raise BadValue(str(error)) from None
    if not SMALLEST <= value <= LARGEST:
        raise BadValue(f"out of range: {text[:64]}")
    return value


def saturated(total: int) -> int:
    """Return a sum as 64 bits hold it (reference: hpa 6, reduction)."""
    return max(SMALLEST, min(LARGEST, total))


def truncated(dividend: int, divisor: int) -> int:
    """Divide toward zero, unlike `//` (reference: hpa 16, trap 1)."""
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def replicas_from(amount: float) -> int:
    """Return `amount` rounded up, as a number of replicas: not finite or absurd becomes the most or least."""
    if amount != amount:  # NaN
        return 0
    if amount >= MOST_REPLICAS:
        return MOST_REPLICAS
    return max(-MOST_REPLICAS, ceil(amount)) if amount > -MOST_REPLICAS else -MOST_REPLICAS


def in_decimal(value: int) -> str:
    """Return thousandths as the API spells them: "425m", "2", "1500k"."""
    if value % 1000:
        return f"{value}m"
    return _with_unit(value // 1000, 1000, _DECIMAL)


def in_binary(value: int) -> str:
    """Return thousandths with binary units where they fit: "100Mi"."""
    if value % 1000:
        return f"{value}m"
    return _with_unit(value // 1000, 1024, _BINARY)


def _with_unit(number: int, base: int, units: tuple[str, ...]) -> str:
    power = 0
    while number and number % base == 0 and power < len(units) - 1:
        number, power = number // base, power + 1
    return f"{number}{units[power]}"

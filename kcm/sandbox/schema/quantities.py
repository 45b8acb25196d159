"""Quantities of resources as the API writes them: "100m", "1Gi", "2e3".

`canonical` gives the one spelling that the server stores. Guarantees: exact decimal
arithmetic, text and exponents bounded before any power is taken, nothing below 1n (rounded
away from zero) nor above 2**63-1 (capped), as the server does (reference: apiserver §5).
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Literal

Style = Literal["binary", "decimal", "exponent"]

MALFORMED = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_LONGEST = 64
_CAP = 2**63 - 1
_QUANTITY = re.compile(r"(?P<number>[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+))(?P<suffix>[eE][+-]?[0-9]+|[a-zA-Z]*)")
_BINARY = {suffix: 1024**power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {power: suffix for suffix, power in _DECIMAL.items()}


def parse(text: str) -> Fraction:
    """Return the amount; ValueError with the server's words when it is not a quantity."""
    return _read(text)[0]


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """Return the server's spelling of a quantity; ValueError when it is none."""
    amount, style = _read(text)
    if style == "binary" and abs(amount) >= 1024:
        return _in_binary(amount)
    return _in_decimal(amount, exponent=style == "exponent")


@lru_cache(maxsize=4096)
def _read(text: str) -> tuple[Fraction, Style]:
    found = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise ValueError(MALFORMED)
    suffix, style = found["suffix"], "decimal"
    scale: Fraction
    if suffix in _BINARY:
        scale, style = Fraction(_BINARY[suffix]), "binary"
    elif suffix in _DECIMAL:
        scale = Fraction(10) ** _DECIMAL[suffix]
    elif len(suffix) > 1 and suffix[0] in "eE":
        power = int(suffix[1:]) if len(suffix) <= 6 else 99
        scale, style = Fraction(10) ** max(-99, min(99, power)), "exponent"
    else:
        raise ValueError(MALFORMED)
    amount = max(-Fraction(_CAP), min(Fraction(_CAP), Fraction(found["number"]) * scale))
    return amount, style  # type: ignore[return-value]  # mypy widens the literal


def _away_from_zero(amount: Fraction) -> int:
    whole = -(-abs(amount.numerator) // amount.denominator)
    return whole if amount >= 0 else -whole


def _in_binary(amount: Fraction) -> str:
    number, suffix = _away_from_zero(amount), ""
    for candidate, unit in _BINARY.items():
        if number % unit:
            break
        suffix = candidate
    return f"{number // _BINARY.get(suffix, 1)}{suffix}"


def _in_decimal(amount: Fraction, *, exponent: bool) -> str:
    nano, power = _away_from_zero(amount * 10**9), -9
    if nano == 0:
        return "0"
    while power < 18 and nano % 1000 == 0:
        nano, power = nano // 1000, power + 3
    if exponent:
        return f"{nano}e{power}" if power else str(nano)
    return f"{nano}{_DECIMAL_SUFFIX[power]}"

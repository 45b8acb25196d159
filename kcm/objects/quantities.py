"""Quantities of resources by value: "1000m" and "1" are the same amount.

Guarantees exact arithmetic on bounded numbers: the text and the exponent are limited before
any power is taken, so that a hostile one costs no more than an honest one (reference:
reliability §2, poison numbers). What the API would cap or round is not rounded here.
"""

from __future__ import annotations

import re
from fractions import Fraction

_LONGEST = 64
_LARGEST_EXPONENT = 99
_QUANTITY = re.compile(r"(?P<number>[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+))(?P<suffix>[a-zA-Z]*)")
_EXPONENT = re.compile(r"(?P<number>.+)[eE](?P<power>[+-]?[0-9]{1,4})")
_SCALES = {
    **{unit: Fraction(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    **{unit: Fraction(1000) ** power for power, unit in enumerate(("n", "u", "m", ""), -3)},
    **{unit: Fraction(1000) ** power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
}


def parse_quantity(text: str) -> Fraction:
    """Return the amount that the API means by `text`; ValueError when it is no quantity."""
    if len(text) > _LONGEST or not text.isascii():
        raise ValueError(f"not a quantity: {text[:_LONGEST]!r}")
    power = 0
    if found := _EXPONENT.fullmatch(text):
        text, power = found["number"], int(found["power"])
    read = _QUANTITY.fullmatch(text)
    if read is None or read["suffix"] not in _SCALES or abs(power) > _LARGEST_EXPONENT:
        raise ValueError(f"not a quantity: {text!r}")
    if found and read["suffix"]:
        raise ValueError(f"not a quantity: both an exponent and a suffix in {text!r}")
    return Fraction(read["number"]) * _SCALES[read["suffix"]] * Fraction(10) ** power

"""How a simulated value goes with time: constant, ramp, step, sine. Pure.

Written as text, so that one line in an annotation, a file or a URL says it:

    4  |  250m  |  2Gi                    always the same
    ramp(1, 10, 5m)                       from 1 to 10 within five minutes, then 10
    step(1, 8, 2m)                        1 for two minutes, then 8
    sine(2, 8, 10m)                       between 2 and 8, beginning at 2, once in ten minutes

Guarantees: text from outside is bounded and either read whole or refused with ValueError;
`at` is total and finite. Numbers are quantities; times are seconds since the shape was set.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

from kcm.sandbox.cluster.behaviour import read_duration
from kcm.sandbox.schema import quantities

_LONGEST = 200
_CALL = re.compile(
    r"(?P<form>ramp|step|sine)\(\s*(?P<low>[^,()]+),\s*(?P<high>[^,()]+),\s*(?P<time>[^,()]+)\)"
)
_HELP = (
    'a quantity, ramp(from, to, time), step(before, after, time) or sine(low, high, period), times like "5m"'
)

Form = Literal["constant", "ramp", "step", "sine"]


@dataclass(frozen=True, slots=True)
class Shape:
    """One course of a value. `seconds` is the ramp's length, the step's time or the sine's period."""

    form: Form
    low: float
    high: float = 0.0
    seconds: float = 0.0
    text: str = ""

    def at(self, seconds: float) -> float:
        """Return the value so many seconds after the shape was set."""
        match self.form:
            case "ramp":
                share = min(1.0, max(0.0, seconds) / self.seconds)
                return self.low + (self.high - self.low) * share
            case "step":
                return self.low if seconds < self.seconds else self.high
            case "sine":
                turn = (1.0 - math.cos(2.0 * math.pi * seconds / self.seconds)) / 2.0
                return self.low + (self.high - self.low) * turn
        return self.low


@lru_cache(maxsize=1024)
def read_shape(text: str) -> Shape:
    """Return the shape that a text describes; ValueError says what it should be."""
    given = text.strip()
    if len(given) > _LONGEST:
        raise ValueError(f"value is {len(given)} characters long, more than {_LONGEST}")
    found = _CALL.fullmatch(given)
    try:
        if found is None:
            return Shape("constant", float(quantities.parse(given)), text=given)
        seconds = read_duration(found["time"].strip())
        if not seconds:
            raise ValueError
        low, high = (float(quantities.parse(found[name].strip())) for name in ("low", "high"))
    except ValueError:
        raise ValueError(f"{given[:80]!r} is not {_HELP}") from None
    return Shape(cast(Form, found["form"]), low, high, seconds, given)


def split_assignments(text: str) -> list[tuple[str, str]]:
    """Return the pairs of "cpu=4,memory=ramp(1Gi, 2Gi, 5m)"; ValueError for a part without "="."""
    if len(text) > 16 * _LONGEST:
        raise ValueError("too long")
    pairs = []
    for part in re.findall(r"(?:[^,(]|\([^)]*\))+", text):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"{part.strip()[:80]!r} is not name=value")
        pairs.append((name.strip(), value.strip()))
    return pairs


def quantity(value: float) -> str:
    """Return a number as custom and external metrics write it: to the thousandth, "1500m" or "2"."""
    bounded = max(-9e15, min(9e15, value))
    return quantities.canonical(f"{round(bounded * 1000)}m")


@lru_cache(maxsize=4096)
def cpu_quantity(cores: float) -> str:
    """Return processor use as a kubelet measures it: in billionths of a core."""
    return quantities.canonical(f"{round(max(0.0, min(9e9, cores)) * 1e9)}n")


@lru_cache(maxsize=4096)
def memory_quantity(size: float) -> str:
    """Return a working set: whole pages of 4 KiB."""
    pages = math.ceil(max(0.0, min(9e18, size)) / 4096)
    return quantities.canonical(f"{pages * 4}Ki") if pages else "0"
